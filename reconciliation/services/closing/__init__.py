"""Closes days of the books: what is open, the close itself, and that it stays as it was."""
