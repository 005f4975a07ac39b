"""A stage for each test of the stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from payments.tests.event_stream.stage import Stage, open_stage


@pytest.fixture
def stage(database: None, tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as stage:
        yield stage
