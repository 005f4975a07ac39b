"""Builds the answers of the checkout: pages, JSON for their script, and the headers of both."""

from __future__ import annotations

from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import override

from payments.checkout.assets import SCRIPT, STYLE

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "frame-src {frames}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SWITCHED_OFF: Final = ("camera", "display-capture", "geolocation", "microphone", "midi", "usb")


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    language: str,
    psp_origin: str = "",
    status: int = 200,
) -> HttpResponse:
    """A page that may frame this origin of a PSP, and nothing else from elsewhere."""
    with override(language):
        shared = {"style": STYLE, "script": SCRIPT, "language": language}
        html = render_to_string(f"checkout/{template}.html", {**shared, **context})
    response = guarded(HttpResponse(html, status=status), psp_origin=psp_origin)
    response["Content-Language"] = language
    response["Vary"] = "Accept-Language"
    return response


def json_answer(body: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """An answer for the page's script."""
    answer = HttpResponse(orjson.dumps(body), status=status, content_type="application/json")
    return guarded(answer)


def guarded(response: HttpResponse, *, psp_origin: str = "") -> HttpResponse:
    """The address is a secret, and beside the page stands the PSP's frame alone."""
    frames = psp_origin or "'none'"
    wallets = f'(self "{psp_origin}")' if psp_origin else "(self)"
    response["Cache-Control"] = "no-store"
    response["Content-Security-Policy"] = _POLICY.format(frames=frames)
    response["Cross-Origin-Opener-Policy"] = "same-origin"
    response["Permissions-Policy"] = ", ".join(
        [*(f"{feature}=()" for feature in _SWITCHED_OFF), f"payment={wallets}"]
    )
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return response
