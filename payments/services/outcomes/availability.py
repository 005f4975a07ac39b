"""Makes money of captures and refunds available on the day that settlement says.

When it was booked, that day was an estimate. A balance transaction with settlement lines of its own
is available on the latest day that they say; what follows its charge, as a refund that is in no
report yet, together with it. A change that makes pending money available is noted for the event
`balance.available`, under the lock that its sweep takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from ledger.database.statements import execute, insert_absent
from ledger.posting_rules import REVERSAL_PREFIX
from ledger.services import SettledDay, write_availability
from payments.clock import now_utc
from payments.models import MerchantBalance
from payments.services.outcomes.bookings import (
    AVAILABLE_AFTER_SETTLEMENT,
    AVAILABLE_WITH_CHARGE,
)

_WITH_CHARGE: Final = sorted(AVAILABLE_WITH_CHARGE)
_RULES: Final = sorted(
    {
        *AVAILABLE_AFTER_SETTLEMENT,
        *AVAILABLE_WITH_CHARGE,
        *(REVERSAL_PREFIX + rule for rule in AVAILABLE_AFTER_SETTLEMENT),
    }
)
_LOCK: Final = """
    SELECT b.merchant_id, b.livemode, b.announced_to FROM payments_merchant_balance b
     WHERE (b.merchant_id, b.livemode) IN (
           SELECT o.merchant_id, o.livemode FROM payments_operation o WHERE o.id = ANY (%s))
     ORDER BY b.id FOR UPDATE"""
# All that changed what we owe the merchant for the payments of these operations, as far as it has
# the day of the line: what its operation booked, and what follows a charge.
_CHANGED: Final = """
    WITH named AS (
        SELECT o.intent_id, o.kind, coalesce(o.charge_id, o.id) AS charge_id, o.merchant_id,
               o.livemode, g.is_failure, g.day, c.source_type, c.source_id
          FROM unnest(%s::uuid[], %s::boolean[], %s::date[]) AS g (id, is_failure, day)
          JOIN payments_operation o ON o.id = g.id
          JOIN ledger_transaction c
            ON c.id = CASE WHEN g.is_failure THEN o.failure_balance_transaction_id
                           ELSE o.balance_transaction_id END)
    SELECT t.id, n.merchant_id, n.livemode, max(n.day) FILTER (WHERE is_own.value),
           min(n.day), v.available_on, v.is_stated, t.available_on,
           coalesce(t.value_date, t.effective_date)
      FROM named n
      JOIN ledger_transaction t ON t.payment_id = n.intent_id AND t.rule = ANY (%s)
     CROSS JOIN LATERAL (
           SELECT t.source_type = n.source_type AND t.source_id = n.source_id) AS is_own (value)
      LEFT JOIN ledger_availability v ON v.transaction_id = t.id
     WHERE is_own.value OR (
           n.kind <> 'refund' AND NOT n.is_failure AND (
               (t.rule = ANY (%s) AND EXISTS (
                   SELECT FROM payments_operation r
                    WHERE r.id = t.source_id AND r.charge_id = n.charge_id))
               OR EXISTS (
                   SELECT FROM ledger_transaction c
                    WHERE c.id = t.reverses_id AND c.source_type = n.source_type
                      AND c.source_id = n.source_id)))
     GROUP BY t.id, n.merchant_id, n.livemode, v.available_on, v.is_stated"""


class Settled(NamedTuple):
    """What a settlement line says of an operation."""

    operation_id: UUID
    is_failure: bool
    """It reverses the operation."""
    available_on: date


class _Changed(NamedTuple):
    """One balance transaction, or its fee, that may have another day now."""

    transaction_id: UUID
    merchant_id: UUID
    livemode: bool
    own_day: date | None
    """By lines of its own."""
    any_day: date
    settled_on: date | None
    """As it was written before."""
    was_stated: bool | None
    estimate: date | None
    effective_date: date

    @property
    def before(self) -> date:
        return self.settled_on or self.estimate or self.effective_date

    @property
    def after(self) -> date:
        if self.own_day is not None:
            stated = self.settled_on if self.was_stated else None
            return max(self.own_day, stated or self.own_day)
        if self.was_stated or (self.estimate is None and self.settled_on is None):
            return self.before
        day = max(self.any_day, self.effective_date)
        return day if self.settled_on is None else min(day, self.settled_on)

    @property
    def is_stated(self) -> bool:
        return self.own_day is not None or bool(self.was_stated)

    @property
    def is_new(self) -> bool:
        """Whether there is something to write: not what the estimate said already."""
        known = self.settled_on is not None and self.is_stated != self.was_stated
        return self.after != self.before or known

    @property
    def settled_day(self) -> SettledDay:
        return SettledDay(self.transaction_id, self.merchant_id, self.after, self.is_stated)

    @property
    def may_be_pending(self) -> bool:
        return self.estimate is not None or self.settled_on is not None


def follow_settlement(settled: Sequence[Settled]) -> None:
    """Make the money of these operations available when their lines say, in the caller's
    transaction.

    The last thing that a transaction does: it locks the balances of their merchants.
    """
    if not settled:
        return
    today = now_utc().date()
    columns = [list(column) for column in zip(*settled, strict=True)]
    announced = _announced_to(columns[0])
    yesterday = today - timedelta(days=1)
    days: list[SettledDay] = []
    due: set[tuple[UUID, bool]] = set()
    for row in execute(_CHANGED, [*columns, _RULES, _WITH_CHARGE]):
        changed = _Changed(*row)
        if not changed.is_new:
            continue
        days.append(changed.settled_day)
        balance = (changed.merchant_id, changed.livemode)
        was_pending = changed.may_be_pending and changed.before > announced.get(balance, yesterday)
        if was_pending and changed.after <= today:
            due.add(balance)
    write_availability(days, today=today)
    for merchant_id, livemode in sorted(due):
        _note_due(merchant_id, livemode=livemode, announced_to=yesterday)


def _announced_to(operation_ids: Sequence[UUID]) -> Mapping[tuple[UUID, bool], date]:
    """By merchant and mode, until which day money that became available was announced; locked.

    A merchant of whom nothing was announced yet is not in it.
    """
    rows = execute(_LOCK, [operation_ids])
    return {(merchant_id, livemode): day for merchant_id, livemode, day in rows}


def _note_due(merchant_id: UUID, *, livemode: bool, announced_to: date) -> None:
    named = {"merchant_id": merchant_id, "livemode": livemode}
    row = MerchantBalance(**named, announced_to=announced_to, is_due=True)
    if not insert_absent([row], conflict="(merchant_id, livemode)"):
        MerchantBalance.objects.filter(**named, is_due=False).update(is_due=True)
