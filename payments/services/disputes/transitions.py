"""Checks a PSP's statement against a dispute, and finds the legal steps to its status."""

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


class ConflictingStatement(Exception):
    """The PSP's statement and our record cannot both be true; nothing was changed."""


def first_status(statement: PspDispute) -> DisputeStatus:
    """The status in which a dispute begins whose first statement this is."""
    if statement.began_as_inquiry:
        return D.WARNING_NEEDS_RESPONSE
    never_charged_back = statement.status == D.PREVENTED and not statement.funds_withdrawn
    return D.PREVENTED if never_charged_back else D.NEEDS_RESPONSE


def statuses_on_the_way(present: str, target: str) -> list[str]:
    """The legal steps from `present` to `target`, without `present`; empty if they are the same.

    Raises ConflictingStatement if no legal step leads to `target`.
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
    raise ConflictingStatement(f"the dispute is {present}, the provider says {target}")


def is_outdated(dispute: Dispute, statement: PspDispute) -> bool:
    """True if the statement is older than the dispute's status or fee."""
    present, target = dispute.status, statement.status
    if present == target:
        before_fee = dispute.fee_minor and not statement.fee
        before_its_return = dispute.fee_returned_minor and not statement.fee_returned
        return bool(before_fee or before_its_return)
    try:
        statuses_on_the_way(target, present)
    except ConflictingStatement:
        return False
    return True


def take_step(dispute: Dispute, status: str, now: datetime) -> None:
    """Make one transition, and clear what a closed dispute does not have."""
    ENTER_STATUS[status](dispute)
    if status not in DISPUTE_OPEN:
        dispute.closed_at = now
        dispute.next_sync_at = dispute.next_reminder_at = None


def require_possible_fee(statement: PspDispute) -> None:
    """Raise ConflictingStatement for a fee in another currency, or a return above the fee."""
    if {statement.fee.currency, statement.fee_returned.currency} != {statement.amount.currency}:
        raise ConflictingStatement(
            f"its fee is {statement.fee}, of a dispute about {statement.amount}"
        )
    if statement.fee_returned > statement.fee:
        raise ConflictingStatement(
            f"of its fee of {statement.fee} it gave {statement.fee_returned} back"
        )


def require_same_dispute(dispute: Dispute, statement: PspDispute) -> None:
    """Raise ConflictingStatement if something differs that never changes in a dispute."""
    if statement.amount != dispute.amount:
        raise ConflictingStatement(
            f"it was about {dispute.amount}, now it is about {statement.amount}"
        )
    if statement.began_as_inquiry != dispute.began_as_inquiry:
        raise ConflictingStatement("it began as an inquiry, and did not")
    if dispute.fee_minor and statement.fee.minor != dispute.fee_minor:
        raise ConflictingStatement(
            f"its fee was {dispute.fee_minor}, now it is {statement.fee.minor}"
        )
    returned_minor = dispute.fee_returned_minor
    if returned_minor and statement.fee_returned.minor != returned_minor:
        raise ConflictingStatement(
            f"of its fee {returned_minor} came back, now it is {statement.fee_returned.minor}"
        )
