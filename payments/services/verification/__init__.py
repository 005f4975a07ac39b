"""Compares the books with the stored payments. Repairs nothing."""
