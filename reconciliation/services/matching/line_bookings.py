"""What a settlement line books: its gross by one rule, its fee by another.

A line of a dispute books nothing: its dispute did. A line that is given up books its net to
suspense, so that 1110 stays what the PSP holds for us; that is reversed once the line is matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Final
from uuid import UUID

from ledger import chart
from ledger import settlement_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Posting, Rule, reversal_of
from ledger.selectors import changes_by_rule
from ledger.services import SourcePostings, post, post_many
from payments.models import Dispute, Operation
from psp_adapters.contract.settlement_reports import (
    ACCOUNT_LINES,
    DISPUTE_LINES,
    OPERATION_LINES,
    LineKind,
)
from reconciliation.models import SettlementLine

_BySign = tuple[Rule, Rule]
"""The rule for an amount that the PSP added to our balance, and for one that it took."""

_OF_OPERATIONS: Final[Mapping[LineKind, _BySign]] = {
    LineKind.CHARGE: (rules.charge_settled, rules.charge_settled),
    LineKind.CHARGE_FAILURE: (rules.charge_settlement_reversed, rules.charge_settlement_reversed),
    LineKind.REFUND: (rules.refund_settled, rules.refund_settled),
    LineKind.REFUND_FAILURE: (rules.refund_settlement_reversed, rules.refund_settlement_reversed),
}
_OF_THE_ACCOUNT: Final[Mapping[LineKind, _BySign]] = {
    LineKind.FEE: (rules.account_fee_returned, rules.account_fee),
    LineKind.RESERVE: (rules.reserve_released, rules.reserve_withheld),
    LineKind.PAYOUT: (rules.payout_returned, rules.payout),
    LineKind.PAYOUT_REVERSAL: (rules.payout_returned, rules.payout),
}
_FEES: Final[_BySign] = (rules.processing_fee_returned, rules.processing_fee)
_ACCOUNT_FEES: Final[_BySign] = (rules.account_fee_returned, rules.account_fee)
_SUSPENSE: Final[_BySign] = (rules.unexplained_receipt, rules.unexplained_charge)

assert set(_OF_OPERATIONS) == OPERATION_LINES
assert set(_OF_THE_ACCOUNT) == ACCOUNT_LINES


def source_of(line_id: int) -> UUID:
    """The id under which the books know a line."""
    return UUID(int=line_id)


def book_lines(found: Iterable[tuple[SettlementLine, Operation]]) -> None:
    """Book lines of charges and refunds, each with its operation, in the caller's transaction.

    Refuses AlreadyPosted for a line that is booked.
    """
    post_many([_bookings_of(line, operation) for line, operation in found])


def book_account_lines(lines: Sequence[SettlementLine]) -> None:
    """Book lines of the account as a whole, in the caller's transaction.

    Refuses AlreadyPosted for a line that is booked.
    """
    post_many([_sourced(line, _account_postings(line), payment_id=None) for line in lines])


def book_to_suspense(line: SettlementLine) -> None:
    """Book the net of a line that is given up, in the caller's transaction; once for each line.

    Not that of a dispute which changed 1110 itself, and which no other line reports: its case names
    the difference.
    """
    if not (_is_booked_by_its_dispute(line) or _transactions_in_suspense(line)):
        post_many([_sourced(line, _suspense(line), payment_id=None)])


def clear_suspense(line: SettlementLine) -> None:
    """Reverse what the line booked to suspense, if it did, in the caller's transaction."""
    for transaction_id in _transactions_in_suspense(line):
        post(
            [reversal_of(posting, reverses=transaction_id) for posting in _suspense(line)],
            source_type=rules.SOURCE,
            source_id=source_of(line.pk),
            payment_id=None,
            merchant_id=None,
            psp_account=line.psp_account.code,
        )


def _bookings_of(line: SettlementLine, operation: Operation) -> SourcePostings:
    gross = _posting(line, _OF_OPERATIONS[LineKind(line.kind)], line.gross_minor)
    fee = _posting(line, _FEES, -line.fee_minor)
    return _sourced(line, [*gross, *fee], payment_id=operation.intent_id)


def _account_postings(line: SettlementLine) -> list[Posting]:
    by_sign = _OF_THE_ACCOUNT[LineKind(line.kind)]
    if by_sign == _ACCOUNT_FEES:
        return _posting(line, by_sign, line.net.minor)
    gross = _posting(line, by_sign, line.gross_minor)
    return [*gross, *_posting(line, _ACCOUNT_FEES, -line.fee_minor)]


def _suspense(line: SettlementLine) -> list[Posting]:
    return _posting(line, _SUSPENSE, line.net.minor)


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


def _posting(line: SettlementLine, by_sign: _BySign, change_minor: int) -> list[Posting]:
    """The posting of a change of our balance with the PSP; none if it did not change."""
    if not change_minor:
        return []
    added, taken = by_sign
    # Of no merchant: what we owe one, the operation booked.
    parties = Parties(psp_account=line.psp_account.code, merchant="")
    rule = added if change_minor > 0 else taken
    return [rule(parties, Money(abs(change_minor), line.currency))]


def _sourced(
    line: SettlementLine, postings: Sequence[Posting], *, payment_id: UUID | None
) -> SourcePostings:
    """Booked on the day that the line names."""
    return SourcePostings(
        source_type=rules.SOURCE,
        source_id=source_of(line.pk),
        payment_id=payment_id,
        merchant_id=None,
        psp_account=line.psp_account.code,
        effective_date=line.occurred_at.astimezone(UTC).date(),
        postings=tuple(postings),
    )
