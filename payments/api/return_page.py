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
from payments.models import PaymentIntent, SetupIntent
from payments.objects.payment_intent import public_status
from payments.services.psp_gateway.references import Returning, is_return_token
from payments.services.recovery.setups import resolve_setup_within
from payments.services.recovery.sweep import resolve_within

_ACTOR: Final = "customer:return"
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
_TEXTS_OF_SETUPS: Final = {
    "succeeded": "Thank you. Your card was saved.",
    "failed": "Your card was not saved; you can try again.",
    "pending": "Your card is being checked. You need not do anything.",
}


@require_GET
def return_page(request: HttpRequest, public_id: str) -> HttpResponse:
    """Look up the result of the challenge, then redirect the customer.

    An unknown payment or setup and a wrong token get the same answer.
    """
    intent = _intent_of(public_id, request.GET.get("token", ""))
    if intent is None:
        return _page("This address is not valid.", status=404)
    intent = _looked_up(intent, _brought_back(request))
    if intent.checkout_session_id is not None:
        # Our own page, which reads the result itself.
        return _guarded(HttpResponseRedirect(intent.return_url))
    status = redirect_status(intent)
    if urlsplit(intent.return_url).scheme not in ("http", "https"):
        texts = _TEXTS_OF_SETUPS if isinstance(intent, SetupIntent) else _TEXTS
        return _page(texts[status])
    return _guarded(HttpResponseRedirect(_with_outcome(intent, status)))


def _brought_back(request: HttpRequest) -> dict[str, str]:
    """What the PSP added to the address; some PSPs complete the payment with it."""
    given = {name: value for name, value in request.GET.items() if name != "token"}
    return {name: str(value) for name, value in list(given.items())[:_BROUGHT_BACK_MAX]}


def redirect_status(intent: Returning) -> str:
    """`succeeded`, `failed` or `pending`, for the merchant's shop."""
    shown = _status_of(intent)
    if shown in _SUCCEEDED:
        return "succeeded"
    return "failed" if shown in _FAILED else "pending"


def _status_of(intent: Returning) -> str:
    return intent.status if isinstance(intent, SetupIntent) else public_status(intent)


def _looked_up(intent: Returning, returned: dict[str, str]) -> Returning:
    """The intent after a look-up, if its outcome is open."""
    if _status_of(intent) not in ("requires_action", "processing"):
        return intent
    answer_by = time.monotonic() + _WAIT_SECONDS
    if isinstance(intent, SetupIntent):
        if intent.latest_attempt_id is not None:
            resolve_setup_within(
                intent.latest_attempt_id,
                actor=_ACTOR,
                answer_by_monotonic=answer_by,
                returned=returned,
            )
        return SetupIntent.objects.get(pk=intent.pk)
    if intent.latest_charge_id is not None:
        resolve_within(
            intent.latest_charge_id,
            actor=_ACTOR,
            answer_by_monotonic=answer_by,
            returned=returned,
        )
    return PaymentIntent.objects.get(pk=intent.pk)


def _intent_of(public_id: str, token: str) -> Returning | None:
    if not 0 < len(token) <= _TOKEN_LENGTH_MAX:
        return None
    found: Returning | None = None
    if (identifier := public_ids.decode(public_ids.PAYMENT_INTENT, public_id)) is not None:
        found = PaymentIntent.objects.filter(pk=identifier).first()
    elif (identifier := public_ids.decode(public_ids.SETUP_INTENT, public_id)) is not None:
        found = SetupIntent.objects.filter(pk=identifier).first()
    return found if found is not None and is_return_token(found, token) else None


def _with_outcome(intent: Returning, status: str) -> str:
    """The merchant's URL as it was given, byte for byte, and ours behind its own parameters."""
    kind = "setup_intent" if isinstance(intent, SetupIntent) else "payment_intent"
    outcome = [
        (kind, intent.public_id),
        (f"{kind}_client_secret", intent.client_secret),
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
