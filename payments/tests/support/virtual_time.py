"""Days pass in a moment: the PSP's clock goes forward, and everything of ours becomes older.

Time is compared in three places: Python, PostgreSQL's now(), and the PSP. A clock to set would have
to reach all three and every process; to age what they compare with is the same to them. What stays
where it is: ids (their time is read once, at creation), the books and events.
"""

from __future__ import annotations

import os
from typing import Final

import psycopg
from psycopg import sql

from payments.models import IdempotencyKey, Operation, PaymentIntent, PspNotification
from psp_adapters.tests.support.sandbox_process import SandboxProcess

_AGED: Final = tuple(
    model._meta.db_table for model in (IdempotencyKey, Operation, PaymentIntent, PspNotification)
)
_TIMES = """
SELECT column_name FROM information_schema.columns
WHERE table_name = %s AND data_type = 'timestamp with time zone'
"""
_GUARDS = """
SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled = 'O'
"""


class VirtualTime:
    """Moves the time of our rows and of one PSP, as the owner of the tables may."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.elapsed = 0
        """Seconds that have passed in this world."""
        self._sandbox = sandbox
        self._owner = psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)
        self._statements = [self._ageing(table) for table in _AGED]

    def pass_by(self, seconds: int) -> None:
        """So many seconds later."""
        self.elapsed += seconds
        self._sandbox.advance(seconds)
        with self._owner.transaction():
            for statement in self._statements:
                self._owner.execute(statement.format(seconds=sql.Literal(seconds)))

    def close(self) -> None:
        """Give the connection back."""
        self._owner.close()

    def _ageing(self, table: str) -> sql.SQL:
        name = sql.Identifier(table)
        times = [row[0] for row in self._owner.execute(_TIMES, [table])]
        guards = [row[0] for row in self._owner.execute(_GUARDS, [table])]

        def switch(word: str) -> list[sql.Composable]:
            change = sql.SQL("ALTER TABLE {} " + word + " TRIGGER {}")
            return [change.format(name, sql.Identifier(guard)) for guard in guards]

        older = sql.SQL(", ").join(
            sql.SQL("{0} = {0} - make_interval(secs => ").format(sql.Identifier(each))
            + sql.SQL("{seconds})")
            for each in times
        )
        update = sql.SQL("UPDATE {} SET ").format(name) + older
        whole = sql.SQL("; ").join([*switch("DISABLE"), update, *switch("ENABLE")])
        return sql.SQL(whole.as_string(self._owner))  # type: ignore[arg-type]
