"""Writes the audit trail: an act in the transaction of its change, a refusal after it.

What is done twice is recorded twice. No entry is ever changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from ledger.database.row_ids import new_row_id
from ledger.exceptions import LedgerError
from payments.clock import now_utc
from payments.exceptions import PaymentRefused
from payments.models.audit import Act, ActResult, AuditEntry, ServiceKey
from payments.services.audit.authors import (
    SERVICE,
    STAFF,
    Author,
    UnknownAuthor,
    active_staff,
)
from psp_adapters.contract.stored_text import clean_text

_REFUSALS: Final = (PaymentRefused, LedgerError, ValueError, ValidationError, PermissionDenied)
_TEXT_MAX: Final = 1000
_LABEL_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSubject:
    """The object of an act, as a reader knows it, and what it belongs to."""

    label: str
    """Its public id, code or name."""
    object_id: UUID | None = None
    merchant_id: UUID | None = None
    psp_account_id: UUID | None = None
    intent_id: UUID | None = None
    approval_id: UUID | None = None
    livemode: bool | None = None


def record_act(
    act: Act, author: Author, subject: AuditSubject, changes: Mapping[str, Any] | None = None
) -> AuditEntry:
    """Record what was done, in the caller's transaction, so that both are written or neither.

    Raises UnknownAuthor, which undoes the act, if there is no such active staff user or service.
    """
    entry = _entry_of_author(act, author, subject)
    entry.changes = dict(changes or {})
    _save(entry)
    return entry


@contextmanager
def refusals_recorded(act: Act, author: Author, subject: AuditSubject) -> Iterator[None]:
    """Record an act that its body refuses, once its transaction is rolled back.

    The error goes on to the caller.
    """
    try:
        yield
    except _REFUSALS as refusal:
        entry = _entry(act, author, subject)
        entry.result = ActResult.REFUSED.value
        entry.refusal = clean_text(_in_words(refusal), most=_TEXT_MAX) or type(refusal).__name__
        _save(entry)
        raise


@contextmanager
def recorded(act: Act, author: Author, subject: AuditSubject) -> Iterator[dict[str, Any]]:
    """Record an act that commits in steps: when it is done, or as refused.

    Yields the changes, which the body may fill. Not for a money move or a right: these are recorded
    in their own transaction.
    """
    with refusals_recorded(act, author, subject):
        # The author is known before: an act that is done is recorded, whatever becomes of a login.
        entry = _entry_of_author(act, author, subject)
        yield entry.changes
    entry.created_at = now_utc()
    _save(entry)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """By name, the value before and after, if they differ; a missing side is left out."""
    sides = (("before", before), ("after", after))
    return {
        name: {side: values[name] for side, values in sides if name in values}
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def _entry_of_author(act: Act, author: Author, subject: AuditSubject) -> AuditEntry:
    """An unsaved entry of what is done; raises UnknownAuthor."""
    entry = _entry(act, author, subject)
    entry.result = ActResult.DONE.value
    if author.name.startswith(STAFF):
        entry.staff = active_staff(author)
    elif author.name.startswith(SERVICE):
        entry.service = _service_named(author)
    return entry


def _entry(act: Act, author: Author, subject: AuditSubject) -> AuditEntry:
    return AuditEntry(
        act=act.value,
        actor=clean_text(author.name, most=_LABEL_MAX),
        source=clean_text(author.source, most=_LABEL_MAX),
        request_id=author.request_id,
        reason=clean_text(author.reason, most=_TEXT_MAX),
        subject=clean_text(subject.label, most=_LABEL_MAX) or "-",
        object_id=subject.object_id,
        merchant_id=subject.merchant_id,
        psp_account_id=subject.psp_account_id,
        intent_id=subject.intent_id,
        approval_id=subject.approval_id,
        livemode=subject.livemode,
        created_at=now_utc(),
    )


def _save(entry: AuditEntry) -> None:
    """Under an id that is announced, as the hash chain needs it."""
    with transaction.atomic():
        entry.id = new_row_id()
        entry.save(force_insert=True)


def _service_named(author: Author) -> ServiceKey:
    name = author.name.removeprefix(SERVICE)
    found = ServiceKey.objects.filter(name=name, revoked_at__isnull=True).first()
    if found is None:
        raise UnknownAuthor(f"there is no service {name}: manage.py service_key list shows all")
    return found


def _in_words(refusal: BaseException) -> str:
    if isinstance(refusal, ValidationError):
        return "; ".join(refusal.messages)
    return str(refusal)
