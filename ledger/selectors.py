"""Reads the books: balances, entries, and what happened to a payment according to them.

A balance is the newest snapshot plus the tail of entries whose database transaction is not below
the snapshot's horizon: no row is updated by posting, and no entry that commits late is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from ledger.chart import AccountRef, Direction
from ledger.database import statements
from ledger.models import LedgerAccount, LedgerEntry
from ledger.money import Money
from ledger.posting_rules import EntryLine, EntryType, Posting

_PAYMENTS_PER_BATCH: Final = 1_000
_BEFORE_EVERY_ID: Final = UUID(int=0)

SUMS: Final = """
    SELECT a.code, a.dimension, a.currency,
           coalesce(s.debits_minor, 0) + tail.debits AS debits,
           coalesce(s.credits_minor, 0) + tail.credits AS credits
      FROM ledger_account a
      LEFT JOIN LATERAL (
           SELECT horizon, debits_minor, credits_minor FROM ledger_balance_snapshot
            WHERE account_id = a.id ORDER BY horizon DESC LIMIT 1) s ON true
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debits,
                  coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credits
             FROM ledger_entry e
            WHERE e.account_id = a.id AND e.xid >= coalesce(s.horizon, '0'::xid8)) tail"""
"""All debits and all credits of each account `a`; a condition on it may follow."""

_BALANCES: Final = f"""{SUMS}
     WHERE (%s::int[] IS NULL OR a.code = ANY (%s::int[]))
       AND (%s::text IS NULL OR a.dimension = %s::text)
     ORDER BY a.code, a.dimension, a.currency"""

_SIGNED: Final = "CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END"

# A settlement changes 1100 and 2200, never these two accounts under these entry types: what was
# captured and refunded stays readable for ever. Entries are found by their transactions, which name
# the same payment (PostgreSQL checks it): an index of entries by payment would cost each payment
# six index entries.
_VECTORS: Final = f"""
    SELECT e.payment_id, e.currency,
           coalesce(sum({_SIGNED}) FILTER (WHERE a.code = 9100 AND e.entry_type = 'auth'), 0),
           coalesce(-sum({_SIGNED}) FILTER (WHERE a.code = 9100 AND e.entry_type = 'release'), 0),
           coalesce(-sum({_SIGNED}) FILTER (WHERE a.code = 2100 AND e.entry_type = 'capture'), 0),
           coalesce(sum({_SIGNED}) FILTER (WHERE a.code = 2100 AND e.entry_type = 'refund'), 0),
           coalesce(sum({_SIGNED}) FILTER (WHERE a.code = 9100 AND e.entry_type <> 'excess'), 0),
           coalesce(sum({_SIGNED}) FILTER (WHERE a.code = 9100 AND e.entry_type = 'excess'), 0),
           coalesce(-sum({_SIGNED}) FILTER (WHERE a.code = 2100 AND e.entry_type = 'excess'), 0),
           coalesce(-sum({_SIGNED}) FILTER (WHERE a.code = 2300), 0),
           coalesce(sum({_SIGNED}) FILTER (WHERE a.code = 2300
                    OR (a.code IN (2100, 5200) AND e.entry_type = 'chargeback')), 0)
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE t.payment_id = ANY (%s::uuid[])
     GROUP BY e.payment_id, e.currency
     ORDER BY e.payment_id, e.currency"""

_NEXT_PAYMENTS: Final = """
    SELECT DISTINCT payment_id FROM ledger_transaction WHERE payment_id > %s
     ORDER BY payment_id LIMIT %s"""


# By the payment, whose transactions are few; reversals themselves are left out.
_BOOKINGS: Final = """
    SELECT t.id, t.rule, t.source_type, t.source_id, coalesce(r.source_type, ''), a.code,
           a.dimension, a.currency, e.direction, e.amount_minor, e.entry_type
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
      LEFT JOIN ledger_transaction r ON r.reverses_id = t.id
     WHERE t.payment_id = %s AND t.reverses_id IS NULL
     ORDER BY t.id, e.id"""


@dataclass(frozen=True, slots=True)
class Booking:
    """A ledger transaction as it was posted."""

    id: UUID
    source_type: str
    source_id: UUID
    reversed_by: str
    """The source type of its reversal; empty if it was not reversed."""
    posting: Posting


@dataclass(frozen=True, slots=True)
class PaymentVector:
    """What happened to one payment in one currency, rebuilt from entries only."""

    payment_id: UUID
    currency: str
    authorized: Money
    """Everything ever authorized, increments included."""
    released: Money
    """Voided, expired, or left over by a final capture."""
    captured: Money
    refunded: Money
    """Requested minus failed."""
    held: Money
    """Authorized and neither captured nor released: the balance of 9100, without excess."""
    excess_held: Money
    """Held by duplicate charges, and not released yet."""
    excess_owed: Money
    """Captured by duplicate charges, and not refunded yet."""
    disputed: Money
    """Held for chargebacks that are not decided yet: the balance of 2300."""
    lost: Money
    """Chargebacks that were lost, borne by the merchant or by the platform."""


def balance(account: AccountRef) -> Money:
    """What the account holds now, positive on its normal side; zero if it was never used."""
    rows = statements.execute(f"{SUMS} WHERE a.id = %s", [account.id])
    return _balance_of(rows[0])[1] if rows else Money.zero(account.currency)


def balances(
    *, codes: Collection[int] | None = None, dimension: str | None = None
) -> dict[AccountRef, Money]:
    """The balance of every account with one of these codes and this dimension, in one query."""
    wanted = None if codes is None else list(codes)
    rows = statements.execute(_BALANCES, [wanted, wanted, dimension, dimension])
    return dict(_balance_of(row) for row in rows)


def accounts_of(*, codes: Collection[int], dimension: str) -> list[AccountRef]:
    """The accounts that were used, of these codes and this dimension."""
    rows = LedgerAccount.objects.filter(code__in=codes, dimension=dimension)
    return [AccountRef(*row) for row in rows.values_list("code", "dimension", "currency")]


def entries_of_payment(payment_id: UUID) -> QuerySet[LedgerEntry]:
    """The payment's entries in the order they were written, with transaction and account."""
    entries = LedgerEntry.objects.filter(transaction__payment_id=payment_id)
    return entries.select_related("transaction", "account").order_by("id")


