"""Compares every dispute with its own entries in the books. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from ledger.selectors import sums_of_sources
from payments.models import Dispute, LossPolicy, Operation, PaymentIntent
from payments.states import DisputeStatus

_ACCOUNTS: Final = {
    1110: "what the provider has for us",
    1300: "withdrawn and undecided",
    2100: "what we owe the merchant",
    2300: "held from the merchant",
    5130: "the provider's fee",
    5200: "the platform's loss",
    9300: "exposure",
}
_CHARGED_BACK: Final = frozenset({DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW})


def dispute_differences(
    intents: Sequence[PaymentIntent], operations: Mapping[UUID, Sequence[Operation]]
) -> Iterator[tuple[UUID, str]]:
    """What books and rows say otherwise of these payments' disputes, each with its payment."""
    by_payment: dict[UUID, list[Dispute]] = defaultdict(list)
    rows = Dispute.objects.filter(intent_id__in=[intent.id for intent in intents]).order_by("id")
    for dispute in rows:
        by_payment[dispute.intent_id].append(dispute)
    for intent in intents:
        disputes = by_payment[intent.id]
        for sentence in _of_names(intent, disputes, operations.get(intent.id, ())):
            yield intent.id, sentence
    yield from _of_books([each for disputes in by_payment.values() for each in disputes])


def _of_names(
    intent: PaymentIntent, disputes: Sequence[Dispute], operations: Sequence[Operation]
) -> Iterator[str]:
    """A dispute is of a charge of its payment, of the same merchant, PSP account and currency."""
    if intent.latest_dispute_id not in {None, *(dispute.id for dispute in disputes)}:
        yield f"{intent.public_id}: its latest dispute is not among its disputes"
    charges = {operation.id: operation for operation in operations if operation.is_charge}
    for dispute in disputes:
        charge = charges.get(dispute.charge_id)
        if charge is None:
            yield f"{dispute.public_id}: its charge is not one of its payment"
        elif _owner_of(dispute) != _owner_of(charge) or dispute.currency != charge.currency:
            yield (
                f"{dispute.public_id}: another merchant, mode, PSP account or currency than "
                f"{charge.public_id}"
            )


def _owner_of(row: Dispute | Operation) -> tuple[object, ...]:
    return row.merchant_id, row.livemode, row.psp_account_id


def _of_books(disputes: Sequence[Dispute]) -> Iterator[tuple[UUID, str]]:
    sums = sums_of_sources("dispute", [dispute.id for dispute in disputes]) if disputes else {}
    for dispute in disputes:
        booked = sums.get(dispute.id, {})
        for code, expected_minor in _expected(dispute).items():
            booked_minor = booked.get(code, 0)
            if booked_minor != expected_minor:
                yield (
                    dispute.intent_id,
                    f"{dispute.public_id}: {dispute.status}, so {expected_minor} should be "
                    f"{_ACCOUNTS[code]} ({code}), the books say {booked_minor}",
                )


def _expected(dispute: Dispute) -> dict[int, int]:
    """Debits minus credits of each account, by what is stored of the dispute."""
    amount_minor = dispute.amount_minor
    kept_fee_minor = dispute.fee_minor - dispute.fee_returned_minor
    merchant_bears = dispute.loss_policy == LossPolicy.MERCHANT
    expected = dict.fromkeys(_ACCOUNTS, 0)
    expected[1110] = -kept_fee_minor
    expected[2100 if merchant_bears else 5130] = kept_fee_minor
    if dispute.funds_withdrawn_at is not None and dispute.funds_reinstated_at is None:
        expected[1110] -= amount_minor
    if dispute.held_id is not None and dispute.released_id is None:
        expected[2100] += amount_minor
    if dispute.status in _CHARGED_BACK:
        expected[2300] = -amount_minor
        if dispute.funds_withdrawn_at is not None:
            expected[1300] = amount_minor
    elif dispute.is_open:
        expected[9300] = amount_minor
    elif dispute.status == DisputeStatus.LOST and not merchant_bears:
        expected[5200] = amount_minor
    return expected
