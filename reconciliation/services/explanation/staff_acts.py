"""What operators did about one payment: who, what, when, and the reason that they gave. Reads only.

What staff began as an operation or a dispute response is in the timeline of these, with its actor.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Final
from uuid import UUID

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q

from payments.models import (
    AuditEntry,
    Case,
    Dispute,
    DisputeResponse,
    Operation,
    PaymentIntent,
    Refund,
)
from reconciliation.models import SettlementLine
from reconciliation.services.explanation.timeline import ROWS_MOST, TimelineEntry

_STAFF: Final = "staff:"
_JOB: Final = "job:"
"""How an actor begins that is the platform itself."""
_VERBS: Final = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}
_NO_REASON: Final = "no reason given"


def staff_acts_of(intent: PaymentIntent, lines: list[SettlementLine]) -> list[TimelineEntry]:
    """What the audit trail has of the payment, reports with a line of it, and the console's log."""
    return [*_acts(intent), *_imports(lines), *_logged(intent)]


def _acts(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    for entry in AuditEntry.objects.filter(intent_id=intent.pk).order_by("id")[:ROWS_MOST]:
        refused = f", refused: {entry.refusal}" if entry.refusal else ""
        text = f"{entry.actor} {entry.act} {entry.subject}{refused}: {entry.reason or _NO_REASON}"
        yield TimelineEntry(at=entry.created_at, source="staff", text=text)


def _imports(lines: list[SettlementLine]) -> Iterator[TimelineEntry]:
    """Reports with a line of the payment that an operator brought."""
    for report in {line.report_id: line.report for line in lines}.values():
        if not report.imported_by.startswith(_JOB):
            text = f"{report.imported_by} imported the settlement report {report.name}"
            yield TimelineEntry(at=report.received_at, source="staff", text=text)


def _logged(intent: PaymentIntent) -> Iterator[TimelineEntry]:
    """What the console's own log has of the payment and of what belongs to it."""
    ids = _ids_of(intent)
    types = ContentType.objects.get_for_models(*ids)
    named = [
        Q(content_type=types[model], object_id__in=[str(each) for each in keys])
        for model, keys in ids.items()
        if keys
    ]
    rows = LogEntry.objects.filter(reduce(or_, named)).select_related("user")
    for row in rows.order_by("id")[:ROWS_MOST]:
        what = f"{_VERBS.get(row.action_flag, 'did something to')} {row.object_repr}"
        why = row.get_change_message() or _NO_REASON
        text = f"{_STAFF}{row.user.get_username()} {what} in the console: {why}"
        yield TimelineEntry(at=row.action_time, source="staff", text=text)


def _ids_of(intent: PaymentIntent) -> dict[type[Model], list[UUID]]:
    def keys(model: type[Model], **choice: object) -> list[UUID]:
        return list(model._default_manager.filter(**choice).values_list("pk", flat=True))

    return {
        PaymentIntent: [intent.pk],
        Operation: keys(Operation, intent=intent),
        Refund: keys(Refund, intent=intent),
        Dispute: keys(Dispute, intent=intent),
        DisputeResponse: keys(DisputeResponse, dispute__intent=intent),
        Case: keys(Case, intent_id=intent.pk),
    }
