"""Suites that adapters inherit, and the real sandbox PSP for tests."""
