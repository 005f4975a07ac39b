"""A face of the sandbox PSP that speaks Adyen's Checkout API, and signs notifications.

The sandbox PSP keeps the truth; the face translates. A change is answered `received`, and its
result is in the notification alone. Usable as a context manager; listens on loopback.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.mapping import AMOUNTS, IN_PROGRESS
from psp_adapters.adyen.webhook import signature_of
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.contract.setups import SetupLookUp, SetupResult
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.adyen_cards import Answer as Answer
from psp_adapters.tests.support.adyen_cards import StoredCards, account_of, verification_of
from psp_adapters.tests.support.adyen_disputes_face import PREFIX, DisputesFace

K = OperationKind
API_KEY = "a-key-of-the-face"
ACCOUNT = "FaceMerchantECOM"
HMAC_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
"""The key that Adyen's libraries publish with their test vector."""
_REFUSALS = {
    decline: (number, said) for number, (said, _, decline) in reversed(vocabulary.REFUSALS.items())
}
_CHANGES = {
    "captures": (K.CAPTURE, "CAPTURE"),
    "refunds": (K.REFUND, "REFUND"),
    "cancels": (K.VOID, "CANCELLATION"),
    "amountUpdates": (K.INCREMENT, "AUTHORISATION_ADJUSTMENT"),
}
_CHANGE = re.compile(r"/payments/(\w+)/(captures|refunds|cancels|amountUpdates)")
Json = dict[str, Any]


@dataclass
class _Payment:
    sandbox_id: str
    reference: str
    total: Money


