"""Compares every dispute with its own entries in the books. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from uuid import UUID

from ledger.selectors import sums_of_sources
from payments.models import Dispute, LossPolicy
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


def dispute_differences(intent_ids: Collection[UUID]) -> Iterator[tuple[UUID, str]]:
    """What the books say otherwise of the disputes of these payments, each with its payment."""
    disputes = list(Dispute.objects.filter(intent_id__in=intent_ids).order_by("id"))
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
