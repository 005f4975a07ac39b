"""What a late outcome causes: one that contradicts a closed operation."""
