"""Requests a second person's approval of a command, and ends requests that are not wanted any more.

An app registers each command of its own that may need approval. What a request holds never changes:
a new one about the same subject voids the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from ledger.chart import Direction
from ledger.money import Money
from ledger.posting_rules import Posting
from payments import public_ids
from payments.clock import now_utc
from payments.models import Act, Approval, ApprovalCommand, ApprovalStatus, Merchant, PspAccount
from payments.models.approval import digest_of
from payments.public_ids import created_at_of
from payments.services.audit.authors import SERVICE, STAFF, Author
from payments.services.audit.trail import AuditSubject, record_act
from psp_adapters.contract.stored_text import clean_text

_SIDES: Final = {Direction.DEBIT: "debit", Direction.CREDIT: "credit"}


DECISION: Final = ("status", "approver", "decision_reason", "decided_at")
"""The columns of a decision."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A command that was carried out."""

    result: str
    """What it made, for a reader."""
    after_commit: Callable[[], None] = lambda: None
    """What is to be done once that is committed, such as a call to a PSP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovableCommand:
    """How an app locks, carries out and gives up a command that waits for approval.

    All run inside the transaction of the decision. `apply` checks once more whether the command is
    possible, and raises PaymentRefused if not.
    """

    lock: Callable[[Approval], None]
    """Lock the rows that the command changes, in the usual order; the request is locked after."""
    apply: Callable[[Approval, str], Applied]
    """Carry it out, as this actor, exactly as the request says."""
    give_up: Callable[[Approval, str], None]
    """It will not be carried out: give back what was reserved for it."""


_COMMANDS: Final[dict[ApprovalCommand, ApprovableCommand]] = {}


def register(name: ApprovalCommand, command: ApprovableCommand) -> None:
    """Let a command wait for approval; to be called when its app is ready."""
    _COMMANDS[name] = command


def command_of(approval: Approval) -> ApprovableCommand:
    """The registered command of a request."""
    return _COMMANDS[ApprovalCommand(approval.command)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a request asks for."""

    command: ApprovalCommand
    subject: str
    """The public id of what it is about."""
    livemode: bool
    requester: str
    """The actor who asks: `api_key:…`, `staff:…` or `service:…`."""
    reason: str
    parameters: Mapping[str, Any]
    postings: Sequence[Posting] = ()
    """What will be booked."""
    amount: Money | None = None
    merchant: Merchant | None = None
    psp_account: PspAccount | None = None
    intent_id: UUID | None = None
    request_id: str = ""


def request_approval(draft: Draft) -> Approval:
    """Write a request in the caller's transaction, and void an open one about the same subject.

    The caller holds the locks of the subject. The act of a staff user or a service is in the audit
    trail; what a merchant asks for is a request of the API. Raises KeyError for a command of no
    app, and ValueError without a reason.
    """
    if draft.command not in _COMMANDS:
        raise KeyError(f"no app has registered {draft.command}")
    if not draft.reason.strip():
        raise ValueError("say why it is to be done")
    approval = _new_approval(draft)
    earlier = Approval.objects.select_for_update().filter(
        command=draft.command.value, subject=draft.subject, status=ApprovalStatus.REQUESTED
    )
    for each in earlier:
        each.replaced_by_id = approval.id
        each.void()
        give_up(each, actor=draft.requester, why=f"replaced by {approval.public_id}")
    approval.save(force_insert=True)
    if draft.requester.startswith((STAFF, SERVICE)):
        author = Author(draft.requester, approval.request_reason, request_id=draft.request_id)
        record_act(Act.APPROVAL_REQUEST, author, about_approval(approval))
    return approval


def about_approval(approval: Approval) -> AuditSubject:
    """A request as the object of an act."""
    what = approval.command if approval.amount is None else f"{approval.command} {approval.amount}"
    return AuditSubject(
        label=f"{approval.public_id} {what} of {approval.subject}",
        object_id=approval.pk,
        merchant_id=approval.merchant_id,
        psp_account_id=approval.psp_account_id,
        intent_id=approval.intent_id,
        approval_id=approval.pk,
        livemode=approval.livemode,
    )


def void(approval: Approval, *, actor: str, why: str) -> None:
    """End an open request whose subject the caller has withdrawn; it must be locked."""
    approval.void()
    note_end(approval, actor=actor, result=why)


def give_up(approval: Approval, *, actor: str, why: str) -> None:
    """Write the end of a request that was not carried out, and give back what was reserved."""
    note_end(approval, actor=actor, result=why)
    command_of(approval).give_up(approval, actor)


def note_end(approval: Approval, *, actor: str, result: str) -> None:
    """Write how a request ended, by its transition before."""
    approval.ended_at, approval.ended_by = now_utc(), actor
    approval.result = clean_text(result, most=500)
    approval.save(update_fields=[*DECISION, "ended_at", "ended_by", "result", "replaced_by_id"])


def previewed(posting: Posting) -> dict[str, Any]:
    """A posting as a request shows it."""
    return {
        "rule": posting.rule,
        "lines": [
            {
                "account": line.account.code,
                "name": line.account.line.name,
                "side": _SIDES[line.direction],
                "amount_minor": line.amount.minor,
                "currency": line.amount.currency,
            }
            for line in posting.lines
        ],
    }


def _new_approval(draft: Draft) -> Approval:
    identifier = public_ids.new_id()
    content = _content(draft)
    created_at = created_at_of(identifier)
    days = settings.APPROVALS_EXPIRE_AFTER_DAYS
    return Approval(
        id=identifier,
        merchant=draft.merchant,
        psp_account=draft.psp_account,
        livemode=draft.livemode,
        command=draft.command.value,
        subject=draft.subject,
        intent_id=draft.intent_id,
        amount_minor=None if draft.amount is None else draft.amount.minor,
        currency="" if draft.amount is None else draft.amount.currency,
        content=content,
        digest=digest_of(content),
        requester=draft.requester,
        request_reason=clean_text(draft.reason.strip(), most=1000),
        request_id=draft.request_id,
        expires_at=created_at + timedelta(days=days),
        created_at=created_at,
    )


def _content(draft: Draft) -> str:
    """All that was asked for, as JSON with sorted names."""
    amount, merchant, account = draft.amount, draft.merchant, draft.psp_account
    content = {
        "command": draft.command.value,
        "subject": draft.subject,
        "merchant": None if merchant is None else merchant.public_id,
        "psp_account": None if account is None else account.code,
        "livemode": draft.livemode,
        "requester": draft.requester,
        "amount_minor": None if amount is None else amount.minor,
        "currency": None if amount is None else amount.currency,
        "parameters": dict(draft.parameters),
        "postings": [previewed(each) for each in draft.postings],
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
