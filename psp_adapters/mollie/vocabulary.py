"""Mollie's vocabulary in the contract's terms: statuses, declines, methods, events. No I/O."""

from __future__ import annotations

import re
from typing import Final

from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspPaymentStatus

METHODS: Final = {
    "card": "creditcard",
    "ideal": "ideal",
    "bancontact": "bancontact",
    "paypal": "paypal",
}
"""Types of the merchant API to Mollie's names; the usual one first."""
ON_ANOTHER_PAGE: Final = frozenset({"ideal", "bancontact", "paypal"})
"""Those of them that always send the customer to another page."""

PAYMENT_OUTCOMES: Final = {
    "open": Outcome.REQUIRES_ACTION,
    "pending": Outcome.PENDING,
    "authorized": Outcome.SUCCEEDED,
    "paid": Outcome.SUCCEEDED,
    "canceled": Outcome.DECLINED,
    "expired": Outcome.DECLINED,
    "failed": Outcome.DECLINED,
}
"""Of the AUTHORIZE operation; one that was authorized before it ended had succeeded."""
PAYMENT_STATUSES: Final = {
    "open": PspPaymentStatus.OPEN,
    "pending": PspPaymentStatus.OPEN,
    "authorized": PspPaymentStatus.HELD,
    "paid": PspPaymentStatus.CAPTURED,
    "canceled": PspPaymentStatus.DECLINED,
    "expired": PspPaymentStatus.DECLINED,
    "failed": PspPaymentStatus.DECLINED,
}
"""What became of one that was authorized before it ended depends on its captures."""
CAPTURE_OUTCOMES: Final = {
    "pending": Outcome.PENDING,
    "succeeded": Outcome.SUCCEEDED,
    "failed": Outcome.DECLINED,
}
REFUND_OUTCOMES: Final = {
    "queued": Outcome.PENDING,
    "pending": Outcome.PENDING,
    "processing": Outcome.PENDING,
    "refunded": Outcome.SUCCEEDED,
    "failed": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}

GENERIC_DECLINE: Final = "generic_decline"
_AUTHENTICATION_FAILED: Final = "payment_intent_authentication_failure"
# Mollie's reasons of a failure to the merchant API's code and decline code.
DECLINES: Final = {
    "authentication_abandoned": (_AUTHENTICATION_FAILED, ""),
    "authentication_failed": (_AUTHENTICATION_FAILED, ""),
    "authentication_required": ("authentication_required", "authentication_required"),
    "authentication_unavailable_acs": (_AUTHENTICATION_FAILED, ""),
    "card_declined": ("card_declined", GENERIC_DECLINE),
    "card_expired": ("expired_card", "expired_card"),
    "inactive_card": ("card_declined", "restricted_card"),
    "insufficient_funds": ("card_declined", "insufficient_funds"),
    "invalid_cvv": ("incorrect_cvc", "incorrect_cvc"),
    "invalid_card_holder_name": ("card_declined", "invalid_account"),
    "invalid_card_number": ("incorrect_number", "incorrect_number"),
    "invalid_card_type": ("card_declined", "card_not_supported"),
    "possible_fraud": ("card_declined", "fraudulent"),
    "refused_by_issuer": ("card_declined", "do_not_honor"),
    "unknown_reason": ("card_declined", GENERIC_DECLINE),
}
ELSEWHERE: Final[frozenset[str]] = frozenset()
"""The reasons of charges that another account may take: none, since each is the bank's or the
customer's, or is not known."""
# How a payment ended without a reason of a bank, to a code and a sentence.
ENDINGS: Final = {
    "canceled": (_AUTHENTICATION_FAILED, "The payment was canceled before it was made."),
    "expired": (_AUTHENTICATION_FAILED, "The customer did not pay in time."),
    "failed": ("processing_error", "The payment failed."),
}
_PLAIN_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")

EVENT_TYPES: Final = frozenset(
    {
        *("payment.paid", "payment.authorized", "payment.failed", "payment.canceled"),
        *("payment.expired", "payment.pending"),
        *("refund.queued", "refund.pending", "refund.processing", "refund.refunded"),
        *("refund.failed", "refund.canceled", "capture.succeeded", "capture.failed"),
        *("chargeback.received", "chargeback.reversed"),
    }
)
"""Of the signed events, those about payments; others are stored and acknowledged."""
PAID_OUT: Final = "paidout"
"""The status of a settlement of which nothing changes any more."""

# Reasons of a bank's return of a direct debit to the merchant API's reasons of disputes.
DISPUTE_REASONS: Final = {
    **dict.fromkeys(("AC01", "AC04", "AC06", "AC13", "RC01"), "incorrect_account_details"),
    "AM04": "insufficient_funds",
    **dict.fromkeys(("MD01", "SL01"), "debit_not_authorized"),
    **dict.fromkeys(("MD06", "MS02", "MS03"), "customer_initiated"),
    "AM05": "duplicate",
    **dict.fromkeys(("AG01", "AG02", "FF01"), "bank_cannot_process"),
}


def decline_of(reason: str, status: str, message: str) -> tuple[str, str, str]:
    """Code, decline code and sentence of a payment that was not made.

    An unknown reason is a card's decline of that name, if it has the form of one.
    """
    if not reason:
        code, sentence = ENDINGS.get(status, ENDINGS["failed"])
        return code, "", message or sentence
    own = reason if _PLAIN_CODE.fullmatch(reason) else GENERIC_DECLINE
    code, decline_code = DECLINES.get(reason, ("card_declined", own))
    return code, decline_code, message or "The payment was declined."
