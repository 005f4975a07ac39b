"""Every error code of the merchant API: what causes it, and what to do.

The reference shows this table, and `doc_url` of an error leads to its row. Tests hold every answer
to it: a code that is not declared, or that comes with another status, fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings

INVALID_REQUEST: Final = "invalid_request_error"
IDEMPOTENCY: Final = "idempotency_error"
CARD: Final = "card_error"
API: Final = "api_error"


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """Why a code is answered, what to do then, and the HTTP statuses it comes with."""

    cause: str
    remedy: str
    statuses: tuple[int, ...] = (400,)


_FIX: Final = "Correct the request; `param` names the parameter. Repeating it unchanged is useless."
_OTHER_METHOD: Final = "Ask the customer for another payment method, and confirm again."
_SHORTLY: Final = (
    "Repeat the same request with the same `Idempotency-Key`, after `Retry-After`; official SDKs "
    "do so by themselves if retries are on."
)
_SEND_AS_DOCUMENTED: Final = "Encode the request as an official SDK does."
_RETRIEVE: Final = "Retrieve the object, and act on its `status`."

ERROR_CODES: Final[dict[str, ErrorCode]] = {
    "account_invalid": ErrorCode(
        "`Stripe-Account` names another account than the key's own.",
        "Leave the header out: there are no connected accounts.",
        (403,),
    ),
    "amount_details_amount_mismatch": ErrorCode(
        "The lines of `amount_details` or `level3` do not add up to the amount.",
        "Correct them. `enforce_arithmetic_validation=false` keeps `amount_details` as they are.",
    ),
    "amount_details_tax_shipping_discount_greater_than_amount": ErrorCode(
        "Tax and shipping of `amount_details` are more than the amount.",
        "Correct them, or the amount.",
    ),
    "amount_too_large": ErrorCode(
        "The amount is more than any payment may have, more than the PSP account charges, or more "
        "than is left to capture or refund.",
        "Retrieve the payment: `amount_capturable`, or `amount_received` less refunds, is left.",
    ),
    "amount_too_small": ErrorCode(
        "The amount is below the least that the PSP account charges, or that can be charged in "
        "this currency.",
        "Charge more, or collect several orders in one payment.",
    ),
    "api_version_invalid": ErrorCode(
        "`Stripe-Version`, or `api_version` of an endpoint, is no version that is served.",
        "Upgrade the SDK, or set one of the versions that the message names.",
    ),
    "authentication_required": ErrorCode(
        "The bank wants the customer to authenticate, and the request does not allow that.",
        "Bring the customer back, and confirm without `off_session`; then follow `next_action`.",
        (402,),
    ),
    "bank_account_declined": ErrorCode(
        "The bank refused the debit; `decline_code` says why.", _OTHER_METHOD, (402,)
    ),
    "body_length_missing": ErrorCode(
        "The body came without a `Content-Length`.", "Send one: chunked bodies are not read."
    ),
    "body_malformed": ErrorCode(
        "The body is no JSON object, is cut off, or has characters that cannot be stored.",
        _SEND_AS_DOCUMENTED,
    ),
    "body_timeout": ErrorCode(
        "The body was not complete in time, so nothing was done.",
        "Repeat it. If that happens often, the connection or a proxy is slow.",
        (408,),
    ),
    "body_too_large": ErrorCode(
        "The body is larger than any request needs.", "Send less; long texts have limits."
    ),
    "card_data_not_allowed": ErrorCode(
        "Something in the request looks like a card number or a security code. Nothing was stored.",
        "Let the PSP's own fields collect the card, and send the token that they return.",
    ),
    "card_declined": ErrorCode(
        "The customer's bank declined; `decline_code` says why.", _OTHER_METHOD, (402,)
    ),
    "charge_already_refunded": ErrorCode(
        "All of it was refunded already.", "Nothing; retrieve the charge to see its refunds."
    ),
    "charge_disputed": ErrorCode(
        "The customer's bank has taken the money back, so a refund would pay twice.",
        "Answer the dispute, or accept it.",
    ),
    "charge_expired_for_capture": ErrorCode(
        "The authorization has expired; nothing is held any more.",
        "Create a new payment. Capture earlier: `capture_before` of the card says until when.",
    ),
    "charge_not_current": ErrorCode(
        "The payment has a later charge than the one that was named.",
        "Use `latest_charge` of the payment.",
    ),
    "charge_not_refundable": ErrorCode(
        "Nothing was captured yet, or this charge has nothing to give back.",
        "Cancel an authorization instead; wait for the outcome of a pending payment.",
    ),
    "checkout_session_unexpected_state": ErrorCode(
        "The checkout session is complete or expired already.",
        "Retrieve the session: its `status` says which.",
    ),
    "content_type_unsupported": ErrorCode(
        "The body is neither a form nor JSON, or not in UTF-8.", _SEND_AS_DOCUMENTED
    ),
    "dispute_evidence_already_submitted": ErrorCode(
        "Evidence is taken once for each stage, and it was submitted.",
        "Nothing more can be submitted; wait for `charge.dispute.closed`.",
    ),
    "dispute_past_due": ErrorCode(
        "The time for evidence is over.", "Nothing: the bank decides without evidence."
    ),
    "dispute_unexpected_state": ErrorCode(
        "The dispute takes no response, or not any more.", _RETRIEVE
    ),
    "email_invalid": ErrorCode("This is no email address.", _FIX),
    "expired_card": ErrorCode("The card has expired.", _OTHER_METHOD, (402,)),
    "header_name_invalid": ErrorCode(
        "A header's name holds an underscore.", "Write dashes, as in `Idempotency-Key`."
    ),
    "headers_too_large": ErrorCode(
        "The headers are larger than any request needs.", "Send fewer or shorter ones.", (431,)
    ),
    "header_invalid": ErrorCode(
        "A header has a value that it cannot have.", "Correct the header that the message names."
    ),
    "idempotency_key_in_use": ErrorCode(
        "The first request with this key is still under way.", _SHORTLY, (409,)
    ),
    "idempotency_key_invalid": ErrorCode(
        "The `Idempotency-Key` is empty, too long or not printable ASCII, or holds a card number.",
        "Use a UUID, or the order's number and the name of the step.",
    ),
    "idempotency_key_required": ErrorCode(
        "A request that can move money came without an `Idempotency-Key`.",
        "Send one, and the same one with each repeat. The message says how with your SDK.",
    ),
    "incorrect_cvc": ErrorCode("The card's security code is wrong.", _OTHER_METHOD, (402,)),
    "invalid_charge_amount": ErrorCode(
        "The currency has no such fraction: ISK and UGX are whole, dinars end in 0.",
        "Round the amount; see the table of amounts under Coming from Stripe.",
    ),
    "lock_timeout": ErrorCode(
        "Another request works on the same payment, or its outcome is not known yet.",
        _SHORTLY,
        (429,),
    ),
    "order_already_has_payment": ErrorCode(
        "Another payment with the same `metadata[order_id]` is open or successful.",
        "Use that payment: list by `metadata[order_id]`. Cancel it if it is to be replaced.",
    ),
    "parameter_conflicting": ErrorCode(
        "A parameter is given as a value and as an object or list.", _SEND_AS_DOCUMENTED
    ),
    "parameter_invalid": ErrorCode("A parameter has a value that it cannot have.", _FIX),
    "parameter_invalid_empty": ErrorCode(
        "An empty value unsets a parameter, and this one cannot be unset.",
        "Leave the parameter out, or give it a value.",
    ),
    "parameter_invalid_integer": ErrorCode("This is no integer, or is out of range.", _FIX),
    "parameter_missing": ErrorCode("A required parameter is missing.", _FIX),
    "parameter_repeated": ErrorCode("A parameter is given twice.", _FIX),
    "parameter_unknown": ErrorCode(
        "There is no such parameter, or it is not supported here.",
        "Do what the message says; the reference of each operation lists what is not supported.",
    ),
    "parameters_exclusive": ErrorCode("Two parameters exclude each other.", "Send one of them."),
    "parameters_malformed": ErrorCode(
        "The form or the query string is not well-formed.", _SEND_AS_DOCUMENTED
    ),
    "parameters_misplaced": ErrorCode(
        "Parameters are in the query string of a POST, or in the body of another request.",
        "Send those of a POST in its body, and all others in the query string.",
    ),
    "parameters_too_deep": ErrorCode("Parameters are nested too deep.", _SEND_AS_DOCUMENTED),
    "parameters_too_many": ErrorCode("There are too many parameters.", _SEND_AS_DOCUMENTED),
    "payment_intent_authentication_failure": ErrorCode(
        "The customer did not pass the bank's challenge.", _OTHER_METHOD, (402,)
    ),
    "payment_intent_incompatible_payment_method": ErrorCode(
        "The payment or setup does not take this type of payment method, or cannot hold money "
        "with it.",
        "Choose a type of `payment_method_types`, or update them.",
    ),
    "payment_intent_mandate_invalid": ErrorCode(
        "The mandate is not active, or belongs to another payment method.",
        "Leave `mandate` out, or pass `mandate_data` once the customer has accepted a new one.",
    ),
    "payment_intent_unexpected_state": ErrorCode(
        "The payment's status does not allow this. The answer has the payment.",
        "Act on `status`; while a bank decides, wait for its event.",
    ),
    "payment_method_customer_mismatch": ErrorCode(
        "The payment method belongs to another customer.",
        "Pass that customer, or a payment method of this one.",
    ),
    "payment_method_provider_mismatch": ErrorCode(
        "The payment method belongs to another PSP account than those that may charge it.",
        "Let the customer enter the card again.",
    ),
    "payment_method_unexpected_state": ErrorCode(
        "The payment method was detached, or is attached already.",
        "Create a new one from a new token.",
    ),
    "payment_provider_missing": ErrorCode(
        "The merchant has no PSP account in the key's mode.", "Ask the operator to set one up."
    ),
    "payment_provider_paused": ErrorCode(
        "The operator has paused the PSP account, or closes it. Nothing was charged, and the order "
        "is free. Captures, cancellations and refunds go on.",
        "Confirm again later, with the same `Idempotency-Key`. If the account is being closed, "
        "create a new payment.",
    ),
    "payment_provider_unsuitable": ErrorCode(
        "The PSP account does not charge this currency, or methods of this type or country.",
        "Use what the message names, or ask the customer for another payment method.",
    ),
    "processing_error": ErrorCode(
        "The PSP failed to process it, for no fault of the card.",
        "Try again later with a new `Idempotency-Key`, or another payment method.",
        (400, 402),
    ),
    "provider_refused_request": ErrorCode(
        "The PSP refused the request as invalid; no bank has seen it.",
        "Do not ask the customer for another card. Tell support the `Request-Id`.",
    ),
    "psp_unavailable": ErrorCode(
        "The PSP cannot be reached right now. Nothing was sent.", _SHORTLY, (503,)
    ),
    "query_invalid": ErrorCode(
        "The search query has a field, an operator or a value that cannot be searched by.",
        'Write clauses as in `status:"succeeded" AND amount>=1000`; the message names the part.',
    ),
    "query_timeout": ErrorCode(
        "The search read rows for as long as a search may, and had not found enough.",
        "Go on with the `created<=…` that the message names, or add a clause of `customer`, "
        "`metadata`, `amount` or `last4`.",
    ),
    "query_too_large": ErrorCode("The query string is too long.", _SEND_AS_DOCUMENTED),
    "rate_limit": ErrorCode("There are too many requests.", _SHORTLY, (429,)),
    "refund_not_cancelable": ErrorCode(
        "The refund has ended, or may have reached the PSP: the money may be on its way back.",
        "Wait for `refund.updated` or `refund.failed`. To take the money again, charge again.",
    ),
    "request_malformed": ErrorCode("The request is no valid HTTP.", _SEND_AS_DOCUMENTED),
    "resource_missing": ErrorCode(
        "No such object in this mode, or it is another merchant's. 404 for the object of the URL, "
        "400 for one that a parameter names.",
        "Check the id, and whether the key is of the same mode (test or live).",
        (400, 404),
    ),
    "service_unavailable": ErrorCode("The platform is not available right now.", _SHORTLY, (503,)),
    "setup_intent_authentication_failure": ErrorCode(
        "The customer did not pass the bank's challenge of a setup.", _OTHER_METHOD, (402,)
    ),
    "setup_intent_unexpected_state": ErrorCode(
        "The status of the setup intent does not allow this. The answer has the setup intent.",
        "Act on `status`.",
    ),
    "setup_not_supported": ErrorCode(
        "The PSP of the account cannot keep a payment method of this type for later payments.",
        "Use a type that the message names, or ask the operator which PSP keeps them.",
    ),
    "too_many_large_requests": ErrorCode(
        "Too many large requests are on their way at once.", _SHORTLY, (503,)
    ),
    "unrecognized_url": ErrorCode(
        "There is no such URL, or not with this method.",
        "Check the address; what is not supported is listed in the reference.",
        (404,),
    ),
    "url_invalid": ErrorCode("This is no URL that can be used; the message says why.", _FIX),
    "webhook_endpoint_limit": ErrorCode(
        "The merchant has as many webhook endpoints as are allowed.", "Delete one first."
    ),
}

WITHOUT_CODE: Final[tuple[tuple[int, str, str, str], ...]] = (
    (
        400,
        IDEMPOTENCY,
        "The `Idempotency-Key` was first used with other parameters.",
        "Use a new key for a new request, and the old parameters to repeat the old one.",
    ),
    (401, INVALID_REQUEST, "No API key, or not a valid one.", "Check the key in the console."),
    (403, INVALID_REQUEST, "The API key may not do this.", "Use another key of the merchant."),
    (
        500,
        API,
        "A fault of the platform.",
        "Repeat with the same `Idempotency-Key`; tell support the `Request-Id`.",
    ),
)
"""Errors that have no code: status, type, cause and remedy."""

DECLINE_CODES: Final[dict[str, str]] = {
    "authentication_required": "The bank wants the customer to authenticate.",
    "card_velocity_exceeded": "The card was used too often, or for too much.",
    "do_not_honor": "The bank gives no reason.",
    "expired_card": "The card has expired.",
    "fraudulent": "The bank or the PSP suspects fraud. Do not tell the customer.",
    "generic_decline": "The bank gives no reason.",
    "incorrect_cvc": "The security code is wrong.",
    "insufficient_funds": "There is not enough money.",
    "lost_card": "The card was reported lost. Tell the customer of a generic decline.",
    "processing_error": "The PSP or the bank failed to process it.",
    "stolen_card": "The card was reported stolen. Tell the customer of a generic decline.",
}
"""The most frequent reasons of banks (`decline_code`); PSPs may send others."""


def type_of(status: int) -> str:
    """The `type` of an error with a code that is answered with this HTTP status."""
    return {402: CARD, 503: API}.get(status, INVALID_REQUEST)


def doc_url(code: str) -> str:
    """Where the reference explains a code; empty without a public address, or a known code."""
    base: str = settings.PUBLIC_BASE_URL
    return f"{base}/docs/errors#{code}" if base and code in ERROR_CODES else ""
