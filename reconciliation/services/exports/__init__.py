"""CSV exports for finance: what they are, how they are written, scheduled and checked."""
