"""localstripe, a stateful double of Stripe that others wrote, as a child process on loopback."""

from __future__ import annotations

import http.client
import importlib.util
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from psp_adapters.tests.support.stripe_proxy import StripeProxy

_PROJECT = Path(__file__).resolve().parents[3]
API_KEY = "sk_test_localstripe"


def is_installed() -> bool:
    """Whether localstripe is there, without importing it: its license is the GPL."""
    return importlib.util.find_spec("localstripe") is not None


class LocalStripe:
    """localstripe behind `StripeProxy`; usable as a context manager."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.proxy = StripeProxy(self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        starter = [sys.executable, "-m", "psp_adapters.tests.support.loopback_only"]
        self._process = subprocess.Popen(
            [*starter, "localstripe", "--port", str(self.port), "--from-scratch"],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                self._stop()
                raise RuntimeError("localstripe did not start")
            time.sleep(0.05)
        self.proxy.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.proxy.__exit__(kind, error, trace)
        self._stop()

    def call(self, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
        """One request to localstripe itself, past the proxy."""
        return self._call(method, path, urlencode(form or {}), "application/x-www-form-urlencoded")

    def configure_webhook(self, url: str, secret: str) -> None:
        """Have it send its events to `url`, signed, a second after each."""
        body = json.dumps({"url": url, "secret": secret})
        self._call("POST", "/_config/webhooks/tests", body, "application/json")

    def card_token(self, number: str) -> str:
        """A payment method of a test card, as the page of a merchant would make it."""
        card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
        return str(self.call("POST", "/v1/payment_methods", form)["id"])

    def authenticate(self, intent_id: str, *, success: bool) -> None:
        """Answer a challenge as the customer would."""
        secret = self.call("GET", f"/v1/payment_intents/{intent_id}")["client_secret"]
        form = {"client_secret": secret, "success": str(success).lower(), "key": "pk_test_tests"}
        self.call("POST", f"/v1/payment_intents/{intent_id}/_authenticate", form)

    def _call(self, method: str, path: str, body: str, content_type: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": content_type}
            connection.request(method, path, body=body, headers=headers)
            content = connection.getresponse().read()
            return json.loads(content) if content else None
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return self.call("GET", "/v1/payment_intents") is not None
        except (OSError, http.client.HTTPException):
            return False

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
