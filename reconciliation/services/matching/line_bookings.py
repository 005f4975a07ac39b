"""What a settlement line books: its gross by one rule, each component of its fee by another.

A line of a dispute books nothing: its dispute did. A line that is given up books its net to
suspense, so that 1110 stays what the PSP holds for us; that is reversed once the line is matched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date
from typing import Final, NamedTuple
from uuid import UUID

from ledger import chart
from ledger import settlement_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Rule, reversal_of
from ledger.selectors import changes_by_rule
from ledger.services import Series, Sourced, post, post_series
from payments.models import Dispute
from payments.services.outcomes.availability import Settled
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    DISPUTE_LINES,
    OPERATION_LINES,
    Conversion,
    FeeParts,
    LineKind,
)
from reconciliation.models import SettlementLine

_BySign = tuple[Rule, Rule]
"""The rule for an amount that the PSP added to our balance, and for one that it took."""
_Change = tuple[_BySign, Money]
"""By how much our balance with the PSP changed, and the rules for that; or, in the currency of a
payment that the PSP converted, by how much it would have changed."""

_GROSS: Final[Mapping[str, _BySign]] = {
    LineKind.CHARGE: (rules.charge_settled, rules.charge_settled),
    LineKind.CHARGE_FAILURE: (rules.charge_settlement_reversed, rules.charge_settlement_reversed),
    LineKind.PARTIAL_CAPTURE_REVERSAL: (
        rules.charge_settlement_reversed,
        rules.charge_settlement_reversed,
    ),
    LineKind.REFUND: (rules.refund_settled, rules.refund_settled),
    LineKind.REFUND_FAILURE: (rules.refund_settlement_reversed, rules.refund_settlement_reversed),
    LineKind.RESERVE: (rules.reserve_released, rules.reserve_withheld),
    LineKind.PAYOUT: (rules.payout_returned, rules.payout),
    LineKind.PAYOUT_REVERSAL: (rules.payout_returned, rules.payout),
}
_CONVERTED: Final[Mapping[str, _BySign]] = {
    LineKind.CHARGE: (rules.charge_converted, rules.charge_converted),
    LineKind.CHARGE_FAILURE: (rules.charge_conversion_reversed, rules.charge_conversion_reversed),
    LineKind.PARTIAL_CAPTURE_REVERSAL: (
        rules.charge_conversion_reversed,
        rules.charge_conversion_reversed,
    ),
    LineKind.REFUND: (rules.refund_converted, rules.refund_converted),
    LineKind.REFUND_FAILURE: (rules.refund_conversion_reversed, rules.refund_conversion_reversed),
}
_CONVERSION: Final[_BySign] = (rules.conversion_received, rules.conversion_paid)
_MARKUP: Final[_BySign] = (rules.psp_markup_returned, rules.psp_markup)
_INTERCHANGE: Final[_BySign] = (rules.interchange_returned, rules.interchange)
_SCHEME_FEE: Final[_BySign] = (rules.scheme_fee_returned, rules.scheme_fee)
_ACCOUNT_FEES: Final[_BySign] = (rules.account_fee_returned, rules.account_fee)
_SUSPENSE: Final[_BySign] = (rules.unexplained_receipt, rules.unexplained_charge)

assert {*_GROSS, LineKind.FEE} == OPERATION_LINES | ACCOUNT_LINES
assert set(_CONVERTED) == OPERATION_LINES


class LineToBook(NamedTuple):
    """What the booking of a line depends on."""

    id: int
    kind: str
    psp_account: str
    currency: str
    gross_minor: int
    fee_minor: int
    markup_minor: int
    interchange_minor: int
    scheme_fee_minor: int
    paid_minor: int
    """Of charges and refunds, in the currency of the payment."""
    paid_currency: str
    exchange_rate: str
    day: date
    """That the line names (UTC)."""
    available_on: date
    payment_id: UUID | None
    """Of a charge or refund."""

    @property
    def gross(self) -> Money:
        return Money(self.gross_minor, self.currency)

    @property
    def paid(self) -> Money:
        return Money(self.paid_minor, self.paid_currency)

    @property
    def conversion(self) -> Conversion | None:
        if self.paid_currency == self.currency:
            return None
        return Conversion(paid=self.paid, rate=self.exchange_rate)

    @property
    def fee_parts(self) -> FeeParts:
        return FeeParts(
            markup=Money(self.markup_minor, self.currency),
            interchange=Money(self.interchange_minor, self.currency),
            scheme_fee=Money(self.scheme_fee_minor, self.currency),
        )


def source_of(line_id: int) -> UUID:
    """The id under which the books know a line."""
    return UUID(int=line_id)


def to_book(line: SettlementLine, *, payment_id: UUID | None) -> LineToBook:
    """A line as `book_lines` takes it."""
    return LineToBook(
        id=line.pk,
        kind=line.kind,
        psp_account=line.psp_account.code,
        currency=line.currency,
        gross_minor=line.gross_minor,
        fee_minor=line.fee_minor,
        markup_minor=line.markup_minor,
        interchange_minor=line.interchange_minor,
        scheme_fee_minor=line.scheme_fee_minor,
        paid_minor=line.paid.minor,
        paid_currency=line.paid.currency,
        exchange_rate=line.exchange_rate,
        day=line.occurred_at.astimezone(UTC).date(),
        available_on=line.available_on or line.occurred_at.astimezone(UTC).date(),
        payment_id=payment_id,
    )


def settled_by(line: LineToBook, operation_id: UUID) -> Settled:
    """What a line of an operation says of the day on which its money is available."""
    is_failure = line.kind in (LineKind.CHARGE_FAILURE, LineKind.REFUND_FAILURE)
    return Settled(operation_id, is_failure, line.available_on)


def book_lines(lines: Iterable[LineToBook]) -> None:
    """Book lines of charges, of refunds and of the account, in the caller's transaction.

    Refuses AlreadyPosted for a line that is booked.
    """
    _book((line, _changes(line)) for line in lines)


def book_to_suspense(line: SettlementLine) -> None:
    """Book the net of a line that is given up, in the caller's transaction; once for each line.

    Not that of a dispute which changed 1110 itself, and which no other line reports: its case names
    the difference.
    """
    if not (_is_booked_by_its_dispute(line) or _transactions_in_suspense(line)):
        _book([(to_book(line, payment_id=None), [(_SUSPENSE, line.net)])])


def amount_in_suspense(line: SettlementLine) -> Money | None:
    """What the line added to 1110 without a known reason, negative if it took it; None if its
    amount is not in suspense."""
    return line.net if _transactions_in_suspense(line) else None


def clear_suspense(line: SettlementLine) -> None:
    """Reverse what the line booked to suspense, if it did, in the caller's transaction."""
    for transaction_id in _transactions_in_suspense(line):
        booked = _rule_of(_SUSPENSE, line.net.minor)(
            _parties(line.psp_account.code), Money(abs(line.net.minor), line.currency)
        )
        post(
            [reversal_of(booked, reverses=transaction_id)],
            source_type=rules.SOURCE,
            source_id=source_of(line.pk),
            payment_id=None,
            merchant_id=None,
            psp_account=line.psp_account.code,
        )


