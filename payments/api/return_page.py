"""The page to which customers return after a challenge; it redirects to the merchant's shop.

Only to the URL that the merchant stored with the payment, and only with the token of the URL that
we gave the PSP.
"""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.views.decorators.http import require_GET

from payments import public_ids
from payments.models import PaymentIntent
from payments.objects.payment_intent import public_status
from payments.services.psp_gateway.references import is_return_token
from payments.services.recovery.sweep import resolve_within

_TOKEN_LENGTH_MAX: Final = 128
_BROUGHT_BACK_MAX: Final = 10
_WAIT_SECONDS: Final = 5.0
"""A customer waits at most so long; then the shop gets `pending`, and the result later by event."""
_SUCCEEDED: Final = frozenset({"succeeded", "requires_capture"})
_FAILED: Final = frozenset({"requires_payment_method", "requires_confirmation", "canceled"})
_TEXTS: Final = {
    "succeeded": "Thank you. Your payment went through.",
    "failed": "Your payment did not go through. Nothing was taken; you can try again.",
    "pending": "Your payment is being processed. You need not do anything.",
}


@require_GET
def return_page(request: HttpRequest, public_id: str) -> HttpResponse:
    """Look up the result of the challenge, then redirect the customer.

    An unknown payment and a wrong token get the same answer.
    """
    intent = _intent_of(public_id, request.GET.get("token", ""))
    if intent is None:
        return _page("This address is not valid.", status=404)
    if public_status(intent) in ("requires_action", "processing") and intent.latest_charge_id:
        resolve_within(
            intent.latest_charge_id,
            actor="customer:return",
            answer_by_monotonic=time.monotonic() + _WAIT_SECONDS,
            returned=_brought_back(request),
        )
        intent = PaymentIntent.objects.get(pk=intent.pk)
    status = redirect_status(intent)
    if urlsplit(intent.return_url).scheme not in ("http", "https"):
        return _page(_TEXTS[status])
    return _guarded(HttpResponseRedirect(_with_outcome(intent, status)))


def _brought_back(request: HttpRequest) -> dict[str, str]:
    """What the PSP added to the address; some PSPs complete the payment with it."""
    given = {name: value for name, value in request.GET.items() if name != "token"}
    return {name: str(value) for name, value in list(given.items())[:_BROUGHT_BACK_MAX]}


def redirect_status(intent: PaymentIntent) -> str:
    """`succeeded`, `failed` or `pending`, for the merchant's shop."""
    shown = public_status(intent)
    if shown in _SUCCEEDED:
        return "succeeded"
    return "failed" if shown in _FAILED else "pending"


def _intent_of(public_id: str, token: str) -> PaymentIntent | None:
    identifier = public_ids.decode(public_ids.PAYMENT_INTENT, public_id)
    if identifier is None or not 0 < len(token) <= _TOKEN_LENGTH_MAX:
        return None
    intent = PaymentIntent.objects.filter(pk=identifier).first()
    if intent is None or not is_return_token(intent, token):
        return None
    return intent


def _with_outcome(intent: PaymentIntent, status: str) -> str:
    """The merchant's URL as it was given, byte for byte, and ours behind its own parameters."""
    outcome = [
        ("payment_intent", intent.public_id),
        ("payment_intent_client_secret", intent.client_secret),
        ("redirect_status", status),
    ]
    address, hash_sign, fragment = intent.return_url.partition("#")
    sign = "&" if "?" in address else "?"
    return f"{address}{sign}{urlencode(outcome)}{hash_sign}{fragment}"


def _page(text: str, *, status: int = 200) -> HttpResponse:
    html = format_html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Payment</title></head><body><main><p>{}</p></main></body></html>",
        text,
    )
    return _guarded(HttpResponse(html, status=status))


def _guarded(response: HttpResponse) -> HttpResponse:
    """The URL carries secrets: it must not be cached nor sent to other sites."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'self'"
    return response
