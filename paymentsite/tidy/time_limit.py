"""A pytest plugin that starts no further test after `QUICK_UNTIL`, and says which it left.

`QUICK_UNTIL` is a time of the machine's monotonic clock, which all processes share on Linux.
"""

from __future__ import annotations

import os
import time

import pytest

UNTIL = "QUICK_UNTIL"
_left: dict[str, int] = {}  # test file to the number of its tests that were not started


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Returns True, "done with this test", once the time is over."""
    if time.monotonic() < float(os.environ[UNTIL]):
        return None
    file = item.nodeid.partition("::")[0]
    _left[file] = _left.get(file, 0) + 1
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left, or that nothing was."""
    tests = sum(_left.values())
    terminalreporter.write_line(
        f"time is over, left to `make test`: {tests} tests of {len(_left)} files, "
        f"from {next(iter(_left))} on"
        if tests
        else "none of them was left out"
    )
