"""Parses requests of the merchant API: routes, fields, limits; and what the log shows of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import orjson

from ledger.money import CURRENCY_EXPONENTS
from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.rules.disputes import DisputeResponse
from psp_adapters.sandbox_psp.rules.recorder import Instruction
from psp_adapters.sandbox_psp.rules.setups import SetupOrder
from psp_adapters.sandbox_psp.server.body_fields import (
    query_integer,
    read_amount,
    read_flag,
    read_object,
    read_text,
    refuse_unknown,
)
from psp_adapters.sandbox_psp.server.http_server import HttpRequest
from psp_adapters.sandbox_psp.state.records import iso

_MODIFICATIONS: Final = ("increment", "capture", "void", "refund")
_AUTHORIZE_FIELDS: Final = {
    *("reference", "order_id", "amount_minor", "currency", "token", "capture", "challenge"),
    *("return_url", "metadata", "purchase", "credential", "mandate"),
}
_CREDENTIAL_FIELDS: Final = {"save_for", "off_session", "network_transaction_id"}
_SETUP_FIELDS: Final = {"reference", "token", "usage", "challenge", "return_url", "mandate"}
_USAGES: Final = ("on_session", "off_session")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DISPUTE_VERBS: Final = {"evidence": "submit_evidence", "accept": "accept_dispute"}
_MODIFY_FIELDS: Final = {"reference", "amount_minor", "final", "purchase"}
_PURCHASE_BYTES_MAX: Final = 256 * 1024
# A run of 13-19 digits, alone or in the usual groups. Digits inside a longer hexadecimal number
# do not count: about one UUID in three thousand would otherwise pass for a card number.
_CARD_NUMBER = re.compile(
    rb"(?<![0-9a-fA-F])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})"
    rb"(?![0-9a-fA-F])"
)


@dataclass(slots=True, kw_only=True)
class Call:
    """One parsed request of the merchant API."""

    kind: str
    """A money verb, or `setup`, `fence`, `look_up`, `list`, `report`, `token`."""
    method: str
    path: str
    account_id: str
    subject: str = ""
    """The id, token, reference or name in the path or query."""
    by: str = ""
    """look_up: `payment`, `operation`, `dispute`, `setup`, `setup_reference` or `reference`;
    report: `name`, or empty."""
    order: Instruction | None = None
    response: DisputeResponse | None = None
    """The response to the dispute `subject`."""
    setup: SetupOrder | None = None
    order_id: str = ""
    """The merchant's order; for operations on a payment, taken from the payment."""
    idempotency_key: str = ""
    fingerprint: str = ""
    after: int = 0
    limit: int = 100
    since_ms: int = 0

    def facts(self, api_key: str) -> dict[str, str]:
        """The fields that scripts can match."""
        order = self.order or self.response or self.setup
        charged = self.order or self.setup
        return {
            "kind": self.kind,
            "path": self.path,
            "api_key": api_key,
            "reference": order.reference if order else self.subject,
            "order_id": self.order_id,
            "token": charged.token if charged else "",
        }


@dataclass(slots=True)
class SeenCall:
    """One request as the call log keeps it."""

    seq: int
    at_ms: int
    call: Call
    api_key: str
    executed: bool = False
    """Whether this request itself changed the state (a replay does not)."""
    replayed: bool = False
    status: int = 0
    """What was answered, or would have been; 0 while under way."""
    fault: str = ""
    peer_port: int = 0
    """Of the client's connection: on one machine it identifies the calling process."""

    def as_json(self) -> dict[str, Any]:
        call = self.call
        return {
            "seq": self.seq,
            "at": iso(self.at_ms),
            "method": call.method,
            "path": call.path,
            "kind": call.kind,
            "reference": call.facts("")["reference"],
            "order_id": call.order_id,
            "idempotency_key": call.idempotency_key,
            "executed": self.executed,
            "replayed": self.replayed,
            "status": self.status,
            "fault": self.fault,
            "peer_port": self.peer_port,
        }


def api_key_of(request: HttpRequest) -> str:
    """The sandbox API key of the request; refuses with 401."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith("sandbox_") or len(key) > 200:
        raise Refusal(401, "unauthorized", "send Authorization: Bearer sandbox_…")
    return key


@lru_cache(maxsize=1024)
def account_of(api_key: str) -> str:
    """The account behind an API key; the key itself is never kept."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def refuse_card_numbers(request: HttpRequest) -> None:
    """Refuses a request with what looks like a card number, before anything stores it."""
    body = request.body
    if b"\\u" in body:
        try:
            body = orjson.dumps(orjson.loads(body))
        except orjson.JSONDecodeError:
            raise invalid("the body is not JSON", code="invalid_json") from None
    key = request.headers.get("idempotency-key", "")
    target = unquote(request.target) if "%" in request.target else request.target
    line = f"{target} {key}".encode()
    if holds_card_number(body) or holds_card_number(line):
        raise Refusal(
            400, "card_data_refused", "card numbers are not accepted here", code="card_number"
        )


