"""Writes off the amount of a settlement line that stays unexplained, and closes its case.

One person asks; what a second one approves is posted, ends the line and closes the case, in one
transaction. Lock order: line, case, request.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger import settlement_rules as rules
from ledger.chart import PSP_SUSPENSE
from ledger.money import Money
from ledger.posting_rules import Parties, Posting
from ledger.selectors import changes_by_rule
from ledger.services import post
from payments import public_ids
from payments.exceptions import PaymentRefused
from payments.models import Act, Approval, ApprovalCommand, Case
from payments.services.approvals.requests import (
    Applied,
    ApprovableCommand,
    Draft,
    request_approval,
)
from payments.services.audit.authors import Author, required_author
from payments.services.audit.trail import AuditSubject, record_act, refusals_recorded
from payments.services.cases.opening import close_locked_case
from payments.states import CaseKind, CaseStatus
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_bookings import amount_in_suspense, source_of
from reconciliation.services.matching.sweep import locked_line, name_of
from reconciliation.states import LineStatus

_LINE_OF_SUBJECT: Final = re.compile(r"#(\d+) \(")


class NotToWriteOff(PaymentRefused):
    """The case is not, or not any more, about an amount in suspense."""


def request_write_off(case_id: UUID, *, author: Author) -> Approval:
    """Ask a second person to write off what the case of a settlement line has in suspense.

    Raises NotToWriteOff, UnknownAuthor, and ValueError without a reason.
    """
    about = _about(case_id)
    with refusals_recorded(Act.CASE_WRITE_OFF, author, about), transaction.atomic(durable=True):
        required_author(author)
        line, case = _locked(case_id)
        amount = _amount_of(line, case)
        draft = Draft(
            command=ApprovalCommand.WRITE_OFF,
            subject=case.public_id,
            livemode=case.livemode,
            requester=author.name,
            reason=author.reason,
            parameters={"line": line.pk, "net_minor": amount.minor},
            postings=[_posting(line, amount)],
            amount=Money(abs(amount.minor), amount.currency),
            psp_account=line.psp_account,
            intent_id=case.intent_id,
        )
        return request_approval(draft)


def cases_in_suspense() -> list[tuple[Case, Money]]:
    """The open cases of settlement lines in suspense, oldest first, each with its amount."""
    cases = Case.objects.filter(status=CaseStatus.OPEN, kind=CaseKind.CONTRADICTION.value)
    found = []
    for case in cases.order_by("id"):
        line = _line_of(case)
        amount = None if line is None else amount_in_suspense(line)
        if line is not None and line.status == LineStatus.DEAD and amount:
            found.append((case, amount))
    return found


def _line_of(case: Case) -> SettlementLine | None:
    named = _LINE_OF_SUBJECT.search(case.subject)
    if named is None:
        return None
    rows = SettlementLine.objects.select_related("report", "psp_account")
    line = rows.filter(pk=int(named[1])).first()
    return line if line is not None and name_of(line) == case.subject else None


def _lock(approval: Approval) -> None:
    _locked(_case_id_of(approval))


def _apply(approval: Approval, actor: str) -> Applied:
    line, case = _locked(_case_id_of(approval))
    amount = _amount_of(line, case)
    if amount.minor != approval.frozen["parameters"]["net_minor"]:
        raise NotToWriteOff(f"{name_of(line)} has {amount} in suspense now: ask anew")
    post(
        [_posting(line, amount)],
        source_type=rules.CASE_SOURCE,
        source_id=case.id,
        payment_id=None,
        merchant_id=None,
        psp_account=line.psp_account.code,
    )
    line.write_off()
    line.discrepancy = ""
    line.save(update_fields=["status", "discrepancy"])
    _require_nothing_left(line, case)
    said = f"{amount} written off under {approval.public_id}: {approval.request_reason}"
    close_locked_case(case, actor=actor, resolution=said)
    author = Author(actor, approval.decision_reason, "approval")
    changes = {"line": {"before": "dead", "after": "written_off"}, "net": {"after": str(amount)}}
    record_act(Act.CASE_WRITE_OFF, author, _about(case.id, approval.id), changes)
    return Applied(f"{case.public_id} is closed: {amount} written off")


def _give_up(approval: Approval, actor: str) -> None:
    """Nothing was reserved: the case stays open."""


WRITE_OFF: Final = ApprovableCommand(lock=_lock, apply=_apply, give_up=_give_up)


def _case_id_of(approval: Approval) -> UUID:
    identifier = public_ids.decode(public_ids.CASE, approval.subject)
    assert identifier is not None, "a request names its case"
    return identifier


def _locked(case_id: UUID) -> tuple[SettlementLine, Case]:
    found = Case.objects.filter(pk=case_id).first()
    if found is None:
        raise NotToWriteOff("There is no such case.")
    known = _line_of(found)
    if known is None:
        raise NotToWriteOff(f"{found.public_id} is not about a settlement line.")
    line = locked_line(known.pk)
    return line, Case.objects.select_for_update().get(pk=case_id)


def _amount_of(line: SettlementLine, case: Case) -> Money:
    amount = amount_in_suspense(line)
    if case.status != CaseStatus.OPEN:
        raise NotToWriteOff(f"{case.public_id} was closed by {case.closed_by} already.")
    if line.status != LineStatus.DEAD or not amount:
        raise NotToWriteOff(f"{name_of(line)} is {line.status}, with nothing in suspense.")
    return amount


def _posting(line: SettlementLine, amount: Money) -> Posting:
    rule = rules.suspense_kept if amount.minor > 0 else rules.suspense_written_off
    parties = Parties(psp_account=line.psp_account.code, merchant="")
    return rule(parties, Money(abs(amount.minor), amount.currency))


def _require_nothing_left(line: SettlementLine, case: Case) -> None:
    """Verify the posting: of the line, and of its case, nothing is in suspense any more."""
    sources = ((rules.SOURCE, source_of(line.pk)), (rules.CASE_SOURCE, case.id))
    left_minor = sum(
        booked.change.minor
        for source_type, source_id in sources
        for booked in changes_by_rule(
            code=PSP_SUSPENSE.code, source_type=source_type, source_id=source_id
        ).values()
    )
    if left_minor:
        raise NotToWriteOff(f"{left_minor} minor units of {name_of(line)} stay in suspense")


def _about(case_id: UUID, approval_id: UUID | None = None) -> AuditSubject:
    case = Case.objects.filter(pk=case_id).first()
    label = public_ids.encode(public_ids.CASE, case_id)
    if case is None:
        return AuditSubject(label=label)
    return AuditSubject(
        label=f"{label} {case.kind}",
        object_id=case.pk,
        psp_account_id=case.psp_account_id,
        intent_id=case.intent_id,
        livemode=case.livemode,
        approval_id=approval_id,
    )
