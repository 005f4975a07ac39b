"""A middleware by which requests of machines skip sessions, cookies, CSRF and messages.

These are the merchant API, the webhooks of PSPs and probes.

Where INTERNAL_ADDRESS is set, it also hides from the public port what only staff may reach.

A probe is answered whatever its Host header: load balancers send an address. It stands behind the
security headers, and before everything that only browsers need.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotFound
from django.urls import ResolverMatch, resolve

Respond = Callable[[HttpRequest], HttpResponseBase]

_MACHINES = ("/v1/", "/psp/")
_INTERNAL = ("/admin", "/docs", "/static/", "/metrics", "/healthz/jobs")
_PROBES = frozenset({"/livez", "/healthz", "/healthz/jobs", "/metrics"})


def merchant_api_shortcut(get_response: Respond) -> Respond:
    """Call the view of such a request directly; the view answers every exception."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(_INTERNAL) and not _is_internal(request):
            return HttpResponseNotFound()
        if not path.startswith(_MACHINES) and path not in _PROBES:
            return get_response(request)
        match = request.resolver_match = _match_of(path)
        answer: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        return answer

    return respond


@lru_cache(maxsize=256)
def _match_of(path: str) -> ResolverMatch:
    """The view of a path: those without an id come again and again."""
    return resolve(path)


def _is_internal(request: HttpRequest) -> bool:
    """Whether the request came in where such pages are served.

    The port is that of the server's own socket, not of the Host header.
    """
    address = settings.INTERNAL_ADDRESS
    return address is None or request.META.get("SERVER_PORT") == str(address[1])