def holds_card_number(text: bytes) -> bool:
    """Whether `text` contains 13 to 19 digits that pass the Luhn check."""
    for match in _CARD_NUMBER.finditer(text):
        if _passes_luhn(match.group().replace(b" ", b"").replace(b"-", b"")):
            return True
    return False


def _passes_luhn(digits: bytes) -> bool:
    """Whether the check digit of `digits` (ASCII digits only) is right."""
    total = 0
    for position, byte in enumerate(reversed(digits)):
        digit = byte - 48
        if position % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def parse_call(request: HttpRequest, account_id: str) -> Call:
    """Parse a request; refuses with 400, 404 or 405."""
    path, _, query = request.target.partition("?")
    parts = [unquote(part) for part in path.split("/")[2:]]
    if request.method == "POST":
        return _parse_post(request, path, parts, account_id)
    if request.method != "GET":
        raise Refusal(405, "invalid_request", "GET or POST")
    call = Call(kind="look_up", method="GET", path=path, account_id=account_id)
    match parts:
        case ["tokens", token]:
            call.kind, call.subject = "token", token
        case ["payments", payment_id]:
            call.by, call.subject = "payment", payment_id
        case ["operations", operation_id]:
            call.by, call.subject = "operation", operation_id
        case ["disputes", dispute_id]:
            call.by, call.subject = "dispute", dispute_id
        case ["setups", setup_id]:
            call.by, call.subject = "setup", setup_id
        case ["setups"]:
            fields = dict(parse_qsl(query))
            refuse_unknown(fields, {"reference"})
            call.by, call.subject = "setup_reference", read_text(fields, "reference", most=200)
        case ["balance"]:
            call.kind, call.by = "report", "balance"
        case ["settlement_reports"]:
            call.kind, call.since_ms = "report", _parse_since(dict(parse_qsl(query)))
        case ["settlement_reports", name]:
            call.kind, call.by, call.subject = "report", "name", name
        case ["operations"]:
            _parse_list(call, dict(parse_qsl(query)))
        case _:
            raise Refusal(404, "not_found", "no such address")
    return call


def _parse_list(call: Call, query: dict[str, str]) -> None:
    if set(query) - {"reference", "after", "limit"}:
        raise invalid("operations take reference, or after and limit")
    if "reference" in query:
        call.by, call.subject = "reference", query["reference"]
        return
    call.kind = "list"
    call.after = query_integer(query, "after", default=0, most=2**53)
    call.limit = query_integer(query, "limit", default=100, most=1000)


def _parse_since(query: dict[str, str]) -> int:
    """Milliseconds since 1970, rounded down; 0 if the query has none."""
    if set(query) - {"since"}:
        raise invalid("settlement_reports take since")
    if "since" not in query:
        return 0
    try:
        since = datetime.fromisoformat(query["since"])
    except ValueError:
        raise invalid("since must be a time") from None
    if since.tzinfo is None:
        raise invalid("since must have a zone")
    return (since - _EPOCH) // timedelta(milliseconds=1)


def _parse_post(request: HttpRequest, path: str, parts: list[str], account_id: str) -> Call:
    body = read_object(request.body)
    call = Call(kind="", method="POST", path=path, account_id=account_id)
    match parts:
        case ["payments"]:
            order = _parse_authorize(body)
            call.kind, call.order, call.order_id = "authorize", order, order.order_id
        case ["payments", payment_id, verb] if verb in _MODIFICATIONS:
            call.kind, call.subject = verb, payment_id
            call.order = _parse_modify(verb, body)
        case ["disputes", dispute_id, verb] if verb in _DISPUTE_VERBS:
            call.kind, call.subject = _DISPUTE_VERBS[verb], dispute_id
            call.response = _parse_response(body, accepts=verb == "accept")
        case ["setups"]:
            call.kind, call.setup = "setup", _parse_setup(body)
        case ["fences"]:
            refuse_unknown(body, {"reference"})
            call.kind, call.subject = "fence", read_text(body, "reference", most=200)
            return call
        case _:
            raise Refusal(404, "not_found", "no such address")
    key = request.headers.get("idempotency-key", "")
    if not key or len(key) > 255:
        raise invalid("send an Idempotency-Key of 1 to 255 characters", code="key_required")
    call.idempotency_key = key
    canonical = path.encode() + b" " + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    call.fingerprint = hashlib.blake2b(canonical, digest_size=16).hexdigest()
    return call


