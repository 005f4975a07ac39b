"""What the first outcome of an operation causes."""
