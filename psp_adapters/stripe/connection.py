"""Calls Stripe's SDK through our own HTTP client: one deadline, no retry, nothing logged.

The SDK's own clients cannot say whether a byte left us, nor bound a whole call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import stripe

from psp_adapters.contract.answers import Answer, view_of
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.http import MAX_BODY_BYTES, AnswerUnknown, NotSent, PspHttp
from psp_adapters.stripe.mapping import Json

PAGES_MAX: Final = 50
"""Of a list, a hundred objects each: more are not read to find one reference."""
WITH_CHARGE: Final = {"expand": ["latest_charge"]}

LIST_BYTES_MAX: Final = 8 * 1024 * 1024
"""A page of a hundred payments with their charges may be larger than one answer."""
# They describe this machine, and how long earlier calls took.
_NOT_SENT_HEADERS: Final = ("X-Stripe-Client-User-Agent", "X-Stripe-Client-Telemetry")

# It would log addresses, and with its debug level whole requests.
logging.getLogger("stripe").setLevel(logging.CRITICAL)


class _Call(threading.local):
    deadline_seconds: float = 0.0


class Transport(stripe.HTTPClient):  # type: ignore[misc]
    """What the SDK sends with, from any number of threads."""

    name = "platform"

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url.rstrip("/")
        self._http = PspHttp(self._base_url, {})
        self._call = _Call()

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Bound the calls of this thread inside the block; each gets all of it."""
        self._call.deadline_seconds = seconds
        try:
            yield
        finally:
            self._call.deadline_seconds = 0.0

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """One request; raises NotSent or AnswerUnknown, which the SDK lets through."""
        kept = {k: v for k, v in (headers or {}).items() if k not in _NOT_SENT_HEADERS}
        answer = self._http.send(
            method.upper(),
            url.removeprefix(self._base_url),
            form=post_data,
            headers=kept,
            deadline_seconds=self._call.deadline_seconds,
            max_body_bytes=LIST_BYTES_MAX if method.lower() == "get" else MAX_BODY_BYTES,
        )
        try:
            return answer.body.decode(), answer.status, answer.headers
        except UnicodeDecodeError:
            raise AnswerUnknown("the answer is not UTF-8") from None

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


class Connection:
    """The calls of one account."""

    def __init__(
        self, *, api_key: str, base_url: str, account_id: str, transport: Transport | None
    ) -> None:
        self.livemode = "_live_" in api_key
        self._transport = transport or Transport(base_url)
        self.api = stripe.StripeClient(
            api_key,
            base_addresses={"api": base_url.rstrip("/")},
            stripe_account=account_id or None,
            max_network_retries=0,
            http_client=self._transport,
        ).v1

    def post(self, call: Callable[[Any], Any], *, key: str, deadline_seconds: float) -> Answer:
        """One request that changes something, under a key; raises NotSent or AnswerUnknown."""
        with self._transport.deadline(deadline_seconds):
            return _answer_to(lambda: call({"idempotency_key": key}))

    def get(self, call: Callable[[], Any], *, deadline_seconds: float) -> Answer:
        """One request that changes nothing; raises PspUnavailable if it is not answered."""
        try:
            with self._transport.deadline(deadline_seconds):
                return _answer_to(call)
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None

    def pages(
        self, list_: Callable[[Any], Any], params: Json, end: float, *, most: int = PAGES_MAX
    ) -> Iterator[list[Json]]:
        """Each page of a list until `end`, a time of time.monotonic().

        Raises PspUnavailable, also if there are too many pages to be read.
        """
        query = {"limit": 100, **params}
        for _ in range(most):
            page = view_of(
                self.get(
                    lambda this=dict(query): list_(this),  # type: ignore[misc]
                    deadline_seconds=end - time.monotonic(),
                )
            )
            data = page.get("data")
            if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
                raise PspUnavailable("the list is not readable")
            yield data
            if not page.get("has_more") or not data:
                return
            query["starting_after"] = str(data[-1].get("id"))
        raise PspUnavailable("the list is too long to be read")

    def intent(self, intent_id: str, *, deadline_seconds: float) -> Json | None:
        """A payment intent with its charge, or None if there is none of that id."""
        path = in_path(intent_id)
        answer = self.get(
            lambda: self.api.payment_intents.retrieve(path, WITH_CHARGE),
            deadline_seconds=deadline_seconds,
        )
        return None if answer.status == 404 else view_of(answer)

    def refunds_of(self, intent_id: str, end: float) -> list[Json]:
        """Every refund of a payment intent, newest first, with what it did to the balance."""
        query = {"payment_intent": intent_id, "expand": ["data.balance_transaction"]}
        pages = self.pages(self.api.refunds.list, query, end)
        return [view for page in pages for view in page]

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()


def in_path(identifier: str) -> str:
    """An id as a part of a path: the SDK quotes all but dots, which could lead elsewhere."""
    return identifier if identifier.strip(".") else f"{quote(identifier)}_"


def _answer_to(call: Callable[[], Any]) -> Answer:
    """The whole answer to one call of the SDK, whatever its status; raises NotSent, AnswerUnknown.

    The SDK raises for what is no success, and for an answer that it cannot read.
    """
    try:
        response = call().last_response
        return Answer(response.code, response.headers, response.data)
    except (NotSent, AnswerUnknown):
        raise
    except stripe.StripeError as error:
        if error.http_status is None:
            raise NotSent(f"the SDK refused the request: {type(error).__name__}") from None
        return Answer(error.http_status, error.headers or {}, error.json_body)
    except Exception as error:
        # What the SDK makes of an answer in a form that it does not expect.
        raise AnswerUnknown(f"unreadable: {type(error).__name__}") from error
