"""A proxy before localstripe: idempotency keys, lost answers, and what localstripe lacks.

localstripe ignores idempotency keys. Here one key has one effect, as Stripe documents: a repeat is
answered from memory, with other parameters refused, and refused while the first is under way.
Parameters that localstripe does not know are left out, and their documented effect is added to its
answers where a test needs it: notes stored by a capture, amounts captured, the address of a
challenge, the filter of a list by time, the refusal of a card that was detached.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Form = list[tuple[str, str]]
_UNKNOWN_TO_LOCALSTRIPE = (
    *("return_url", "final_capture", "payment_method_options", "created", "setup_future_usage"),
)
_SETUPS = "/v1/setup_intents"
_DETACH = re.compile(r"/v1/payment_methods/(\w+)/detach")
_CAPTURE = re.compile(r"/v1/payment_intents/(\w+)/capture")


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def _error(status: int, kind: str, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"type": kind, "code": code, "message": message}})


class StripeProxy:
    """Listens on loopback; usable as a context manager."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[bytes, Answer | None]] = {}
        self._captured: dict[str, int] = {}
        self._kept_for: dict[str, str] = {}
        self._detached: set[str] = set()
        self._setup_errors: dict[str, Any] = {}
        self._drops: list[tuple[re.Pattern[str], bool]] = []
        self.calls: list[tuple[str, str, str]] = []
        """Method, path and idempotency key of every request."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = proxy.answer(self.command, self.path, dict(self.headers), body)
                if answer is None:
                    self.close_connection = True
                    return
                content = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> StripeProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drop_next(self, pattern: str, *, after: bool) -> None:
        """Break the connection of the next request whose method and path match."""
        self._drops.append((re.compile(pattern), after))

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        """The answer to one request; None if its connection is to break."""
        key = headers.get("Idempotency-Key", "")
        self.calls.append((method, path, key))
        drop = self._take_drop(f"{method} {urlsplit(path).path}")
        if drop is False:
            return None
        answer = self._once(key, f"{method} {path} ".encode() + body) if key else None
        if answer is None:
            answer = self._forward(method, path, headers, body)
            if key:
                self._keep(key, answer)
        return None if drop else answer

    def _take_drop(self, what: str) -> bool | None:
        """True: lose the answer; False: lose the request; None: neither."""
        with self._lock:
            for each in self._drops:
                if each[0].fullmatch(what):
                    self._drops.remove(each)
                    return each[1]
        return None

    def _once(self, key: str, request: bytes) -> Answer | None:
        with self._lock:
            if key not in self._answers:
                self._answers[key] = (request, None)
                return None
            first, stored = self._answers[key]
        if first != request:
            message = "Keys for idempotent requests can only be used with the same parameters."
            return _error(400, "idempotency_error", "", message)
        if stored is None:
            message = "There is another request in progress using this key."
            return _error(409, "idempotency_error", "idempotency_key_in_use", message)
        return Answer(stored.status, stored.body, {"Idempotent-Replayed": "true"})

    def _keep(self, key: str, answer: Answer) -> None:
        """Store the answer, unless the request did not begin to be executed."""
        with self._lock:
            if answer.status in (400, 401, 404):
                del self._answers[key]
            else:
                self._answers[key] = (self._answers[key][0], answer)

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        url = urlsplit(path)
        query, form = parse_qsl(url.query), parse_qsl(body.decode())
        if (method, url.path) == ("POST", _SETUPS):
            return self._set_up(dict(form), headers)
        if dict(form).get("payment_method") in self._detached:
            message = "The provided PaymentMethod was detached from a Customer."
            return _error(400, "invalid_request_error", "", message)
        capture = _CAPTURE.fullmatch(url.path)
        notes = [each for each in form if capture and each[0].startswith("metadata[")]
        if capture and (refusal := self._refusal_of_capture(capture[1], headers)):
            return refusal
        answer = self._send(
            method,
            url.path,
            [each for each in query if not _is_unknown(each[0])],
            [each for each in form if not _is_unknown(each[0]) and each not in notes],
            headers,
        )
        if capture and answer.status == 200:
            self._captured[capture[1]] = int(dict(form)["amount_to_capture"])
            if notes:
                answer = self._send("POST", f"/v1/payment_intents/{capture[1]}", [], notes, headers)
        if answer.status == 200:
            if detach := _DETACH.fullmatch(url.path):
                self._detached.add(detach[1])
            if usage := dict(form).get("setup_future_usage"):
                self._kept_for[answer.body["id"]] = usage
            self._complete(answer.body, dict(query), dict(form).get("return_url", ""))
        return answer

    def _set_up(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        """A setup intent that is confirmed as it is made; localstripe takes that in two steps."""
        method = form.pop("payment_method")
        known = self._send("GET", f"/v1/payment_methods/{method}", [], [], headers)
        if known.status != 200:
            return known
        own = [each for each in form.items() if each[0] != "confirm" and not _is_unknown(each[0])]
        made = self._send("POST", _SETUPS, [], own, headers)
        path = f"{_SETUPS}/{made.body['id']}"
        chosen = [("payment_method", method)]
        answer = self._send("POST", f"{path}/confirm", [], chosen, headers)
        shown = answer.body
        if answer.status == 402:
            self._setup_errors[made.body["id"]] = dict(answer.body["error"])
            shown = self._send("GET", path, [], [], headers).body
            answer.body["error"]["setup_intent"] = shown
        self._complete(shown, {}, form.get("return_url", ""))
        return answer

    def _refusal_of_capture(self, intent_id: str, headers: dict[str, str]) -> Answer | None:
        """localstripe answers 200 to the capture of a canceled payment; Stripe refuses it."""
        found = self._send("GET", f"/v1/payment_intents/{intent_id}", [], [], headers)
        if found.status == 200 and found.body["status"] == "canceled":
            code = "payment_intent_unexpected_state"
            return _error(400, "invalid_request_error", code, "It is canceled.")
        return None

    def _send(
        self, method: str, path: str, query: Form, form: Form, headers: dict[str, str]
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=10)
        try:
            connection.request(
                method,
                f"{path}?{urlencode(query)}" if query else path,
                body=urlencode(form) if method == "POST" else None,
                headers={
                    "Authorization": headers.get("Authorization", ""),
                    "Content-Type": "application/x-www-form-urlencoded",
                },
            )
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))
        finally:
            connection.close()

    def _complete(self, body: Any, query: dict[str, str], return_url: str) -> None:
        if body.get("object") == "list":
            since = int(query.get("created[gte]", 0))
            body["data"] = [
                each
                for each in body["data"]
                # What a partial capture released is a refund of the charge there.
                if each["created"] >= since and each.get("payment_intent", "") is not None
            ]
        for view in _objects_in(body, "setup_intent"):
            view["last_setup_error"] = self._setup_errors.get(view["id"])
            if view["last_setup_error"]:
                view["status"] = "requires_payment_method"
            if return_url and view["status"] == "requires_action":
                view["next_action"] = _redirect(view["id"], return_url)
        for view in _objects_in(body, "payment_intent"):
            view["setup_future_usage"] = self._kept_for.get(view["id"])
            captured = self._captured.get(view["id"], view["amount"])
            view["amount_received"] = captured if view["status"] == "succeeded" else 0
            is_held = view["status"] == "requires_capture"
            view["amount_capturable"] = view["amount"] if is_held else 0
            if return_url and view["status"] == "requires_action":
                view["next_action"] = _redirect(view["id"], return_url)


def _is_unknown(name: str) -> bool:
    return name.partition("[")[0] in _UNKNOWN_TO_LOCALSTRIPE


def _redirect(intent_id: str, return_url: str) -> dict[str, Any]:
    url = f"https://hooks.example/challenge/{intent_id}"
    to_url = {"url": url, "return_url": return_url}
    return {"type": "redirect_to_url", "redirect_to_url": to_url}


def _objects_in(body: Any, kind: str) -> Iterator[dict[str, Any]]:
    for each in body["data"] if body.get("object") == "list" else [body]:
        if each.get("object") == kind:
            yield each
