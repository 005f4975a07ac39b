"""The dispute as the merchant sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from payments import public_ids
from payments.models import Dispute, LossPolicy
from payments.objects.balance import balance_transaction_object
from payments.objects.parts import public_id, unix_seconds_of
from payments.selectors.balance import BalanceTransaction

EVIDENCE_TEXTS: Final = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
)
EVIDENCE_FILES: Final = (
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)
"""Fields that take an uploaded file at Stripe; there are no files here."""


def dispute_object(dispute: Dispute, *, now: datetime | None = None) -> dict[str, Any]:
    """A dispute, nothing expanded. `due_by` is null once no evidence can be submitted."""
    return {
        "id": public_id(public_ids.DISPUTE, dispute.id),
        "object": "dispute",
        "amount": dispute.amount_minor,
        "balance_transactions": [
            balance_transaction_object(row) for row in dispute_balance_transactions(dispute)
        ],
        "charge": public_id(public_ids.CHARGE, dispute.charge_id),
        "created": unix_seconds_of(dispute.id),
        "currency": dispute.currency.lower(),
        "enhanced_eligibility_types": [],
        "evidence": _evidence(dispute),
        "evidence_details": _evidence_details(dispute, now),
        "intended_submission_method": None,
        "is_charge_refundable": dispute.is_charge_refundable,
        "livemode": dispute.livemode,
        "metadata": dispute.metadata,
        "network_reason_code": dispute.network_reason_code or None,
        "payment_intent": public_id(public_ids.PAYMENT_INTENT, dispute.intent_id),
        "reason": dispute.reason,
        "status": dispute.status,
    }


def dispute_balance_transactions(dispute: Dispute) -> list[BalanceTransaction]:
    """What the dispute took from the merchant's balance and gave back, as the ledger shows it."""
    merchant_bears = dispute.loss_policy == LossPolicy.MERCHANT
    fee_minor = dispute.fee_minor if merchant_bears else 0
    returned_minor = dispute.fee_returned_minor if merchant_bears else 0
    rows = (
        (dispute.held_id, -dispute.amount_minor, fee_minor, "dispute"),
        (dispute.released_id, dispute.amount_minor, -returned_minor, "dispute_reversal"),
    )
    return [
        BalanceTransaction(
            id=identifier,
            type="adjustment",
            gross_minor=gross_minor,
            fee_minor=fee,
            currency=dispute.currency,
            source=dispute.public_id,
            reporting_category=category,
            available_on=datetime.fromtimestamp(unix_seconds_of(identifier), UTC).date(),
            available=True,
        )
        for identifier, gross_minor, fee, category in rows
        if identifier is not None
    ]


def _evidence(dispute: Dispute) -> dict[str, Any]:
    texts = {name: dispute.evidence.get(name) for name in EVIDENCE_TEXTS}
    files = dict.fromkeys(EVIDENCE_FILES)
    return {**texts, **files, "enhanced_evidence": {}}


def _evidence_details(dispute: Dispute, now: datetime | None) -> dict[str, Any]:
    due_by, spent = dispute.evidence_due_by, dispute.slot_is_spent
    now = now or dispute.updated_at
    return {
        "due_by": int(due_by.timestamp()) if due_by is not None and not spent else None,
        "enhanced_eligibility": {},
        "has_evidence": bool(dispute.evidence) or dispute.submission_count > 0,
        "past_due": due_by is not None and not spent and due_by <= now,
        "submission_count": dispute.submission_count,
        "submission_method": "manual" if dispute.submission_count else "not_submitted",
    }
