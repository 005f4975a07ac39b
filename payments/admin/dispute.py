"""Disputes: amount, deadline for evidence, and responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
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
        return "past due"
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
        ("merchant", RelatedDropdownFilter),
        ("created_at", CreatedFilter),
        "livemode",
    )
    search_help_text = "dp_… pi_… ch_…, order, id at the PSP"
    id_paths = {
        public_ids.DISPUTE: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.CHARGE: "charge_id",
        public_ids.DISPUTE_RESPONSE: "responses__pk",
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "shown_status"),
                    ("shown_amount", "merchant"),
                    ("reason", "network_reason_code"),
                    ("left", "evidence_due_by"),
                    ("payment", "shown_charge"),
                    ("psp_account", "psp_dispute_id"),
                    ("opened_at", "closed_at"),
                )
            },
        ),
        (
            "Money",
            {
                "fields": (
                    ("loss_policy", "is_charge_refundable"),
                    ("fee", "fee_returned"),
                    ("held", "released"),
                    ("funds_withdrawn_at", "funds_reinstated_at"),
                )
            },
        ),
        (
            "Evidence",
            {
                "fields": (
                    ("submission_count", "submitted_at"),
                    "shown_evidence",
                    "shown_metadata",
                    ("next_reminder_at", "next_sync_at"),
                )
            },
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(psp_dispute_id=term)
        yield Q(intent_id__in=intents_of_key(term))
        yield Q(intent__order_id=term) & ~Q(intent__order_id="")

    @shown(description="status", label=_STATUS_LABELS)
    def shown_status(self, dispute: Dispute) -> str:
        return display.in_words(dispute.status)

    @shown(description="time left", label=_TIME_LABELS)
    def left(self, dispute: Dispute) -> str:
        return time_left(dispute)

    @shown(description="amount")
    def shown_amount(self, dispute: Dispute) -> SafeString:
        return display.in_one_line(str(dispute.amount))

    @shown(description="payment")
    def payment(self, dispute: Dispute) -> SafeString | str:
        return display.link(public_ids.PAYMENT_INTENT, dispute.intent_id)

    @shown(description="charge")
    def shown_charge(self, dispute: Dispute) -> SafeString | str:
        return display.link(public_ids.CHARGE, dispute.charge_id)

    @shown(description="PSP fee")
    def fee(self, dispute: Dispute) -> SafeString | str:
        return display.money(dispute.fee_minor, dispute.currency)

    @shown(description="PSP fee returned")
    def fee_returned(self, dispute: Dispute) -> SafeString | str:
        return display.money(dispute.fee_returned_minor, dispute.currency)

    @shown(description="withdrawn by")
    def held(self, dispute: Dispute) -> SafeString | str:
        return display.link(public_ids.BALANCE_TRANSACTION, dispute.held_id)

    @shown(description="reinstated by")
    def released(self, dispute: Dispute) -> SafeString | str:
        return display.link(public_ids.BALANCE_TRANSACTION, dispute.released_id)

    @shown(description="evidence (staged or submitted)")
    def shown_evidence(self, dispute: Dispute) -> SafeString | str:
        return display.shown_json(dispute.evidence)

    @shown(description="metadata")
    def shown_metadata(self, dispute: Dispute) -> SafeString | str:
        return display.shown_json(dispute.metadata)


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
        (
            None,
            {
                "fields": (
                    ("public_id", "shown_status"),
                    ("kind", "stage"),
                    ("shown_dispute", "merchant"),
                    ("shown_actor", "request_id"),
                    ("created_at", "closed_at"),
                )
            },
        ),
        (
            "Request and result",
            {
                "fields": (
                    "shown_evidence",
                    ("code", "message"),
                    "detail",
                    ("checks", "next_check_at"),
                )
            },
        ),
    )

    @shown(description="status", label=display.STATUS_LABELS)
    def shown_status(self, response: DisputeResponse) -> str:
        return display.in_words(response.status)

    @shown(description="dispute")
    def shown_dispute(self, response: DisputeResponse) -> SafeString | str:
        return display.link(public_ids.DISPUTE, response.dispute_id)

    @shown(description="evidence")
    def shown_evidence(self, response: DisputeResponse) -> SafeString | str:
        return display.shown_json(response.evidence)

    @shown(description="actor")
    def shown_actor(self, response: DisputeResponse) -> SafeString | str:
        return display.actor(response.actor)
