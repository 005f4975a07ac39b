"""Hosted checkout: sessions and their page, payment links."""
