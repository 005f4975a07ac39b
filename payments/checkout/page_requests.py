"""Reads what the script of the page sends, and where its browser is.

Card numbers never come here: a request that holds one is refused unread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import orjson
from django.conf import settings
from django.http import HttpRequest

from payments.models.mandate import ONLINE
from payments.services.commands.mandates import Acceptance
from psp_adapters.contract.card_numbers import holds_card_number

_METHOD_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{0,255}", re.ASCII)
_FIELD_NAME: Final = re.compile(r"[A-Za-z]{1,64}", re.ASCII)
_FIELDS_BYTES_MAX: Final = 64 * 1024
_FIELDS_MAX: Final = 10
_BODY_BYTES_MAX: Final = 4096
_ATTEMPTS_MAX: Final = 1_000_000
_ALTERNATIVES_MAX: Final = 10
"""As many accounts as a routing rule names."""
_USER_AGENT_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a customer chose on the page."""

    method: str
    token: str
    attempt: int
    alternatives: Mapping[str, str]
    acceptance: Acceptance | None
    """That of the mandate which the page showed; None if it showed none."""


def chosen_by(request: HttpRequest) -> Chosen | None:
    """What a request of our own page says; None if it is none."""
    given = _object_of_page(request, bytes_max=_BODY_BYTES_MAX)
    if given is None:
        return None
    method, token, attempt = given.get("method"), given.get("token", ""), given.get("attempt")
    if not isinstance(method, str) or not isinstance(token, str) or type(attempt) is not int:
        return None
    if not _METHOD_TOKEN.fullmatch(token) or not 0 < attempt < _ATTEMPTS_MAX:
        return None
    alternatives = given.get("alternatives", {})
    if not isinstance(alternatives, dict) or len(alternatives) > _ALTERNATIVES_MAX:
        return None
    if not all(
        isinstance(t, str) and t and _METHOD_TOKEN.fullmatch(t) for t in alternatives.values()
    ):
        return None
    return Chosen(
        method=method,
        token=token,
        attempt=attempt,
        alternatives=alternatives,
        acceptance=_acceptance(request) if given.get("mandate_accepted") is True else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What the PSP's fields encrypted on the page, which is kept nowhere."""

    method: str
    attempt: int
    fields: Mapping[str, str] = field(repr=False)


def entered_by(request: HttpRequest) -> Entered | None:
    """What a request of our own page brings from the fields; None if it is none."""
    given = _object_of_page(request, bytes_max=_FIELDS_BYTES_MAX)
    if given is None:
        return None
    method, fields, attempt = given.get("method"), given.get("fields"), given.get("attempt")
    if not isinstance(method, str) or type(attempt) is not int or not isinstance(fields, dict):
        return None
    if not 0 < len(fields) <= _FIELDS_MAX or not 0 < attempt < _ATTEMPTS_MAX:
        return None
    if not all(_FIELD_NAME.fullmatch(n) and isinstance(v, str) for n, v in fields.items()):
        return None
    return Entered(method=method, attempt=attempt, fields=fields)


def _object_of_page(request: HttpRequest, *, bytes_max: int) -> dict[str, Any] | None:
    """The JSON object that our own page sent; None if another site did, or it is none."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return None
    if request.content_type != "application/json":
        return None
    if int(request.META.get("CONTENT_LENGTH") or 0) > bytes_max:
        return None
    try:
        text = request.body.decode()
        given = orjson.loads(text)
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        return None
    return given if isinstance(given, dict) and not holds_card_number(text) else None


def _acceptance(request: HttpRequest) -> Acceptance:
    return Acceptance(
        where=ONLINE,
        ip_address=_address_of(request),
        user_agent=request.headers.get("User-Agent", "").replace("\0", "")[:_USER_AGENT_MAX],
    )


def _address_of(request: HttpRequest) -> str:
    """The customer's address, as the proxy before us names it last; empty if none is readable."""
    told = request.META.get("REMOTE_ADDR", "")
    if settings.PUBLIC_BASE_URL.startswith("https:"):  # Then a proxy is before us, which ends TLS.
        told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or told
    try:
        return str(ip_address(told))
    except ValueError:
        return ""
