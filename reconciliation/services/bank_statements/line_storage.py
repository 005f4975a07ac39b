"""Stores the lines of a bank statement, each once, in one statement of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ledger.database.statements import execute
from payments.clock import now_utc
from psp_adapters.contract.stored_text import clean_id, clean_text
from reconciliation.models import BankLine, BankStatement
from reconciliation.services.bank_statements.contents import Entry, identity_of
from reconciliation.services.bank_statements.sequence import equal_lines_beside
from reconciliation.states import LineStatus

_TEXT_MOST: Final = 2_000
_OF_A_LINE: Final = {
    "number": "int",
    "identity": "text",
    "occurrence": "int",
    "currency": "text",
    "amount_minor": "bigint",
    "booked_on": "date",
    "value_on": "date",
    "bank_reference": "text",
    "end_to_end_id": "text",
    "text": "text",
}
_OF_ALL: Final = {
    "statement_id": "%s::uuid",
    "bank_account_id": "%s::uuid",
    "next_attempt_at": "%s::timestamptz",
    "retrying_since": "%s::timestamptz",
    "stored_at": "%s::timestamptz",
    "status": f"'{LineStatus.OPEN.value}'",
    "attempts": "0",
    "discrepancy": "''",
    "last_error": "''",
    "named_by": "''",
}
_INSERT: Final = (
    f"INSERT INTO {BankLine._meta.db_table} ({', '.join((*_OF_ALL, *_OF_A_LINE))}) "
    f"SELECT {', '.join(_OF_ALL.values())}, line.* "
    f"FROM unnest({', '.join(f'%s::{type_}[]' for type_ in _OF_A_LINE.values())}) AS line "
    "ON CONFLICT (bank_account_id, identity, occurrence) DO NOTHING RETURNING 1"
)


@dataclass(frozen=True, slots=True)
class PreparedLine:
    """An entry as it is stored: all that can be computed before the database transaction."""

    identity: str
    currency: str
    amount_minor: int
    booked_on: date
    value_on: date
    bank_reference: str
    end_to_end_id: str
    text: str

    @classmethod
    def of(cls, entry: Entry) -> PreparedLine:
        return cls(
            identity=identity_of(entry),
            currency=entry.amount.currency,
            amount_minor=entry.amount.minor,
            booked_on=entry.booked_on,
            value_on=entry.value_on,
            bank_reference=clean_id(entry.bank_reference),
            end_to_end_id=clean_id(entry.end_to_end_id),
            text=clean_text(entry.text, most=_TEXT_MOST),
        )


def store_lines(statement: BankStatement, lines: list[PreparedLine]) -> int:
    """Store those lines of a new statement that the account does not have; returns how many.

    Equal lines are counted through all statements that follow one another; those of statements that
    overlap are the same lines.
    """
    seen = equal_lines_beside(statement)
    rows: list[tuple[Any, ...]] = []
    for number, line in enumerate(lines, start=1):
        seen[line.identity] += 1
        amount = (line.currency, line.amount_minor, line.booked_on, line.value_on)
        texts = (line.bank_reference, line.end_to_end_id, line.text)
        rows.append((number, line.identity, seen[line.identity], *amount, *texts))
    if not rows:
        return 0
    now = now_utc()
    columns = [list(column) for column in zip(*rows, strict=True)]
    keys = [statement.pk, statement.bank_account_id, now, now, now]
    return len(execute(_INSERT, [*keys, *columns]))
