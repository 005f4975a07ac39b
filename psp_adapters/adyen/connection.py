"""Calls Adyen's library through our own HTTP client: one deadline, no retry, nothing logged.

The library's own clients cannot say whether a byte left us, nor bound a whole call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlsplit

import Adyen
from Adyen.exceptions import AdyenAPIResponseError

from psp_adapters.contract.answers import Answer
from psp_adapters.contract.credentials import CredentialsRefused
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.report_files import REPORT_BYTES_MAX
from psp_adapters.http import AnswerUnknown, NotSent, PspHttp

VERSION: Final = "v72"
"""Of Checkout, which the library's release speaks."""
TEST_URL: Final = f"https://checkout-test.adyen.com/{VERSION}"
DISPUTE_URL: Final = "https://ca-{}.adyen.com/ca/services/DisputeService/v30"
_USER_AGENT: Final = "adyen-python-api-library"

logging.getLogger("Adyen").setLevel(logging.CRITICAL)


class _Call(threading.local):
    deadline_seconds: float = 0.0


class Transport:
    """What the library sends with, from any number of threads."""

    user_agent = _USER_AGENT

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._http = PspHttp(self._origin, {})
        self._call = _Call()
        self.answer_headers = threading.local()

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
        *,
        json: object = None,
        xapikey: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[str, object, int, Mapping[str, str]]:
        """One request; raises NotSent or AnswerUnknown, which the library lets through."""
        answer = self._http.send(
            method.upper(),
            url.removeprefix(self._origin),
            json=json,
            headers={**(headers or {}), "X-API-Key": xapikey},
            deadline_seconds=self._call.deadline_seconds,
        )
        self.answer_headers.of_thread = answer.headers
        try:
            return answer.body.decode(), json, answer.status, answer.headers
        except UnicodeDecodeError:
            raise AnswerUnknown("the answer is not UTF-8") from None

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()


class Calls:
    """Calls of the library at one of Adyen's services."""

    def __init__(self, *, api_key: str, base_url: str, is_live: bool) -> None:
        self._transport = Transport(base_url)
        self._client = Adyen.AdyenClient(
            xapikey=api_key, platform="live" if is_live else "test", live_endpoint_prefix=""
        )
        self._client.http_client, self._client.http_init = self._transport, True
        # The library has no option for the address, and would rewrite that of its live platform.
        self._client._determine_api_url = lambda platform, endpoint: endpoint

    def post(
        self, call: Callable[..., Any], *arguments: Any, key: str, deadline_seconds: float
    ) -> Answer:
        """One request that changes something, under a key; raises NotSent or AnswerUnknown."""
        with self._transport.deadline(deadline_seconds):
            return self._answer_to(lambda: call(*arguments, idempotency_key=key))

    def get(self, call: Callable[[], Any], *, deadline_seconds: float) -> Answer:
        """One request that changes nothing; raises PspUnavailable if it is not answered."""
        try:
            with self._transport.deadline(deadline_seconds):
                return self._answer_to(call)
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _answer_to(self, call: Callable[[], Any]) -> Answer:
        """The whole answer to one call of the library; raises NotSent or AnswerUnknown.

        The library raises for what is no success, and takes an unreadable body for an empty one.
        """
        self._transport.answer_headers.of_thread = {}
        try:
            answered = call()
            status, body = answered.status_code, answered.message
        except (NotSent, AnswerUnknown):
            raise
        except AdyenAPIResponseError as error:
            status, body = error.status_code, error.message
        except Exception as error:
            # What the library makes of an answer in a form that it does not expect.
            raise AnswerUnknown(f"unreadable: {type(error).__name__}") from error
        return Answer(status, self._transport.answer_headers.of_thread, body)


class Connection(Calls):
    """The calls of one merchant account."""

    def __init__(
        self, *, api_key: str, base_url: str, report_url: str = "", report_key: str = ""
    ) -> None:
        base_url = base_url.rstrip("/")
        _require_address("base_url", base_url)
        self._reports: PspHttp | None = None
        if report_url and report_key:
            _require_address("report_url", report_url)
            self._reports = PspHttp(report_url, {"X-API-Key": report_key})
        self.is_live = "-live" in urlsplit(base_url).netloc
        super().__init__(api_key=api_key, base_url=base_url, is_live=self.is_live)
        checkout = Adyen.services.AdyenCheckoutApi(self._client)
        self.payments = checkout.payments_api
        self._modifications = checkout.modifications_api
        self.recurring = checkout.recurring_api
        for api in (self.payments, self._modifications, self.recurring):
            api.baseUrl = base_url

    def modification(self, name: str) -> Callable[..., Any]:
        """The library's call of that name; the library itself takes any name for an empty one."""
        if not hasattr(type(self._modifications), name):
            raise LookupError(f"Adyen's library has no {name}")
        found: Callable[..., Any] = getattr(self._modifications, name)
        return found

    def report(
        self, name: str, *, into: BinaryIO, merchant_account: str, deadline_seconds: float
    ) -> None:
        """Fetch a report's file, from the configured address alone; raises PspUnavailable."""
        if self._reports is None:
            raise PspUnavailable("report_url and report_key are not set")
        path = f"/{quote(merchant_account, safe='')}/{quote(name, safe='')}"
        try:
            answer = self._reports.send(
                "GET",
                path,
                deadline_seconds=deadline_seconds,
                into=into,
                max_body_bytes=REPORT_BYTES_MAX,
            )
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None
        if answer.status != 200:
            raise PspUnavailable(f"answered {answer.status}")

    def close(self) -> None:
        """Close idle connections."""
        super().close()
        if self._reports is not None:
            self._reports.close()


class DisputeConnection(Calls):
    """The calls of Adyen's dispute service, which has an address and a role of its own."""

    def __init__(self, *, api_key: str, base_url: str, is_live: bool) -> None:
        base_url = (base_url or DISPUTE_URL.format("live" if is_live else "test")).rstrip("/")
        _require_address("dispute_url", base_url)
        super().__init__(api_key=api_key, base_url=base_url, is_live=is_live)
        self.api = Adyen.services.AdyenDisputesApi(self._client).disputes_api
        self.api.baseUrl = base_url


def in_path(identifier: str) -> str:
    """An id as a part of a path, where the library puts it as it is."""
    return quote(identifier, safe="") if identifier.strip(".") else "_"


def _require_address(key: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CredentialsRefused(f"{key} starts with http:// or https:// and names a host")
    if parts.scheme == "http" and parts.hostname.endswith(("adyen.com", "adyenpayments.com")):
        raise CredentialsRefused(f"an address of Adyen needs a {key} with https://")
