"""Acorn, the made-up PSP, as an HTTP server on loopback that keeps its payments in memory."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
API_KEY = "acorn_test_key"
CARDS = {"good": "", "broke": "broke", "says_no": "stolen", "asks": "ask"}
"""Its test tokens, and why each is declined."""


class Acorn:
    """Usable as a context manager."""

    def __init__(self) -> None:
        self._payments: dict[str, Json] = {}
        self._answers: dict[str, tuple[Json, int, Json]] = {}
        self._lock = threading.Lock()
        self._drops: list[tuple[str, bool]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Acorn:
        serve = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def drop_next(self, verb: str, *, after: bool) -> None:
        """Answer the next `GET`, `pay`, `take`, `drop` or `return` by a closed connection."""
        self._drops.append((verb, after))

    def answer_challenge(self, payment_id: str, *, fail: bool) -> None:
        """As the customer would."""
        payment = self._payments[payment_id]
        if fail:
            payment |= {"state": "no", "why": "failed"}
        else:
            payment |= {"state": "held", "held": payment["cents"]}

    def answer(self, method: str, target: str, key: str, body: Json) -> tuple[int, Json] | None:
        """None for a closed connection."""
        verb = "GET" if method == "GET" else target.rpartition("/")[2]
        if self._drops == [(verb, False)]:
            self._drops.clear()
            return None
        answer = self._answer(method, target, key, body)
        if self._drops == [(verb, True)]:
            self._drops.clear()
            return None
        return answer

    def _answer(self, method: str, target: str, key: str, body: Json) -> tuple[int, Json]:
        with self._lock:
            if method == "GET":
                return self._shown(urlsplit(target))
            if key in self._answers:
                first, status, view = self._answers[key]
                return (status, view) if first == body else (409, {})
            status, view = self._execute(target.split("/")[2:], body)
            view = json.loads(json.dumps(view))
            self._answers[key] = (body, status, view)
            return status, view

    def _shown(self, url: Any) -> tuple[int, Json]:
        if url.path.startswith("/card/"):
            known = url.path.removeprefix("/card/") in CARDS
            card = {"brand": "visa", "last4": "4242", "month": 3, "year": 2030, "print": "p1"}
            return (200, card) if known else (404, {})
        if url.path == "/pay":
            reference = parse_qs(url.query)["ref"][0]
            found = [p for p in self._payments.values() if reference in _references_of(p)]
        else:
            found = [p for p in self._payments.values() if p["id"] == url.path.split("/")[2]]
        return (200, found[0]) if found else (404, {})

    def _execute(self, path: list[str], body: Json) -> tuple[int, Json]:
        if not path:
            return self._pay(body)
        payment, verb, cents = self._payments.get(path[0]), path[1], body["cents"]
        if payment is None:
            return 422, {}
        returned = sum(s["cents"] for s in payment["steps"] if s["what"] == "return")
        most = payment["taken"] - returned if verb == "return" else payment["held"]
        if not 0 < cents <= most:
            return 422, {}
        step = {"id": f"{path[0]}-{len(payment['steps'])}", "what": verb, "at": int(time.time())}
        payment["steps"].append({**step, "ref": body["ref"], "cents": cents})
        if verb != "return":
            payment |= {"held": 0, "state": "taken" if verb == "take" else "dropped"}
            payment["taken"] = cents if verb == "take" else 0
        return 200, payment

    def _pay(self, body: Json) -> tuple[int, Json]:
        if body["card"] not in CARDS:
            return 422, {}
        why, now = CARDS[body["card"]], int(time.time())
        state = "no" if why else "taken" if body["take"] else "held"
        if why == "ask" and body["may_ask"]:
            state = "ask"
        payment = {"id": f"pay{len(self._payments)}", "state": state, "why": why, "at": now}
        payment |= {name: body[name] for name in ("ref", "cents", "cur")}
        payment |= {"go": "http://acorn.invalid/ask", "until": now + 600, "steps": []}
        payment["held"] = body["cents"] if state == "held" else 0
        payment["taken"] = body["cents"] if state == "taken" else 0
        self._payments[payment["id"]] = payment
        return 200, payment


def _references_of(payment: Json) -> list[str]:
    return [payment["ref"], *(step["ref"] for step in payment["steps"])]


def _handler_of(acorn: Acorn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = self.headers.get("Once", "")
            answer: tuple[int, Json] | None = (401, {})
            if self.headers["Authorization"] == f"Bearer {API_KEY}":
                answer = acorn.answer(self.command, self.path, key, json.loads(raw or b"{}"))
            if answer is None:
                self.close_connection = True
                return
            status, view = answer
            content = json.dumps(view).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler
