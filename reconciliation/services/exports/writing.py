"""Writes an export as CSV (RFC 4180, UTF-8), and the manifest that says what is in it.

All of it is read on one snapshot, row by row. The manifest is a file of its own, since no file can
contain its own hash, and since programs that read a CSV would take a trailer for a row.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

from ledger.database.row_ids import complete_before
from ledger.database.statements import execute
from payments import public_ids
from payments.clock import now_utc
from payments.services.verification.rebuild import one_snapshot
from reconciliation.services.exports.cells import Writer, shown_time
from reconciliation.services.exports.declaration import Chosen, Export, Period

MANIFEST_VERSION: Final = 1
LINE_END: Final = "\r\n"
_SAY_EVERY_ROWS: Final = 10_000
_HEAD: Final = """
    SELECT t.id, t.posted_at, t.xid::text::numeric, pg_current_snapshot()::text, s.number,
           encode(s.sha256, 'hex')
      FROM (SELECT * FROM ledger_transaction ORDER BY id DESC LIMIT 1) t
      LEFT JOIN (SELECT * FROM ledger_seal ORDER BY number DESC LIMIT 1) s ON true"""

# Of each PSP account that there was, and of what is posted for none.
_CLOSED: Final = """
    SELECT NOT EXISTS (
        SELECT FROM (SELECT code FROM payments_psp_account WHERE created_at < %s::date + 1
                      UNION SELECT '') AS accounts
          LEFT JOIN ledger_period p ON p.psp_account = accounts.code
         WHERE p.closed_through IS NULL OR p.closed_through < %s::date)"""

SayRows = Callable[[int], None]
"""Called with the number of rows so far, every ten thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """The last ledger transaction that a file could contain."""

    transaction: str
    posted_at: datetime
    database_transaction: int
    """PostgreSQL's id (xid8) of the transaction that wrote it."""
    snapshot: str
    """Which database transactions were visible, as PostgreSQL writes it: `xmin:xmax:under way`."""
    block: int | None
    """The newest block of the hash chain then; None for books that are not sealed yet."""
    block_sha256: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "transaction": self.transaction,
            "posted_at": shown_time(self.posted_at),
            "database_transaction": self.database_transaction,
            "snapshot": self.snapshot,
            "block": self.block,
            "block_sha256": self.block_sha256,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a file, so that its reader can check that it has all of it, unchanged."""

    export: Export
    chosen: Chosen
    generated_at: datetime
    is_closed: bool
    """Whether the books of these days are closed: then nothing can be posted for them any more."""
    is_over: bool
    """Whether the period had ended, and nothing that was under way then could still be added."""
    rows: int
    totals: dict[str, dict[str, str]]
    bytes: int
    sha256: str
    head: LedgerHead | None
    """None for books without a transaction."""

    def as_json(self, file_name: str) -> dict[str, Any]:
        """As it is stored, beside the file of this name."""
        chosen = self.chosen
        scope = {
            "merchant": chosen.merchant_id
            and public_ids.encode(public_ids.MERCHANT, chosen.merchant_id),
            "account": chosen.account,
            "currency": chosen.currency or None,
        }
        first, last = chosen.first.isoformat(), chosen.last.isoformat()
        return {
            "manifest": MANIFEST_VERSION,
            "export": self.export.name,
            "file": file_name,
            "period": _period(self.export.period, first, last),
            "period_is_over": self.is_over,
            "period_is_closed": self.is_closed,
            "limited_to": {name: value for name, value in scope.items() if value is not None},
            "generated_at": shown_time(self.generated_at),
            "rows": self.rows,
            "totals": self.totals,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "ledger_head": self.head and self.head.as_json(),
        }


def _period(period: Period, first: str, last: str) -> dict[str, str]:
    if period is Period.NOW:
        return {}
    return {"day": last} if period is Period.DAY else {"first_day": first, "last_day": last}


class _Hashed:
    """Takes text, as `csv.writer` gives it; hashes and counts what goes into the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, text: str) -> int:
        data = text.encode()
        self._sha256.update(data)
        self.bytes += len(data)
        self._file.write(data)
        return len(text)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def write_export(
    export: Export,
    chosen: Chosen,
    file: BinaryIO,
    *,
    seconds_most: float | None = None,
    say_rows: SayRows | None = None,
) -> Manifest:
    """Write all rows into `file`, and return what is in it.

    With `seconds_most` PostgreSQL ends it after so long. Raises ValueError for a limit that the
    export does not have, and BooksDoNotBalance. Opens a transaction of its own.
    """
    export.refuse_unknown_limits(chosen)
    # To be read before the rows: what is complete by now is in the snapshot.
    is_over = chosen.end_id <= complete_before()
    output, writer = _Hashed(file), Writer(export.columns)
    lines = csv.writer(output, lineterminator=LINE_END)
    lines.writerow([column.name for column in export.columns])
    with one_snapshot(seconds_most=seconds_most):
        head, [(is_closed,)] = _ledger_head(), execute(_CLOSED, [chosen.last, chosen.last])
        for row in export.rows(chosen):
            lines.writerow(writer.cells(row))
            if say_rows is not None and writer.rows % _SAY_EVERY_ROWS == 0:
                say_rows(writer.rows)
    return Manifest(
        export=export,
        chosen=chosen,
        generated_at=now_utc(),
        is_closed=is_closed,
        is_over=is_over,
        rows=writer.rows,
        totals=writer.totals,
        bytes=output.bytes,
        sha256=output.sha256,
        head=head,
    )


def _ledger_head() -> LedgerHead | None:
    for identifier, posted_at, xid, snapshot, block, block_sha256 in execute(_HEAD):
        return LedgerHead(
            transaction=public_ids.encode(public_ids.BALANCE_TRANSACTION, identifier),
            posted_at=posted_at,
            database_transaction=int(xid),
            snapshot=snapshot,
            block=block,
            block_sha256=block_sha256,
        )
    return None
