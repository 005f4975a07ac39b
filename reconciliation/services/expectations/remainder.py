"""What of a PSP account's balance is not explained: the PSP's statement beside our books.

What the PSP says that it holds is what its matched lines have booked, what is expected in its next
reports, and what is not explained: the lines that are not matched, by their discrepancy, and a
rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ledger import chart
from ledger.database.statements import execute, release_connection
from ledger.money import Money
from ledger.selectors import balances
from payments.models import Operation, PspAccount
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.psp_gateway.queries import query_psp
from payments.services.psp_gateway.sending import LOOKUP_DEADLINE_SECONDS
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import MissingSettlement
from reconciliation.services.expectations.open_items import open_items

NOT_ATTEMPTED: Final = "not attempted yet"
"""In place of a discrepancy, of lines that wait for their first attempt."""
_ITEMS_AT_ONCE: Final = 5_000
_CODES: Final = (
    *(chart.PSP_BALANCE.code, chart.PSP_SUSPENSE.code),
    *(chart.PSP_RECEIVABLE.code, chart.REFUND_IN_FLIGHT.code),
)

# By two partial indexes: nearly all lines are matched.
_UNMATCHED: Final = """
    WITH unmatched AS (
        SELECT * FROM reconciliation_settlement_line
         WHERE next_attempt_at IS NOT NULL AND psp_account_id = %s
         UNION ALL
        SELECT * FROM reconciliation_settlement_line
         WHERE status = 'dead' AND psp_account_id = %s)"""
# A line that was given up counts as far as it is in suspense: a dispute has booked its own.
_BREAKS: Final = f"""{_UNMATCHED}
    SELECT l.currency, l.discrepancy, sum(CASE l.status WHEN 'dead' THEN booked.minor
                                          ELSE l.gross_minor - l.fee_minor END)
      FROM unmatched l
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(CASE e.direction WHEN 'D' THEN e.amount_minor
                                                ELSE -e.amount_minor END), 0) AS minor
             FROM ledger_transaction t
             JOIN ledger_entry e ON e.transaction_id = t.id
             JOIN ledger_account a ON a.id = e.account_id AND a.code = 1110
            WHERE l.status = 'dead' AND t.source_type = 'settlement_line'
              AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid) AS booked
     GROUP BY l.currency, l.discrepancy
     ORDER BY l.currency, l.discrepancy"""
_NAMED: Final = f"""{_UNMATCHED}
    SELECT DISTINCT o.id
      FROM unmatched l
      JOIN payments_operation o ON o.psp_account_id = l.psp_account_id AND o.psp_id = l.psp_id
     WHERE l.psp_id <> '' AND o.psp_id <> ''
       AND o.kind IN ('authorize', 'capture', 'refund')
     UNION
    SELECT c.id
      FROM unmatched l
      JOIN payments_operation a ON a.psp_account_id = l.psp_account_id AND a.kind = 'authorize'
       AND a.psp_payment_id = l.psp_id AND a.psp_payment_id <> ''
      JOIN payments_operation c ON c.intent_id = a.intent_id AND c.kind = 'capture'
       AND c.charge_id = a.id
     WHERE l.psp_id <> ''"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """One currency of a PSP account."""

    currency: str
    stated: Money | None
    """What the PSP says that it holds for us; None if it does not say."""
    explained: Money
    """What its matched lines have booked: 1110 without what is in suspense."""
    expected: Money
    """Captured less refunded, in no line yet, and not overdue."""
    missing: Money
    """The same, overdue: whether the PSP holds it is open."""
    breaks: Mapping[str, Money]
    """By discrepancy, the net of the lines that are not matched."""

    @property
    def figures(self) -> dict[str, Money | None]:
        """All of it by name, in the order in which it is read; None: the PSP has not said it."""
        return {
            "the PSP states": self.stated,
            "explained by its lines": self.explained,
            "expected in a report": self.expected,
            "UNEXPLAINED": self.unexplained,
            **{f"  {code}": amount for code, amount in self.breaks.items()},
            f"  {self.name_of_rest}": self.rest,
            "missing in reports": self.missing,
        }

    @property
    def unexplained(self) -> Money | None:
        """What the PSP says, less what is explained or expected."""
        return None if self.stated is None else self.stated - self.explained - self.expected

    @property
    def rest(self) -> Money | None:
        """The part of the unexplained remainder that no line names."""
        if self.unexplained is None:
            return None
        return self.unexplained - sum(self.breaks.values(), Money.zero(self.currency))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was held, and nothing is expected."""
        return not any(self.figures.values())

    @property
    def is_plain(self) -> bool:
        """Whether the PSP states what its lines explain, and nothing else is expected."""
        others = (self.expected, self.missing, *self.breaks.values())
        return self.stated == self.explained and not any(others)

    @property
    def name_of_rest(self) -> str:
        """A drift once nothing is expected: until then fees that no report names are in it."""
        is_drift = bool(self.rest) and not self.expected
        return Discrepancy.BALANCE_DRIFT.value if is_drift else "rest"


