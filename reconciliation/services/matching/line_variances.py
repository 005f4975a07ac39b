"""Finds fees of matched lines that are not the agreed ones, and amounts that were not converted at
the stated rate; stores the difference.

A line is booked as it says, whatever is agreed. Fees of charges are agreed in the terms of the PSP
account (`costs`); what a line states is compared with the entry that applies to its charge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any, Final, NamedTuple
from uuid import UUID

from ledger.database.statements import execute, table_of
from ledger.money import Money, exchanged
from payments.metrics import SETTLEMENT_VARIANCES
from payments.models import Operation, PspAccount
from payments.services.psp_gateway.agreed_fees import WHOLE, agreed_fees
from psp_adapters.contract.settlement_reports import Conversion, FeeParts, LineKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import LineVariance, SettlementLine
from reconciliation.services.matching.line_bookings import LineToBook

_OPERATIONS: Final = table_of(Operation)
_METHODS: Final = (
    "SELECT o.id, o.amount_minor, coalesce(c.payment_method_details ->> 'type', ''), "
    "coalesce(c.payment_method_details -> (c.payment_method_details ->> 'type') ->> 'brand', '') "
    f"FROM {_OPERATIONS} o JOIN {_OPERATIONS} c ON c.id = coalesce(o.charge_id, o.id) "
    "WHERE o.id = ANY (%s::uuid[])"
)
_NOTE: Final = (
    f"INSERT INTO {table_of(LineVariance)} (line_id, report_id, psp_account_id, currency, "
    "found_at, discrepancy, component, agreed_minor, stated_minor) "
    "SELECT l.id, l.report_id, l.psp_account_id, l.currency, %s::timestamptz, g.discrepancy, "
    "g.component, g.agreed, g.stated "
    "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[]) "
    "AS g (line_id, discrepancy, component, agreed, stated) "
    f"JOIN {table_of(SettlementLine)} l ON l.id = g.line_id ON CONFLICT DO NOTHING"
)


class Variance(NamedTuple):
    """An amount that a line states, beside the agreed one."""

    discrepancy: Discrepancy
    component: str
    """Of a fee; WHOLE: the fee as a whole."""
    agreed: Money
    """Rounded."""
    stated: Money

    def __str__(self) -> str:
        if self.discrepancy is Discrepancy.FX_VARIANCE:
            return f"settled {self.stated}, by the stated rate {self.agreed}"
        what = f"fee ({self.component})" if self.component else "fee"
        return f"{what} {self.stated}, agreed {self.agreed}"


class ChargedMethod(NamedTuple):
    """The amount of an operation, and by what it was charged."""

    amount_minor: int
    method_type: str
    brand: str


def charged_methods(operation_ids: Collection[UUID]) -> dict[UUID, ChargedMethod]:
    """By operation; one that does not exist is not in it."""
    rows = execute(_METHODS, [list(operation_ids)]) if operation_ids else []
    return {operation_id: ChargedMethod(*row) for operation_id, *row in rows}


def fee_variances(
    costs: Sequence[Mapping[str, Any]], *, gross: Money, parts: FeeParts, method: ChargedMethod
) -> Iterator[Variance]:
    """Where the fee of a charge is another one than agreed, by more than one minor unit of rounding
    for each component."""
    stated = {
        WHOLE: parts.total,
        "markup": parts.markup,
        "interchange": parts.interchange,
        "scheme_fee": parts.scheme_fee,
    }
    rounded = sum(1 for name, amount in stated.items() if name != WHOLE and amount) or 1
    agreed = agreed_fees(costs, amount=gross, method_type=method.method_type, brand=method.brand)
    for component, exact in agreed.items():
        tolerance = rounded if component == WHOLE else 1
        if abs(stated[component].minor - exact) > tolerance:
            amount = Money(round(exact), gross.currency)
            yield Variance(Discrepancy.FEE_VARIANCE, component, amount, stated[component])


def conversion_variances(conversion: Conversion | None, settled: Money) -> Iterator[Variance]:
    """Where what was settled is not what was paid at the stated rate: by more than a minor unit and
    what a further digit of the rate could mean."""
    if conversion is None or not conversion.rate:
        return
    paid = conversion.paid
    half_a_digit = Fraction(1, 2 * 10 ** len(conversion.rate.partition(".")[2]))
    exact = exchanged(paid, Fraction(conversion.rate), settled.currency)
    tolerance = 1 + abs(exchanged(paid, half_a_digit, settled.currency))
    if abs(settled.minor - exact) > tolerance:
        expected = Money(round(exact), settled.currency)
        yield Variance(Discrepancy.FX_VARIANCE, WHOLE, expected, settled)


def note_variances(matched: Collection[tuple[LineToBook, UUID | None]], now: datetime) -> None:
    """Store the variances of lines that are matched in the caller's transaction."""
    found = [
        (line, variance)
        for line, _ in matched
        for variance in conversion_variances(line.conversion, line.gross)
    ]
    found += _of_fees(
        [
            (line, operation_id)
            for line, operation_id in matched
            if line.kind == LineKind.CHARGE and operation_id is not None
        ]
    )
    if found:
        _store(found, now)


def _of_fees(charges: Sequence[tuple[LineToBook, UUID]]) -> list[tuple[LineToBook, Variance]]:
    costs = _costs_of({line.psp_account for line, _ in charges})
    judged = [(line, key) for line, key in charges if line.psp_account in costs]
    methods = charged_methods([operation_id for _, operation_id in judged])
    return [
        (line, variance)
        for line, operation_id in judged
        # What is agreed is about a charge as a whole: a line of a part of it is not judged.
        if (method := methods.get(operation_id)) and line.paid.minor == method.amount_minor
        for variance in fee_variances(
            costs[line.psp_account], gross=line.gross, parts=line.fee_parts, method=method
        )
    ]


def _costs_of(codes: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    rows = PspAccount.objects.filter(code__in=codes).exclude(costs=[]) if codes else ()
    return {account.code: account.costs for account in rows}


def _store(found: Sequence[tuple[LineToBook, Variance]], now: datetime) -> None:
    columns = [
        [line.id for line, _ in found],
        [variance.discrepancy.value for _, variance in found],
        [variance.component for _, variance in found],
        [variance.agreed.minor for _, variance in found],
        [variance.stated.minor for _, variance in found],
    ]
    execute(_NOTE, [now, *columns])
    for line, variance in found:
        SETTLEMENT_VARIANCES.labels(line.psp_account, variance.discrepancy.value).inc()
