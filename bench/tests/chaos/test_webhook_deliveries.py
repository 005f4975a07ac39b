"""The merchants' receiver fails as it is told, and every wrong delivery is found."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.chaos.load.http_client import Wire
from bench.chaos.load.webhook_receiver import Heard, Sink, subscribe
from bench.chaos.verdict.webhook_deliveries import problems_of

SECRET = "whsec_of_the_tests"
EVENTS = [{"id": f"evt_{seq}", "intent": "pi_1", "seq": seq} for seq in (1, 2, 3)]


def heard(seq: int, *, answer: str = "ok", secret: str = SECRET, more: str = "") -> Heard:
    body = json.dumps({"id": f"evt_{seq}", "more": more}).encode()
    at = int(time.time())
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return Heard(at, 0, {"stripe-signature": f"t={at},v1={digest}"}, body, answer)


def texts_of(*all_: Heard) -> list[str]:
    return [each.text for each in problems_of(all_, events=EVENTS, secrets={0: SECRET})]


def test_in_order_and_repeated_with_the_same_bytes_is_right() -> None:
    assert texts_of(heard(1), heard(1), heard(2, answer="500"), heard(2), heard(1), heard(3)) == []


def test_a_cut_after_the_200_may_be_a_hearing() -> None:
    assert texts_of(heard(1), heard(2, answer="cut"), heard(3)) == []


@pytest.mark.parametrize(
    ("deliveries", "said"),
    [
        ([heard(1), heard(3), heard(2)], "first heard after 1"),
        ([heard(1), heard(2)], "never arrived"),
        ([heard(1), heard(2), heard(3, answer="hang")], "never arrived"),
        ([heard(1), heard(2), heard(3), heard(1, more="other")], "other bytes"),
        ([heard(1), heard(2), heard(3, secret="a guess")], "wrong signature"),
        ([replace(heard(1), at=time.time() + 120), heard(2), heard(3)], "wrong signature"),
        ([replace(heard(1), headers={}), heard(2), heard(3)], "wrong signature"),
        ([heard(1), heard(2), heard(3), heard(4)], "which is no event"),
        ([heard(1), heard(2), heard(3), replace(heard(1), body=b"[")], "which is no event"),
    ],
)
def test_what_is_wrong_is_found(deliveries: list[Heard], said: str) -> None:
    found = texts_of(*deliveries)
    assert found
    assert all(said in text for text in found[:1])


def test_the_sink_keeps_what_came_and_answers_by_its_seed() -> None:
    sink = Sink(seed=1, fails=0.3, hangs=0.0, cuts=0.3)
    with sink.listening():
        answers = Counter(post(sink.url(2)) for _ in range(60))
        expected = Counter(each.answer for each in sink.heard)
        assert answers == expected
        assert set(answers) == {"ok", "500", "cut"}
        assert {each.merchant for each in sink.heard} == {2}
        assert sink.heard[0].body == b"{}"
        sink.heal()
        assert {post(sink.url(2)) for _ in range(20)} == {"ok"}


def test_half_a_request_of_a_killed_sender_is_not_heard() -> None:
    sink = Sink(seed=1, fails=0.0, hangs=0.0, cuts=0.0)
    with sink.listening():
        with socket.create_connection(("127.0.0.1", sink.port), timeout=5) as connection:
            connection.sendall(b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert sink.heard == []
        assert post(sink.url(0)) == "ok"
    assert [each.body for each in sink.heard] == [b"{}"]


def test_who_hangs_is_let_go_when_the_sink_heals() -> None:
    sink = Sink(seed=1, fails=0.0, hangs=1.0, cuts=0.0)
    with sink.listening():
        said: list[str] = []
        waiting = threading.Thread(target=lambda: said.append(post(sink.url(0))))
        waiting.start()
        end = time.monotonic() + 5
        while not sink.heard:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert said == []
        sink.heal()
        waiting.join(5)
        assert said == ["hang"]


def post(url: str) -> str:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    try:
        connection.request("POST", parts.path, b"{}")
        answer = connection.getresponse()
        try:
            answer.read()
        except http.client.IncompleteRead:
            return "cut"
        return "ok" if answer.status == 200 else str(answer.status)
    except (http.client.HTTPException, OSError):
        return "hang"
    finally:
        connection.close()


@pytest.mark.parametrize("status", [200, 400])
def test_a_merchant_subscribes_to_everything_and_learns_the_secret(status: int) -> None:
    seen: list[Any] = []
    with_server(status, seen, lambda port: ask(port, status))
    assert seen == ["enabled_events%5B0%5D=%2A", "url=http%3A%2F%2Fx%2F0"]


def ask(port: int, status: int) -> None:
    wire = Wire((port,))
    if status == 200:
        assert subscribe(wire, secret_key="sk", url="http://x/0") == SECRET
    else:
        with pytest.raises(ValueError, match="refused"):
            subscribe(wire, secret_key="sk", url="http://x/0")
    wire.close()


def with_server(status: int, seen: list[Any], use: Callable[[int], None]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            seen.extend(sorted(body.split("&")))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"secret": SECRET}).encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        use(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
