"""`/v1/webhook_endpoint`: where an account's notices are sent."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from psp_adapters.sandbox_psp.notifications.http_client import LOOPBACK
from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.server.body_fields import read_object
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.requests import account_of, api_key_of
from psp_adapters.sandbox_psp.server.simulator import Simulator

_SECRET_LENGTHS: Final = range(16, 201)


def handle_webhook_endpoint(
    simulator: Simulator, request: HttpRequest, connection: HttpConnection
) -> None:
    """Read, set or remove the account's endpoint. Caller and URL must be on this machine."""
    if not connection.peer_is_local:
        raise Refusal(403, "forbidden", "endpoints are set from this machine only")
    account_id = account_of(api_key_of(request))
    match request.method:
        case "GET":
            pass
        case "PUT":
            url, secret = _parse(read_object(request.body))
            simulator.sender.set_endpoint(account_id, url, secret)
        case "DELETE":
            simulator.sender.set_endpoint(account_id, "", "")
        case _:
            raise Refusal(405, "invalid_request", "GET, PUT or DELETE")
    endpoint = simulator.truth.outbox.endpoints.get(account_id)
    answer = {"account": account_id, "url": endpoint.url if endpoint else ""}
    simulator.reply_when_durable(connection, 200, orjson.dumps(answer))


def _parse(body: dict[str, Any]) -> tuple[str, str]:
    url, secret = body.get("url"), body.get("secret")
    if body.keys() != {"url", "secret"} or not isinstance(url, str) or not isinstance(secret, str):
        raise invalid("send url and secret")
    if not url.isascii() or any(ord(character) <= 32 for character in url) or len(url) > 500:
        raise invalid("url must be an address")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise invalid("url must be an address") from None
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or port == 0 or parts.query:
        raise invalid("url must be http, on this machine, without a query")
    if len(secret) not in _SECRET_LENGTHS or not secret.isascii() or not secret.isprintable():
        raise invalid("secret must be 16 to 200 printable characters")
    return url, secret
