"""Adyen's vocabulary in the contract's terms: result codes, refusals, event codes. No I/O."""

from __future__ import annotations

import re
from typing import Final

from psp_adapters.contract.operations import OperationKind, Outcome

K = OperationKind

RESULT_OUTCOMES: Final = {
    "Authorised": Outcome.SUCCEEDED,
    "RedirectShopper": Outcome.REQUIRES_ACTION,
    "Pending": Outcome.PENDING,
    "Received": Outcome.PENDING,
    "Refused": Outcome.DECLINED,
    "Cancelled": Outcome.DECLINED,
}
"""Of the AUTHORIZE operation. All others are UNKNOWN: the notification says how it ended. Among
them `Error`: an acquirer that failed may have taken the payment."""

AUTHORIZED: Final = "AUTHORISATION"
CANCEL_BY_REFERENCE: Final = "TECHNICAL_CANCEL"
"""A cancellation that named the payment by our reference, as its event does, too."""
# Events that state the result of an operation, each with its kind.
RESULT_EVENTS: Final = {
    AUTHORIZED: K.AUTHORIZE,
    "AUTHORISATION_ADJUSTMENT": K.INCREMENT,
    "CAPTURE": K.CAPTURE,
    "CANCELLATION": K.VOID,
    CANCEL_BY_REFERENCE: K.VOID,
    "REFUND": K.REFUND,
    "REFUND_WITH_DATA": K.REFUND,
}
CANCEL_OR_REFUND: Final = "CANCEL_OR_REFUND"
"""One of the two; which, only what was captured before tells."""
# Events that state that something no longer holds, or never will. `success` says that it is so.
REVERSAL_EVENTS: Final = {
    "CAPTURE_FAILED": K.CAPTURE,
    "REFUND_FAILED": K.REFUND,
    "REFUNDED_REVERSED": K.REFUND,
    "OFFER_CLOSED": K.AUTHORIZE,
}
EXPIRY: Final = "EXPIRE"
PAYMENT_EVENTS: Final = frozenset({*RESULT_EVENTS, *REVERSAL_EVENTS, CANCEL_OR_REFUND, EXPIRY})
"""From these a payment is read; nothing else changes what is held, captured or refunded."""
DISPUTE_EVENTS: Final = frozenset(
    {
        *("CHARGEBACK", "CHARGEBACK_REVERSED", "NOTIFICATION_OF_CHARGEBACK", "SECOND_CHARGEBACK"),
        *("REQUEST_FOR_INFORMATION", "INFORMATION_SUPPLIED", "DISPUTE_DEFENSE_PERIOD_ENDED"),
        *("ISSUER_COMMENTS", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "PREARBITRATION_OPEN"),
        *("PREARBITRATION_ACCEPTED", "PREARBITRATION_DECLINED", "PREARBITRATION_LOST"),
        *("PREARBITRATION_WON", "PREARBITRATION_ISSUER_WITHDRAWN", "SCHEME_ARBITRATION"),
        *("SCHEME_ARBITRATION_LOST", "SCHEME_ARBITRATION_WON"),
    }
)
REPORT_EVENT: Final = "REPORT_AVAILABLE"
REPORTS: Final = "reports"
"""What a notification of a report is kept under: it is about no payment."""
IGNORED_EVENTS: Final = {
    REPORT_EVENT: "no payment changes; the list of reports is read from these",
    "NOTIFICATION_OF_FRAUD": "a warning: no money moves",
    "MANUAL_REVIEW_ACCEPT": "the payment goes on as it was",
    "MANUAL_REVIEW_REJECT": "the cancellation or refund that follows has an event of its own",
    "POSTPONED_REFUND": "the refund is still pending; its result has an event of its own",
    "VOID_PENDING_REFUND": "for terminals; the platform sends no such request",
    "AUTORESCUE": "the platform does not let Adyen repeat payments",
    "CANCEL_AUTORESCUE": "the platform does not let Adyen repeat payments",
    "RECURRING_CONTRACT": "a card was stored; what is charged is the token that the merchant named",
    "ORDER_OPENED": "orders paid in parts by gift cards are not offered",
    "ORDER_CLOSED": "orders paid in parts by gift cards are not offered",
    "AUTHENTICATION": "3-D Secure alone: the payment has an event of its own",
    "HANDLED_EXTERNALLY": "for terminals",
    "PAIDOUT_REVERSED": "payouts to customers are not offered",
    "PAYOUT_DECLINE": "payouts to customers are not offered",
    "PAYOUT_EXPIRE": "payouts to customers are not offered",
    "PAYOUT_THIRDPARTY": "payouts to customers are not offered",
    "ACH_NOTIFICATION_OF_CHANGE": "bank debits are not offered",
    "DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION": "bank debits are not offered",
}
"""Stored and acknowledged, each for a reason."""

# What the library calls the changes of a payment that it names by its id, and the one by ours.
CALLS: Final = {
    K.INCREMENT: "update_authorised_amount",
    K.CAPTURE: "capture_authorised_payment",
    K.VOID: "cancel_authorised_payment_by_psp_reference",
    K.REFUND: "refund_captured_payment",
}
CALL_BY_REFERENCE: Final = "cancel_authorised_payment"
PRE_AUTHORIZATION: Final = {"authorisationType": "PreAuth"}
"""With it the amount may be increased later; some networks take a higher fee for it."""

# For which later payments a card is kept, and is charged: the customer is there, or is not.
PRESENT: Final = "CardOnFile"
ABSENT: Final = "UnscheduledCardOnFile"

