"""Measures the payment path, the database and the books against their targets: `make bench`."""
