"""The database transaction id as a column: `xid8`, 64 bit, it never wraps.

Why: ids of rows are given out before commit, so "everything after id n" loses rows that commit
late. Transaction ids below `pg_snapshot_xmin` cannot appear any more, so a tail starting there is
complete.
"""

from __future__ import annotations

from typing import Any

from django.db import models


class TransactionIdField(models.BigIntegerField):  # type: ignore[type-arg]
    """A PostgreSQL `xid8`, an int in Python."""

    description = "Database transaction id"

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        # As text: PostgreSQL compares no bigint with an xid8, but reads any literal as one.
        value = self.get_prep_value(value)
        return str(value) if isinstance(value, int) else value


class CurrentTransactionId(models.Func):
    """The id of the running database transaction, as a column's default."""

    function = "pg_current_xact_id"
    arity = 0
    output_field = TransactionIdField()
