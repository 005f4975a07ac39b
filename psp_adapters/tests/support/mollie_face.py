"""A face of the sandbox PSP that speaks as Mollie does: HTTP in Mollie's form, the truth behind it.

Ours, made from Mollie's documentation. Payments, captures, refunds and every fault are the sandbox
PSP's; the face keeps metadata and which payments were made, in order. If the sandbox PSP drops an
answer, the face drops its own.
"""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ledger.money import Money

Json = dict[str, Any]
CARD_TOKENS = "tkn_"
_TOKENS = {"creditcard": "pm_card_threeDSecure2Required"} | dict.fromkeys(
    ("ideal", "bancontact", "paypal"), "pm_ideal_success"
)
DEBIT = "pm_usBankAccount_success"
"""What a mandate charges that a payment by a bank made."""
_SEQUENCE = ("sequenceType", "customerId", "mandateId")
_STATUSES = {
    "requires_action": "open",
    "pending": "pending",
    "authorized": "authorized",
    "partially_captured": "authorized",
    **dict.fromkeys(("captured", "partially_refunded", "refunded"), "paid"),
    **dict.fromkeys(("declined", "failed"), "failed"),
    "canceled": "canceled",
    "voided": "canceled",
    "expired": "expired",
}
_REASONS = {
    "authentication_failed": "authentication_failed",
    "expired_card": "card_expired",
    "incorrect_cvc": "invalid_cvv",
}
_TITLES = {401: "Unauthorized Request", 404: "Not Found", 409: "Conflict", 429: "Too Many Requests"}


