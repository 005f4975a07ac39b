"""The machines of reconciliation: code, PostgreSQL and the tables of states agree."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from payments import states
from payments.models.machine import MachineModel
from payments.tests.support.machines import accepted, digest
from reconciliation.models import BankLine, SettlementLine, SettlementReport
from reconciliation.states import (
    BANK_LINE_TRANSITIONS,
    LINE_INITIAL,
    LINE_TRANSITIONS,
    REPORT_INITIAL,
    REPORT_TRANSITIONS,
    LineStatus,
    ReportStatus,
)

MACHINES: list[tuple[type[MachineModel], Any, states.Table, frozenset[str]]] = [
    (SettlementReport, ReportStatus, REPORT_TRANSITIONS, REPORT_INITIAL),
    (SettlementLine, LineStatus, LINE_TRANSITIONS, LINE_INITIAL),
    (BankLine, LineStatus, BANK_LINE_TRANSITIONS, LINE_INITIAL),
]


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_code_and_table_agree(
    model: type[MachineModel], statuses: Any, table: states.Table, born: frozenset[str]
) -> None:
    assert set(table) == set(statuses)
    assert born <= set(statuses)
    field = model._meta.get_field("status")
    moves = {(t.source, t.target) for t in field.get_all_transitions(model)}
    assert moves == {(source, target) for source, targets in table.items() for target in targets}


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_the_triggers_of_postgresql_are_those_of_the_table(
    database: None,
    application_cursor: psycopg.Cursor[Any],
    model: type[MachineModel],
    statuses: Any,
    table: states.Table,
    born: frozenset[str],
) -> None:
    rows = application_cursor.execute(
        "SELECT t.tgname, string_to_array(encode(t.tgargs, 'escape'), '\\000') FROM pg_trigger t "
        "WHERE t.tgrelid = %s::regclass "
        "AND t.tgname IN ('legal_initial_status', 'legal_transition')",
        [model._meta.db_table],
    ).fetchall()
    assert {name for name, _ in rows} == {"legal_initial_status", "legal_transition"}
    for _, arguments in rows:
        assert set(arguments[0].split()) == born
        assert {tuple(move.split(">")) for move in arguments[1].split()} == {
            (source, target) for source, targets in table.items() for target in targets
        }


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_postgresql_accepts_the_moves_of_the_table_and_no_other(
    database: None,
    owner_cursor: psycopg.Cursor[Any],
    model: type[MachineModel],
    statuses: Any,
    table: states.Table,
    born: frozenset[str],
) -> None:
    assert accepted(owner_cursor, model._meta.db_table, statuses) == (
        born,
        {(source, target) for source, targets in table.items() for target in targets},
    )


def test_a_change_of_the_table_brings_a_migration() -> None:
    """As in payments: a migrated database keeps the moves of the day it was migrated."""
    assert {model._meta.db_table: digest(table, born) for model, _, table, born in MACHINES} == {
        "reconciliation_settlement_report": "3c4373c1",
        "reconciliation_settlement_line": "9277bad5",
        "reconciliation_bank_line": "e445a074",
    }, "add a migration that runs state_machine() once more, then write the digest here"
