"""Compare every dispute with its own entries in the books. Reads only.

What may not live here: repairs, whole payments (services.verification).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final
from uuid import UUID

from ledger.selectors import sums_of_sources
from payments.models import Dispute
from payments.states import DisputeStatus

_OPEN_ITEMS: Final = {
    1300: "withdrawn and undecided",
    2300: "held from the merchant",
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
                    f"{_OPEN_ITEMS[code]} ({code}), the books say {booked_minor}",
                )


def _expected(dispute: Dispute) -> dict[int, int]:
    """Debits minus credits of each open item, by what is stored of the dispute."""
    expected = dict.fromkeys(_OPEN_ITEMS, 0)
    if dispute.status in _CHARGED_BACK:
        expected[2300] = -dispute.amount_minor
        if dispute.funds_withdrawn_at is not None:
            expected[1300] = dispute.amount_minor
    elif dispute.is_open:
        expected[9300] = dispute.amount_minor
    return expected
