"""Calls Mollie's client through our own HTTP client: one deadline, no retry, nothing logged.

The client's own transport cannot say whether a byte left us, nor bound a whole call. It also loses
the status of answers that it does not expect, so each answer is kept as it came.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import requests
from mollie.api.client import Client, generate_querystring
from mollie.api.error import Error as MollieError
from mollie.api.objects.payment import Payment as PaymentHandle
from mollie.api.resources.captures import PaymentCaptures
from mollie.api.resources.refunds import PaymentRefunds

from psp_adapters.contract.answers import UNREADABLE, Answer, view_of
from psp_adapters.contract.credentials import CredentialsRefused
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.http import MAX_BODY_BYTES, AnswerUnknown, HttpAnswer, NotSent, PspHttp
from psp_adapters.mollie.mapping import Json

PAGES_MAX: Final = 50
"""Of a list, 250 objects each: more are not read to find one reference."""
PAGE_LENGTH: Final = 250
EMBEDDED: Final = "captures,refunds"
_LIST_BYTES_MAX: Final = 8 * 1024 * 1024
_SUCCESSES: Final = frozenset({200, 201, 202, 204})


class _Call(threading.local):
    deadline_seconds: float = 0.0
    answer: HttpAnswer | None = None


class Transport(Client):
    """Mollie's client, from any number of threads; `call` holds what this thread is doing."""

    def __init__(self, base_url: str, *, key: str) -> None:
        super().__init__(api_endpoint=base_url, retry=0)
        self._key = key
        self._http = PspHttp(base_url, {})
        self.call = _Call()

    def perform_http_call(
        self,
        http_method: str,
        path: str,
        data: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        idempotency_key: str = "",
    ) -> requests.Response:
        """One request; raises NotSent or AnswerUnknown, which the client lets through."""
        query = generate_querystring(params)
        headers = {
            "Accept": "application/hal+json, application/json",
            "Authorization": f"Bearer {self._key}",
            "User-Agent": self.user_agent,
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        answer = self.exchange(
            http_method, f"/{self.api_version}/{path}{f'?{query}' if query else ''}", data, headers
        )
        self.call.answer = answer
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.raw = io.BytesIO(answer.body)
        return response

    def exchange(
        self, method: str, target: str, body: Json | None, headers: dict[str, str]
    ) -> HttpAnswer:
        """Send one request within this thread's deadline."""
        return self._http.send(
            method,
            target,
            json=body,
            headers=headers,
            deadline_seconds=self.call.deadline_seconds,
            max_body_bytes=_LIST_BYTES_MAX if method == "GET" else MAX_BODY_BYTES,
        )

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


class Connection:
    """The calls of one account with one key."""

    def __init__(self, transport: Transport) -> None:
        self.api = transport
        self._call = transport.call

    def post(self, call: Callable[[], Any], *, deadline_seconds: float) -> Answer:
        """One request that changes something; raises NotSent or AnswerUnknown."""
        self._call.answer = None
        self._call.deadline_seconds = deadline_seconds
        try:
            call()
        except (MollieError, *UNREADABLE) as error:
            # A refusal, or what the client makes of an answer in a form that it does not expect.
            if self._call.answer is None:
                raise NotSent(f"the client refused the request: {type(error).__name__}") from None
        finally:
            self._call.deadline_seconds = 0.0
        answer = self._call.answer
        if answer is None:
            raise NotSent("the client sent nothing")
        try:
            body = orjson.loads(answer.body) if answer.body else None
        except orjson.JSONDecodeError:
            body = None
        return Answer(answer.status, answer.headers, body)

    def get(self, call: Callable[[], Any], *, deadline_seconds: float) -> Answer:
        """One request that changes nothing; raises PspUnavailable if it is not answered."""
        try:
            return self.post(call, deadline_seconds=deadline_seconds)
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None

    def object(self, call: Callable[[], Any], *, deadline_seconds: float) -> Json:
        """One object that must be there; raises PspUnavailable."""
        return view_of(self.get(call, deadline_seconds=deadline_seconds))

    def payment(self, payment_id: str, *, deadline_seconds: float) -> Json | None:
        """A payment with its captures and refunds, or None if there is none of that id."""
        if not payment_id.startswith("tr_"):
            return None
        path = in_path(payment_id)
        answer = self.get(
            lambda: self.api.payments.get(path, embed=EMBEDDED), deadline_seconds=deadline_seconds
        )
        return None if answer.status == 404 else view_of(answer)

    def captures_of(self, payment_id: str) -> Any:
        """The client's captures of a payment, without fetching that."""
        return PaymentCaptures(self.api, self._handle(payment_id))

    def refunds_of(self, payment_id: str) -> Any:
        """The client's refunds of a payment, without fetching that."""
        return PaymentRefunds(self.api, self._handle(payment_id))

    def _handle(self, payment_id: str) -> Any:
        return PaymentHandle({"id": in_path(payment_id)}, self.api)  # type: ignore[no-untyped-call]

    def pages(
        self, resource: Any, name: str, end: float, *, most: int = PAGES_MAX, **params: Any
    ) -> Iterator[list[Json]]:
        """Each page of a list until `end`, a time of time.monotonic(), the newest first.

        Raises PspUnavailable, also if there are too many pages to be read.
        """
        query = {"limit": PAGE_LENGTH, **params}
        for _ in range(most):
            answer = self.get(
                lambda this=dict(query): resource.list(**this),  # type: ignore[misc]
                deadline_seconds=end - time.monotonic(),
            )
            page = view_of(answer)
            data = (page.get("_embedded") or {}).get(name)
            if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
                raise PspUnavailable("the list is not readable")
            yield data
            following = _next_of(page)
            if not following or not data:
                return
            query["from"] = following
        raise PspUnavailable("the list is too long to be read")

    def close(self) -> None:
        """Close idle connections."""
        self.api.close()


def _next_of(page: Json) -> str:
    """The id with which the next page begins. The address itself is not followed: it is text of
    an answer, and our key would go there."""
    href = (((page.get("_links") or {}).get("next")) or {}).get("href") or ""
    return parse_qs(urlsplit(str(href)).query).get("from", [""])[0]


def is_success(answer: Answer) -> bool:
    """Whether Mollie accepted the request."""
    return answer.status in _SUCCESSES


def require_address(url: str, *, livemode: bool) -> None:
    """Raise CredentialsRefused for an address that cannot be used with the key."""
    parts = urlsplit(url)
    if not parts.hostname or parts.query or parts.scheme not in ("http", "https"):
        raise CredentialsRefused("base_url and webhook_url are addresses without a query")
    if livemode and parts.scheme != "https":
        raise CredentialsRefused("a live api_key needs a base_url and webhook_url with https://")


def in_path(identifier: str) -> str:
    """An id as a part of a path."""
    return quote(identifier, safe="")
