"""The merchant API needs no session, cookie, CSRF token or message: it passes them by.

A middleware that stands behind the security headers and in front of everything made for browsers.
What may not live here: anything that the merchant API itself must check (its views do).
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve

Respond = Callable[[HttpRequest], HttpResponseBase]

_MERCHANT_API = "/v1/"


def merchant_api_shortcut(get_response: Respond) -> Respond:
    """Give requests of the merchant API straight to their view, which answers every exception."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(_MERCHANT_API):
            return get_response(request)
        match = request.resolver_match = resolve(request.path_info)
        answer: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return answer

    return respond
