"""Every type of event there is: its name, as merchants know it, and the object that it carries.

The names are Stripe's where Stripe has one; ours start with `x.`, so that they can never be taken
for one of Stripe's. Whatever writes events is held to this table, and webhook endpoints choose from
it. What may not live here: what causes an event, who is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EVERYTHING: Final = "*"
"""The pattern of an endpoint that subscribes to every type."""
ENDPOINT_DISABLED: Final = "x.webhook_endpoint.disabled"
"""We stopped sending to an endpoint: it failed for days, or answered 410."""
DELIVERY_FAILING: Final = "x.webhook_endpoint.delivery_failing"
"""A delivery to an endpoint failed for the fifth or tenth time; other endpoints are told."""
HOLD_EXPIRING: Final = "x.charge.expiring"
"""An authorization expires soon and was not captured; emitted once for each expiry."""

EVIDENCE_DUE_SOON: Final = "x.charge.dispute.evidence_due_soon"
"""The time for evidence is nearly over; emitted 72 and 24 hours before the end."""

_BY_OBJECT: Final[dict[str, str]] = {
    "payment_intent": (
        "payment_intent.amount_capturable_updated payment_intent.canceled payment_intent.created "
        "payment_intent.partially_funded payment_intent.payment_failed payment_intent.processing "
        "payment_intent.requires_action payment_intent.succeeded"
    ),
    "checkout.session": (
        "checkout.session.async_payment_failed checkout.session.async_payment_succeeded "
        "checkout.session.completed checkout.session.expired"
    ),
    "charge": (
        "charge.captured charge.expired charge.failed charge.pending charge.refunded "
        f"charge.succeeded charge.updated {HOLD_EXPIRING}"
    ),
    "webhook_endpoint": f"{DELIVERY_FAILING} {ENDPOINT_DISABLED}",
    "refund": "charge.refund.updated refund.created refund.failed refund.updated",
    "dispute": (
        "charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated "
        f"charge.dispute.funds_withdrawn charge.dispute.updated {EVIDENCE_DUE_SOON}"
    ),
    "customer": "customer.created customer.deleted customer.updated",
    "payment_method": (
        "payment_method.attached payment_method.automatically_updated payment_method.detached "
        "payment_method.updated"
    ),
    "setup_intent": (
        "setup_intent.canceled setup_intent.created setup_intent.requires_action "
        "setup_intent.setup_failed setup_intent.succeeded"
    ),
    "mandate": "mandate.updated",
    "balance": "balance.available",
    "payout": (
        "payout.canceled payout.created payout.failed payout.paid payout.reconciliation_completed "
        "payout.updated"
    ),
    "review": "review.closed review.opened",
    "radar.early_fraud_warning": (
        "radar.early_fraud_warning.created radar.early_fraud_warning.updated"
    ),
    "reporting.report_run": "reporting.report_run.failed reporting.report_run.succeeded",
}

_OF_THINGS_TO_COME: Final = (
    *("payout", "radar.early_fraud_warning", "reporting.report_run", "review"),
)

EVENT_TYPES: Final[dict[str, str]] = {
    name: shown for shown, names in sorted(_BY_OBJECT.items()) for name in names.split()
}
"""Type of event → type of its `data.object`."""

NOT_TOLD_YET: Final = frozenset(
    {
        *("payment_intent.partially_funded", "payment_method.automatically_updated"),
        *(name for name, shown in EVENT_TYPES.items() if shown in _OF_THINGS_TO_COME),
    }
)
"""Names reserved for what does not happen here yet."""

WITH_PREVIOUS_ATTRIBUTES: Final = frozenset(
    {
        "charge.captured",
        "charge.expired",
        "charge.refunded",
        "charge.updated",
        "charge.refund.updated",
        "refund.updated",
    }
)
"""Types that a PSP's result causes for an object shown before: with `previous_attributes`."""