def payment_of_transaction(transaction_id: UUID) -> UUID | None:
    """The payment that a ledger transaction names; None for one of no payment, or of no such id."""
    rows = statements.execute(
        "SELECT payment_id FROM ledger_transaction WHERE id = %s", [transaction_id]
    )
    return rows[0][0] if rows else None


def payment_vectors(
    payment_ids: Collection[UUID] | None = None, *, batch_size: int = _PAYMENTS_PER_BATCH
) -> Iterator[PaymentVector]:
    """The vectors of these payments, or of all, ordered by payment within a batch.

    Reads `batch_size` payments per query, so memory stays flat. A payment without entries has none.
    """
    batches = (
        _batches_of_all(batch_size) if payment_ids is None else _split(payment_ids, batch_size)
    )
    for batch in batches:
        for payment_id, currency, *sums in statements.execute(_VECTORS, [batch]):
            moneys = (Money(int(minor), currency) for minor in sums)
            yield PaymentVector(payment_id, currency, *moneys)


def payment_ids_after(last: UUID, *, limit: int) -> list[UUID]:
    """The next payments, in the order of their ids, that the books name; from their index."""
    return [row[0] for row in statements.execute(_NEXT_PAYMENTS, [last, limit])]


def bookings_of(payment_id: UUID) -> list[Booking]:
    """What was booked for a payment, oldest first; reversals show as such."""
    bookings: dict[UUID, tuple[str, str, UUID, str, list[EntryLine]]] = {}
    for id, rule, source_type, source_id, reversed_by, *line_columns in statements.execute(
        _BOOKINGS, [payment_id]
    ):
        code, dimension, currency, direction, minor, kind = line_columns
        line = EntryLine(
            AccountRef(code, dimension, currency),
            Direction(direction),
            Money(minor, currency),
            EntryType(kind),
        )
        found = bookings.setdefault(id, (rule, source_type, source_id, reversed_by, []))
        found[4].append(line)
    return [
        Booking(id, source_type, source_id, reversed_by, Posting(rule, tuple(lines)))
        for id, (rule, source_type, source_id, reversed_by, lines) in bookings.items()
    ]


def rules_posted(source_type: str, source_id: UUID) -> frozenset[str]:
    """The rules under which a source is in the books already."""
    rows = statements.execute(
        "SELECT rule FROM ledger_transaction WHERE source_type = %s AND source_id = %s",
        [source_type, source_id],
    )
    return frozenset(row[0] for row in rows)


