"""Reads and answers every request of the merchant API.

Authenticate, read the headers, decode and validate, run the command, answer: in this order, so that
a replay is never given to another merchant, and a refused request stores nothing. Django REST
Framework routes and documents; its parsers and renderers are not used: one validator must see every
byte.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.views import APIView

from payments import public_ids
from payments.api import errors
from payments.api.api_versions import NEWEST_VERSION
from payments.api.authentication import authenticate
from payments.api.decoding import MAX_BODY_BYTES, decode_body, decode_query
from payments.api.parameters import Parameters
from payments.api.request_headers import (
    api_version_of,
    idempotency_key_of,
    missing_key_message,
    refuse_other_account,
    wait_seconds_of,
)
from payments.api.request_log import record_request
from payments.api.views.call import Call
from payments.exceptions import IdempotencyKeyRequired, InvalidParameter
from payments.models import Merchant
from payments.objects.payment_intent import payment_intent_object
from payments.services.callers.caller import CommandResult
from payments.services.idempotency.direct_requests import DirectResult

logger = logging.getLogger(__name__)

_JSON: Final = "application/json"

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parameters of a handler, whether it can move money, and whether it waits for the PSP."""

    parameters: Parameters
    moves_money: bool = False
    waits: bool = False


def endpoint(
    parameters: Parameters, *, moves_money: bool = False, waits: bool = False
) -> Callable[[Handler], Handler]:
    """Declare the parameters of a handler `(self, call, **path_ids) -> CommandResult | dict`."""

    def declare(handler: Handler) -> Handler:
        handler.endpoint = Endpoint(parameters, moves_money, waits)  # type: ignore[attr-defined]
        return handler

    return declare


class MerchantView(APIView):
    """A path of the merchant API; its methods are declared with `endpoint`."""

    http_method_names = ["get", "post", "delete"]

    def dispatch(self, request: Any, *args: Any, **path_ids: str) -> Any:
        """Answer one request; never raises."""
        exchange = _Exchange(request, time.monotonic())
        response = self._answer(exchange, path_ids)
        exchange.record(response)
        return response

    def _answer(self, exchange: _Exchange, path_ids: dict[str, str]) -> HttpResponse:
        request = exchange.request
        handler = getattr(self, str(request.method).lower(), None)
        declared = getattr(handler, "endpoint", None)
        if handler is None or declared is None:
            return exchange.unrecognized()
        try:
            return exchange.answer(handler(exchange.read(declared), **path_ids))
        except Exception as exc:  # noqa: BLE001  (logged and answered by the table of errors)
            return exchange.refuse(exc)


class UnknownUrl(APIView):
    """Every path under /v1 that does not exist."""

    schema = None

    def dispatch(self, request: Any, *args: Any, **path_ids: str) -> Any:
        """The error body that names the URL, for every method."""
        exchange = _Exchange(request, time.monotonic())
        response = exchange.unrecognized()
        exchange.record(response)
        return response


