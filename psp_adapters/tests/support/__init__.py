"""The real sandbox PSP and other doubles, for tests."""
