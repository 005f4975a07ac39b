"""What an adapter may read of the notifications that were stored, at a PSP without look-ups.

Such a PSP states results in its notifications alone. They were verified before they were stored, so
for this PSP they are the source of truth, and look-ups are answered from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotification:
    """One verified notification as it is stored; the ids in it are whole, its body is masked."""

    event_id: str
    type: str
    psp_payment_id: str
    reference: str
    """The first of our references in it; empty if it names none."""
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SentResponse:
    """A response of ours to a dispute, which may have reached a PSP that keeps no reference."""

    reference: str
    accepts: bool
    """It accepts the dispute; else it is evidence."""
    written_at: datetime
    """Before it was sent."""


class StoredNotifications(Protocol):
    """Those of one PSP account, to be read only."""

    def about(
        self, *, psp_payment_ids: Sequence[str] = (), references: Sequence[str] = ()
    ) -> Sequence[StoredNotification]:
        """All that name one of these payments or one of these references, in any order.

        Raises PspUnavailable if they cannot be read now.
        """
        ...

    def about_disputes(self, psp_dispute_ids: Sequence[str]) -> Sequence[StoredNotification]:
        """All that are about one of these disputes, in any order; raises PspUnavailable."""
        ...

    def responses_to(self, psp_dispute_id: str) -> Sequence[SentResponse]:
        """Our responses to a dispute, oldest first, but for those that certainly were not taken."""
        ...

    def was_sale(self, reference: str) -> bool:
        """Whether our AUTHORIZE operation of this reference asked to capture at once."""
        ...
