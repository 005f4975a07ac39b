"""Serves the fields of cards and bank accounts: a page for an iframe, which makes a token of what
the customer types.

The number goes from the iframe to this server and no further. It is neither stored nor logged.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from psp_adapters.sandbox_psp.card_numbers import TEST_CARDS, TEST_IBANS, passes_check_digit
from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.server.body_fields import read_object
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.requests import account_of, api_key_of
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.state.records import Account
from psp_adapters.sandbox_psp.tokens import SEPA_DEBIT, TOKENS

TOKEN_PREFIX: Final = "tok_fields_"  # noqa: S105
_KEY: Final = re.compile(r"pk_sandbox_([0-9a-f]{16})", re.ASCII)
_ORIGINS_MAX: Final = 100
_TEXTS: Final = {
    "en": {
        "number": "Card number",
        "expiry": "Expiry (MM/YY)",
        "cvc": "Security code",
        "incomplete_number": "Enter the whole card number.",
        "invalid_number": "This card number is not valid.",
        "unknown_test_card": "Only test cards work here, such as 4242 4242 4242 4242.",
        "invalid_expiry": "Enter month and year of the card.",
        "card_expired": "This card has expired.",
        "invalid_cvc": "Enter the 3 or 4 digits of the security code.",
        "unavailable": "The card could not be read. Please try again.",
        "iban": "IBAN",
        "incomplete_iban": "Enter the whole IBAN.",
        "invalid_iban": "This IBAN is not valid.",
        "unknown_test_iban": "Only test accounts work here, such as DE89 3704 0044 0532 0130 00.",
        "unavailable_iban": "The account could not be read. Please try again.",
    },
    "de": {
        "number": "Kartennummer",
        "expiry": "Gültig bis (MM/JJ)",
        "cvc": "Prüfziffer",
        "incomplete_number": "Bitte die ganze Kartennummer eingeben.",
        "invalid_number": "Diese Kartennummer ist nicht gültig.",
        "unknown_test_card": "Hier gehen nur Testkarten, etwa 4242 4242 4242 4242.",
        "invalid_expiry": "Bitte Monat und Jahr der Karte eingeben.",
        "card_expired": "Diese Karte ist abgelaufen.",
        "invalid_cvc": "Bitte die 3 oder 4 Ziffern der Prüfziffer eingeben.",
        "unavailable": "Die Karte konnte nicht gelesen werden. Bitte noch einmal versuchen.",
        "iban": "IBAN",
        "incomplete_iban": "Bitte die ganze IBAN eingeben.",
        "invalid_iban": "Diese IBAN ist nicht gültig.",
        "unknown_test_iban": "Hier gehen nur Testkonten, etwa DE89 3704 0044 0532 0130 00.",
        "unavailable_iban": "Das Konto konnte nicht gelesen werden. Bitte noch einmal versuchen.",
    },
}
_PAGES: Final = {
    method: (Path(__file__).parent / name).read_text(encoding="utf-8")
    for method, name in (("card", "fields.html"), (SEPA_DEBIT, "bank_fields.html"))
}


def _hash_of(page: str, tag: str) -> str:
    """The CSP source of the page's only element of this kind."""
    text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


_POLICIES: Final = {
    method: f"default-src 'none'; script-src {_hash_of(page, 'script')}; "
    f"style-src {_hash_of(page, 'style')}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
    for method, page in _PAGES.items()
}


def register_origin(simulator: Simulator, request: HttpRequest, connection: HttpConnection) -> None:
    """`POST /v1/field_origins`: pages of this origin may show the account's card fields."""
    account = simulator.truth.account(account_of(api_key_of(request)))
    if request.method != "POST":
        raise Refusal(405, "invalid_request", "POST")
    origin = read_object(request.body).get("origin")
    if not isinstance(origin, str) or not _is_origin(origin):
        raise invalid("origin must be a scheme and a host, such as https://pay.example")
    if origin not in account.field_origins:
        if len(account.field_origins) >= _ORIGINS_MAX:
            raise invalid(f"an account has at most {_ORIGINS_MAX} origins")
        record = {"t": "field_origin", "account": account.id, "origin": origin}
        simulator.truth.record(record)
    simulator.reply_when_durable(connection, 200, orjson.dumps({"origin": origin}))


