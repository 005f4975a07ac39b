"""Measures what DESIGN 9 asks of the payment path, the database and the books: `make bench`."""
