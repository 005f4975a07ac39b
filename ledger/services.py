"""The only writers of the books: `post`, `post_series`, `write_availability` and snapshots.

What to post is decided by the caller, by the rules in posting_rules, dispute_rules and
settlement_rules.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from django.db import IntegrityError, connection, transaction

from ledger.chart import AccountRef
from ledger.database import statements
from ledger.database.row_ids import new_row_id, new_row_ids
from ledger.exceptions import AlreadyPosted, OutsideTransaction
from ledger.money import Money
from ledger.posting_rules import EntryLine, Parties, Posting, Rule

# Accounts are never deleted, so a process remembers those it has seen committed.
_known_accounts: set[UUID] = set()

_POSTED_ONCE: Final = ("ledger_transaction_posted_once", "ledger_transaction_reversed_once")

# What is posted for a closed day counts for the first open one. The statement that inserts it looks
# for that, so that `ledger.periods` knows when none can miss it.
# Columns travel as arrays: one statement text whatever the number of rows, so one prepared plan,
# and fewer than 50 parameters, above which psycopg parses the statement anew at every call. A
# reversal becomes available with what it reverses, so that the two never show apart.
_INSERT_TRANSACTIONS: Final = """
    INSERT INTO ledger_transaction
        (id, rule, reverses_id, source_type, source_id, payment_id, merchant_id, psp_account,
         posted_at, effective_date, value_date, available_on)
    SELECT t.id, t.rule, t.reverses_id, source_type, source_id, given.payment_id, merchant_id,
           given.psp_account, posted_at,
           CASE WHEN given.day <= p.closing_through THEN p.closing_through + 1 ELSE given.day END,
           CASE WHEN given.day <= p.closing_through THEN given.day END,
           CASE WHEN t.reverses_id IS NULL THEN t.available_on
                ELSE (SELECT coalesce(v.available_on, o.available_on)
                        FROM ledger_transaction o
                        LEFT JOIN ledger_availability v ON v.transaction_id = o.id
                       WHERE o.id = t.reverses_id
                         AND coalesce(v.available_on, o.available_on) > given.day) END
      FROM (VALUES (%s, %s::uuid, %s::uuid, %s::uuid, %s, %s::date, %s::timestamptz))
        AS given (source_type, source_id, payment_id, merchant_id, psp_account, day, posted_at)
      LEFT JOIN ledger_period p ON p.psp_account = given.psp_account
     CROSS JOIN unnest(%s::uuid[], %s::text[], %s::uuid[], %s::date[])
        AS t (id, rule, reverses_id, available_on)"""
_INSERT_ENTRIES: Final = """
    INSERT INTO ledger_entry
        (transaction_id, payment_id, account_id, direction, amount_minor, currency, entry_type)
    SELECT e.transaction_id, %s::uuid, e.account_id, e.direction, e.amount_minor, e.currency,
           e.entry_type
      FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bigint[], %s::text[], %s::text[])
        AS e (transaction_id, account_id, direction, amount_minor, currency, entry_type)"""
_INSERT_ACCOUNTS: Final = """
    INSERT INTO ledger_account (id, code, dimension, currency, kind)
    SELECT * FROM unnest(%s::uuid[], %s::smallint[], %s::text[], %s::text[], %s::text[])
    ON CONFLICT DO NOTHING"""
# The horizon is the oldest database transaction still running: below it nothing can appear any
# more, so the sums are complete. `max(id)` or a time would lose entries that commit late.
# A tail too short for a snapshot is not summed; of a very long one, one snapshot covers the first
# part. Then no statement reads more, nor does the one that checks the snapshot.
_TAKE_SNAPSHOTS: Final = """
    WITH batch AS (
        SELECT id FROM ledger_account WHERE id > %s ORDER BY id LIMIT %s
    ), taken AS (
        INSERT INTO ledger_balance_snapshot
            (account_id, horizon, debits_minor, credits_minor, taken_at)
        SELECT b.id, part.horizon, coalesce(s.debits_minor, 0) + tail.debits,
               coalesce(s.credits_minor, 0) + tail.credits, %s
          FROM batch b
         CROSS JOIN (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS now_complete
          LEFT JOIN LATERAL (
               SELECT horizon, debits_minor, credits_minor FROM ledger_balance_snapshot
                WHERE account_id = b.id ORDER BY horizon DESC LIMIT 1) s ON true
         CROSS JOIN LATERAL (
               SELECT coalesce(
                   (SELECT e.xid FROM ledger_entry e
                     WHERE e.account_id = b.id AND e.xid > coalesce(s.horizon, '0'::xid8)
                       AND e.xid < now_complete.horizon ORDER BY e.xid OFFSET %s LIMIT 1),
                   now_complete.horizon) AS horizon OFFSET 0) part
         CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debits,
                      coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credits
                 FROM ledger_entry e
                WHERE e.account_id = b.id AND e.xid >= coalesce(s.horizon, '0'::xid8)
                  AND e.xid < part.horizon) tail
         WHERE EXISTS (SELECT FROM ledger_entry e
                        WHERE e.account_id = b.id AND e.xid >= coalesce(s.horizon, '0'::xid8)
                          AND e.xid < now_complete.horizon OFFSET %s)
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM taken), (SELECT id FROM batch ORDER BY id DESC LIMIT 1)"""
# Of sources that book by one rule between the same two accounts, only what differs travels.
_POST_SERIES: Final = """
    WITH given AS (
        SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::bigint[])
            AS g (id, source_id, payment_id, day, amount_minor)
    ), closing AS (
        SELECT max(closing_through) AS day FROM ledger_period WHERE psp_account = %s
    ), written AS (
        INSERT INTO ledger_transaction
            (id, rule, source_type, source_id, payment_id, psp_account, posted_at, effective_date,
             value_date)
        SELECT id, %s, %s, source_id, payment_id, %s, %s::timestamptz,
               CASE WHEN given.day <= closing.day THEN closing.day + 1 ELSE given.day END,
               CASE WHEN given.day <= closing.day THEN given.day END
          FROM given CROSS JOIN closing)
    INSERT INTO ledger_entry
        (transaction_id, payment_id, account_id, direction, amount_minor, currency, entry_type)
    SELECT id, payment_id, unnest(%s::uuid[]), unnest(%s::text[]), amount_minor, %s, %s
      FROM given"""
_ACCOUNTS_PER_STATEMENT: Final = 500
# A tail of this length is read in well under a millisecond; shorter ones need no snapshot.
_TAIL_ENTRIES_MIN: Final = 1_000
_TAIL_ENTRIES_MAX: Final = 50_000
SNAPSHOT_SECONDS: Final = 5.0
"""Of one run of the job."""

_POST: Final = f"WITH written AS ({_INSERT_TRANSACTIONS}) {_INSERT_ENTRIES}"
_POST_WITH_ACCOUNTS: Final = (
    f"WITH accounts AS ({_INSERT_ACCOUNTS}), written AS ({_INSERT_TRANSACTIONS}) {_INSERT_ENTRIES}"
)


_WRITE_AVAILABILITY: Final = """
    INSERT INTO ledger_availability
        (transaction_id, merchant_id, available_on, is_stated, written_on)
    SELECT g.*, %s FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::boolean[]) AS g
    ON CONFLICT (transaction_id) DO UPDATE
       SET available_on = EXCLUDED.available_on, is_stated = EXCLUDED.is_stated,
           written_on = EXCLUDED.written_on"""


class SettledDay(NamedTuple):
    """From which day on a merchant may have what one ledger transaction changed."""

    transaction_id: UUID
    merchant_id: UUID
    available_on: date
    is_stated: bool
    """Settlement lines of its own say so; else it follows its charge."""


class Sourced(NamedTuple):
    """What one source books."""

    source_id: UUID
    payment_id: UUID | None
    effective_date: date
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What many sources, of no merchant, book by one rule to the same two accounts."""

    rule: Rule
    parties: Parties
    currency: str
    source_type: str
    sources: Sequence[Sourced]


