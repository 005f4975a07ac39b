"""A merchant's program as tests write it: its key, and requests to the API through Django."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client

from payments.services.commands.operators.merchants import issue_api_key
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import Shop

FORM = "application/x-www-form-urlencoded"


@dataclass
class Reply:
    """What came back."""

    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def body(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.response.content)
        return decoded

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.body["error"]
        return error

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name)


@dataclass
class ApiClient:
    """Requests with a merchant's key. Without `key` a POST gets a fresh Idempotency-Key."""

    secret: str
    client: Client = field(default_factory=Client)

    def get(self, path: str, **params: Any) -> Reply:
        query = urlencode(flat(params))
        return self.send("GET", f"{path}?{query}" if query else path)

    def delete(self, path: str) -> Reply:
        return self.send("DELETE", path)

    def post(self, path: str, *, key: str | None = "", headers: Any = None, **params: Any) -> Reply:
        more = dict(headers or {})
        if key is not None:
            more["Idempotency-Key"] = key or str(uuid.uuid4())
        return self.send("POST", path, urlencode(flat(params)), FORM, more)

    def post_json(self, path: str, body: Any, *, key: str = "") -> Reply:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.send("POST", path, json.dumps(body), "application/json", headers)

    def send(
        self,
        method: str,
        path: str,
        body: str = "",
        content_type: str = FORM,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = {"Authorization": f"Bearer {self.secret}", **(headers or {})}
        response = self.client.generic(method, path, body, content_type, headers=sent)
        return Reply(response)  # type: ignore[arg-type]

    def pay(self, amount: int = 10_000, **params: Any) -> dict[str, Any]:
        """A payment that succeeded, unless the parameters want something else."""
        given = {"currency": "usd", "payment_method": "pm_card_visa", "confirm": "true", **params}
        reply = self.post("/v1/payment_intents", amount=amount, **given)
        assert reply.status == 200, reply.body
        return reply.body


def flat(params: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Parameters as the official SDKs write them into forms."""
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        full = f"{prefix}[{name}]" if prefix else name
        if isinstance(value, dict):
            pairs += flat(value, full)
        elif isinstance(value, list):
            pairs += flat({str(index): member for index, member in enumerate(value)}, full)
        elif isinstance(value, bool):
            pairs.append((full, "true" if value else "false"))
        else:
            pairs.append((full, str(value)))
    return pairs


def api_of(shop: Shop) -> ApiClient:
    """A client with a new key of the shop's merchant."""
    _, secret = issue_api_key(merchant=shop.merchant, livemode=False, author=TESTS)
    return ApiClient(secret)
