"""Measures the platform as it is really run: every process of `make serve` beside the API."""
