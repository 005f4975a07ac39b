"""Fetches, stores, reads and matches settlement reports."""