_NEVER_HERE: Final[dict[str, str]] = {
    "account": "updated",
    "account.application": "authorized deauthorized",
    "account.external_account": "created deleted updated",
    "application_fee": "created refunded",
    "application_fee.refund": "updated",
    "apps.install": "created deleted updated",
    "balance_settings": "updated",
    "billing.alert": "triggered",
    "billing.credit_balance_transaction": "created",
    "billing.credit_grant": "created updated",
    "billing.meter": "created deactivated reactivated updated",
    "billing_portal.configuration": "created updated",
    "billing_portal.session": "created",
    "capability": "updated",
    "cash_balance": "funds_available",
    "climate.order": "canceled created delayed delivered product_substituted",
    "climate.product": "created pricing_updated",
    "coupon": "created deleted updated",
    "credit_note": "created updated voided",
    "customer.discount": "created deleted updated",
    "customer.source": "created deleted expiring updated",
    "customer.subscription": (
        "created deleted paused pending_update_applied pending_update_expired resumed "
        "trial_will_end updated"
    ),
    "customer.tax_id": "created deleted updated",
    "customer_cash_balance_transaction": "created",
    "entitlements.active_entitlement_summary": "updated",
    "file": "created",
    "financial_connections.account": (
        "account_numbers_updated created deactivated disconnected "
        "expected_deactivation_date_updated reactivated refreshed_balance refreshed_ownership "
        "refreshed_transactions supported_payment_method_types_updated "
        "upcoming_account_number_expiry upcoming_deactivation"
    ),
    "financial_connections.authorization": (
        "expected_deactivation_date_updated upcoming_deactivation"
    ),
    "identity.verification_session": "canceled created processing redacted requires_input verified",
    "invoice": (
        "created deleted finalization_failed finalized marked_uncollectible overdue overpaid "
        "paid payment_action_required payment_attempt_required payment_failed "
        "payment_succeeded sent upcoming updated voided will_be_due"
    ),
    "invoice_payment": "paid",
    "invoiceitem": "created deleted",
    "issuing_authorization": "created request updated",
    "issuing_card": "created updated",
    "issuing_cardholder": "created updated",
    "issuing_dispute": "closed created funds_reinstated funds_rescinded submitted updated",
    "issuing_personalization_design": "activated deactivated rejected updated",
    "issuing_token": "created updated",
    "issuing_transaction": "created purchase_details_receipt_updated updated",
    "payment_link": "created updated",
    "person": "created deleted updated",
    "plan": "created deleted updated",
    "price": "created deleted updated",
    "product": "created deleted updated",
    "promotion_code": "created updated",
    "quote": "accepted canceled created finalized",
    "reporting.report_type": "updated",
    "reserve.hold": "created updated",
    "reserve.plan": "created disabled expired updated",
    "reserve.release": "created",
    "sigma.scheduled_query_run": "created",
    "source": "canceled chargeable failed mandate_notification refund_attributes_required",
    "source.transaction": "created updated",
    "subscription_schedule": "aborted canceled completed created expiring released updated",
    "tax.settings": "updated",
    "tax_rate": "created updated",
    "terminal.reader": "action_failed action_succeeded action_updated",
    "test_helpers.test_clock": "advancing created deleted internal_failure ready",
    "three_d_secure.authentication": (
        "canceled challenge_started errored failed requires_challenge requires_submission succeeded"
    ),
    "topup": "canceled created failed reversed succeeded",
    "transfer": "created reversed updated",
    "treasury.credit_reversal": "created posted",
    "treasury.debit_reversal": "completed created initial_credit_granted",
    "treasury.financial_account": "closed created features_status_updated",
    "treasury.inbound_transfer": "canceled created failed succeeded",
    "treasury.outbound_payment": (
        "canceled created expected_arrival_date_updated failed posted returned "
        "tracking_details_updated"
    ),
    "treasury.outbound_transfer": (
        "canceled created expected_arrival_date_updated failed posted returned "
        "tracking_details_updated"
    ),
    "treasury.received_credit": "created failed succeeded",
    "treasury.received_debit": "created",
}
"""Stripe's other types by their starts, as its SDKs list them for webhook endpoints (2026-10)."""

NEVER_EMITTED: Final = NOT_TOLD_YET | {
    f"{start}.{end}" for start, ends in _NEVER_HERE.items() for end in ends.split()
}
"""Types that `enabled_events` may name, as plugins do with fixed lists, and that never come."""

EMITTED: Final = frozenset(EVENT_TYPES) - NOT_TOLD_YET
"""Types that are emitted."""

_STARTS: Final = frozenset(
    ".".join(words[:count])
    for words in (event_type.split(".") for event_type in EMITTED)
    for count in range(1, len(words))
)
EVENT_PATTERNS: Final = frozenset(
    {EVERYTHING, *EMITTED, *NEVER_EMITTED, *(f"{start}.*" for start in _STARTS)}
)
"""What `enabled_events` may hold: `*`, a type, or the start of some types that we emit and `.*`. A
misspelled type is refused: a merchant would wait for it in vain."""


def matches(event_type: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns of `enabled_events` covers the type."""
    words = event_type.split(".")
    covering = {EVERYTHING, event_type}
    covering |= {".".join(words[:count]) + ".*" for count in range(1, len(words))}
    return not covering.isdisjoint(patterns)
