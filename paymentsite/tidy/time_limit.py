"""A pytest plugin that starts no further test after `QUICK_SECONDS`, and says which it left."""

from __future__ import annotations

import os
import time

import pytest

_VARIABLE = "QUICK_SECONDS"
_started = time.monotonic()
_left: dict[str, int] = {}  # test file to the number of its tests that were not started


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Returns True, "done with this test", once the time is over."""
    if time.monotonic() - _started < float(os.environ[_VARIABLE]):
        return None
    file = item.nodeid.partition("::")[0]
    _left[file] = _left.get(file, 0) + 1
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left."""
    if _left:
        terminalreporter.write_line(
            f"time is over, left to `make test`: {sum(_left.values())} tests of {', '.join(_left)}"
        )
