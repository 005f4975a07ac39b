"""The merchants' receiver fails as configured, and every wrong delivery is found."""

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

from bench.chaos.load.http_client import HttpClient
from bench.chaos.load.webhook_receiver import ReceivedWebhook, WebhookReceiver, subscribe
from bench.chaos.verdict.webhook_deliveries import problems_of

SECRET = "whsec_of_the_tests"
EVENTS = [{"id": f"evt_{seq}", "intent": "pi_1", "seq": seq} for seq in (1, 2, 3)]


def received(
    seq: int, *, answer: str = "ok", secret: str = SECRET, more: str = ""
) -> ReceivedWebhook:
    body = json.dumps({"id": f"evt_{seq}", "more": more}).encode()
    at = int(time.time())
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return ReceivedWebhook(at, 0, {"stripe-signature": f"t={at},v1={digest}"}, body, answer)


def texts_of(*all_: ReceivedWebhook, events_read_at: float | None = None) -> list[str]:
    read_at = time.time() if events_read_at is None else events_read_at
    found = problems_of(all_, events=EVENTS, events_read_at=read_at, secrets={0: SECRET})
    return [each.text for each in found]


def test_ordered_deliveries_and_identical_repeats_are_right() -> None:
    assert (
        texts_of(
            received(1),
            received(1),
            received(2, answer="500"),
            received(2),
            received(1),
            received(3),
        )
        == []
    )


def test_an_event_that_comes_after_the_events_were_read_is_no_fault() -> None:
    deliveries = [received(number) for number in (1, 2, 3, 4)]
    assert texts_of(*deliveries, events_read_at=deliveries[3].at - 1) == []


def test_a_connection_cut_after_the_200_may_count_as_delivered() -> None:
    assert texts_of(received(1), received(2, answer="cut"), received(3)) == []


@pytest.mark.parametrize(
    ("deliveries", "said"),
    [
        ([received(1), received(3), received(2)], "first received after 1"),
        ([received(1), received(2)], "never arrived"),
        ([received(1), received(2), received(3, answer="hang")], "never arrived"),
        ([received(1), received(2), received(3), received(1, more="other")], "other bytes"),
        ([received(1), received(2), received(3, secret="a guess")], "wrong signature"),
        ([replace(received(1), at=time.time() + 120), received(2), received(3)], "wrong signature"),
        ([replace(received(1), headers={}), received(2), received(3)], "wrong signature"),
        ([received(1), received(2), received(3), received(4)], "which is no event"),
        (
            [received(1), received(2), received(3), replace(received(1), body=b"[")],
            "which is no event",
        ),
    ],
)
def test_each_wrong_delivery_is_found(deliveries: list[ReceivedWebhook], said: str) -> None:
    found = texts_of(*deliveries)
    assert found
    assert all(said in text for text in found[:1])


def test_the_sink_keeps_every_request_and_answers_by_its_seed() -> None:
    receiver = WebhookReceiver(seed=1, fails=0.3, hangs=0.0, cuts=0.3)
    with receiver.listening():
        answers = Counter(post(receiver.url(2)) for _ in range(60))
        expected = Counter(each.answer for each in receiver.received)
        assert answers == expected
        assert set(answers) == {"ok", "500", "cut"}
        assert {each.merchant for each in receiver.received} == {2}
        assert receiver.received[0].body == b"{}"
        receiver.end_faults()
        assert {post(receiver.url(2)) for _ in range(20)} == {"ok"}


def test_half_a_request_of_a_killed_sender_is_ignored() -> None:
    receiver = WebhookReceiver(seed=1, fails=0.0, hangs=0.0, cuts=0.0)
    with receiver.listening():
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as connection:
            connection.sendall(b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert receiver.received == []
        assert post(receiver.url(0)) == "ok"
    assert [each.body for each in receiver.received] == [b"{}"]


def test_hanging_requests_are_released_when_the_sinks_faults_end() -> None:
    receiver = WebhookReceiver(seed=1, fails=0.0, hangs=1.0, cuts=0.0)
    with receiver.listening():
        said: list[str] = []
        waiting = threading.Thread(target=lambda: said.append(post(receiver.url(0))))
        waiting.start()
        end = time.monotonic() + 5
        while not receiver.received:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert said == []
        receiver.end_faults()
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
    client = HttpClient((port,))
    if status == 200:
        assert subscribe(client, secret_key="sk", url="http://x/0") == SECRET
    else:
        with pytest.raises(ValueError, match="refused"):
            subscribe(client, secret_key="sk", url="http://x/0")
    client.close()


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