# By the debit side: both sides of a transaction are equal. A reversal counts against its rule.
_BOOKED: Final = """
    SELECT t.payment_id, t.source_type, t.source_id, coalesce(o.rule, t.rule),
           CASE WHEN t.reverses_id IS NULL THEN 1 ELSE -1 END, t.merchant_id, e.currency,
           e.amount_minor, t.id
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id AND e.direction = 'D'
      LEFT JOIN ledger_transaction o ON o.id = t.reverses_id
     WHERE t.payment_id = ANY (%s::uuid[])
     ORDER BY t.payment_id, t.id"""
_DIMENSIONS: Final = """
    SELECT DISTINCT e.payment_id, t.source_type, t.source_id, a.code, a.dimension
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE t.payment_id = ANY (%s::uuid[]) AND a.dimension <> ''
     ORDER BY e.payment_id, t.source_id, a.code, a.dimension"""


@dataclass(frozen=True, slots=True)
class BookedRule:
    """One ledger transaction of a payment, by what it booked."""

    payment_id: UUID
    source_type: str
    source_id: UUID
    rule: str
    """The rule; of a reversal, the rule that it reverses."""
    sign: int
    """1, or -1 for a reversal."""
    merchant_id: UUID | None
    currency: str
    amount_minor: int
    transaction_id: UUID


def booked_rules(payment_ids: Collection[UUID]) -> list[BookedRule]:
    """Every ledger transaction of these payments; one of several debits has a row for each."""
    rows = statements.execute(_BOOKED, [list(payment_ids)])
    return [BookedRule(*row) for row in rows]


class Dimension(NamedTuple):
    """Whose account some entries of a payment are on."""

    payment_id: UUID
    source_type: str
    source_id: UUID
    code: int
    dimension: str


def dimensions_of(payment_ids: Collection[UUID]) -> list[Dimension]:
    """Whose accounts the entries of these payments are on, each once."""
    return [Dimension(*row) for row in statements.execute(_DIMENSIONS, [list(payment_ids)])]


@dataclass(frozen=True, slots=True)
class BookedChange:
    """What one transaction did to the accounts of one code."""

    transaction_id: UUID
    change: Money
    """Debits minus credits."""


def changes_by_rule(*, code: int, source_type: str, source_id: UUID) -> dict[str, BookedChange]:
    """What each rule booked for a source on the accounts of `code`; rules without an entry there
    are not in it."""
    rows = statements.execute(
        f"SELECT t.rule, t.id, sum({_SIGNED}), e.currency FROM ledger_transaction t "
        "JOIN ledger_entry e ON e.transaction_id = t.id "
        "JOIN ledger_account a ON a.id = e.account_id "
        "WHERE t.source_type = %s AND t.source_id = %s AND a.code = %s "
        "GROUP BY t.rule, t.id, e.currency",
        [source_type, source_id, code],
    )
    return {
        rule: BookedChange(transaction_id, Money(int(minor), currency))
        for rule, transaction_id, minor, currency in rows
    }


_OF_SOURCES: Final = f"""
    SELECT t.source_id, a.code, sum({_SIGNED})
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE t.source_type = %s AND t.source_id = ANY (%s::uuid[])
     GROUP BY t.source_id, a.code"""


def sums_of_sources(source_type: str, source_ids: Collection[UUID]) -> dict[UUID, dict[int, int]]:
    """Debits minus credits in minor units per code, for each source that has entries."""
    sums: dict[UUID, dict[int, int]] = {}
    for source_id, code, minor in statements.execute(_OF_SOURCES, [source_type, list(source_ids)]):
        sums.setdefault(source_id, {})[code] = int(minor)
    return sums


def _batches_of_all(batch_size: int) -> Iterator[list[UUID]]:
    last = _BEFORE_EVERY_ID
    while batch := payment_ids_after(last, limit=batch_size):
        yield batch
        last = batch[-1]


def _split(payment_ids: Collection[UUID], batch_size: int) -> Iterator[list[UUID]]:
    ordered = sorted(set(payment_ids))
    for start in range(0, len(ordered), batch_size):
        yield ordered[start : start + batch_size]


def _balance_of(row: tuple[Any, ...]) -> tuple[AccountRef, Money]:
    code, dimension, currency, debits, credits = row
    account = AccountRef(code, dimension, currency)
    minor = int(debits) - int(credits)
    return account, Money(
        minor if account.line.normal_side is Direction.DEBIT else -minor, currency
    )
