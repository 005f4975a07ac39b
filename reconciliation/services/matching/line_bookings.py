"""What a settlement line of a charge or refund books: its gross by one rule, its fee by another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Final
from uuid import UUID

from ledger import settlement_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Rule
from ledger.services import SourcePostings, post_many
from payments.models import Operation
from psp_adapters.contract.settlement_reports import OPERATION_LINES, LineKind
from reconciliation.models import SettlementLine

_GROSS: Final[Mapping[LineKind, Rule]] = {
    LineKind.CHARGE: rules.charge_settled,
    LineKind.CHARGE_FAILURE: rules.charge_settlement_reversed,
    LineKind.REFUND: rules.refund_settled,
    LineKind.REFUND_FAILURE: rules.refund_settlement_reversed,
}

assert set(_GROSS) == OPERATION_LINES


def source_of(line_id: int) -> UUID:
    """The id under which the books know a line."""
    return UUID(int=line_id)


def book_lines(found: Iterable[tuple[SettlementLine, Operation]]) -> None:
    """Book lines of charges and refunds, each with its operation, in the caller's transaction.

    Refuses AlreadyPosted for a line that is booked.
    """
    post_many([_bookings_of(line, operation) for line, operation in found])


def _bookings_of(line: SettlementLine, operation: Operation) -> SourcePostings:
    """On the day that the line names; of no merchant, to whom we owe what the operation booked."""
    parties = Parties(psp_account=line.psp_account.code, merchant="")
    gross = _GROSS[LineKind(line.kind)](parties, Money(abs(line.gross_minor), line.currency))
    postings = [gross]
    if line.fee_minor:
        rule = rules.processing_fee if line.fee_minor > 0 else rules.processing_fee_returned
        postings.append(rule(parties, Money(abs(line.fee_minor), line.currency)))
    return SourcePostings(
        source_type=rules.SOURCE,
        source_id=source_of(line.pk),
        payment_id=operation.intent_id,
        merchant_id=None,
        psp_account=line.psp_account.code,
        effective_date=line.occurred_at.astimezone(UTC).date(),
        postings=tuple(postings),
    )
