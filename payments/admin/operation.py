"""Operations: every instruction to a PSP; a charging operation is a charge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import OF_MERCHANT, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId, intents_of_key
from payments.models import Operation
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind


@admin.register(Operation)
class OperationAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Requests to a PSP and their results. The PSP's token is masked."""

    labels: ClassVar[dict[str, str]] = {
        "psp_key": "idempotency key at the PSP",
        "capture_now": "capture at once",
        "final": "final capture",
        "ends_challenge": "makes room for another charge",
        "challenge_allowed": "may ask the customer",
        "three_d_secure": "asks for 3-D Secure",
        "save_for": "keeps the method for",
        "off_session": "without the customer",
        "status_before": "status of the payment before",
        "guard_order": "order held by the order guard",
        "guards_order": "is to hold its order",
        "lease_until": "leased until",
        "next_check_at": "next look-up",
        "checks": "look-ups made",
        "resent_at": "last repeated at",
        "fenced_at": "last canceled at the PSP at",
        "requested_at": "first requested at",
        "revisions": "late outcomes",
        "reversal_due_at": "reversal due at",
    }

    list_display = (
        "public_id",
        "kind",
        "payment",
        "shown_amount",
        "shown_status",
        "reason",
        "created",
        "id_at_psp",
    )
    leading_filters = ("status=UNKNOWN",)
    list_filter = (
        one_of("kind", OperationKind),
        one_of("status", OperationStatus),
        CurrencyFilter,
        *OF_MERCHANT,
    )
    search_help_text = "ch_… op_… pi_… re_…, order, key or id at the PSP"
    id_paths = {
        public_ids.CHARGE: "pk",
        public_ids.OPERATION: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.REFUND: "refund__pk",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("kind", "shown_amount"),
            ("merchant", "intent"),
            ("created_at", "closed_at"),
        ),
        group(
            "At the PSP",
            ("psp_account", "psp_key"),
            ("psp_id", "psp_payment_id"),
            ("shown_token", "shown_method"),
            ("capture_now", "final", "ends_challenge"),
            ("challenge_allowed", "three_d_secure", "shown_return_url"),
            "challenge",
            ("save_for", "off_session"),
            ("network_transaction_id", "network_charge_id"),
            "mandate",
        ),
        group("Result", ("code", "decline_code"), "message", "detail"),
        group(
            "Context",
            ("order_id", "guard_order", "guards_order"),
            ("payment_method_link", "dispute"),
            ("balance_transaction", "failure_balance_transaction"),
            ("status_before", "cancellation_reason"),
            ("shown_actor", "request_id"),
            ("lease_until", "next_check_at"),
            ("resent_at", "fenced_at"),
            ("checks", "mode"),
            ("replaced_operation", "requested_at"),
            ("revisions", "reversal_due_at"),
            ("excess", "excess_returned"),
            "platform_fee",
        ),
    )

    shown_actor = column("actor", "actor", display.actor)
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    shown_amount = column("amount", "amount", display.amount)
    shown_status = status(display.STATUS_LABELS)
    shown_token = column("token", "token", display.masked)
    shown_return_url = column("return URL", "return_url", display.address_without_query)
    challenge = column("redirect URL", "redirect_url", display.address_without_query)
    excess = minor_amount("excess amount", "excess_minor")
    platform_fee = minor_amount("platform fee", "platform_fee_minor")
    excess_returned = minor_amount("excess returned", "excess_returned_minor")
    replaced_operation = linked("sent in place of", public_ids.OPERATION, "replaces_id")
    payment_method_link = linked("payment method", public_ids.PAYMENT_METHOD, "payment_method_id")
    balance_transaction = linked(
        "balance transaction", public_ids.BALANCE_TRANSACTION, "balance_transaction_id"
    )
    mandate = linked("mandate", public_ids.MANDATE, "mandate_id")
    dispute = linked("latest dispute", public_ids.DISPUTE, "latest_dispute_id")

    def texts(self, term: str) -> Iterable[Q]:
        # `<> ''` lets PostgreSQL use the partial indexes.
        yield Q(psp_id=term) & ~Q(psp_id="")
        yield Q(psp_key=term)
        yield Q(intent_id__in=intents_of_key(term))
        yield Q(intent__order_id=term) & ~Q(intent__order_id="")

    @shown(description="id at the PSP")
    def id_at_psp(self, operation: Operation) -> str:
        return operation.psp_id or display.NOTHING

    @shown(description="reason")
    def reason(self, operation: Operation) -> str:
        return operation.decline_code or operation.code or display.NOTHING

    @shown(description="paid with")
    def shown_method(self, operation: Operation) -> str:
        snapshot = operation.payment_method_details or {}
        method_type = snapshot.get("type", "")
        details = snapshot.get(method_type) or {}
        name = display.in_words(details.get("brand") or method_type)
        last4 = details.get("last4")
        return f"{name} {display.MASK} {last4}" if last4 else name or display.NOTHING

    @shown(description="failure balance transaction")
    def failure_balance_transaction(self, operation: Operation) -> SafeString | str:
        return display.link(
            public_ids.BALANCE_TRANSACTION, operation.failure_balance_transaction_id
        )
