"""Decides requests: approves and carries out in one transaction, rejects, or lets them expire.

Locks: what the command changes, in the usual order, then the request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from django.db import transaction

from payments.clock import now_utc
from payments.exceptions import OperationUnderWay, PaymentRefused, ResourceMissing
from payments.models import Act, Approval, ApprovalStatus
from payments.services.approvals.requests import (
    DECISION,
    Applied,
    about_approval,
    command_of,
    give_up,
    note_end,
)
from payments.services.approvals.rights import (
    ApprovalRefused,
    actor_of,
    person_who_decides,
    require_within_limits,
)
from payments.services.audit.authors import Author
from payments.services.audit.trail import record_act, refusals_recorded
from psp_adapters.contract.stored_text import clean_text

logger = logging.getLogger(__name__)

EXPIRY_ACTOR: Final = "job:approvals"
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 2.0


def approve(approval_id: UUID, *, author: Author) -> Approval:
    """Approve a request as a staff user, and carry it out; returns it as it ended.

    If the command is not possible any more, the request ends as refused and says why. Raises
    ApprovalRefused, with nothing written but that in the audit trail, if it is not open any more or
    this author may not, and OperationUnderWay if the same may be approved shortly.
    """
    applied: Applied | None = None
    with _act(Act.APPROVAL_APPROVE, approval_id, author) as approval:
        _decide(approval, author, approval.approve, needs_limit=True)
        approval.save(update_fields=DECISION)
        try:
            with transaction.atomic():
                applied = command_of(approval).apply(approval, approval.approver)
        except OperationUnderWay:
            raise
        except PaymentRefused as refusal:
            approval.refuse()
            give_up(approval, actor=approval.approver, why=refusal.message)
        else:
            approval.mark_applied()
            note_end(approval, actor=approval.approver, result=applied.result)
    if applied is not None:
        applied.after_commit()
    return approval


def reject(approval_id: UUID, *, author: Author) -> Approval:
    """Reject a request as a staff user; what was reserved for it is given back.

    Raises ApprovalRefused as `approve` does.
    """
    with _act(Act.APPROVAL_REJECT, approval_id, author) as approval:
        _decide(approval, author, approval.reject, needs_limit=False)
        give_up(approval, actor=approval.approver, why="rejected")
    return approval


def withdraw(approval_id: UUID, *, author: Author) -> Approval:
    """End the author's own request, which is not wanted any more.

    Raises ApprovalRefused if it is not open any more or another's.
    """
    with _act(Act.APPROVAL_WITHDRAW, approval_id, author) as approval:
        _require_open(approval)
        if approval.requester != author.name:
            raise ApprovalRefused(f"{approval.requester} asked for {approval.public_id}.")
        approval.void()
        give_up(approval, actor=author.name, why=f"withdrawn: {author.reason}")
    return approval


@contextmanager
def _act(act: Act, approval_id: UUID, author: Author) -> Iterator[Approval]:
    """The locked request, in one transaction with what the body writes and the audit trail.

    A refusal is recorded after the rollback. Raises ResourceMissing.
    """
    found = Approval.objects.filter(pk=approval_id).first()
    if found is None:
        raise ResourceMissing("No such request for approval.")
    about = about_approval(found)
    with refusals_recorded(act, author, about), transaction.atomic(durable=True):
        if not author.reason.strip():
            raise ApprovalRefused("Say why: those who read the history later need it.")
        approval = _locked(found)
        yield approval
        changes = {
            "status": {"before": ApprovalStatus.REQUESTED.value, "after": str(approval.status)},
            "result": {"after": approval.result},
        }
        record_act(act, author, about, changes)


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
    author = Author(EXPIRY_ACTOR, "not decided in time")
    with transaction.atomic(durable=True):
        approval = _locked(Approval.objects.get(pk=approval_id))
        if not approval.is_open:
            return False
        approval.expire()
        give_up(approval, actor=author.name, why=author.reason)
        record_act(Act.APPROVAL_EXPIRE, author, about_approval(approval))
    return True


def _locked(found: Approval) -> Approval:
    """The request, its subject locked before it."""
    command_of(found).lock(found)
    return Approval.objects.select_for_update(of=("self",)).get(pk=found.pk)


def _decide(
    approval: Approval, author: Author, decision: Callable[[], None], *, needs_limit: bool
) -> None:
    """Note a decision of a user who may make it, as of now."""
    _require_open(approval)
    user = person_who_decides(author, approval)
    if needs_limit:
        require_within_limits(user, approval)
    decision()
    approval.approver = actor_of(user)
    approval.decision_reason = clean_text(author.reason.strip(), most=1000)
    approval.decided_at = now_utc()


def _require_open(approval: Approval) -> None:
    name = approval.public_id
    if not approval.is_open:
        by = f" by {approval.approver or approval.ended_by}"
        raise ApprovalRefused(f"{name} is {approval.status} already{by}: {approval.result}.")
    if approval.expires_at <= now_utc():
        raise ApprovalRefused(
            f"{name} was to be decided by {approval.expires_at:%Y-%m-%d %H:%M} UTC."
        )