def _parse_authorize(body: dict[str, Any]) -> Instruction:
    refuse_unknown(body, _AUTHORIZE_FIELDS)
    currency = body.get("currency")
    if not isinstance(currency, str) or currency not in CURRENCY_EXPONENTS:
        raise invalid("currency must be an upper-case ISO 4217 code")
    challenge = _read_challenge(body)
    credential = _read_credential(body)
    return Instruction(
        kind="authorize",
        reference=read_text(body, "reference", most=200),
        amount_minor=read_amount(body),
        order_id=read_text(body, "order_id", most=500, default=""),
        currency=currency,
        token=read_text(body, "token", most=200),
        capture=read_flag(body, "capture", default=False),
        challenge_allowed=challenge != "forbid",
        challenge_requested=challenge == "request",
        return_url=_read_return_url(body),
        metadata=_parse_metadata(body.get("metadata", {})),
        purchase=_parse_purchase(body),
        save_for=credential.get("save_for", ""),
        off_session=credential.get("off_session", False),
        network_transaction_id=credential.get("network_transaction_id", ""),
        mandate=read_text(body, "mandate", most=64, default=""),
    )


def _read_challenge(body: dict[str, Any]) -> str:
    challenge = body.get("challenge", "allow")
    if challenge not in ("allow", "forbid", "request"):
        raise invalid("challenge must be allow, forbid or request")
    return str(challenge)


def _read_return_url(body: dict[str, Any]) -> str:
    return_url = read_text(body, "return_url", most=2048, default="")
    if return_url and not return_url.startswith(("http://", "https://")):
        raise invalid("return_url must be an http(s) address")
    if any(ord(character) <= 32 or ord(character) == 127 for character in return_url):
        raise invalid("return_url must not contain blanks or control characters")
    return return_url


def _read_credential(body: dict[str, Any]) -> dict[str, Any]:
    """What a charge says of a stored payment method: its first use, or a later one."""
    credential = body.get("credential", {})
    if not isinstance(credential, dict):
        raise invalid("credential must be an object")
    refuse_unknown(credential, _CREDENTIAL_FIELDS)
    if credential.get("save_for", "") not in ("", *_USAGES):
        raise invalid("save_for must be on_session or off_session")
    read_flag(credential, "off_session", default=False)
    read_text(credential, "network_transaction_id", most=128, default="")
    return credential


def _parse_setup(body: dict[str, Any]) -> SetupOrder:
    refuse_unknown(body, _SETUP_FIELDS)
    usage = body.get("usage", "off_session")
    if usage not in _USAGES:
        raise invalid("usage must be on_session or off_session")
    return SetupOrder(
        reference=read_text(body, "reference", most=200),
        token=read_text(body, "token", most=200),
        usage=usage,
        challenge_requested=_read_challenge(body) == "request",
        return_url=_read_return_url(body),
        mandate=read_text(body, "mandate", most=64, default=""),
    )


def _parse_modify(kind: str, body: dict[str, Any]) -> Instruction:
    refuse_unknown(body, _MODIFY_FIELDS)
    # A void releases everything; an amount in the request is ignored.
    amount_minor = 0 if kind == "void" else read_amount(body)
    return Instruction(
        kind=kind,
        reference=read_text(body, "reference", most=200),
        amount_minor=amount_minor,
        final=read_flag(body, "final", default=True),
        purchase=_parse_purchase(body),
    )


def _parse_response(body: dict[str, Any], *, accepts: bool) -> DisputeResponse:
    refuse_unknown(body, {"reference", "stage"} | (set() if accepts else {"evidence"}))
    evidence = None if accepts else body.get("evidence")
    if not accepts:
        if not isinstance(evidence, dict) or not 0 < len(evidence) <= 50:
            raise invalid("evidence must be an object of 1 to 50 texts")
        if not all(isinstance(text, str) and len(text) <= 20_000 for text in evidence.values()):
            raise invalid("evidence must be texts of at most 20000 characters")
    stage = body.get("stage", "")
    if stage not in ("", "inquiry", "chargeback"):
        raise invalid("stage must be inquiry or chargeback")
    reference = read_text(body, "reference", most=200)
    return DisputeResponse(reference=reference, evidence=evidence, stage=stage)


def _parse_purchase(body: dict[str, Any]) -> dict[str, Any] | None:
    purchase = body.get("purchase")
    if purchase is not None and not isinstance(purchase, dict):
        raise invalid("purchase must be an object")
    if len(orjson.dumps(purchase)) > _PURCHASE_BYTES_MAX:
        raise invalid(f"purchase has at most {_PURCHASE_BYTES_MAX} bytes")
    return purchase


def _parse_metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > 50:
        raise invalid("metadata must be an object of at most 50 strings")
    if not all(isinstance(text, str) and len(text) <= 500 for text in value.values()):
        raise invalid("metadata values must be strings of at most 500 characters")
    return value
