"""What stops the launcher, said in one line with what to do. No other exception is expected."""


class LauncherError(Exception):
    """The message is shown as it is; there is no traceback."""