class AdyenFace:
    def __init__(self, sandbox: SandboxAdapter) -> None:
        self._sandbox = sandbox
        self.cards = StoredCards()
        self._lock = threading.RLock()
        self._answers: dict[str, Answer] = {}
        self._payments: dict[str, _Payment] = {}
        self._challenges: dict[str, Json] = {}
        self._completed: dict[str, Answer] = {}
        self._drops: list[tuple[re.Pattern[str], bool]] = []
        self.in_progress: set[str] = set()
        """Keys that are answered as in use."""
        self.items: list[Json] = []
        self.listeners: list[Callable[[bytes], None]] = []
        """Called with the body of each request that the face would send."""
        self._last = datetime.now(UTC)
        self.sales: set[str] = set()
        self.calls: list[tuple[str, str, Json]] = []
        """Method, path and headers of every request."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        origin = f"http://127.0.0.1:{self._server.server_port}"
        self.base_url, self.dispute_url = f"{origin}/v72", f"{origin}{PREFIX}"
        self.disputes = DisputesFace(sandbox, self.state)

    def __enter__(self) -> AdyenFace:
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drop_next(self, pattern: str, *, after: bool) -> None:
        """Break the connection of the next request whose method and path match."""
        self._drops.append((re.compile(pattern), after))

    def answer(self, method: str, target: str, headers: Json, body: Json) -> Answer | None:
        """The answer to one request; None if its connection is to break."""
        path = urlsplit(target).path.removeprefix("/v72")
        self.calls.append((method, path, headers))
        if headers.get("X-Api-Key", headers.get("X-API-Key")) != API_KEY:
            return _error(401, "000", "security", "HTTP Status Response - Unauthorized")
        drop = next((each for each in self._drops if each[0].fullmatch(f"{method} {path}")), None)
        if drop:
            self._drops.remove(drop)
            if not drop[1]:
                return None
        key = headers.get("Idempotency-Key", "")
        if key in self.in_progress:
            return _error(422, IN_PROGRESS, "validation", "the key is in use")
        with self._lock:
            answer = self._answers.get(key) if key else None
            if answer is None:
                answer = self._execute(method, path, target, body, key)
                if key:
                    self._answers[key] = answer
        return None if drop else answer

    def _execute(self, method: str, path: str, target: str, body: Json, key: str) -> Answer:
        if path.startswith("/storedPaymentMethods"):
            return self._stored_methods(method, path, target, body)
        if body.get("merchantAccount", body.get("merchantAccountCode", ACCOUNT)) != ACCOUNT:
            return _error(403, "901", "security", "Invalid Merchant Account")
        if path.startswith(f"{PREFIX}/"):
            return Answer(*self.disputes.answer(path.removeprefix(f"{PREFIX}/"), body, key))
        if path == "/payments":
            return self._pay(body, key)
        if path == "/payments/details":
            return self._complete(body)
        if path == "/cancels":
            return self._cancel_by_reference(body, key)
        match = _CHANGE.fullmatch(path)
        if match is None:
            return _error(404, "", "", "no such address")
        return self._change(match[1], match[2], body, key)

    def _pay(self, body: Json, key: str) -> Answer:
        method = body["paymentMethod"]
        is_card = method["type"] == "scheme"
        token = self.cards.token_of(body) if is_card else "pm_ideal_success"
        if token is None:
            return _error(422, "800", "validation", "Contract not found")
        if body["amount"]["value"] == 0:
            asked = verification_of(body, key=key, token=token)
            return self._answered(self._sandbox.set_up(asked, deadline_seconds=5), body)
        attempt = body.get("authenticationData", {}).get("attemptAuthentication")
        if body.get("captureDelayHours") == 0:
            self.sales.add(body["reference"])
        request = PspRequest(
            kind=K.AUTHORIZE,
            psp_key=key,
            reference=body["reference"],
            amount=_money(body["amount"]),
            order_id=body.get("metadata", {}).get("order_id") or body["reference"],
            token=token,
            capture=body.get("captureDelayHours") == 0,
            challenge_allowed=attempt != "never",
            return_url=body["returnUrl"],
            **(self.cards.terms_of(body) if is_card else {}),
        )
        return self._answered(self._sandbox.authorize(request, deadline_seconds=5), body)

    def _answered(self, result: PspResult | SetupResult, body: Json) -> Answer:
        if result.code == REQUEST_REFUSED:
            return _error(422, "100", "validation", result.detail)
        if result.outcome is Outcome.REQUIRES_ACTION:
            is_payment = isinstance(result, PspResult)
            self._challenges[result.psp_payment_id if is_payment else result.psp_id] = body
            return Answer(200, {"resultCode": "RedirectShopper", "action": _redirect(result)})
        return self._decided(result, body)

    def _complete(self, body: Json) -> Answer:
        """The customer came back: `redirectResult` is the sandbox's id of the payment here."""
        sandbox_id = body["details"]["redirectResult"]
        if sandbox_id in self._completed:
            return self._completed[sandbox_id]
        order = self._challenges[sandbox_id]
        named = {"reference": order["reference"], "psp_id": sandbox_id}
        result: PspResult | SetupResult | None
        if order["amount"]["value"] == 0:
            result = self._sandbox.look_up_setup(SetupLookUp(**named), deadline_seconds=5)
        else:
            query = LookUp(kind=K.AUTHORIZE, **named)
            result = self._sandbox.look_up(query, deadline_seconds=5)
        assert result is not None
        self._completed[sandbox_id] = self._decided(result, order)
        return self._completed[sandbox_id]

    def _decided(self, result: PspResult | SetupResult, order: Json) -> Answer:
        psp_id, reference, amount = new_id(), order["reference"], order["amount"]
        answer: Json = {"pspReference": psp_id, "merchantReference": reference}
        if result.outcome is Outcome.SUCCEEDED:
            if isinstance(result, PspResult):
                self._payments[psp_id] = _Payment(result.psp_payment_id, reference, _money(amount))
            extra = self.cards.keep(order, result.network_transaction_id)
            named: Json = {"psp_id": psp_id, "reference": reference, "amount": amount}
            self.state(vocabulary.AUTHORIZED, **named, extra=extra)
            answer |= {"additionalData": extra} if extra else {}
            return Answer(200, {**answer, "resultCode": "Authorised", "amount": amount})
        decline = result.decline_code
        if result.code.endswith("_intent_authentication_failure"):
            number, said = "11", "3d not authenticated"
        else:
            number, said = _REFUSALS.get(decline, _REFUSALS["generic_decline"])
        self.state(
            vocabulary.AUTHORIZED,
            psp_id=psp_id,
            reference=reference,
            amount=amount,
            success=False,
            reason=said,
        )
        refusal = {"refusalReason": said, "refusalReasonCode": number}
        return Answer(200, {**answer, "resultCode": "Refused", **refusal})

    def _change(self, payment_id: str, verb: str, body: Json, key: str) -> Answer:
        kind, event = _CHANGES[verb]
        payment = self._payments.get(payment_id)
        if payment is None:
            return _error(422, "167", "validation", "Original pspReference required")
        amount = _money(body["amount"]) if "amount" in body else payment.total
        done = self._carry_out(payment, kind, amount, body["reference"], key)
        psp_id = new_id()
        self.state(
            event,
            psp_id=psp_id,
            original=payment_id,
            reference=body["reference"],
            amount=body.get("amount", _amount(payment.total)),
            success=done,
            reason="" if done else "Insufficient balance on payment",
        )
        received = {"pspReference": psp_id, "paymentPspReference": payment_id, "status": "received"}
        return Answer(201, {**body, **received})

    def _carry_out(
        self, payment: _Payment, kind: K, amount: Money, reference: str, key: str
    ) -> bool:
        moved = amount - payment.total if kind is K.INCREMENT else amount
        request = PspRequest(
            kind=kind,
            psp_key=key,
            reference=reference,
            amount=moved,
            psp_payment_id=payment.sandbox_id,
        )
        result = getattr(self._sandbox, kind.value)(request, deadline_seconds=5)
        done = result.outcome is Outcome.SUCCEEDED
        if done and kind is K.INCREMENT:
            payment.total = amount
        return done

    def _cancel_by_reference(self, body: Json, key: str) -> Answer:
        psp_id, named = new_id(), body["paymentReference"]
        found = [(i, p) for i, p in self._payments.items() if p.reference == named]
        done, amount, original = False, {"currency": "USD", "value": 0}, ""
        for payment_id, payment in found:
            original = payment_id
            done = self._carry_out(payment, K.VOID, payment.total, body["reference"], key)
            amount = _amount(payment.total)
        self.state(
            vocabulary.CANCEL_BY_REFERENCE,
            psp_id=psp_id,
            original=original,
            reference=named,
            amount=amount,
            success=done,
            reason="" if done else "Transaction not found",
        )
        return Answer(201, {**body, "pspReference": psp_id, "status": "received"})

    def _stored_methods(self, method: str, path: str, target: str, body: Json) -> Answer:
        assert (body.get("merchantAccount") or account_of(target)) == ACCOUNT
        stored_id = path.removeprefix("/storedPaymentMethods").strip("/")
        answered = self.cards.answer(method, stored_id, target, body)
        return answered or _error(422, "803", "validation", "PaymentDetail not found")

    def open_dispute(self, opened: Json) -> str:
        """Have a dispute that the sandbox PSP opened stated; its id here."""
        [(payment_id, payment)] = [
            (i, p) for i, p in self._payments.items() if p.sandbox_id == opened["payment_id"]
        ]
        dispute_id = new_id()
        self.disputes.open(dispute_id, opened, payment_id=payment_id, reference=payment.reference)
        return dispute_id

    def state(
        self,
        event: str,
        *,
        psp_id: str,
        reference: str,
        amount: Json,
        original: str = "",
        success: bool = True,
        reason: str = "",
        at: datetime | None = None,
        extra: Json | None = None,
    ) -> Json:
        """Sign one item, keep it, and send it to the listeners."""
        item = {
            "eventCode": event,
            "pspReference": psp_id,
            "merchantReference": reference,
            "merchantAccountCode": ACCOUNT,
            "amount": amount,
            "success": "true" if success else "false",
            "reason": reason,
            "eventDate": self._next(at).isoformat(timespec="seconds"),
            **({"originalReference": original} if original else {}),
            **({"additionalData": extra} if extra else {}),
        }
        sign(item)
        self.items.append(item)
        for listener in self.listeners:
            listener(request_of(item))
        return item

    def _next(self, at: datetime | None) -> datetime:
        """Another second for each event: Adyen tells the order no finer than that."""
        self._last = at or max(datetime.now(UTC), self._last + timedelta(seconds=1))
        return self._last


