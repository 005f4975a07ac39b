"""A middleware that lets the merchant API and probes skip sessions, cookies, CSRF and messages.

A probe is answered whatever its Host header: load balancers send an address. It stands behind the
security headers, and before everything that only browsers need.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve

Respond = Callable[[HttpRequest], HttpResponseBase]

_MERCHANT_API = "/v1/"
_PROBES = frozenset({"/livez", "/healthz", "/healthz/jobs", "/metrics"})


def merchant_api_shortcut(get_response: Respond) -> Respond:
    """Call the view of such a request directly; the view answers every exception."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if not path.startswith(_MERCHANT_API) and path not in _PROBES:
            return get_response(request)
        match = request.resolver_match = resolve(request.path_info)
        answer: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return answer

    return respond