class _Exchange:
    """One request, and the headers of its answer."""

    __slots__ = ("api_version", "arrived", "idempotency_key", "merchant", "request", "request_id")

    def __init__(self, request: HttpRequest, arrived: float) -> None:
        self.request = request
        self.arrived = arrived
        self.request_id = public_ids.encode(public_ids.REQUEST, public_ids.new_id())
        self.api_version = NEWEST_VERSION
        self.idempotency_key = ""
        self.merchant: Merchant | None = None

    def read(self, declared: Endpoint) -> Call:
        """Authenticate, then parse and validate everything; raises PaymentRefused."""
        request = self.request
        identity = authenticate(request)
        self.merchant = identity.merchant
        self.api_version = api_version_of(request)
        refuse_other_account(request, identity.merchant)
        call = Call(
            identity=identity,
            method=str(request.method),
            path=request.path,
            request_id=self.request_id,
            api_version=self.api_version,
        )
        if request.method == "POST":
            self.idempotency_key = call.idempotency_key = idempotency_key_of(request)
            merchant = identity.merchant
            needs_key = declared.moves_money and merchant.idempotency_key_required
            if needs_key and not call.idempotency_key:
                raise IdempotencyKeyRequired(missing_key_message(request))
            if declared.waits:
                wait_seconds = wait_seconds_of(request, merchant.psp_wait_ms / 1000)
                call.answer_by_monotonic = self.arrived + wait_seconds
        call.given = declared.parameters.validate(_decoded(request))
        return call

    def answer(self, result: CommandResult | DirectResult[Any] | dict[str, Any]) -> HttpResponse:
        """The response to what a handler returned: a command's answer, or an object as JSON."""
        if isinstance(result, dict):
            return self._response(200, orjson.dumps(result))
        answer = result.answer
        assert answer is not None, "views give every command a renderer"
        response = self._response(answer.status, answer.body.encode())
        if answer.replayed:
            response["Idempotent-Replayed"] = "true"
            response["Original-Request"] = answer.original_request_id
        return response

    def refuse(self, exc: Exception) -> HttpResponse:
        """The response to an exception, by the table of errors; our own faults are logged."""
        status, body, headers = errors.envelope(
            exc,
            method=str(self.request.method),
            path=self.request.path,
            render_intent=payment_intent_object,
        )
        if status >= 500:
            logger.error(
                "%s answered with %s (%s)",
                self.request_id,
                status,
                type(exc).__name__,
                exc_info=exc,
            )
        return self._response(status, orjson.dumps(body), headers)

    def unrecognized(self) -> HttpResponse:
        """The response for a path that does not exist."""
        status, body, headers = errors.unrecognized_url(str(self.request.method), self.request.path)
        return self._response(status, orjson.dumps(body), headers)

    def record(self, response: HttpResponse) -> None:
        """Count and log this request, whose answer is `response`."""
        record_request(
            self.request,
            response,
            request_id=self.request_id,
            arrived_monotonic=self.arrived,
            merchant=self.merchant,
        )

    def _response(
        self, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> HttpResponse:
        response = HttpResponse(body, status=status, content_type=_JSON)
        response["Content-Length"] = str(len(body))
        response["Request-Id"] = self.request_id
        response["Stripe-Version"] = self.api_version
        response["Cache-Control"] = "no-store"
        if self.idempotency_key:
            response["Idempotency-Key"] = self.idempotency_key
        for name, value in (headers or {}).items():
            response[name] = value
        return response


def _decoded(request: HttpRequest) -> dict[str, Any]:
    """The parameters: from the body of a POST, else from the query; never from both."""
    query = request.META.get("QUERY_STRING", "")
    if request.method != "POST":
        if _body_of(request):
            _refuse_place("a query string", "a body")
        return decode_query(query)
    if query:
        _refuse_place("the body", "the query string")
    return decode_body(request.META.get("CONTENT_TYPE", ""), _body_of(request))


def _body_of(request: HttpRequest) -> bytes:
    """The bytes of the body. A body without a length would be read as empty, so it is refused."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and "HTTP_TRANSFER_ENCODING" in request.META:
        raise InvalidParameter(
            "Send the request body with a Content-Length.", code="body_length_missing"
        )
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise InvalidParameter(
            f"The request body is larger than {MAX_BODY_BYTES} bytes.", code="body_too_large"
        )
    try:
        body = request.body
    except UnreadablePostError as error:
        raise _cut_body() from error
    # A client that hangs up half way leaves a shorter body without any error: granian passes
    # nothing at all. Without its amount a capture would take everything.
    if length.isdigit() and len(body) != int(length):
        raise _cut_body()
    return body


def _cut_body() -> InvalidParameter:
    return InvalidParameter("The request body ended too early.", code="body_malformed")


def _refuse_place(right: str, wrong: str) -> None:
    raise InvalidParameter(
        f"Pass the parameters of this request in {right}, not in {wrong}.",
        code="parameters_misplaced",
    )
