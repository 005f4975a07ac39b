"""Which status a dispute may take after which, and what a PSP may not say of one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from payments.models import Dispute
from payments.states import (
    DISPUTE_OPEN,
    DISPUTE_TRANSITIONS,
    DisputeStatus,
)
from psp_adapters.contract.disputes import PspDispute

D = DisputeStatus


ENTER_STATUS: Final[dict[str, Callable[[Dispute], None]]] = {
    D.WARNING_UNDER_REVIEW: Dispute.review_inquiry,
    D.WARNING_CLOSED: Dispute.close_inquiry,
    D.NEEDS_RESPONSE: Dispute.escalate,
    D.UNDER_REVIEW: Dispute.review,
    D.WON: Dispute.win,
    D.LOST: Dispute.lose,
    D.PREVENTED: Dispute.prevent,
}


class ContradictoryWord(Exception):
    """The PSP's word and ours cannot both be true; nothing was changed."""


def first_status(word: PspDispute) -> DisputeStatus:
    """Where a dispute begins that we first hear of by this word."""
    if word.began_as_inquiry:
        return D.WARNING_NEEDS_RESPONSE
    never_charged_back = word.status == D.PREVENTED and not word.funds_withdrawn
    return D.PREVENTED if never_charged_back else D.NEEDS_RESPONSE


def statuses_on_the_way(present: str, target: str) -> list[str]:
    """The legal steps from here to there, without here; empty if we are there.

    Raises ContradictoryWord where no way leads there.
    """
    ways = deque([[present]])
    seen = {present}
    while ways:
        way = ways.popleft()
        if way[-1] == target:
            return way[1:]
        for step in sorted(DISPUTE_TRANSITIONS[way[-1]] - seen):
            seen.add(step)
            ways.append([*way, step])
    raise ContradictoryWord(f"the dispute is {present}, the provider says {target}")


def is_old_news(dispute: Dispute, word: PspDispute) -> bool:
    """Does the word speak of a status, or from before a fee, that the dispute has left behind?"""
    present, target = dispute.status, word.status
    if present == target:
        before_fee = dispute.fee_minor and not word.fee
        before_its_return = dispute.fee_returned_minor and not word.fee_returned
        return bool(before_fee or before_its_return)
    try:
        statuses_on_the_way(target, present)
    except ContradictoryWord:
        return False
    return True


def take_step(dispute: Dispute, status: str, now: datetime) -> None:
    """One transition, with the columns that go with it."""
    ENTER_STATUS[status](dispute)
    if status not in DISPUTE_OPEN:
        dispute.closed_at = now
        dispute.next_look_at = dispute.next_reminder_at = None


def require_possible_fee(word: PspDispute) -> None:
    """A fee that can be booked, and comes back once at most; raises ContradictoryWord."""
    if {word.fee.currency, word.fee_returned.currency} != {word.amount.currency}:
        raise ContradictoryWord(f"its fee is {word.fee}, of a dispute about {word.amount}")
    if word.fee_returned > word.fee:
        raise ContradictoryWord(f"of its fee of {word.fee} it gave {word.fee_returned} back")


def require_same_dispute(dispute: Dispute, word: PspDispute) -> None:
    """What of a dispute never changes once it is said; raises ContradictoryWord."""
    if word.amount != dispute.amount:
        raise ContradictoryWord(f"it was about {dispute.amount}, now it is about {word.amount}")
    if word.began_as_inquiry != dispute.began_as_inquiry:
        raise ContradictoryWord("it began as an inquiry, and did not")
    if dispute.fee_minor and word.fee.minor != dispute.fee_minor:
        raise ContradictoryWord(f"its fee was {dispute.fee_minor}, now it is {word.fee.minor}")
    returned_minor = dispute.fee_returned_minor
    if returned_minor and word.fee_returned.minor != returned_minor:
        raise ContradictoryWord(
            f"of its fee {returned_minor} came back, now it is {word.fee_returned.minor}"
        )
