"""Builds the answers of the checkout: pages, JSON for their script, and the headers of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import override

from payments.checkout.assets import DRIVERS, SCRIPT, STYLE
from psp_adapters.contract.payments import FieldsKind, HostedFields

_SOURCES: Final = {
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "data:",
    "connect-src": "'self'",
    "frame-src": "",
}
"""What a page loads without a PSP, by directive; everything else is refused."""
_NOTHING: Final = "'none'"
_REFUSED: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SWITCHED_OFF: Final = ("camera", "display-capture", "geolocation", "microphone", "midi", "usb")


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    language: str,
    fields: Sequence[HostedFields] = (),
    status: int = 200,
) -> HttpResponse:
    """A page that may load what these fields are made of, and nothing else from elsewhere."""
    with override(language):
        driver = next((DRIVERS[each.driver] for each in fields if each.driver), None)
        shared = {"style": STYLE, "script": SCRIPT, "driver": driver, "language": language}
        html = render_to_string(f"checkout/{template}.html", {**shared, **context})
    response = guarded(HttpResponse(html, status=status), fields=fields)
    response["Content-Language"] = language
    response["Vary"] = "Accept-Language"
    return response


def json_answer(body: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """An answer for the page's script."""
    answer = HttpResponse(orjson.dumps(body), status=status, content_type="application/json")
    return guarded(answer)


def guarded(response: HttpResponse, *, fields: Sequence[HostedFields] = ()) -> HttpResponse:
    """The address is a secret, and beside the page stand the PSPs' fields alone."""
    origins = dict.fromkeys(f'"{each.origin}"' for each in fields)
    wallets = f"({' '.join(('self', *origins))})"
    response["Cache-Control"] = "no-store"
    response["Content-Security-Policy"] = _policy(fields)
    # The sheet of a wallet may be a window of its own, which tells the fields how it ended.
    alone = not any(each.wallets for each in fields)
    response["Cross-Origin-Opener-Policy"] = "same-origin" if alone else "same-origin-allow-popups"
    response["Permissions-Policy"] = ", ".join(
        [*(f"{feature}=()" for feature in _SWITCHED_OFF), f"payment={wallets}"]
    )
    response["Referrer-Policy"] = "no-referrer"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _policy(fields: Sequence[HostedFields]) -> str:
    """The Content-Security-Policy of a page with these fields."""
    allowed = {name: [each] if each else [] for name, each in _SOURCES.items()}
    for each in fields:
        allowed["frame-src"].append(each.origin)
        if each.kind is FieldsKind.SCRIPT:
            allowed["script-src"].append(each.origin)
        for name, origins in each.sources.items():
            allowed[name] += origins
    rules = (
        f"{name} {' '.join(dict.fromkeys(origins)) or _NOTHING}"
        for name, origins in allowed.items()
    )
    return "; ".join(("default-src 'none'", *rules, _REFUSED))
