"""A stage for each test of the stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from payments.services.event_stream import publisher
from payments.services.event_stream.effects import EFFECTS, EFFECTS_OF_MANY
from payments.tests.event_stream.stage import GROUPS, Journal, Stage, open_stage


@pytest.fixture
def stage(database: None, tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def pruned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that every group has consumed are deleted in the same pass."""
    monkeypatch.setattr(publisher, "_PRUNE_FROM", 1)


@pytest.fixture
def journal(
    owner_cursor: psycopg.Cursor[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Journal]]:
    """Every group's effect is a row of a journal, in forked processes too."""
    owner_cursor.execute(Journal.TABLE)
    owner_cursor.execute("GRANT SELECT, INSERT ON stage_journal TO PUBLIC")
    monkeypatch.delitem(EFFECTS_OF_MANY, "fraud")
    for group in GROUPS:
        monkeypatch.setitem(EFFECTS, group, Journal.effect(group))
    yield Journal
    owner_cursor.execute("DROP TABLE stage_journal")