def _changes(line: LineToBook) -> list[_Change]:
    """What a line says of our balance with the PSP: its gross, and its fee by component."""
    zero, parts = Money.zero(line.currency), line.fee_parts
    fee = Money(line.fee_minor, line.currency)
    if line.kind == LineKind.FEE:
        return [(_ACCOUNT_FEES, line.gross - fee)]
    if line.kind not in OPERATION_LINES:
        return [(_GROSS[line.kind], line.gross), (_ACCOUNT_FEES, zero - fee)]
    grosses = [(_GROSS[line.kind], line.gross)]
    if line.conversion is not None:
        grosses = [(_CONVERTED[line.kind], line.paid), (_CONVERSION, line.gross)]
    return [
        *grosses,
        (_MARKUP, zero - parts.markup),
        (_INTERCHANGE, zero - parts.interchange),
        (_SCHEME_FEE, zero - parts.scheme_fee),
    ]


def _book(changes: Iterable[tuple[LineToBook, list[_Change]]]) -> None:
    """Book what is not zero; the lines that book by one rule to the same accounts together."""
    used: dict[str, Rule] = {}
    found: defaultdict[tuple[str, str, str], list[Sourced]] = defaultdict(list)
    for line, each in changes:
        source_id = source_of(line.id)
        for by_sign, change in each:
            if change:
                rule = _rule_of(by_sign, change.minor)
                used[rule.name] = rule
                found[rule.name, line.psp_account, change.currency].append(
                    Sourced(source_id, line.payment_id, line.day, abs(change.minor))
                )
    post_series(
        [
            Series(
                rule=used[name],
                parties=_parties(psp_account),
                currency=currency,
                source_type=rules.SOURCE,
                sources=sources,
            )
            for (name, psp_account, currency), sources in found.items()
        ]
    )


def _rule_of(by_sign: _BySign, minor: int) -> Rule:
    added, taken = by_sign
    return added if minor > 0 else taken


def _parties(psp_account: str) -> Parties:
    # Of no merchant: what we owe one, the operation booked.
    return Parties(psp_account=psp_account, merchant="")


def _is_booked_by_its_dispute(line: SettlementLine) -> bool:
    if line.kind not in DISPUTE_LINES:
        return False
    named = {"psp_account_id": line.psp_account_id, "psp_dispute_id": line.psp_id}
    dispute = Dispute.objects.filter(**named).first()
    return dispute is not None and not dispute.settlementline_set.filter(kind=line.kind).exists()


def _transactions_in_suspense(line: SettlementLine) -> list[UUID]:
    booked = changes_by_rule(
        code=chart.PSP_BALANCE.code, source_type=rules.SOURCE, source_id=source_of(line.pk)
    )
    return [booked[rule.name].transaction_id for rule in _SUSPENSE if rule.name in booked]
