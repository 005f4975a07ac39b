"""Matches settlement report lines with operations and disputes."""