def remainders_of(account: PspAccount, *, ask_psp: bool = True) -> list[Remainder]:
    """The remainder of each currency of an account; asks the PSP first, outside a transaction.

    Without `ask_psp` it reads our books only, and nothing is stated.
    While money moves, what moved between both readings is in the rest. So are fees of charges that
    no report has named yet. Raises PspUnavailable, CallRefused and BadCredentials.
    """
    stated = stated_balances(account) if ask_psp else None
    books = {
        (ref.code, ref.currency): money
        for ref, money in balances(codes=_CODES, dimension=account.code).items()
    }
    breaks = _breaks_of(account)
    named_ids = [key for (key,) in execute(_NAMED, [account.pk] * 2)]
    named, missing = _due_of(named_ids), _missing_of(account, set(named_ids))
    currencies = {currency for _, currency in books} | set(breaks) | set(stated or {})
    return [
        _remainder(currency, stated, books, named, missing, breaks)
        for currency in sorted(currencies)
    ]


_ByCurrency = Mapping[str, Money]


def _remainder(
    currency: str,
    stated: _ByCurrency | None,
    books: Mapping[tuple[int, str], Money],
    named: _ByCurrency,
    missing: _ByCurrency,
    breaks: Mapping[str, Mapping[str, Money]],
) -> Remainder:
    zero = Money.zero(currency)
    held, suspense, receivable, in_flight = (books.get((code, currency), zero) for code in _CODES)
    overdue = missing.get(currency, zero)
    return Remainder(
        currency=currency,
        stated=None if stated is None else stated.get(currency, zero),
        # What a line in suspense added to 1110 is a credit of 1990.
        explained=held + suspense,
        expected=receivable - in_flight - named.get(currency, zero) - overdue,
        missing=overdue,
        breaks=breaks.get(currency, {}),
    )


def stated_balances(account: PspAccount) -> Mapping[str, Money] | None:
    """What the PSP says that it holds for us, by currency; None if it does not say.

    Outside a transaction. Raises PspUnavailable, CallRefused and BadCredentials.
    """
    adapter = adapter_of(account)
    if not adapter.capabilities.states_balance:
        return None
    release_connection()
    found = query_psp(
        account, lambda: adapter.look_up_balance(deadline_seconds=LOOKUP_DEADLINE_SECONDS)
    )
    return {amount.currency: amount for amount in found}


def _breaks_of(account: PspAccount) -> dict[str, dict[str, Money]]:
    found: defaultdict[str, dict[str, Money]] = defaultdict(dict)
    for currency, code, minor in execute(_BREAKS, [account.pk] * 2):
        found[currency][code or NOT_ATTEMPTED] = Money(int(minor), currency)
    return found


def _due_of(operation_ids: list[UUID]) -> _ByCurrency:
    """By how much our balance should still change for these operations."""
    sums: defaultdict[str, int] = defaultdict(int)
    for start in range(0, len(operation_ids), _ITEMS_AT_ONCE):
        some = open_items(operation_ids[start : start + _ITEMS_AT_ONCE])
        rows = Operation.objects.filter(pk__in=list(some)).values_list("pk", "currency")
        for key, currency in rows:
            sums[currency] += some[key].minor
    return {currency: Money(minor, currency) for currency, minor in sums.items()}


def _missing_of(account: PspAccount, named: set[UUID]) -> _ByCurrency:
    sums: defaultdict[str, int] = defaultdict(int)
    rows = MissingSettlement.objects.filter(psp_account=account, settled_at__isnull=True)
    for key, currency, minor in rows.values_list("operation_id", "currency", "amount_minor"):
        if key not in named:
            sums[currency] += minor
    return {currency: Money(minor, currency) for currency, minor in sums.items()}