def handle_fields(simulator: Simulator, request: HttpRequest, connection: HttpConnection) -> None:
    """The page of the fields, and the address to which it sends what was typed."""
    path, _, query = request.target.partition("?")
    match (request.method, path):
        case ("GET", "/fields"):
            _reply_page(simulator, dict(parse_qsl(query)), connection)
        case ("POST", "/fields/tokens"):
            if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                raise Refusal(403, "forbidden", "only the fields themselves make tokens")
            status, answer = _make_token(simulator, read_object(request.body))
            simulator.reply_when_durable(connection, status, orjson.dumps(answer))
        case _:
            raise Refusal(404, "not_found", "no such address")


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False
    plain = re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,200}", text, re.ASCII)
    return usable and plain is not None


def _account_of_key(simulator: Simulator, key: object) -> Account:
    found = _KEY.fullmatch(key) if isinstance(key, str) else None
    account = simulator.truth.accounts.get(found[1]) if found else None
    if account is None:
        raise Refusal(401, "unauthorized", "no such public key")
    return account


def _reply_page(simulator: Simulator, query: dict[str, str], connection: HttpConnection) -> None:
    """The page, for one registered origin: its browser shows it in no other one's frame."""
    account = _account_of_key(simulator, query.get("key"))
    origin = query.get("origin", "")
    if origin not in account.field_origins:
        raise Refusal(403, "forbidden", "this origin is not registered for the account")
    method, lang = query.get("method", "card"), query.get("lang", "en")
    if method not in _PAGES:
        raise Refusal(404, "not_found", "there are no fields of this method")
    texts = _TEXTS.get(lang, _TEXTS["en"])
    page = _PAGES[method].replace("{lang}", lang if lang in _TEXTS else "en")
    page = page.replace("{origin}", escape(origin)).replace("{key}", escape(query["key"]))
    for name, text in texts.items():
        page = page.replace("{" + name + "}", escape(text))
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": _POLICIES[method] + origin,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    connection.reply(200, page.encode(), content_type="text/html; charset=utf-8", headers=headers)


def _make_token(simulator: Simulator, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A token for a test card or account; 422 with a code for what the customer can correct."""
    account = _account_of_key(simulator, body.get("key"))
    if isinstance(iban := body.get("iban"), str):
        code = _why_iban_refused(iban)
        return (422, {"code": code}) if code else _made(simulator, account, TEST_IBANS[iban], 0, 0)
    typed = [body.get(name) for name in ("number", "month", "year", "cvc")]
    if not all(isinstance(each, str) and each.isascii() for each in typed):
        raise invalid("send number, month, year and cvc")
    number, month, year, cvc = map(str, typed)
    if code := _why_refused(number, month, year, cvc):
        return 422, {"code": code}
    return _made(simulator, account, TEST_CARDS[number], int(month), 2000 + int(year))


def _made(
    simulator: Simulator, account: Account, name: str, exp_month: int, exp_year: int
) -> tuple[int, dict[str, Any]]:
    """Record a token that stands for this test token."""
    stands_for = TOKENS[name]
    record = {
        "t": "field_token",
        "id": f"{TOKEN_PREFIX}{secrets.token_hex(16)}",
        "account": account.id,
        "stands_for": stands_for.token,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "at": simulator.settle(),
    }
    simulator.truth.record(record)
    return 200, {"token": record["id"], "brand": stands_for.brand}


def _why_iban_refused(iban: str) -> str:
    """The code of what is wrong with an IBAN; empty if nothing is."""
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", iban, re.ASCII):
        return "incomplete_iban"
    digits = "".join(str(int(each, 36)) for each in iban[4:] + iban[:4])
    if int(digits) % 97 != 1:
        return "invalid_iban"
    return "" if iban in TEST_IBANS else "unknown_test_iban"


def _why_refused(number: str, month: str, year: str, cvc: str) -> str:
    """The code of what is wrong with a card; empty if nothing is."""
    if not re.fullmatch(r"\d{12,19}", number, re.ASCII):
        return "incomplete_number"
    if not passes_check_digit(number):
        return "invalid_number"
    if not re.fullmatch(r"\d{2}", month, re.ASCII) or not 1 <= int(month) <= 12:
        return "invalid_expiry"
    if not re.fullmatch(r"\d{2}", year, re.ASCII):
        return "invalid_expiry"
    today = datetime.now(UTC)
    if (2000 + int(year), int(month)) < (today.year, today.month):
        return "card_expired"
    if not re.fullmatch(r"\d{3,4}", cvc, re.ASCII):
        return "invalid_cvc"
    return "" if number in TEST_CARDS else "unknown_test_card"