def post(
    postings: Sequence[Posting],
    *,
    source_type: str,
    source_id: UUID,
    payment_id: UUID | None,
    merchant_id: UUID | None,
    psp_account: str = "",
    effective_date: date | None = None,
) -> list[UUID]:
    """Write these postings in the caller's transaction, in one statement; return their ids.

    Accounts that do not exist yet are opened. Without `effective_date` it is today (UTC). If
    that day is closed for the PSP account, it counts for the first open day, and keeps its own as
    `value_date`. Refuses OutsideTransaction; AlreadyPosted for a source and rule that are in the
    books (the caller's transaction cannot go on then). What PostgreSQL refuses beyond that is a
    defect of ours and stays an IntegrityError whose message starts with a name, such as
    `ledger_wrong_payment`.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction("post() belongs into the transaction of what it describes")
    if not postings:
        return []
    ids = [new_row_id() for _ in postings]
    lines = [
        (id, line) for id, posting in zip(ids, postings, strict=True) for line in posting.lines
    ]
    unknown = {ref.id: ref for _, line in lines if (ref := line.account).id not in _known_accounts}
    now = datetime.now(UTC)
    params: list[Any] = [
        source_type,
        str(source_id),
        _text(payment_id),
        _text(merchant_id),
        psp_account,
        effective_date or now.date(),
        now,
        _array(ids),
        _array([posting.rule for posting in postings]),
        _array([posting.reverses or "NULL" for posting in postings]),
        _array([posting.available_on or "NULL" for posting in postings]),
        _text(payment_id),
        *_entry_columns(lines),
    ]
    if unknown:
        params = _account_columns(unknown) + params
    try:
        statements.execute(_POST_WITH_ACCOUNTS if unknown else _POST, params)
    except IntegrityError as error:
        raise _refusal(error, f"{source_type} {source_id}") from error
    if unknown:
        transaction.on_commit(lambda: _known_accounts.update(unknown))
    return ids


def post_series(all_series: Sequence[Series]) -> None:
    """Write what many sources book in the caller's transaction, by one statement for each series.

    Accounts that do not exist yet are opened. Refuses what `post` refuses.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction("post_series() belongs into the transaction of what it describes")
    filled = [series for series in all_series if series.sources]
    examples = [_smallest(series) for series in filled]
    _open_accounts([line.account for posting in examples for line in posting.lines])
    for series, example in zip(filled, examples, strict=True):
        try:
            statements.execute(_POST_SERIES, _series_columns(series, example))
        except IntegrityError as error:
            raise _refusal(error, f"one of {len(series.sources)} sources") from error


