"""The HTTP client against real sockets that misbehave: NotSent or AnswerUnknown."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from psp_adapters.http import AnswerUnknown, NotSent, PspHttp
from psp_adapters.tests.support.peer import Peer

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_SECRET = "sandbox_very_secret"


@contextmanager
def peer(act: Callable[[socket.socket, Peer], None]) -> Iterator[tuple[Peer, PspHttp]]:
    server = Peer(act)
    client = PspHttp(f"http://127.0.0.1:{server.port}/base", {"Authorization": f"Bearer {_SECRET}"})
    try:
        yield server, client
    finally:
        client.close()
        server.close()


def _answering(answer: bytes) -> Callable[[socket.socket, Peer], None]:
    def act(connection: socket.socket, server: Peer) -> None:
        if server.read_request(connection):
            connection.sendall(answer)

    return act


def _keep_alive(connection: socket.socket, server: Peer) -> None:
    while server.read_request(connection):
        connection.sendall(_OK)


def _reset(connection: socket.socket, server: Peer) -> None:
    server.read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _hang(connection: socket.socket, server: Peer) -> None:
    server.read_request(connection)
    server.closing.wait(10)


def _trickle(*, first: bytes, then: bytes) -> Callable[[socket.socket, Peer], None]:
    def act(connection: socket.socket, server: Peer) -> None:
        server.read_request(connection)
        connection.sendall(first)
        while not server.closing.wait(0.05):
            connection.sendall(then)

    return act


def test_a_request_carries_body_headers_and_base_path() -> None:
    with peer(_keep_alive) as (server, client):
        answer = client.send(
            "POST", "/v1/x?a=1", json={"é": 1}, headers={"Idempotency-Key": "k"}, deadline_seconds=2
        )
    assert (answer.status, answer.json()) == (200, {})
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/v1/x?a=1 HTTP/1.1\r\n")
    assert b"Authorization: Bearer " + _SECRET.encode() in head
    assert b"Idempotency-Key: k" in head
    assert b"Content-Type: application/json" in head
    assert body == '{"é":1}'.encode()


def test_connections_are_kept_and_shared() -> None:
    with peer(_keep_alive) as (server, client):
        for _ in range(5):
            client.send("GET", "/", deadline_seconds=2)
    assert (server.connections, len(server.requests)) == (1, 5)


def test_a_refused_connection_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = PspHttp(f"http://127.0.0.1:{port}", {})
    with pytest.raises(NotSent):
        client.send("POST", "/", json={}, deadline_seconds=2)


def test_an_unknown_host_is_not_sent() -> None:
    client = PspHttp("http://psp.invalid", {})
    with pytest.raises(NotSent):
        client.send("POST", "/", json={}, deadline_seconds=2)


def test_a_failed_tls_handshake_is_not_sent() -> None:
    def act(connection: socket.socket, server: Peer) -> None:
        connection.recv(4096)
        connection.sendall(b"this is not TLS\r\n\r\n")

    server = Peer(act)
    client = PspHttp(f"https://127.0.0.1:{server.port}", {})
    try:
        with pytest.raises(NotSent):
            client.send("POST", "/", json={}, deadline_seconds=2)
    finally:
        server.close()


def test_no_time_left_is_not_sent() -> None:
    with peer(_keep_alive) as (server, client):
        with pytest.raises(NotSent):
            client.send("POST", "/", json={}, deadline_seconds=0)
    assert server.requests == []


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(_reset, id="reset"),
        pytest.param(_answering(b""), id="closed without an answer"),
        pytest.param(_answering(_OK[:12]), id="cut in the status line"),
        pytest.param(_answering(_OK[:30]), id="cut in the headers"),
        pytest.param(_answering(_OK[:-1]), id="cut in the body"),
        pytest.param(
            _answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"),
            id="cut in a chunk",
        ),
        pytest.param(_answering(b"\x00\xff garbage\r\n\r\n"), id="not HTTP"),
        pytest.param(
            _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b" " * 2_000_000),
            id="too large",
        ),
    ],
)
def test_half_an_answer_is_unknown(act: Callable[[socket.socket, Peer], None]) -> None:
    with peer(act) as (server, client):
        with pytest.raises(AnswerUnknown):
            client.send("POST", "/", json={"a": 1}, deadline_seconds=3)
        assert len(server.requests) == 1, "it is never sent a second time"


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(_hang, id="no answer"),
        pytest.param(
            _trickle(first=b"HTTP/1.1 200 OK\r\nX: ", then=b"x"), id="a header without end"
        ),
        pytest.param(
            _trickle(first=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", then=b" "),
            id="a body byte by byte",
        ),
        pytest.param(
            _trickle(first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", then=b"0"),
            id="a chunk byte by byte",
        ),
    ],
)
def test_the_deadline_covers_the_last_byte(act: Callable[[socket.socket, Peer], None]) -> None:
    with peer(act) as (_, client):
        began = time.monotonic()
        with pytest.raises(AnswerUnknown):
            client.send("POST", "/", json={}, deadline_seconds=0.4)
        assert time.monotonic() - began < 5, "bounded by the deadline, not by the server"


def test_half_an_answer_is_not_left_for_the_next_request() -> None:
    with peer(_trickle(first=_OK[:-1], then=b"")) as (server, client):
        for _ in range(2):
            with pytest.raises(AnswerUnknown):
                client.send("POST", "/", json={}, deadline_seconds=0.2)
        assert server.connections == 2


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    closed = threading.Event()

    def act(connection: socket.socket, server: Peer) -> None:
        server.read_request(connection)
        connection.sendall(_OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with peer(act) as (server, client):
        client.send("GET", "/", deadline_seconds=2)
        assert closed.wait(2)
        time.sleep(0.05)
        assert client.send("GET", "/", deadline_seconds=2).status == 200
        assert server.connections == 2


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with peer(_answering(answer)) as (server, client):
        assert client.send("POST", "/", json={}, deadline_seconds=2).status == 302
        assert len(server.requests) == 1


def test_a_503_is_an_answer_and_is_not_retried() -> None:
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    with peer(_answering(answer)) as (server, client):
        assert client.send("POST", "/", json={}, deadline_seconds=2).status == 503
        assert len(server.requests) == 1


def test_exceptions_carry_no_secret_address_or_body() -> None:
    for act in (_reset, _answering(b"secret-body\r\n\r\n"), _answering(_OK[:-1])):
        with peer(act) as (server, client):
            with pytest.raises(AnswerUnknown) as caught:
                client.send("POST", "/secret-path", json={"a": "secret"}, deadline_seconds=2)
            assert "secret" not in str(caught.value).lower()
            assert str(server.port) not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None


def test_a_body_that_is_not_json_is_unknown() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    with peer(_answering(answer)) as (_, client):
        with pytest.raises(AnswerUnknown):
            client.send("GET", "/", deadline_seconds=2).json()


def test_many_threads_have_a_connection_each() -> None:
    together = threading.Barrier(50)

    def act(connection: socket.socket, server: Peer) -> None:
        server.read_request(connection)
        together.wait(5)
        connection.sendall(_OK)

    with peer(act) as (server, client):
        answers: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(client.send("GET", "/", deadline_seconds=8).status)
            )
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 50
        assert server.connections == 50
