"""Processes for the tests of the launcher."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paymentsite.launcher.processes import Process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Makes processes that run a line of Python; stops them afterwards."""
    made: list[Process] = []

    def make(code: str, **options: object) -> Process:
        child = Process(
            name="child",
            command=[sys.executable, "-u", "-c", code],
            environment=dict(os.environ),
            directory=tmp_path,
            log_file=tmp_path / "logs" / "child.log",
            **{"ready_text": "ready", "ready_within_seconds": 5, "stop_within_seconds": 1}
            | options,  # type: ignore[arg-type]
        )
        made.append(child)
        return child

    yield make
    for child in made:
        child.stop()