class MollieFace:
    """Listens on a free port of this machine until it is closed."""

    def __init__(self, sandbox_url: str) -> None:
        self._sandbox = urlsplit(sandbox_url)
        self.payments: list[str] = []
        self.metadata: dict[str, Json] = {}
        self.webhook_urls: dict[str, str] = {}
        self._sequences: dict[str, Json] = {}
        """By payment: what it said of customers and mandates."""
        self.mandates: dict[str, str] = {}
        """By customer and mandate: the token that is charged. A revoked one is gone."""
        self._customers: dict[str, str] = {}
        """By idempotency key."""
        self.requests: list[tuple[str, str, Json]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, headers: Any, body: Json) -> tuple[int, Json | None]:
        """Status and body; raises OSError or HTTPException if the sandbox PSP drops its answer."""
        parts = urlsplit(target)
        query, path = dict(parse_qsl(parts.query)), parts.path.removeprefix("/v2/").split("/")
        self.requests.append((method, parts.path, body))
        scheme, _, key = headers["Authorization"].partition(" ")
        if scheme != "Bearer" or not key.startswith("test_"):
            return _error(401, "Missing authentication, or failed to authenticate")
        call = _Call(self._sandbox, key, headers.get("Idempotency-Key", ""))
        match (method, *path):
            case ("POST", "customers"):
                return self._customer(headers.get("Idempotency-Key", ""), body)
            case ("DELETE", "customers", customer, "mandates", mandate):
                known = self.mandates.pop(f"{customer}/{mandate}", None)
                return (204, None) if known else _error(410, "The mandate is no longer available")
            case ("POST", "payments"):
                return self._create(call, body)
            case ("GET", "payments"):
                return 200, self._list(call, query)
            case ("GET", "payments", payment_id):
                return self._shown(call, payment_id)
            case ("PATCH", "payments", payment_id):
                self.metadata[payment_id] = body["metadata"]
                return self._shown(call, payment_id)
            case ("DELETE", "payments", payment_id):
                status, _ = call.change(payment_id, "void", {"reference": "deleted"})
                return self._shown(call, payment_id) if status == 200 else _error(422, "no cancel")
            case ("POST", "payments", payment_id, "release-authorization"):
                return self._release(call, payment_id)
            case ("POST", "payments", payment_id, "captures" | "refunds" as what):
                return self._change(call, payment_id, what, body)
        return _error(404, "No such resource")

    def _customer(self, key: str, body: Json) -> tuple[int, Json]:
        customer = self._customers.setdefault(key, f"cst_{uuid.uuid4().hex[:10]}")
        return 201, {
            "resource": "customer",
            "id": customer,
            "mode": "test",
            "name": None,
            "email": None,
            "locale": None,
            "metadata": body["metadata"],
            "createdAt": datetime.now(UTC).replace(microsecond=0).isoformat(),
            "_links": _links("self", "dashboard", "documentation"),
        }

    def _token_of(self, body: Json) -> str:
        """The sandbox PSP's token; empty for a mandate that is gone."""
        if body.get("sequenceType") == "recurring":
            return self.mandates.get(f"{body['customerId']}/{body['mandateId']}", "")
        card = body.get("cardToken", "").removeprefix(CARD_TOKENS)
        return f"pm_card_{card}" if card else _TOKENS[body["method"]]

    def _create(self, call: _Call, body: Json) -> tuple[int, Json | None]:
        token, metadata = self._token_of(body), body["metadata"]
        if not token:
            return _error(422, "The mandate is invalid")
        body.setdefault("method", "directdebit" if "Debit" in token else "creditcard")
        sent = {
            "reference": metadata["reference"],
            "order_id": metadata.get("order_id", ""),
            **_minor(body["amount"]),
            "token": token,
            "capture": body.get("captureMode") != "manual",
            "challenge": "allow",
            "return_url": body.get("redirectUrl", ""),
            "metadata": {"method": body["method"]},
        }
        try:
            status, answer = call.send("POST", "/v1/payments", sent)
        except (OSError, http.client.HTTPException):
            self._keep(call.made(metadata["reference"]), body)
            raise
        if status not in (200, 402):
            return _refusal(status, answer)
        payment_id = (answer if status == 200 else answer["operation"])["payment_id"]
        self._keep([payment_id], body)
        return 201, self._shown(call, f"tr_{payment_id}")[1]

    def _keep(self, made: list[str], body: Json) -> None:
        """Remember what Mollie shows of a payment and the sandbox PSP does not keep."""
        for payment_id in (f"tr_{each}" for each in made):
            if payment_id not in self.payments:
                self.payments.append(payment_id)
            self.metadata[payment_id] = body["metadata"]
            self.webhook_urls[payment_id] = body["webhookUrl"]
            self._sequences[payment_id] = {
                name: body[name] for name in _SEQUENCE if name in body
            } | {"charged": self._token_of(body)}

    def _change(
        self, call: _Call, payment_id: str, what: str, body: Json
    ) -> tuple[int, Json | None]:
        sent = {"reference": body["metadata"]["reference"], **_minor(body["amount"])}
        del sent["currency"]
        verb = what.removesuffix("s")
        if verb == "capture":
            sent["final"] = False
        status, answer = call.change(payment_id, verb, sent)
        if status not in (200, 402):
            return _refusal(status, answer)
        operation = answer if status == 200 else answer["operation"]
        self.metadata[operation["id"]] = body["metadata"]
        return 201, self._operation(operation)

    def _release(self, call: _Call, payment_id: str) -> tuple[int, Json | None]:
        _, view = call.payment(payment_id)
        if view.get("status") not in ("authorized", "partially_captured"):
            return _error(422, "Authorization cannot be released")
        status, answer = call.change(payment_id, "void", {"reference": f"release-{payment_id}"})
        return (202, None) if status == 200 else _refusal(status, answer)

    def _list(self, call: _Call, query: dict[str, str]) -> Json:
        newest_first = self.payments[::-1]
        start = newest_first.index(query["from"]) if "from" in query else 0
        limit = int(query["limit"])
        page, rest = newest_first[start : start + limit], newest_first[start + limit :]
        shown = [self._shown(call, payment_id)[1] for payment_id in page]
        following = f"{self.base_url}/v2/payments?from={rest[0]}" if rest else ""
        return {
            "count": len(page),
            "_embedded": {"payments": shown},
            "_links": _links("self", "documentation")
            | {"previous": None, "next": None}
            | (_links("next", href=following) if following else {}),
        }

    def _shown(self, call: _Call, payment_id: str) -> tuple[int, Json | None]:
        status, view = call.payment(payment_id)
        if status != 200:
            return _refusal(status, view)
        return 200, self._payment(view)

    def _payment(self, view: Json) -> Json:
        payment_id, first = f"tr_{view['id']}", view["operations"][0]
        status, is_manual = _STATUSES[view["status"]], not view["capture"]
        if status in ("canceled", "expired") and view["captured_minor"]:
            status = "paid"
        was_authorized = first["status"] == "succeeded"
        method = view["metadata"]["method"]
        shown = {
            "resource": "payment",
            "id": payment_id,
            "mode": "test",
            "status": status,
            "amount": _amount(view["amount_minor"], view["currency"]),
            "description": "of a test",
            "method": method,
            "metadata": self.metadata.get(payment_id),
            "createdAt": _second(view["created_at"]),
            "profileId": "pfl_face",
            "sequenceType": "oneoff",
            "isCancelable": status == "open" and method == "creditcard",
            "_links": _links("self", "dashboard", "documentation"),
            "_embedded": {
                name: [
                    self._operation(each)
                    for each in view["operations"]
                    if each["kind"] == kind and each["status"] != "declined"
                ]
                for name, kind in (("captures", "capture"), ("refunds", "refund"))
            },
        }
        shown |= self._sequence_of(payment_id, method, is_made=was_authorized)
        if is_manual:
            shown["captureMode"] = "manual"
            if was_authorized:
                shown["authorizedAt"] = _second(first["created_at"])
                shown["captureBefore"] = _second(view["expires_at"])
        if status == "open":
            shown["_links"] |= _links("checkout", href=first["challenge_url"])
            shown["expiresAt"] = _second(view["expires_at"])
        if status == "failed":
            error = first["error"]
            reason = _REASONS.get(error["code"], error["decline_code"])
            reason = "card_declined" if reason == "generic_decline" else reason
            shown["details"] = {"failureReason": reason, "failureMessage": error["message"]}
        return shown

    def _sequence_of(self, payment_id: str, method: str, *, is_made: bool) -> Json:
        """What a payment shows of its customer and mandate; a first one makes it as it is paid."""
        said = self._sequences.get(payment_id, {})
        shown = {name: said[name] for name in _SEQUENCE if name in said}
        if is_made and said.get("sequenceType") == "first":
            shown["mandateId"] = f"mdt_{payment_id.removeprefix('tr_')[-16:]}"
            charged = said["charged"] if method == "creditcard" else DEBIT
            self.mandates.setdefault(f"{said['customerId']}/{shown['mandateId']}", charged)
        return shown

    def _operation(self, view: Json) -> Json:
        statuses = {"capture": {}, "refund": {"succeeded": "refunded"}}[view["kind"]]
        prefix = "cpt_" if view["kind"] == "capture" else "re_"
        status = "failed" if view["status"] == "declined" else view["status"]
        return {
            "resource": view["kind"],
            "id": f"{prefix}{view['id']}",
            "mode": "test",
            "status": statuses.get(status, status),
            "amount": _amount(view["amount_minor"], view["currency"]),
            "metadata": self.metadata.get(view["id"], {"reference": view["reference"]}),
            "paymentId": f"tr_{view['payment_id']}",
            "description": "of a test",
            "createdAt": _second(view["created_at"]),
            "_links": _links("self", "payment", "documentation"),
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        face = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(raw) if raw else {}
                try:
                    status, view = face.answer(self.command, self.path, self.headers, body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                sent = b"" if view is None else json.dumps(view).encode()
                self.send_response(status)
                if view is not None:
                    self.send_header("Content-Type", "application/hal+json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PATCH = do_DELETE = _do

            def log_message(self, *_: Any) -> None:
                """Silent."""

        return Handler


class _Call:
    """Requests to the sandbox PSP with the key of one request of ours."""

    def __init__(self, sandbox: Any, key: str, idempotency_key: str) -> None:
        self._sandbox = sandbox
        self._headers = {
            "Authorization": f"Bearer sandbox_{key}",
            "Idempotency-Key": idempotency_key,
            "Content-Type": "application/json",
        }

    def send(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        connection = http.client.HTTPConnection(self._sandbox.hostname, self._sandbox.port, 10)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, self._headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def made(self, reference: str) -> list[str]:
        """The payments that the sandbox PSP made under a reference although it said nothing."""
        status, answer = self.send("GET", f"/v1/operations?reference={reference}")
        return [each["payment_id"] for each in answer["data"]] if status == 200 else []

    def payment(self, payment_id: str) -> tuple[int, Json]:
        return self.send("GET", f"/v1/payments/{payment_id.removeprefix('tr_')}")

    def change(self, payment_id: str, verb: str, body: Json) -> tuple[int, Json]:
        return self.send("POST", f"/v1/payments/{payment_id.removeprefix('tr_')}/{verb}", body)


def _refusal(status: int, answer: Json) -> tuple[int, Json]:
    if answer["error"]["type"] == "idempotency_mismatch":
        return _error(409, "The key was used with other parameters")
    return _error(422 if status in (400, 402) else status, answer["error"]["message"])


def _error(status: int, detail: str) -> tuple[int, Json]:
    title = _TITLES.get(status, "Unprocessable Entity")
    links = _links("documentation")
    return status, {"status": status, "title": title, "detail": detail, "_links": links}


def _links(*names: str, href: str = "https://mollie.example") -> Json:
    return {name: {"href": href, "type": "application/hal+json"} for name in names}


def _minor(amount: Json) -> Json:
    whole = str(Money.zero(amount["currency"])).split()[0]
    value = amount["value"]
    assert len(value.partition(".")[2]) == len(whole.partition(".")[2]), "wrong decimals"
    return {"amount_minor": int(value.replace(".", "")), "currency": amount["currency"]}


def _amount(minor: int, currency: str) -> Json:
    return {"value": str(Money(minor, currency)).split()[0], "currency": currency}


def _second(moment: str) -> str:
    """Mollie writes whole seconds."""
    return datetime.fromisoformat(moment).replace(microsecond=0).isoformat()
