"""Serves the page on which a customer completes or fails the issuer's challenge."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from ledger.money import Money
from psp_adapters.sandbox_psp.refusals import Refusal
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.server.views import payment_view
from psp_adapters.sandbox_psp.state.records import Payment

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox bank</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}}
form{{display:inline}}button{{font:inherit;padding:.5rem 1.25rem;margin-right:.75rem}}</style>
</head><body><h1>Sandbox bank</h1>{content}</body></html>
"""
_CHALLENGE_FORM = """<p>Confirm the payment of <strong>{amount}</strong>?</p>
<form method="post" action="/challenge/{id}/complete"><button>Complete</button></form>
<form method="post" action="/challenge/{id}/fail"><button>Fail</button></form>"""
_WITHOUT_DECIMALS = ("ISK", "UGX")
_DONE = "<p>This challenge is over. The payment is: <strong>{status}</strong>.</p>"
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: browsers apply it to the redirect back to the shop as well.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}


def handle_challenge(
    simulator: Simulator, request: HttpRequest, connection: HttpConnection
) -> None:
    """Show the page, or take the customer's answer and redirect to the merchant."""
    simulator.settle()
    match (request.method, request.target.partition("?")[0].split("/")[2:]):
        case ("GET", [payment_id]):
            _reply_page(connection, _find(simulator, payment_id))
        case ("POST", [payment_id, "complete" | "fail" as answer]):
            payment = _find(simulator, payment_id)
            simulator.rules.answer_challenge(
                payment, completed=answer == "complete", now_ms=simulator.clock.now_ms()
            )
            wants_json = "application/json" in request.headers.get("accept", "")
            simulator.store.when_durable(
                simulator.truth.take_unsaved(),
                lambda: _send_back(simulator, connection, payment, wants_json=wants_json),
            )
        case _:
            raise Refusal(404, "not_found", "no such address")


def _find(simulator: Simulator, payment_id: str) -> Payment:
    payment = simulator.truth.payments.get(payment_id)
    if payment is None:
        raise Refusal(404, "not_found", "no such challenge")
    return payment


def _reply_page(connection: HttpConnection, payment: Payment) -> None:
    if payment.status == "requires_action":
        content = _CHALLENGE_FORM.format(amount=_amount_of(payment), id=payment.id)
    else:
        content = _DONE.format(status=payment.status)
    page = _PAGE.format(content=content).encode()
    connection.reply(200, page, content_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


def _amount_of(payment: Payment) -> str:
    """For the customer: this PSP counts ISK and UGX in whole units, as ISO 4217 does."""
    if payment.currency in _WITHOUT_DECIMALS:
        return f"{payment.amount_minor} {payment.currency}"
    return str(Money(payment.amount_minor, payment.currency))


def _send_back(
    simulator: Simulator, connection: HttpConnection, payment: Payment, *, wants_json: bool
) -> None:
    if not payment.return_url:
        if not wants_json:
            _reply_page(connection, payment)
            return
        body = orjson.dumps(payment_view(payment, base_url=simulator.base_url))
        connection.reply(200, body)
        return
    location = return_address(payment)
    if wants_json:
        view = payment_view(payment, base_url=simulator.base_url)
        body = orjson.dumps({**view, "return_to": location})
        connection.reply(303, body, headers={"Location": location})
        return
    connection.reply(303, b"", content_type="text/plain", headers={"Location": location})


def return_address(payment: Payment) -> str:
    """The merchant's return address with the payment's id added to its query."""
    parts = urlsplit(payment.return_url)
    added = urlencode({"psp_payment_id": payment.id})
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))
