"""Migrations of the site's own table."""
