"""Opens closed days again: one person asks, a second one approves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Final

from django.db import transaction

from ledger.periods import closed_through, lock_periods, reopen_days
from payments.exceptions import PaymentRefused
from payments.models import Act, Approval, ApprovalCommand
from payments.services.approvals.requests import (
    Applied,
    ApprovableCommand,
    Draft,
    request_approval,
)
from payments.services.audit.authors import Author, required_author
from payments.services.audit.trail import AuditSubject, record_act, refusals_recorded
from reconciliation.services.closing.books import CloseRefused, every_code


class NothingToReopen(PaymentRefused):
    """None of the days is closed any more."""


def request_reopening(after: date, *, author: Author, codes: Collection[str] = ()) -> Approval:
    """Ask a second person to open all days after this one again, of these PSP accounts or of all.

    Raises CloseRefused if none of them is closed, UnknownAuthor, and ValueError without a reason.
    """
    about = AuditSubject(label=f"books after {after}")
    with refusals_recorded(Act.BOOKS_REOPEN, author, about), transaction.atomic(durable=True):
        required_author(author)
        chosen = [code for code in sorted(codes) or every_code() if _is_closed_after(code, after)]
        if not chosen:
            raise CloseRefused(f"no day after {after} is closed")
        lock_periods(chosen)
        draft = Draft(
            command=ApprovalCommand.REOPEN_PERIOD,
            subject=f"books after {after}",
            livemode=True,
            requester=author.name,
            reason=author.reason,
            parameters={"after": after.isoformat(), "psp_accounts": chosen},
        )
        return request_approval(draft)


def _is_closed_after(code: str, after: date) -> bool:
    last = closed_through(code)
    return last is not None and last > after


def _lock(approval: Approval) -> None:
    lock_periods(approval.frozen["parameters"]["psp_accounts"])


def _apply(approval: Approval, actor: str) -> Applied:
    asked = approval.frozen["parameters"]
    after = date.fromisoformat(asked["after"])
    opened = [
        code
        for code in asked["psp_accounts"]
        if reopen_days(code, after=after, approval_id=approval.id)
    ]
    if not opened:
        raise NothingToReopen(f"no day after {after} is closed any more")
    about = AuditSubject(label=f"books after {after}", approval_id=approval.id)
    author = Author(actor, approval.decision_reason, "approval")
    record_act(Act.BOOKS_REOPEN, author, about, {"psp_accounts": {"after": opened}})
    parts = ", ".join(code or "the bank" for code in opened)
    return Applied(f"days after {after} are open again: {parts}")


def _give_up(approval: Approval, actor: str) -> None:
    """Nothing was reserved."""


REOPEN: Final = ApprovableCommand(lock=_lock, apply=_apply, give_up=_give_up)
