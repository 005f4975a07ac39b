"""Maps every exception to the HTTP answer that a merchant's SDK understands.

The HTTP status picks the exception class in every official SDK, so it is part of the contract: only
400, 401, 402, 403, 404, 409, 429 and 5xx are used. The text of an unexpected exception is never
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import psycopg
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import Error, InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions as drf

from payments import exceptions as refused
from payments.api.card_data import nameable
from payments.api.error_codes import API, CARD, IDEMPOTENCY, INVALID_REQUEST, doc_url
from payments.selectors.scope import DISPUTE, INTENT, MANDATE, PAYMENT_METHOD
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import CardDataRefused, UnknownToken

Envelope = tuple[int, dict[str, Any], dict[str, str]]
"""HTTP status, body and headers."""

_RETRY: Final = {"Stripe-Should-Retry": "true"}
_RETRY_IN_A_SECOND: Final = {**_RETRY, "Retry-After": "1"}
_WHO_ARE_YOU: Final = {"WWW-Authenticate": 'Bearer realm="API", Basic realm="API"'}


_OUR_FAULT: Final = (
    "Something went wrong on our side. The request may be repeated with the same Idempotency-Key."
)


@dataclass(frozen=True, slots=True)
class Row:
    """How one class of refusal is answered."""

    status: int
    type: str = INVALID_REQUEST
    headers: Mapping[str, str] | None = None


ERRORS: Final[dict[type[refused.PaymentRefused], Row]] = {
    refused.InvalidParameter: Row(400),
    refused.ResourceMissing: Row(404),
    refused.UnexpectedState: Row(400),
    refused.AmountRefused: Row(400),
    refused.ChargeRefused: Row(400),
    refused.DisputeRefused: Row(400),
    refused.SetupRefused: Row(400),
    refused.OrderAlreadyPaid: Row(400),
    refused.OperationUnderWay: Row(429, headers=_RETRY_IN_A_SECOND),
    refused.IdempotencyKeyRequired: Row(400),
    refused.IdempotencyKeyInvalid: Row(400),
    refused.IdempotencyKeyReused: Row(400, IDEMPOTENCY),
    refused.IdempotencyKeyInUse: Row(409, headers=_RETRY_IN_A_SECOND),
    refused.AuthenticationFailed: Row(401, headers=_WHO_ARE_YOU),
    refused.PermissionRefused: Row(403),
    refused.ProviderPaused: Row(400),
    refused.PspNotReached: Row(503, API, headers=_RETRY),
}
"""Every class of payments.exceptions; a subclass is answered like its nearest ancestor here."""

_PATHS_OF_PARAMS: Final = {
    PAYMENT_METHOD.param: "/v1/payment_methods/",
    MANDATE.param: "/v1/mandates/",
}
"""Parameters that name the object of some paths, and another object in others."""
_PARAMS_OF_PATHS: Final = frozenset({"", "id", INTENT.param, DISPUTE.param})
"""What a refusal names for the object of the URL; no parameter is called so."""

# Nothing was written; the same request may be repeated.
_CONTENTION: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
# Down, full, with no connection left, or too slow. The last two are said of a session: a server
# that was demoted takes no writes, and one that waits too long for us hangs up.
_AWAY: Final = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


def envelope(
    exc: BaseException,
    *,
    method: str = "",
    path: str = "",
    render_intent: Callable[[Any], dict[str, Any]] | None = None,
) -> Envelope:
    """The answer to any exception; an unknown one is a 500 without details.

    `method` and `path` are the request's, for URLs that do not exist. `render_intent` renders a
    refusal's intent for the merchant; without it the intent is left out.
    """
    if isinstance(exc, refused.PaymentRefused):
        return _refusal(exc, render_intent, path=path)
    if isinstance(exc, (Http404, drf.NotFound, drf.MethodNotAllowed)):
        return unrecognized_url(method, path)
    if isinstance(exc, (Error, psycopg.Error)):
        return _database(exc)
    for answer in (_psp, _framework):
        found = answer(exc)
        if found is not None:
            return found
    return _answer(500, API, "", _OUR_FAULT)


_OWN_FIELDS: Final = "Let the payment provider's own fields make a token of the card."
_NO_BILLING: Final = "Billing is not supported: create a payment intent for each payment."
_OWN_PAGE: Final = (
    "Pages for customers are not supported: put the payment provider's fields into your own, and "
    "create a payment intent."
)
_PAYOUTS: Final = "Payouts are the operator's: balance transactions tell what is owed."
_INSTEAD: Final = {
    "POST /v1/charges": "Create a payment intent with confirm=true.",
    "files": "Evidence of a dispute is text.",
    **dict.fromkeys(("tokens", "sources", "confirmation_tokens"), _OWN_FIELDS),
    **dict.fromkeys(("checkout", "payment_links", "billing_portal"), _OWN_PAGE),
    **dict.fromkeys(("payouts", "transfers", "topups"), _PAYOUTS),
    **dict.fromkeys(("prices", "products", "plans", "subscriptions", "invoices"), _NO_BILLING),
}
"""What to do in place of resources that Stripe has and this API has not."""


def database_is_unavailable(exc: BaseException) -> bool:
    """Whether the database is unavailable or busy, rather than our statement wrong.

    Then the same request may be repeated.
    """
    return isinstance(_cause_of(exc), _AWAY)


def unrecognized_url(method: str, path: str) -> Envelope:
    """The answer for an unknown path, or a method that the path does not have."""
    resource = path.removeprefix("/v1/").partition("/")[0]
    instead = _INSTEAD.get(f"{method} {path}") or _INSTEAD.get(resource, "")
    remedy = f"{instead} See" if instead else "Please see"
    return _answer(
        404,
        INVALID_REQUEST,
        "unrecognized_url",
        f"Unrecognized request URL ({method}: {nameable(path)}). {remedy} the documentation under "
        "/docs.",
    )


def card_error_body(
    *,
    code: str,
    message: str,
    decline_code: str = "",
    charge_id: str = "",
    payment_intent: dict[str, Any] | None = None,
    setup_intent: dict[str, Any] | None = None,
    payment_method: dict[str, Any] | None = None,
    param: str = "",
) -> dict[str, Any]:
    """The body of a 402: the customer's bank (or the PSP for it) declined.

    `payment_intent` is the rendered intent; it can be confirmed again with another method.
    """
    last_error = (payment_intent or {}).get("last_payment_error") or {}
    return error_body(
        CARD,
        code,
        message,
        param=param,
        decline_code=decline_code,
        charge=charge_id,
        payment_intent=payment_intent,
        setup_intent=setup_intent,
        payment_method=payment_method or last_error.get("payment_method"),
    )


def error_body(error_type: str, code: str, message: str, **others: Any) -> dict[str, Any]:
    """The error envelope; keys without a value are left out."""
    error = {
        "type": error_type,
        "code": code,
        "doc_url": doc_url(code),
        "message": message,
        **others,
    }
    return {"error": {key: value for key, value in error.items() if value not in ("", None)}}


def _refusal(
    exc: refused.PaymentRefused,
    render_intent: Callable[[Any], dict[str, Any]] | None,
    *,
    path: str,
) -> Envelope:
    row = next(ERRORS[kind] for kind in type(exc).__mro__ if kind in ERRORS)
    headers = dict(row.headers or {})
    if isinstance(exc, refused.PspNotReached):
        headers["Retry-After"] = str(max(1, ceil(exc.retry_after_seconds)))
    intent = exc.intent
    if intent is not None and not isinstance(intent, dict):
        intent = render_intent(intent) if render_intent is not None else None
    setup = exc.setup_intent if isinstance(exc, refused.SetupRefused) else None
    body = error_body(
        *(row.type, exc.code, exc.message),
        param=exc.param,
        payment_intent=intent,
        setup_intent=setup,
    )
    unknown_in_parameter = isinstance(exc, refused.ResourceMissing) and not _is_of_path(exc, path)
    return 400 if unknown_in_parameter else row.status, body, headers


def _is_of_path(exc: refused.ResourceMissing, path: str) -> bool:
    """Is it the object of the URL (404), rather than one that a parameter names (400)?"""
    own_path = _PATHS_OF_PARAMS.get(exc.param)
    if own_path is not None:
        return path.startswith(own_path)
    return exc.param in _PARAMS_OF_PATHS


def _database(exc: BaseException) -> Envelope:
    """The answer to a database error: contention 429, unavailable 503, any other 500."""
    if isinstance(_cause_of(exc), _CONTENTION):
        return _answer(
            429,
            INVALID_REQUEST,
            "lock_timeout",
            "This object cannot be accessed right now because another request is using it. "
            "Repeat the request with the same Idempotency-Key.",
            _RETRY_IN_A_SECOND,
        )
    if database_is_unavailable(exc):
        return _unavailable("The service is not available right now.")
    return _answer(500, API, "", _OUR_FAULT)


def _cause_of(exc: BaseException) -> BaseException:
    """PostgreSQL's own error behind Django's, which has fewer classes."""
    return exc.__cause__ if isinstance(exc.__cause__, psycopg.Error) else exc


def _psp(exc: BaseException) -> Envelope | None:
    if isinstance(exc, PspUnavailable):
        return _unavailable("The payment provider could not be asked. Nothing was changed.")
    if isinstance(exc, UnknownToken):
        message = "No such token. Make one with the payment provider's own fields."
        return _answer(400, INVALID_REQUEST, "resource_missing", message)
    if isinstance(exc, CardDataRefused):
        message = "Card data is not allowed here: send the payment provider's token instead."
        return _answer(400, INVALID_REQUEST, "card_data_not_allowed", message)
    return None


def _framework(exc: BaseException) -> Envelope | None:
    """What Django and Django REST Framework raise before our own code runs."""
    if isinstance(exc, (drf.NotAuthenticated, drf.AuthenticationFailed)):
        message = "You did not provide a valid API key. Pass it as a Bearer token."
        return _answer(401, INVALID_REQUEST, "", message, _WHO_ARE_YOU)
    if isinstance(exc, (drf.PermissionDenied, PermissionDenied)):
        return _answer(403, INVALID_REQUEST, "", "This API key does not have the permission.")
    if isinstance(exc, drf.Throttled):
        headers = {"Retry-After": str(max(1, ceil(getattr(exc, "wait", None) or 1)))}
        message = "Too many requests. Please slow down."
        return _answer(429, INVALID_REQUEST, "rate_limit", message, headers)
    if isinstance(exc, (drf.APIException, SuspiciousOperation, BadRequest)):
        status = getattr(exc, "status_code", 400)
        if status < 500:
            return _answer(400, INVALID_REQUEST, "request_malformed", "The request is malformed.")
    return None


def _unavailable(message: str) -> Envelope:
    return _answer(503, API, "service_unavailable", message, _RETRY_IN_A_SECOND)


def _answer(
    status: int,
    error_type: str,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> Envelope:
    return status, error_body(error_type, code, message), dict(headers or {})
