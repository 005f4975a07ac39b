"""Closes cases with the resolution of a staff user or a service."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from payments import public_ids
from payments.exceptions import ResourceMissing, UnexpectedState
from payments.models import Act, Case
from payments.services.audit.authors import Author, required_author, with_reason
from payments.services.audit.trail import AuditSubject, record_act, refusals_recorded
from payments.services.cases.opening import close_locked_case
from payments.states import CaseStatus


def close_case(case_id: UUID, *, author: Author, resolution: str) -> None:
    """Close a case with the resolution of a staff user or a service; moves no money.

    The act is recorded in the audit trail, a refused one too. Raises ResourceMissing,
    UnexpectedState if it is closed, and ValueError for an empty resolution or an unknown author.
    """
    author = with_reason(author, resolution.strip())
    public_id = public_ids.encode(public_ids.CASE, case_id)
    found = Case.objects.filter(pk=case_id).first()
    about = AuditSubject(label=public_id) if found is None else _about(found)
    with refusals_recorded(Act.CASE_CLOSE, author, about), transaction.atomic(durable=True):
        required_author(author)
        if not author.reason:
            raise ValueError("say how the case was resolved")
        case = Case.objects.select_for_update().filter(pk=case_id).first()
        if case is None:
            raise ResourceMissing(f"No such case: '{public_id}'")
        if case.status != CaseStatus.OPEN:
            raise UnexpectedState(f"{case.public_id} was closed by {case.closed_by} already.")
        close_locked_case(case, actor=author.name, resolution=author.reason)
        record_act(Act.CASE_CLOSE, author, about, {"status": {"before": "open", "after": "closed"}})


def _about(case: Case) -> AuditSubject:
    return AuditSubject(
        label=f"{case.public_id} {case.kind}",
        object_id=case.pk,
        merchant_id=case.merchant_id,
        psp_account_id=case.psp_account_id,
        intent_id=case.intent_id,
        livemode=case.livemode,
    )
