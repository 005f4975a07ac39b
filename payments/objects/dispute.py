"""The dispute as the merchant sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from payments import public_ids
from payments.models import Dispute, LossPolicy
from payments.objects.balance import BALANCE_TRANSACTION, balance_transaction_object
from payments.objects.fields import (
    EXAMPLE_SECOND,
    ObjectType,
    always,
    always_null,
    created,
    currency,
    example_id,
    flag,
    id_of,
    integer,
    list_of,
    livemode,
    metadata,
    minor,
    named,
    one_of,
    own_id,
    record,
    ref,
    second,
    text,
)
from payments.objects.parts import public_id, unix_seconds_of
from payments.selectors.balance import BalanceTransaction
from psp_adapters.contract.disputes import DisputeStatus

EVIDENCE_TEXTS: Final[dict[str, str]] = {
    "access_activity_log": "Log of the customer's access to a digital product.",
    "billing_address": "The billing address that the customer gave.",
    "cancellation_policy_disclosure": "How the customer was shown the cancellation policy.",
    "cancellation_rebuttal": "Why the customer's subscription was not canceled.",
    "customer_email_address": "The customer's email address.",
    "customer_name": "The customer's name.",
    "customer_purchase_ip": "The IP address from which the customer bought.",
    "duplicate_charge_explanation": "Why the two charges are for different purchases.",
    "duplicate_charge_id": "The id of the charge that is said to be the same.",
    "product_description": "What was sold.",
    "refund_policy_disclosure": "How the customer was shown the refund policy.",
    "refund_refusal_explanation": "Why the customer is not entitled to a refund.",
    "service_date": "When the service was given, in any readable form.",
    "shipping_address": "Where the goods were sent.",
    "shipping_carrier": "Who delivered the goods; several separated by commas.",
    "shipping_date": "When the goods were sent, in any readable form.",
    "shipping_tracking_number": "The carrier's number of the parcel.",
    "uncategorized_text": "Anything else that speaks for you.",
}
"""Fields of evidence, and what to write into them."""
_SAMPLES: Final = {
    "access_activity_log": "2026-11-24 18:02 first chapter read",
    "billing_address": "Lindenstr. 12, 10969 Berlin",
    "cancellation_policy_disclosure": "Shown above the button at checkout",
    "cancellation_rebuttal": "The subscription was used until 2026-11-20",
    "customer_email_address": "ada@example.com",
    "customer_name": "Ada Lovelace",
    "customer_purchase_ip": "203.0.113.7",
    "duplicate_charge_explanation": "Two orders: 6735 and 6736",
    "duplicate_charge_id": example_id(public_ids.CHARGE),
    "product_description": "Two books",
    "refund_policy_disclosure": "Shown above the button at checkout",
    "refund_refusal_explanation": "The books were not sent back",
    "service_date": "November 24, 2026",
    "shipping_address": "Lindenstr. 12, 10969 Berlin",
    "shipping_carrier": "DHL",
    "shipping_date": "November 24, 2026",
    "shipping_tracking_number": "00340434161094000000",
    "uncategorized_text": "The customer wrote that the books arrived",
}
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

_TEXTS: Final = {
    name: text(meaning, sample=_SAMPLES[name], nullable=True)
    for name, meaning in EVIDENCE_TEXTS.items()
}
_FILES: Final = always_null(*EVIDENCE_FILES, meaning="Always null: files cannot be uploaded.")
_DETAILS: Final = {
    "due_by": second(
        "Until when evidence can be submitted; null once none can be.",
        EXAMPLE_SECOND + 9 * 86_400,
        nullable=True,
    ),
    "enhanced_eligibility": always("Networks' own programs are not supported.", {}),
    "has_evidence": flag("Whether evidence is staged or was submitted."),
    "past_due": flag("Whether the time for evidence is over."),
    "submission_count": integer("How often evidence was submitted: once at each stage.", 0),
    "submission_method": one_of("How it was submitted.", "not_submitted", "manual"),
}

_WITHDRAWN: Final = BALANCE_TRANSACTION.example(
    amount=-1250,
    fee=1500,
    fee_details=[
        {
            "amount": 1500,
            "application": None,
            "currency": "eur",
            "description": "Dispute fee",
            "type": "stripe_fee",
        }
    ],
    net=-2750,
    reporting_category="dispute",
    source=example_id(public_ids.DISPUTE),
    type="adjustment",
)

DISPUTE: Final = ObjectType(
    "dispute",
    "A customer's bank asks about a charge (`warning_…`), or takes its money back.",
    {
        "id": own_id(public_ids.DISPUTE),
        "object": named("dispute"),
        "amount": minor("What is disputed.", 1250),
        "balance_transactions": list_of(
            "What it took from the balance and gave back; two at most.",
            ref("balance_transaction"),
            [_WITHDRAWN],
        ),
        "charge": id_of("charge", "The charge that is disputed.", public_ids.CHARGE),
        "created": created("the dispute"),
        "currency": currency(),
        "enhanced_eligibility_types": always("Networks' own programs are not supported.", []),
        "evidence": record(
            "Staged evidence. It reaches the bank when it is submitted, once.",
            {
                **_TEXTS,
                **_FILES,
                "enhanced_evidence": always("Networks' own programs are not supported.", {}),
            },
        ),
        "evidence_details": record("How far the answer to the bank is.", _DETAILS),
        "is_charge_refundable": flag("Whether a refund could still end it (an inquiry)."),
        "livemode": livemode(),
        "metadata": metadata(),
        "network_reason_code": text("The card network's reason.", "10.4", nullable=True),
        "payment_intent": id_of(
            "payment_intent", "The payment that is disputed.", public_ids.PAYMENT_INTENT
        ),
        "reason": text("Why, such as `fraudulent` or `product_not_received`.", "fraudulent"),
        "status": one_of(
            "Where it stands; `won`, `lost`, `warning_closed` and `prevented` are final.",
            *(str(status) for status in DisputeStatus),
            example="needs_response",
        ),
        **always_null("intended_submission_method"),
    },
)


def dispute_object(dispute: Dispute, *, now: datetime | None = None) -> dict[str, Any]:
    """A dispute, nothing expanded. `due_by` is null once no evidence can be submitted."""
    return {
        "id": public_id(public_ids.DISPUTE, dispute.id),
        **DISPUTE.constants,
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
