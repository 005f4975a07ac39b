"""Defines the error that ends the launcher. No other exception is expected."""


class LauncherError(Exception):
    """Its message is shown without a traceback, and says what to do."""
