"""Every refusal has the status, envelope and headers from which SDKs derive their classes."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import psycopg_pool
import pytest
import stripe
from django.conf import settings
from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404
from rest_framework import exceptions as drf
from stripe._api_requestor import _APIRequestor

from payments import exceptions as refused
from payments.api.errors import ERRORS, card_error_body, envelope, unrecognized_url
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import CardDataRefused, UnknownToken

ALLOWED_STATUSES = {400, 401, 402, 403, 404, 409, 429, 500, 503}


def sdk_error(status: int, body: dict[str, Any], headers: dict[str, str]) -> stripe.StripeError:
    """What the official Python SDK raises for this answer."""
    with pytest.raises(stripe.StripeError) as raised:
        _APIRequestor().handle_error_response(json.dumps(body), status, body, headers, "V1")
    return raised.value


def database_error(cause: psycopg.Error, wrapper: type[Exception] = OperationalError) -> Exception:
    """A database error as Django raises it."""
    error = wrapper("internal text of the database")
    error.__cause__ = cause
    return error


def refusals() -> list[type[refused.PaymentRefused]]:
    return [
        kind
        for kind in vars(refused).values()
        if isinstance(kind, type)
        and issubclass(kind, refused.PaymentRefused)
        and kind is not refused.PaymentRefused
    ]


def test_every_refusal_of_the_services_is_in_the_table() -> None:
    """Or is answered as the class that it refines."""
    refined = {refused.PendingAtBank: refused.UnexpectedState}
    assert set(refusals()) - refined.keys() == set(ERRORS)
    assert all(issubclass(kind, parent) for kind, parent in refined.items())


@pytest.mark.parametrize(
    ("kind", "status", "error_type", "code", "sdk_class"),
    [
        (refused.InvalidParameter, 400, "invalid_request_error", "parameter_invalid",
         stripe.InvalidRequestError),
        (refused.ResourceMissing, 404, "invalid_request_error", "resource_missing",
         stripe.InvalidRequestError),
        (refused.UnexpectedState, 400, "invalid_request_error",
         "payment_intent_unexpected_state", stripe.InvalidRequestError),
        (refused.AmountRefused, 400, "invalid_request_error", "amount_too_large",
         stripe.InvalidRequestError),
        (refused.ChargeRefused, 400, "invalid_request_error", "charge_already_refunded",
         stripe.InvalidRequestError),
        (refused.OrderAlreadyPaid, 400, "invalid_request_error", "order_already_has_payment",
         stripe.InvalidRequestError),
        (refused.OperationUnderWay, 429, "invalid_request_error", "lock_timeout",
         stripe.RateLimitError),
        (refused.IdempotencyKeyRequired, 400, "invalid_request_error",
         "idempotency_key_required", stripe.InvalidRequestError),
        (refused.IdempotencyKeyInvalid, 400, "invalid_request_error",
         "idempotency_key_invalid", stripe.InvalidRequestError),
        (refused.IdempotencyKeyReused, 400, "idempotency_error", None, stripe.IdempotencyError),
        (refused.IdempotencyKeyInUse, 409, "invalid_request_error", "idempotency_key_in_use",
         stripe.APIError),
        (refused.AuthenticationFailed, 401, "invalid_request_error", None,
         stripe.AuthenticationError),
        (refused.PermissionRefused, 403, "invalid_request_error", None, stripe.PermissionError),
        (refused.PspNotReached, 503, "api_error", "psp_unavailable", stripe.APIError),
    ],
)  # fmt: skip
def test_status_type_code_and_sdk_class_of_each_refusal(
    kind: type[refused.PaymentRefused],
    status: int,
    error_type: str,
    code: str | None,
    sdk_class: type[stripe.StripeError],
) -> None:
    answered, body, headers = envelope(kind("What to do."))
    assert answered == status
    link = f"{settings.PUBLIC_BASE_URL}/docs/errors#{code}" if code else None
    expected = {"type": error_type, "code": code, "doc_url": link, "message": "What to do."}
    assert body == {"error": {key: value for key, value in expected.items() if value}}
    assert type(sdk_error(answered, body, headers)) is sdk_class


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (refused.OperationUnderWay("m"), {"Stripe-Should-Retry": "true", "Retry-After": "1"}),
        (refused.IdempotencyKeyInUse("m"), {"Stripe-Should-Retry": "true", "Retry-After": "1"}),
        (
            refused.PspNotReached("m", retry_after_seconds=2.1),
            {"Stripe-Should-Retry": "true", "Retry-After": "3"},
        ),
        (
            refused.PspNotReached("m", retry_after_seconds=0.0),
            {"Stripe-Should-Retry": "true", "Retry-After": "1"},
        ),
        (refused.InvalidParameter("m"), {}),
        (refused.PermissionRefused("m"), {}),
        (RuntimeError("m"), {}),
    ],
)
def test_retry_headers_are_set_where_a_retry_is_safe(
    exc: Exception, expected: dict[str, str]
) -> None:
    assert envelope(exc)[2] == expected


def test_a_subclass_is_answered_like_its_parent_with_its_own_code() -> None:
    class TooEarly(refused.UnexpectedState):
        code = "too_early"

    status, body, _ = envelope(TooEarly("Wait.", param="amount"))
    assert status == 400
    assert body["error"]["code"] == "too_early"
    assert body["error"]["param"] == "amount"


def test_the_intent_is_embedded_as_rendered_and_left_out_otherwise() -> None:
    exc = refused.UnexpectedState("No.", intent=object())
    assert "payment_intent" not in envelope(exc)[1]["error"]
    rendered = envelope(exc, render_intent=lambda _: {"id": "pi_1"})[1]
    assert rendered["error"]["payment_intent"] == {"id": "pi_1"}
    ready = refused.UnexpectedState("No.", intent={"id": "pi_2"})
    assert envelope(ready)[1]["error"]["payment_intent"] == {"id": "pi_2"}


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.errors.LockNotAvailable("internal"),
        psycopg.errors.DeadlockDetected("internal"),
        psycopg.errors.SerializationFailure("internal"),
    ],
)
def test_contention_in_the_database_may_be_repeated(cause: psycopg.Error) -> None:
    for exc in (database_error(cause), cause):
        status, body, headers = envelope(exc)
        assert status == 429
        assert body["error"]["code"] == "lock_timeout"
        assert headers == {"Stripe-Should-Retry": "true", "Retry-After": "1"}
        assert type(sdk_error(status, body, headers)) is stripe.RateLimitError


@pytest.mark.parametrize(
    "exc",
    [
        OperationalError("internal"),
        InterfaceError("internal"),
        database_error(psycopg_pool.PoolTimeout("internal")),
        database_error(psycopg.errors.AdminShutdown("internal")),
        database_error(psycopg.errors.QueryCanceled("internal")),
        database_error(psycopg.errors.ConnectionFailure("internal")),
        database_error(psycopg.InterfaceError("internal"), InterfaceError),
        database_error(psycopg.errors.ReadOnlySqlTransaction("internal"), InternalError),
        database_error(psycopg.errors.IdleInTransactionSessionTimeout("internal"), InternalError),
        psycopg_pool.PoolTimeout("internal"),
        PspUnavailable("internal"),
    ],
)
def test_an_unreachable_database_or_psp_is_a_503(exc: Exception) -> None:
    status, body, headers = envelope(exc)
    assert status == 503
    assert body["error"]["type"] == "api_error"
    assert headers == {"Stripe-Should-Retry": "true", "Retry-After": "1"}
    assert "internal" not in json.dumps(body)


@pytest.mark.parametrize(
    "exc",
    [
        RuntimeError("secret internals"),
        IntegrityError("secret internals"),
        InternalError("secret internals"),
        psycopg.errors.UniqueViolation("secret internals"),
        psycopg.errors.UndefinedTable("secret internals"),
        KeyError("secret internals"),
        drf.APIException("secret internals"),
        RecursionError("secret internals"),
    ],
)
def test_an_unexpected_error_is_a_500_without_details(exc: Exception) -> None:
    status, body, headers = envelope(exc)
    assert status == 500
    assert set(body["error"]) == {"type", "message"}
    assert "secret" not in json.dumps(body)
    assert type(sdk_error(status, body, headers)) is stripe.APIError


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (drf.NotAuthenticated(), 401, None),
        (drf.AuthenticationFailed(), 401, None),
        (drf.PermissionDenied(), 403, None),
        (PermissionDenied(), 403, None),
        (drf.Throttled(wait=3), 429, "rate_limit"),
        (drf.ParseError("secret"), 400, "request_malformed"),
        (drf.ValidationError("secret"), 400, "request_malformed"),
        (drf.UnsupportedMediaType("text/plain"), 400, "request_malformed"),
        (drf.NotAcceptable(), 400, "request_malformed"),
        (RequestDataTooBig("secret"), 400, "request_malformed"),
        (DisallowedHost("secret"), 400, "request_malformed"),
        (UnknownToken("tok_secret"), 400, "resource_missing"),
        (CardDataRefused("4242"), 400, "card_data_not_allowed"),
        (drf.MethodNotAllowed("PUT"), 404, "unrecognized_url"),
        (drf.NotFound(), 404, "unrecognized_url"),
        (Http404(), 404, "unrecognized_url"),
    ],
)
def test_a_refusal_by_the_framework_is_answered_in_the_same_envelope(
    exc: Exception, status: int, code: str | None
) -> None:
    answered, body, headers = envelope(exc, method="PUT", path="/v1/x")
    assert answered == status
    assert answered in ALLOWED_STATUSES
    assert body["error"].get("code") == code
    assert body["error"]["type"] == "invalid_request_error"
    assert "secret" not in json.dumps(body)
    assert isinstance(sdk_error(answered, body, headers), stripe.StripeError)


def test_a_rate_limit_and_a_missing_api_key_name_the_next_step() -> None:
    assert envelope(drf.Throttled(wait=2.5))[2] == {"Retry-After": "3"}
    assert envelope(drf.Throttled())[2] == {"Retry-After": "1"}
    for exc in (refused.AuthenticationFailed("No key."), drf.NotAuthenticated()):
        assert envelope(exc)[2]["WWW-Authenticate"].startswith("Bearer ")


def test_an_unknown_url_is_named_with_its_method() -> None:
    status, body, headers = unrecognized_url("POST", "/v1/subscriptions")
    assert (status, headers) == (404, {})
    message = body["error"]["message"]
    assert message.startswith("Unrecognized request URL (POST: /v1/subscriptions).")
    assert envelope(Http404(), method="POST", path="/v1/subscriptions")[1] == body


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("POST", "/v1/charges", "Create a payment intent with confirm=true."),
        ("POST", "/v1/checkout/sessions", "create a payment intent"),
        ("GET", "/v1/subscriptions/sub_1", "create a payment intent"),
        ("DELETE", "/v1/charges/ch_1", "Please see the documentation"),
    ],
)
def test_a_resource_that_is_not_here_says_what_to_use(method: str, path: str, instead: str) -> None:
    assert instead in unrecognized_url(method, path)[1]["error"]["message"]


def test_an_unknown_url_never_repeats_a_card_number() -> None:
    body = unrecognized_url("GET", "/v1/cards/4242424242424242")[1]
    assert "4242" not in json.dumps(body)


def test_a_decline_is_a_card_error_with_the_payment_embedded() -> None:
    intent = {"id": "pi_1", "last_payment_error": {"payment_method": {"id": "pm_1"}}}
    body = card_error_body(
        code="card_declined",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
        charge_id="ch_1",
        payment_intent=intent,
    )
    assert body["error"] == {
        "type": "card_error",
        "code": "card_declined",
        "doc_url": f"{settings.PUBLIC_BASE_URL}/docs/errors#card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.",
        "charge": "ch_1",
        "payment_intent": intent,
        "payment_method": {"id": "pm_1"},
    }
    error = sdk_error(402, body, {})
    assert type(error) is stripe.CardError
    assert error.code == "card_declined"


def test_a_decline_without_details_has_no_empty_fields() -> None:
    body = card_error_body(code="expired_card", message="Your card has expired.")
    assert set(body["error"]) == {"type", "code", "doc_url", "message"}