def sign(item: Json, *, key: str = HMAC_KEY) -> None:
    """Put the signature into an item, as Adyen does."""
    said = signature_of({**item, "additionalData": {}}, bytes.fromhex(key))
    item["additionalData"] = {**item.get("additionalData", {}), "hmacSignature": said}


def request_of(*items: Json, live: str = "false") -> bytes:
    """The body of a request with these items."""
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return json.dumps({"live": live, "notificationItems": wrapped}).encode()


def new_id() -> str:
    """An id in the form of Adyen's."""
    return base64.b32encode(uuid.uuid4().bytes).decode()[:16]


def _redirect(result: PspResult | SetupResult) -> Json:
    action = {"type": "redirect", "method": "GET", "paymentMethodType": "scheme"}
    return {**action, "url": result.redirect_url}


def _money(view: Json) -> Money:
    return AMOUNTS.from_psp(view["value"], view["currency"])


def _amount(money: Money) -> Json:
    return {"currency": money.currency, "value": AMOUNTS.to_psp(money)}


def _error(status: int, code: str, kind: str, message: str) -> Answer:
    body = {"status": status, "errorCode": code, "errorType": kind, "message": message}
    return Answer(status, body, {"transient-error": "false"})


def _handler_of(face: AdyenFace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.title(): value for name, value in self.headers.items()}
            answer = face.answer(self.command, self.path, headers, json.loads(raw or b"{}"))
            if answer is None:
                self.close_connection = True
                return
            content = b"" if answer.body is None else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
