"""Seals what is append-only into blocks of a hash chain, off the path of payments.

A block covers the rows of one source whose ids lie in a range: the ranges of a source follow each
other without a gap. It keeps a fingerprint of each row and the SHA-256 of all of them, and its own
SHA-256 covers that of the block before. So a row that is changed, deleted or added later is found
and named (`ledger.seal_verification`), also if a superuser did it with all triggers off.

No row is missed: ids are announced by an advisory lock of the database transaction that makes them,
and a range ends below all announcements (`ledger.database.row_ids`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger.database.row_ids import complete_before
from ledger.database.statements import execute
from ledger.models import Seal

logger = logging.getLogger(__name__)

FORMAT: Final = 1
"""How rows are hashed. A change of a source's columns needs the next one, and keeps the old."""
ROWS_PER_BLOCK: Final = 2_000
"""Ids in a block: few enough that checking one takes milliseconds."""
RUN_SECONDS: Final = 5.0
_LOCK: Final = 7263004
"""The advisory lock of the one process that seals."""
_GENESIS: Final = bytes(32)
KEY_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 8
"""Of a row, to name it. Whether something differs is decided by the SHA-256 of the whole block."""


@dataclass(frozen=True, slots=True)
class SealedSource:
    """Append-only rows that are sealed together."""

    name: str
    rows_sql: str
    """Selects `cut` (the announced UUIDv7 by which blocks are cut), `key` (16 bytes, unique) and
    `hash` (SHA-256 of the row) of the rows from %(first)s up to, and without, %(until)s."""
    cut_sql: str
    """Selects the ids by which blocks are cut, of the same rows, in their order."""
    name_of: Callable[[bytes], str]
    """What an operator calls the row of a key."""


def _ledger_row(key: bytes) -> str:
    if key[:8] == bytes(8):
        return f"ledger entry {int.from_bytes(key)}"
    return f"ledger transaction {UUID(bytes=key)}"


# Times as microseconds: as text they would depend on the session's time zone. Of an entry also what
# its account is, since accounts have no order of their own.
_LEDGER_ROWS: Final = """
    SELECT t.id AS cut, uuid_send(t.id) AS key, sha256(convert_to(jsonb_build_array(
               t.id, t.rule, t.source_type, t.source_id, t.payment_id, t.merchant_id, t.psp_account,
               t.effective_date, t.value_date, t.available_on,
               (extract(epoch FROM t.posted_at) * 1000000)::bigint,
               t.reverses_id, t.xid::text)::text, 'UTF8')) AS hash
      FROM ledger_transaction t WHERE t.id >= %(first)s AND t.id < %(until)s
     UNION ALL
    SELECT e.transaction_id, decode(lpad(to_hex(e.id), 32, '0'), 'hex'),
           sha256(convert_to(jsonb_build_array(
               e.id, e.transaction_id, e.payment_id, e.account_id, e.direction, e.amount_minor,
               e.currency, e.entry_type, e.xid::text, a.code, a.dimension, a.currency,
               a.kind)::text, 'UTF8'))
      FROM ledger_entry e LEFT JOIN ledger_account a ON a.id = e.account_id
     WHERE e.transaction_id >= %(first)s AND e.transaction_id < %(until)s"""

LEDGER: Final = SealedSource(
    name="ledger",
    rows_sql=_LEDGER_ROWS,
    cut_sql="SELECT id FROM ledger_transaction WHERE id >= %s AND id < %s ORDER BY id",
    name_of=_ledger_row,
)
SOURCES: Final[dict[str, SealedSource]] = {LEDGER.name: LEDGER}


def add_source(source: SealedSource) -> None:
    """Let rows of another app be sealed too; to be called when the app is ready."""
    SOURCES[source.name] = source


@dataclass(frozen=True, slots=True)
class Content:
    """What the rows of a range are now."""

    rows: int
    content_sha256: bytes
    leaves: bytes
    """Of each row, by cut and key: the key and the fingerprint."""


