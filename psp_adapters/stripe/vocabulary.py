"""Stripe's vocabulary in the contract's terms: statuses, declines, refusals. No I/O."""

from __future__ import annotations

import re
from typing import Any, Final

from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.payments import PspPaymentStatus

INTENT_OUTCOMES: Final = {
    "requires_capture": Outcome.SUCCEEDED,
    "succeeded": Outcome.SUCCEEDED,
    "processing": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "requires_payment_method": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
"""Of the AUTHORIZE operation; one that was authorized before it was canceled had succeeded, and
one that requires a method is declined only if it shows an attempt that failed."""
INTENT_STATUSES: Final = {
    "requires_capture": PspPaymentStatus.HELD,
    "succeeded": PspPaymentStatus.CAPTURED,
    "processing": PspPaymentStatus.OPEN,
    "requires_action": PspPaymentStatus.OPEN,
    "requires_confirmation": PspPaymentStatus.OPEN,
    "requires_payment_method": PspPaymentStatus.DECLINED,
}
"""What became of a canceled one depends on its charge."""
REFUND_OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.PENDING,
    "failed": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
RELEASE: Final = "partial_capture_reversal"
"""What a transaction is that released the rest of a hold, listed as a refund."""
EXPIRED: Final = frozenset({"automatic", "expired"})
"""The `cancellation_reason` of a hold that ran out; `expired` since version 2025-03-31."""

# The merchant API has Stripe's shape: these codes keep their names. Others become `card_declined`.
CODES: Final = {
    code: code
    for code in (
        *("authentication_required", "bank_account_declined", "card_declined"),
        *("card_decline_rate_limit_exceeded", "expired_card", "incorrect_address"),
        *("incorrect_cvc", "incorrect_number", "incorrect_zip", "insufficient_funds"),
        *("invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number"),
        *("payment_intent_authentication_failure", "processing_error"),
    )
} | {
    "payment_intent_payment_attempt_expired": "payment_intent_authentication_failure",
    "payment_intent_payment_attempt_failed": "processing_error",
    "payment_method_customer_decline": "payment_intent_authentication_failure",
    "payment_method_provider_decline": "card_declined",
    "payment_method_provider_timeout": "processing_error",
    "payment_method_not_available": "processing_error",
}
DECLINE_CODES: Final = frozenset(
    {
        *("approve_with_id", "authentication_not_handled", "authentication_required"),
        *("call_issuer", "card_not_supported", "card_velocity_exceeded"),
        *("currency_not_supported", "do_not_honor", "do_not_try_again"),
        *("duplicate_transaction", "expired_card", "fraudulent", "generic_decline"),
        *("highest_risk_level", "elevated_risk_level", "incorrect_address", "incorrect_cvc"),
        *("incorrect_number", "incorrect_pin", "incorrect_zip", "insufficient_funds"),
        *("invalid_account", "invalid_amount", "invalid_cvc", "invalid_expiry_month"),
        *("invalid_expiry_year", "invalid_number", "invalid_pin", "issuer_not_available"),
        *("lost_card", "merchant_blacklist", "mobile_device_authentication_required"),
        *("new_account_information_available", "no_action_taken", "not_permitted"),
        *("offline_pin_required", "online_or_offline_pin_required", "pickup_card"),
        *("pin_try_exceeded", "previously_declined_do_not_retry", "processing_error"),
        *("reenter_transaction", "restricted_card", "revocation_of_all_authorizations"),
        *("revocation_of_authorization", "rule", "security_violation", "service_not_allowed"),
        *("stolen_card", "stop_payment_order", "testmode_decline", "transaction_not_allowed"),
        *("try_again_later", "withdrawal_count_limit_exceeded"),
    }
)
"""Reasons of issuers and of Stripe's own risk rules; the merchant API shows them by these names."""
GENERIC_DECLINE: Final = "generic_decline"
_PLAIN_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")

ELSEWHERE: Final = frozenset(
    {
        *("issuer_not_available", "processing_error", "reenter_transaction", "try_again_later"),
        "payment_method_not_available",
    }
)
"""The decline codes, or codes without one, of charges that another account may take: neither
the card nor its holder was judged. Whatever is not here stays declined."""
ACCOUNT_REFUSALS: Final = frozenset({"payment_method_unactivated", "testmode_charges_only"})
"""Codes of charges that Stripe refuses because of what this account may do."""

# Refusals of a capture, increment, void or refund because of what became of the payment.
STATE_CODES: Final = {
    "charge_expired_for_capture": "charge_expired_for_capture",
    **dict.fromkeys(
        (
            *("amount_too_large", "amount_too_small", "balance_insufficient"),
            *("capture_charge_authorization_expired", "charge_already_captured"),
            *("charge_already_refunded", "charge_disputed", "charge_exceeds_source_limit"),
            *("charge_exceeds_transaction_limit", "charge_invalid_parameter"),
            *("charge_not_refundable", "intent_invalid_state"),
            *("payment_intent_invalid_parameter", "payment_intent_unexpected_state"),
            *("refund_disputed_payment", "resource_already_exists"),
        ),
        "processing_error",
    ),
}
IN_USE_CODES: Final = frozenset({"idempotency_key_in_use", "lock_timeout"})
"""Another request is under way, perhaps our own: nothing is certain."""


def statuses_after_decline(kind: OperationKind) -> frozenset[str]:
    """What an intent can be after an operation of that kind was declined: a hold outlives it."""
    left = {"requires_payment_method", "canceled"}
    return frozenset(left if kind is OperationKind.AUTHORIZE else left | {"requires_capture"})


def is_in_use(body: Any) -> bool:
    """Whether a refusal says that another request holds the key or the object."""
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and error.get("code") in IN_USE_CODES


def decline_code_of(code: str, said: str) -> str:
    """The merchant API's decline code: a known one, an unknown one as it is, or the generic one."""
    if said in DECLINE_CODES or _PLAIN_CODE.fullmatch(said):
        return said
    return GENERIC_DECLINE if said or code == "card_declined" else ""