def take_snapshot(*, tail_entries_min: int = _TAIL_ENTRIES_MIN) -> int:
    """Store the balance of every account whose tail has grown that long; return how many.

    Of a tail of more than 50,000 entries it covers the first part, and the next run goes on there.

    Goes through the accounts in batches, one statement each, for some seconds: from anywhere once
    round, so that none is always among those that no time was left for. May be repeated, and run
    twice at once: every snapshot is right for its own horizon.
    """
    end = time.monotonic() + SNAPSHOT_SECONDS
    taken = 0
    start = last = uuid4()
    passed_the_end = False
    while time.monotonic() < end:
        now = datetime.now(UTC)
        least = max(tail_entries_min, 1)
        params = [last, _ACCOUNTS_PER_STATEMENT, now, _TAIL_ENTRIES_MAX, least - 1]
        [(written, last_of_batch)] = statements.execute(_TAKE_SNAPSHOTS, params)
        taken += int(written)
        if passed_the_end and (last_of_batch is None or last_of_batch >= start):
            break
        passed_the_end |= last_of_batch is None
        last = last_of_batch or UUID(int=0)
    return taken


def forget_known_accounts() -> None:
    """Forget which accounts exist, after a test database was emptied."""
    _known_accounts.clear()


def _smallest(series: Series) -> Posting:
    """The posting of its smallest amount. Only the amount differs in the others: what is refused of
    any is refused of this one."""
    minor = min(each.amount_minor for each in series.sources)
    return series.rule(series.parties, Money(minor, series.currency))


def _series_columns(series: Series, example: Posting) -> list[Any]:
    source_ids, payment_ids, dates, amounts = zip(*series.sources, strict=True)
    return [
        _array(new_row_ids(len(source_ids))),
        _array(source_ids),
        _array([id or "NULL" for id in payment_ids]),
        _array(dates),
        _array(amounts),
        series.parties.psp_account,
        series.rule.name,
        series.source_type,
        series.parties.psp_account,
        datetime.now(UTC),
        _array([line.account.id for line in example.lines]),
        _array([line.direction for line in example.lines]),
        series.currency,
        series.rule.entry_type,
    ]


def _open_accounts(refs: Sequence[AccountRef]) -> None:
    unknown = {ref.id: ref for ref in refs if ref.id not in _known_accounts}
    if unknown:
        statements.execute(_INSERT_ACCOUNTS, _account_columns(unknown))
        transaction.on_commit(lambda: _known_accounts.update(unknown))


def _text(id: UUID | None) -> str | None:
    # As text with or without a value: one parameter type, one prepared statement.
    return None if id is None else str(id)


def _array(values: Sequence[object]) -> str:
    """An array literal of words, numbers and UUIDs: nothing that would need quoting."""
    return "{" + ",".join(map(str, values)) + "}"


def _quoted_array(values: Sequence[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def _entry_columns(lines: Sequence[tuple[UUID, EntryLine]]) -> list[str]:
    return [
        _array([id for id, _ in lines]),
        _array([line.account.id for _, line in lines]),
        _array([line.direction for _, line in lines]),
        _array([line.amount.minor for _, line in lines]),
        _array([line.account.currency for _, line in lines]),
        _array([line.entry_type for _, line in lines]),
    ]


def _account_columns(accounts: dict[UUID, AccountRef]) -> list[str]:
    # In the order of ids: two first payments that open the same accounts cannot deadlock.
    refs = [accounts[id] for id in sorted(accounts)]
    return [
        _array([ref.id for ref in refs]),
        _array([ref.code for ref in refs]),
        _quoted_array([ref.dimension for ref in refs]),
        _array([ref.currency for ref in refs]),
        _array([ref.line.kind for ref in refs]),
    ]


def _refusal(error: IntegrityError, source: str) -> Exception:
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    if constraint in _POSTED_ONCE:
        return AlreadyPosted(f"{source}: {constraint}")
    if "ledger_unknown_account" in str(error):
        # The database lost accounts this process had seen (a restore): learn them afresh.
        forget_known_accounts()
    return error


def write_availability(days: Sequence[SettledDay], *, today: date) -> None:
    """Write these days in the caller's transaction, each transaction at most once."""
    if days:
        columns = [list(column) for column in zip(*days, strict=True)]
        statements.execute(_WRITE_AVAILABILITY, [today, *columns])
