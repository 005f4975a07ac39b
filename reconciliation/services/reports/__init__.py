"""Fetches, stores and reads settlement reports."""
