"""Serves the page on which a customer completes or fails the issuer's challenge."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from ledger.money import Money
from psp_adapters.sandbox_psp.refusals import Refusal
from psp_adapters.sandbox_psp.rules.setups import setup_view
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.server.views import payment_view
from psp_adapters.sandbox_psp.state.records import Payment, Setup
from psp_adapters.sandbox_psp.tokens import TOKENS

Challenged = Payment | Setup

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox bank</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}}
form{{display:inline}}button{{font:inherit;padding:.5rem 1.25rem;margin-right:.75rem}}</style>
</head><body><h1>Sandbox bank</h1>{content}</body></html>
"""
_CHALLENGE_FORM = """<p>{what}</p>
<form method="post" action="/challenge/{id}/complete"><button>Complete</button></form>
<form method="post" action="/challenge/{id}/fail"><button>Fail</button></form>"""
_BANKS: Final = """<p><label for="bank">Your bank</label> <select id="bank" name="bank">
<option>Sandbox Bank</option><option>Test Savings Bank</option></select></p>"""
"""Where the customer chooses the bank here; both banks are this page."""
_WITHOUT_DECIMALS = ("ISK", "UGX")
_DONE = "<p>This challenge is over. The {noun} is: <strong>{status}</strong>.</p>"
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
        case ("GET", [challenged_id]):
            _reply_page(connection, _find(simulator, challenged_id))
        case ("POST", [challenged_id, "complete" | "fail" as answer]):
            challenged = _find(simulator, challenged_id)
            _take_answer(simulator, challenged, completed=answer == "complete")
            wants_json = "application/json" in request.headers.get("accept", "")
            simulator.store.when_durable(
                simulator.truth.take_unsaved(),
                lambda: _send_back(simulator, connection, challenged, wants_json=wants_json),
            )
        case _:
            raise Refusal(404, "not_found", "no such address")


def _take_answer(simulator: Simulator, challenged: Challenged, *, completed: bool) -> None:
    now_ms = simulator.clock.now_ms()
    if isinstance(challenged, Setup):
        simulator.rules.setups.answer_challenge(challenged, completed=completed, now_ms=now_ms)
        return
    simulator.rules.answer_challenge(challenged, completed=completed, now_ms=now_ms)


def _find(simulator: Simulator, challenged_id: str) -> Challenged:
    truth = simulator.truth
    challenged = truth.payments.get(challenged_id) or truth.setups.get(challenged_id)
    if challenged is None:
        raise Refusal(404, "not_found", "no such challenge")
    return challenged


def _reply_page(connection: HttpConnection, challenged: Challenged) -> None:
    if challenged.status == "requires_action":
        content = _CHALLENGE_FORM.format(what=_asked_of(challenged), id=challenged.id)
        if isinstance(challenged, Payment) and TOKENS[challenged.token].method_type != "card":
            content = _BANKS + content
    else:
        noun = "setup" if isinstance(challenged, Setup) else "payment"
        content = _DONE.format(noun=noun, status=challenged.status)
    page = _PAGE.format(content=content).encode()
    connection.reply(200, page, content_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


def _asked_of(challenged: Challenged) -> str:
    if isinstance(challenged, Setup):
        return "May this shop keep your card for later payments?"
    return f"Confirm the payment of <strong>{_amount_of(challenged)}</strong>?"


def _amount_of(payment: Payment) -> str:
    """For the customer: this PSP counts ISK and UGX in whole units, as ISO 4217 does."""
    if payment.currency in _WITHOUT_DECIMALS:
        return f"{payment.amount_minor} {payment.currency}"
    return str(Money(payment.amount_minor, payment.currency))


def _send_back(
    simulator: Simulator, connection: HttpConnection, challenged: Challenged, *, wants_json: bool
) -> None:
    if not challenged.return_url:
        if not wants_json:
            _reply_page(connection, challenged)
            return
        connection.reply(200, orjson.dumps(_view_of(simulator, challenged)))
        return
    location = return_address(challenged)
    if wants_json:
        body = orjson.dumps({**_view_of(simulator, challenged), "return_to": location})
        connection.reply(303, body, headers={"Location": location})
        return
    connection.reply(303, b"", content_type="text/plain", headers={"Location": location})


def _view_of(simulator: Simulator, challenged: Challenged) -> dict[str, Any]:
    if isinstance(challenged, Setup):
        return setup_view(challenged, base_url=simulator.base_url)
    return payment_view(challenged, base_url=simulator.base_url)


def return_address(challenged: Challenged) -> str:
    """The merchant's return address with the payment's or setup's id added to its query."""
    parts = urlsplit(challenged.return_url)
    name = "psp_setup_id" if isinstance(challenged, Setup) else "psp_payment_id"
    added = urlencode({name: challenged.id})
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))