def content_of(source: SealedSource, first: UUID, until: UUID) -> Content:
    """Hash the rows from `first` up to, and without, `until`."""
    [(rows, hashes, leaves)] = execute(
        f"""
        SELECT count(*), coalesce(string_agg(hash, ''::bytea ORDER BY cut, key), ''::bytea),
               coalesce(string_agg(key || substr(hash, 1, {FINGERPRINT_BYTES}), ''::bytea
                                   ORDER BY cut, key), ''::bytea)
          FROM ({source.rows_sql}) AS sealed""",
        {"first": first, "until": until},
    )
    return Content(rows, hashlib.sha256(hashes).digest(), bytes(leaves))


def seal_hash(seal: Seal) -> bytes:
    """The SHA-256 of a block: of its terms, its content, its leaves and the block before.

    PostgreSQL computes it too, and refuses a block with another one (`ledger/sql/seals_chain.sql`).
    """
    terms = (
        f"{seal.number}|{seal.format}|{seal.source}|{seal.first_id}|{seal.until_id}|{seal.rows}|"
    )
    return hashlib.sha256(
        terms.encode()
        + bytes(seal.content_sha256)
        + hashlib.sha256(seal.leaves).digest()
        + bytes(seal.previous_sha256)
    ).digest()


def seal_rows() -> int:
    """Seal what is complete and not sealed yet, for some seconds; returns how many rows.

    One process seals at a time; another one does nothing. Safe to run again after a crash.
    """
    end_at = time.monotonic() + RUN_SECONDS
    count, goes_on = 0, True
    while goes_on and time.monotonic() < end_at:
        goes_on = False
        for source in SOURCES.values():
            sealed = _seal_next(source)
            count += sealed
            goes_on = goes_on or sealed > 0
    if count:
        head = Seal.objects.latest("number")
        logger.info("ledger head %s %s", head.number, bytes(head.sha256).hex())
    return count


def _seal_next(source: SealedSource) -> int:
    """Write the next block of a source, if it has complete rows that are not sealed."""
    with transaction.atomic(durable=True):
        if not execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])[0][0]:
            return 0
        last = Seal.objects.filter(source=source.name).order_by("-number").first()
        first = UUID(int=0) if last is None else last.until_id
        until = _end_of_block(source, first)
        if until <= first:
            return 0
        content = content_of(source, first, until)
        if not content.rows:
            return 0
        _append(source, first, until, content)
    return content.rows


def _end_of_block(source: SealedSource, first: UUID) -> UUID:
    horizon = complete_before()
    cut = execute(f"{source.cut_sql} OFFSET %s LIMIT 1", [first, horizon, ROWS_PER_BLOCK])
    end: UUID = cut[0][0] if cut else horizon
    return end


def _append(source: SealedSource, first: UUID, until: UUID, content: Content) -> None:
    head = Seal.objects.order_by("-number").first()
    seal = Seal(
        number=1 if head is None else head.number + 1,
        format=FORMAT,
        source=source.name,
        first_id=first,
        until_id=until,
        rows=content.rows,
        content_sha256=content.content_sha256,
        leaves=content.leaves,
        previous_sha256=_GENESIS if head is None else bytes(head.sha256),
        sealed_at=_now(),
    )
    seal.sha256 = seal_hash(seal)
    seal.save(force_insert=True)


def _now() -> Any:
    return execute("SELECT clock_timestamp()")[0][0]


def unsealed_seconds() -> float:
    """How old the oldest row is that could be sealed and is not; 0 if there is none."""
    oldest_ms = 0
    horizon = complete_before()
    for source in SOURCES.values():
        last = Seal.objects.filter(source=source.name).order_by("-number").values("until_id")[:1]
        first = last[0]["until_id"] if last else UUID(int=0)
        found = execute(f"{source.cut_sql} LIMIT 1", [first, horizon])
        if found:
            made_ms = found[0][0].int >> 80
            oldest_ms = min(oldest_ms or made_ms, made_ms)
    return max(0.0, (horizon.int >> 80) - oldest_ms) / 1000 if oldest_ms else 0.0