_AUTHENTICATION_FAILED: Final = ("payment_intent_authentication_failure", "")
SETUP_CODES: Final = {
    "payment_intent_authentication_failure": "setup_intent_authentication_failure"
}
"""What a setup calls it, where that differs."""
# Code and decline code of the merchant API, by Adyen's code and text of a refusal.
REFUSALS: Final = {
    "2": ("refused", "card_declined", "generic_decline"),
    "3": ("referral", "card_declined", "call_issuer"),
    "4": ("acquirer error", "processing_error", "processing_error"),
    "5": ("blocked card", "card_declined", "restricted_card"),
    "6": ("expired card", "expired_card", "expired_card"),
    "7": ("invalid amount", "card_declined", "invalid_amount"),
    "8": ("invalid card number", "incorrect_number", "incorrect_number"),
    "9": ("issuer unavailable", "card_declined", "issuer_not_available"),
    "10": ("not supported", "card_declined", "service_not_allowed"),
    "11": ("3d not authenticated", *_AUTHENTICATION_FAILED),
    "12": ("not enough balance", "card_declined", "insufficient_funds"),
    "14": ("acquirer fraud", "card_declined", "fraudulent"),
    "15": ("cancelled", *_AUTHENTICATION_FAILED),
    "16": ("shopper cancelled", *_AUTHENTICATION_FAILED),
    "17": ("invalid pin", "card_declined", "invalid_pin"),
    "18": ("pin tries exceeded", "card_declined", "pin_try_exceeded"),
    "19": ("pin validation not possible", "card_declined", "offline_pin_required"),
    "20": ("fraud", "card_declined", "fraudulent"),
    "21": ("not submitted", "processing_error", "processing_error"),
    "22": ("fraud-cancelled", "card_declined", "fraudulent"),
    "23": ("transaction not permitted", "card_declined", "transaction_not_allowed"),
    "24": ("cvc declined", "incorrect_cvc", "incorrect_cvc"),
    "25": ("restricted card", "card_declined", "restricted_card"),
    "26": ("revocation of auth", "card_declined", "revocation_of_authorization"),
    "27": ("declined non generic", "card_declined", "generic_decline"),
    "28": ("withdrawal amount exceeded", "card_declined", "card_velocity_exceeded"),
    "29": ("withdrawal count exceeded", "card_declined", "withdrawal_count_limit_exceeded"),
    "31": ("issuer suspected fraud", "card_declined", "fraudulent"),
    "32": ("avs declined", "incorrect_address", "incorrect_address"),
    "33": ("card requires online pin", "card_declined", "online_or_offline_pin_required"),
    "34": ("no checking account available on card", "card_declined", "invalid_account"),
    "35": ("no savings account available on card", "card_declined", "invalid_account"),
    "36": ("mobile pin required", "card_declined", "mobile_device_authentication_required"),
    "37": ("contactless fallback", "card_declined", "service_not_allowed"),
    "38": ("authentication required", "authentication_required", "authentication_required"),
    "39": ("rreq not received from ds", *_AUTHENTICATION_FAILED),
    "40": ("current aid is in penalty box", "card_declined", "service_not_allowed"),
    "41": ("cvm required restart payment", "card_declined", "online_or_offline_pin_required"),
    "42": ("3ds authentication error", *_AUTHENTICATION_FAILED),
    "43": ("online pin required", "card_declined", "online_or_offline_pin_required"),
    "44": ("try another interface", "card_declined", "service_not_allowed"),
    "45": ("chip downgrade mode", "card_declined", "service_not_allowed"),
    "46": (
        "transaction blocked by adyen to prevent excessive retry fees",
        "card_declined",
        "previously_declined_do_not_retry",
    ),
}
ELSEWHERE: Final = frozenset({"4", "9", "21"})
"""The codes of refusals that another account may take: the acquirer failed, the issuer was not
reached, or the payment was not passed on. Whatever is not here stays declined."""
ACCOUNT_REFUSALS: Final = frozenset({"905", "905_1", "905_2", "905_3"})
"""Error codes of payments that this account has no acquirer for."""
_NUMBERS: Final = {said: number for number, (said, _, _) in REFUSALS.items()}
_BY_TEXT: Final = {said: (code, decline) for said, code, decline in REFUSALS.values()}
GENERIC: Final = ("card_declined", "generic_decline")
MESSAGES: Final = {
    "authentication_required": "This payment needs the customer's authentication.",
    "payment_intent_authentication_failure": "The customer was not authenticated.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The card's security code is incorrect.",
    "incorrect_number": "The card number is incorrect.",
    "processing_error": "An error occurred while processing the payment.",
}
DECLINED: Final = "The payment was declined."
_SEPARATORS: Final = re.compile(r"[\s_]+")


def decline_of(*, refusal_code: str = "", refusal: str = "") -> tuple[str, str, str]:
    """Code, decline code and message of a refusal; one that is not known is the generic one."""
    found = REFUSALS.get(refusal_code.strip())
    code, decline = found[1:] if found else _BY_TEXT.get(_plain(refusal), GENERIC)
    return code, decline, MESSAGES.get(code, DECLINED)


def may_try_elsewhere(*, refusal_code: str = "", refusal: str = "") -> bool:
    """Whether another account may take a charge that was refused for this reason."""
    number = refusal_code.strip()
    return (number if number in REFUSALS else _NUMBERS.get(_plain(refusal), "")) in ELSEWHERE


def _plain(refusal: str) -> str:
    return _SEPARATORS.sub(" ", refusal.strip().lower())


# Types of payment methods of the merchant API by Adyen's, and brands of cards by Adyen's.
METHOD_TYPES: Final = {"scheme": "card", "ideal": "ideal"}
BRANDS: Final = {
    "mc": "mastercard",
    "cup": "unionpay",
    **{brand: brand for brand in ("visa", "amex", "discover", "diners", "jcb", "maestro")},
}
