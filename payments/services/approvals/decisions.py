"""Decides requests: approves and carries out in one transaction, rejects, or lets them expire.

Locks: what the command changes, in the usual order, then the request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.db import transaction

from payments.clock import now_utc
from payments.exceptions import OperationUnderWay, PaymentRefused, ResourceMissing
from payments.models import Approval, ApprovalStatus
from payments.services.approvals.requests import DECISION, Applied, command_of, give_up, note_end
from payments.services.approvals.rights import (
    STAFF,
    ApprovalRefused,
    actor_of,
    person_who_decides,
    require_within_limits,
)
from psp_adapters.contract.stored_text import clean_text

logger = logging.getLogger(__name__)

EXPIRY_ACTOR: Final = "job:approvals"
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 2.0


def approve(approval_id: UUID, *, username: str, reason: str) -> Approval:
    """Approve a request as a staff user, and carry it out; returns it as it ended.

    If the command is not possible any more, the request ends as refused and says why. Raises
    ApprovalRefused, with nothing written, if it is not open any more or this user may not, and
    OperationUnderWay if the same may be approved shortly.
    """
    applied: Applied | None = None
    with transaction.atomic(durable=True):
        approval = _locked(approval_id)
        _decide(approval, username, reason, approval.approve, needs_limit=True)
        approval.save(update_fields=DECISION)
        actor = approval.approver
        try:
            with transaction.atomic():
                applied = command_of(approval).apply(approval, actor)
        except OperationUnderWay:
            raise
        except PaymentRefused as refusal:
            approval.refuse()
            give_up(approval, actor=actor, why=refusal.message)
        else:
            approval.mark_applied()
            note_end(approval, actor=actor, result=applied.result)
    if applied is not None:
        applied.after_commit()
    return approval


def reject(approval_id: UUID, *, username: str, reason: str) -> Approval:
    """Reject a request as a staff user; what was reserved for it is given back.

    Raises ApprovalRefused, with nothing written, if it is not open any more or this user may not.
    """
    with transaction.atomic(durable=True):
        approval = _locked(approval_id)
        _decide(approval, username, reason, approval.reject, needs_limit=False)
        give_up(approval, actor=approval.approver, why="rejected")
    return approval


def withdraw(approval_id: UUID, *, username: str, reason: str) -> Approval:
    """End a staff user's own request, which is not wanted any more.

    Raises ApprovalRefused, with nothing written, if it is not open any more or another's.
    """
    with transaction.atomic(durable=True):
        approval = _locked(approval_id)
        _require_reason(reason)
        _require_open(approval)
        requester = f"{STAFF}{username}"
        if approval.requester != requester:
            raise ApprovalRefused(f"{approval.requester} asked for {approval.public_id}.")
        approval.void()
        give_up(approval, actor=requester, why=f"withdrawn: {reason.strip()}")
    return approval


def expire_due_approvals(*, limit: int = SWEEP_LIMIT) -> int:
    """End the requests that were not decided in time; returns how many it has ended.

    Bounded in number and time. Safe to repeat, and several workers may run it at once. What one
    request raises is logged and raised at the end: it stops no other.
    """
    end = time.monotonic() + SWEEP_SECONDS
    failure: Exception | None = None
    ended = 0
    for approval_id in _due(limit):
        try:
            ended += _expire(approval_id)
        except Exception as error:
            logger.exception("approval %s could not be ended", approval_id)
            failure = failure or error
        if time.monotonic() >= end:
            break
    if failure is not None:
        raise failure
    return ended


def _due(limit: int) -> list[UUID]:
    due = Approval.objects.filter(status=ApprovalStatus.REQUESTED, expires_at__lte=now_utc())
    return list(due.order_by("expires_at").values_list("pk", flat=True)[:limit])


def _expire(approval_id: UUID) -> bool:
    with transaction.atomic(durable=True):
        approval = _locked(approval_id)
        if not approval.is_open:
            return False
        approval.expire()
        give_up(approval, actor=EXPIRY_ACTOR, why="not decided in time")
    return True


def _locked(approval_id: UUID) -> Approval:
    """The request, its subject locked before it; raises ResourceMissing."""
    found = Approval.objects.filter(pk=approval_id).first()
    if found is None:
        raise ResourceMissing("No such request for approval.")
    command_of(found).lock(found)
    return Approval.objects.select_for_update(of=("self",)).get(pk=approval_id)


def _decide(
    approval: Approval,
    username: str,
    reason: str,
    decision: Callable[[], None],
    *,
    needs_limit: bool,
) -> None:
    """Note a decision of a user who may make it, as of now."""
    _require_reason(reason)
    _require_open(approval)
    user = person_who_decides(username, approval)
    if needs_limit:
        require_within_limits(user, approval)
    decision()
    approval.approver = actor_of(user)
    approval.decision_reason = clean_text(reason.strip(), most=1000)
    approval.decided_at = now_utc()


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ApprovalRefused("Say why: those who read the history later need it.")


def _require_open(approval: Approval) -> None:
    name = approval.public_id
    if not approval.is_open:
        by = f" by {approval.approver or approval.ended_by}"
        raise ApprovalRefused(f"{name} is {approval.status} already{by}: {approval.result}.")
    if approval.expires_at <= now_utc():
        raise ApprovalRefused(
            f"{name} was to be decided by {approval.expires_at:%Y-%m-%d %H:%M} UTC."
        )
