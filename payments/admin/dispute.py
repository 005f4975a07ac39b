"""Disputes: amount, deadline for evidence, and responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import OF_MERCHANT, CreatedFilter, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId, intents_of_key
from payments.models import Dispute, DisputeResponse
from payments.states import DisputeStatus, ResponseStatus

_STATUS_LABELS = {
    "warning needs response": "warning",
    "warning under review": "info",
    "warning closed": "default",
    "needs response": "danger",
    "under review": "info",
    "won": "success",
    "lost": "danger",
    "prevented": "success",
}
_HURRY_HOURS = 72
_TIME_LABELS = {
    "over": "default",
    "answered": "info",
    "past due": "danger",
    **{f"{hours} hours": "danger" if hours < 24 else "warning" for hours in range(_HURRY_HOURS)},
}


def time_left(dispute: Dispute) -> str:
    """Days or hours until evidence is due; none if it was submitted or the dispute is closed."""
    if not dispute.is_open:
        return "over"
    if dispute.slot_is_spent:
        return "answered"
    if dispute.evidence_due_by is None:
        return "no deadline"
    hours = (dispute.evidence_due_by - timezone.now()).total_seconds() / 3600
    if hours <= 0:
        return "past due"
    return f"{int(hours)} hours" if hours < _HURRY_HOURS else f"{int(hours // 24)} days"


@admin.register(Dispute)
class DisputeAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Read-only; merchants respond through the API."""

    labels: ClassVar[dict[str, str]] = {
        "is_charge_refundable": "charge can be refunded",
        "next_sync_at": "next look-up",
        "next_reminder_at": "next reminder",
    }

    list_display = (
        "public_id",
        "shown_status",
        "left",
        "shown_amount",
        "reason",
        "payment",
        "merchant",
        "created",
    )
    list_select_related = ("merchant",)
    list_filter = (
        one_of("status", DisputeStatus),
        CurrencyFilter,
        *OF_MERCHANT,
    )
    search_help_text = "dp_… pi_… ch_…, order, id at the PSP"
    id_paths = {
        public_ids.DISPUTE: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.CHARGE: "charge_id",
        public_ids.DISPUTE_RESPONSE: "responses__pk",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("shown_amount", "merchant"),
            ("reason", "network_reason_code"),
            ("left", "evidence_due_by"),
            ("payment", "shown_charge"),
            ("psp_account", "psp_dispute_id"),
            ("opened_at", "closed_at"),
        ),
        group(
            "Money",
            ("loss_policy", "is_charge_refundable"),
            ("fee", "fee_returned"),
            ("held", "released"),
            ("funds_withdrawn_at", "funds_reinstated_at"),
        ),
        group(
            "Evidence",
            ("submission_count", "submitted_at"),
            "shown_evidence",
            "shown_metadata",
            ("next_reminder_at", "next_sync_at"),
        ),
    )

    shown_status = status(_STATUS_LABELS)
    shown_amount = column("amount", "amount", display.amount)
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    shown_charge = linked("charge", public_ids.CHARGE, "charge_id")
    fee = minor_amount("PSP fee", "fee_minor", zero=True)
    fee_returned = minor_amount("PSP fee returned", "fee_returned_minor", zero=True)
    held = linked("withdrawn by", public_ids.BALANCE_TRANSACTION, "held_id")
    released = linked("reinstated by", public_ids.BALANCE_TRANSACTION, "released_id")
    shown_evidence = column("evidence (staged or submitted)", "evidence", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(psp_dispute_id=term)
        yield Q(intent_id__in=intents_of_key(term))
        yield Q(intent__order_id=term) & ~Q(intent__order_id="")

    @shown(description="time left", label=_TIME_LABELS)
    def left(self, dispute: Dispute) -> str:
        return time_left(dispute)


@admin.register(DisputeResponse)
class DisputeResponseAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Responses as sent, and the PSP's results."""

    labels: ClassVar[dict[str, str]] = {
        "checks": "look-ups made",
        "next_check_at": "next look-up",
    }

    list_display = (
        "public_id",
        "kind",
        "stage",
        "shown_status",
        "shown_dispute",
        "shown_actor",
        "created",
    )
    list_filter = (one_of("status", ResponseStatus), ("created_at", CreatedFilter))
    search_help_text = "dr_… dp_…"
    id_paths = {public_ids.DISPUTE_RESPONSE: "pk", public_ids.DISPUTE: "dispute_id"}
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("kind", "stage"),
            ("shown_dispute", "merchant"),
            ("shown_actor", "request_id"),
            ("created_at", "closed_at"),
        ),
        group(
            "Request and result",
            "shown_evidence",
            ("code", "message"),
            "detail",
            ("checks", "next_check_at"),
        ),
    )

    shown_status = status(display.STATUS_LABELS)
    shown_dispute = linked("dispute", public_ids.DISPUTE, "dispute_id")
    shown_evidence = column("evidence", "evidence", display.shown_json)
    shown_actor = column("actor", "actor", display.actor)
