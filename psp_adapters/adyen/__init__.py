"""The adapter of Adyen."""
