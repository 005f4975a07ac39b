"""A raw HTTP client of the simulator, for tests of the simulator."""

from __future__ import annotations

import http.client
import json
import uuid
from typing import Any
from urllib.parse import urlsplit

from psp_adapters.tests.support.sandbox_process import SandboxProcess

Answer = tuple[int, Any]


class Shop:
    """A raw client of the simulator with an account and an order of its own."""

    def __init__(self, base_url: str) -> None:
        self._address = urlsplit(base_url).netloc
        self.api_key = f"sandbox_shop_{uuid.uuid4().hex}"
        self.order_id = f"order-{uuid.uuid4().hex}"

    def request(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        key: str = "",
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=10)
        body = raw if raw is not None else None if content is None else json.dumps(content).encode()
        all_headers = {"Authorization": f"Bearer {self.api_key}", **(headers or {})}
        if key:
            all_headers["Idempotency-Key"] = key
        try:
            connection.request(method, path, body=body, headers=all_headers)
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.getheader("Content-Type") == "application/json"
            return answer.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    def pay(self, token: str = "pm_card_visa", *, minor: int = 1000, **more: Any) -> Answer:
        reference = more.pop("reference", f"op-{uuid.uuid4().hex}")
        key = more.pop("key", f"key-{reference}")
        content = {
            "reference": reference,
            "order_id": self.order_id,
            "amount_minor": minor,
            "currency": "USD",
            "token": token,
            "capture": False,
            **more,
        }
        return self.request("POST", "/v1/payments", content, key=key)

    def modify(self, payment_id: str, verb: str, minor: int = 0, **more: Any) -> Answer:
        reference = more.pop("reference", f"op-{uuid.uuid4().hex}")
        content = {"reference": reference, **more}
        if verb != "void":
            content["amount_minor"] = minor
        path = f"/v1/payments/{payment_id}/{verb}"
        return self.request("POST", path, content, key=more.pop("key", f"key-{reference}"))

    def payment(self, payment_id: str) -> dict[str, Any]:
        status, view = self.request("GET", f"/v1/payments/{payment_id}")
        assert status == 200
        assert isinstance(view, dict)
        return view

    def reports(self, query: str = "") -> list[dict[str, Any]]:
        """The account's settlement reports as the simulator lists them."""
        status, listed = self.request("GET", f"/v1/settlement_reports{query}")
        assert (status, listed["object"]) == (200, "list")
        data: list[dict[str, Any]] = listed["data"]
        return data

    def report(self, name: str) -> bytes:
        """One of them."""
        status, text = self.request("GET", f"/v1/settlement_reports/{name}")
        assert status == 200
        return str(text).encode()


def kinds(sandbox: SandboxProcess, shop: Shop) -> list[tuple[str, int]]:
    effects = sandbox.effects(order_id=shop.order_id)
    return [(each["kind"], each["amount_minor"]) for each in effects]


def error_of(answer: Answer) -> tuple[int, str]:
    status, body = answer
    return status, body["error"]["code"] or body["error"]["type"]
