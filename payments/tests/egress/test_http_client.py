"""Egress: no connection to a forbidden address, and no request hangs."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from payments.services.egress.http_client import BODY_BYTES_MAX, HttpClient, Reply
from payments.services.egress.ip_policy import Address
from payments.services.egress.url_policy import TargetRefused, UrlPolicy, target_of
from payments.tests.egress.test_url_policy import HOSTS, LOOPBACK, STRICT
from payments.tests.support.certificates import Authority
from payments.tests.support.listening import MerchantServer, answering, listening, ok


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def untouched() -> Iterator[int]:
    """A port on this machine to which nothing may connect."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.0)
        yield listener.getsockname()[1]
        with pytest.raises(BlockingIOError):
            listener.accept()


def post(url: str, policy: UrlPolicy = LOOPBACK, *, seconds: float = 5, **more: Any) -> Reply:
    return HttpClient(policy, **more).post(url, body=b"{}", headers={}, deadline_seconds=seconds)


def names(**known: Sequence[str]) -> Any:
    """A resolver that knows these names, and counts its calls."""

    def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(each) for each in known[host.replace(".", "_")]]

    asked: list[str] = []
    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("policy", [STRICT, LOOPBACK], ids=["strict", "development"])
def test_hosts_that_only_we_can_reach_are_refused_and_never_called(
    host: str, policy: UrlPolicy
) -> None:
    """In development too, save for this machine in its plain forms."""
    if policy is LOOPBACK and host.lower() in ("127.0.0.1", "[::1]", "localhost"):
        host = f"{host}:443"  # not even there on a port below 1024
    with pytest.raises(TargetRefused):
        target_of(f"https://{host}/", policy)
    asked = names()
    reply = post(f"https://{host}/", policy, resolver=asked)
    assert reply.status is None
    assert reply.error.startswith("not called: ")
    assert asked.asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700::1111", "::1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.7"],
        ["fe80::1%eth0"],
        [],
    ],
)
def test_a_name_with_one_address_that_is_not_public_is_not_called(addresses: list[str]) -> None:
    with untouched() as port:
        for loopback in (False, True):
            policy = UrlPolicy(ports=frozenset({port}), loopback=loopback)
            reply = post(
                f"https://hooks.example.com:{port}/",
                policy,
                resolver=names(hooks_example_com=addresses),
            )
            assert reply.status is None
            assert "not public" in reply.error


def test_a_name_is_resolved_at_every_request_and_only_once_for_it() -> None:
    """TTL 0: a second answer would differ, but none is asked for."""
    answers = iter([["127.0.0.1"], ["10.0.0.7"]])
    asked: list[str] = []

    def flips(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(each) for each in next(answers)]

    with listening() as server:
        url = f"http://localhost:{server.port}/"
        assert post(url, resolver=flips).status == 200
        assert asked == ["localhost"]
        assert "not public" in post(url, resolver=flips).error
        assert asked == ["localhost", "localhost"]
        assert len(server.requests) == 1


def test_the_checked_address_is_called_under_the_urls_own_name(authority: Authority) -> None:
    """Host, SNI and certificate are the name's; the connection is to the checked address."""
    seen: list[str | None] = []
    context = authority.server("localhost")
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    with listening(context=context) as server:
        policy = UrlPolicy(loopback=True, ca_file=str(authority.file))
        reply = post(
            f"https://localhost:{server.port}/in?x=1",
            policy,
            resolver=names(localhost=["127.0.0.1"]),
        )
    assert (reply.status, reply.error) == (200, "")
    [received] = server.requests
    assert received.headers["Host"] == f"localhost:{server.port}"
    assert received.path == "/in?x=1"
    assert seen == ["localhost"]


@pytest.mark.parametrize("wrong", ["self-signed", "host", "expired", "future", "unknown authority"])
def test_a_certificate_that_is_not_valid_is_a_failure(
    authority: Authority, tmp_path: Path, wrong: str
) -> None:
    contexts = {
        "self-signed": lambda: authority.server("localhost", self_signed=True),
        "host": lambda: authority.server("hooks.example.com"),
        "expired": lambda: authority.server("localhost", days=(-3, -1)),
        "future": lambda: authority.server("localhost", days=(1, 3)),
        "unknown authority": lambda: authority.server("localhost"),
    }
    policy = UrlPolicy(
        loopback=True, ca_file="" if wrong == "unknown authority" else str(authority.file)
    )
    with listening(context=contexts[wrong]()) as server:
        url = f"https://localhost:{server.port}/"
        reply = post(url, policy, resolver=names(localhost=["127.0.0.1"]))
        assert (reply.status, reply.error) == (
            None,
            "the certificate is not valid for this host",
        )
        assert (server.connections, server.requests) == (1, [])


def test_an_address_is_checked_against_the_certificate_too(authority: Authority) -> None:
    policy = UrlPolicy(loopback=True, ca_file=str(authority.file))
    with listening(context=authority.server("127.0.0.1")) as good:
        assert post(f"https://127.0.0.1:{good.port}/", policy).status == 200
    with listening(context=authority.server("127.0.0.2")) as bad:
        assert post(f"https://127.0.0.1:{bad.port}/", policy).status is None
        assert bad.requests == []


def test_a_server_without_tls_is_a_failure(authority: Authority) -> None:
    policy = UrlPolicy(loopback=True, ca_file=str(authority.file))
    with listening() as server:
        reply = post(f"https://127.0.0.1:{server.port}/", policy)
        assert reply.error == "the TLS handshake failed"
        assert server.requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with untouched() as port, listening() as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        assert post(server.url).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with untouched() as port:
        with listening(answering(status, Location=f"http://127.0.0.1:{port}/")) as server:
            assert post(server.url).status == status
            assert len(server.requests) == 1


def _head_then(*pieces: bytes, pause: float = 0.0, forever: bool = False) -> Any:
    """A handler that answers 200 and then these pieces, slowly or without end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            for piece in pieces:
                handler.wfile.write(piece)
                time.sleep(pause)
            if not forever:
                return

    return answer


def test_an_endless_body_is_cut() -> None:
    with listening(_head_then(b"x" * 65_536, forever=True)) as server:
        began = time.monotonic()
        reply = post(server.url)
        assert (reply.status, len(reply.body)) == (200, BODY_BYTES_MAX)
        assert time.monotonic() - began < 5


def test_a_body_of_one_byte_a_moment_is_cut() -> None:
    with listening(_head_then(b"x", pause=0.1, forever=True)) as server:
        began = time.monotonic()
        reply = post(server.url, seconds=1.0)
        assert reply.status == 200
        assert 0 < len(reply.body) < 20
        assert time.monotonic() - began < 5


def test_a_head_of_one_byte_a_moment_is_a_failure_in_time() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 500:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    with listening(drip) as server:
        began = time.monotonic()
        reply = post(server.url, seconds=1.0)
        assert (reply.status, reply.error) == (None, "no answer in time")
        assert time.monotonic() - began < 5


def test_a_server_that_does_not_respond_is_a_failure_in_time() -> None:
    released = threading.Event()
    with listening(lambda _: released.wait(10)) as server:
        began = time.monotonic()
        reply = post(server.url, seconds=0.5)
        assert (reply.status, reply.error) == (None, "no answer in time")
        assert time.monotonic() - began < 5
        released.set()


def test_a_resolver_that_hangs_is_a_failure_in_time() -> None:
    released = threading.Event()

    def hangs(host: str, port: int) -> list[Address]:
        released.wait(10)
        return []

    began = time.monotonic()
    reply = post("https://hooks.example.com/", STRICT, seconds=0.5, resolver=hangs)
    assert reply.error == "the host's name could not be resolved in time"
    assert time.monotonic() - began < 5
    released.set()


def test_resolutions_that_hang_delay_no_other_name() -> None:
    """More tries than any pool of threads would have, to more names than a merchant has."""
    released = threading.Event()
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        if host.startswith("hangs"):
            released.wait(20)
        return [ip_address("127.0.0.1")]

    with listening() as server, ThreadPoolExecutor(120) as tries:
        sender = HttpClient(LOOPBACK, resolver=resolver)

        def try_(url: str, seconds: float) -> Reply:
            return sender.post(url, body=b"{}", headers={}, deadline_seconds=seconds)

        late = [tries.submit(try_, f"https://hangs{n % 40}.example.com/", 4) for n in range(120)]
        end = time.monotonic() + 3
        while len(asked) < 40:
            assert time.monotonic() < end, "they wait for each other"
            time.sleep(0.01)
        assert try_(f"http://localhost:{server.port}/", 2).status == 200
        errors = {each.result().error for each in late}
        released.set()
    assert errors == {"the host's name could not be resolved in time"}
    assert len(asked) == 41, "concurrent look-ups of a name share one"


def test_a_compressed_body_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\x00" * 50_000_000)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(bomb)))
        handler.end_headers()
        handler.wfile.write(bomb)

    with listening(answer) as server:
        reply = post(server.url)
        assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert (reply.status, reply.body[:2]) == (200, b"\x1f\x8b")
    assert len(reply.body) <= BODY_BYTES_MAX


def test_a_connection_that_is_cut_before_an_answer_is_a_failure() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)

    with listening(cut) as server:
        assert post(server.url).error == "the connection was closed before there was an answer"


def test_the_status_decides_even_if_the_body_is_cut() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        handler.connection.shutdown(socket.SHUT_RDWR)

    with listening(cut) as server:
        reply = post(server.url)
        assert (reply.status, reply.body) == (200, b"half")


def test_a_refused_connection_is_a_failure() -> None:
    with listening() as server:
        url = server.url
    assert post(url).error == "the connection was refused"


def test_a_response_that_is_not_http_is_a_failure_and_is_not_shown() -> None:
    with listening(lambda handler: handler.wfile.write(b"SSH-2.0-secret\r\n")) as server:
        reply = post(server.url)
    assert reply.status is None
    assert "SSH" not in reply.error


def test_a_chunked_answer_is_read(server_of_chunks: MerchantServer) -> None:
    reply = post(server_of_chunks.url)
    assert (reply.status, reply.body) == (200, b"hello world")


@pytest.fixture
def server_of_chunks() -> Iterator[MerchantServer]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
        )

    with listening(answer) as server:
        yield server


def test_a_plain_answer_is_a_plain_answer() -> None:
    with listening(lambda handler: ok(handler, b"fine")) as server:
        reply = post(server.url)
    assert (reply.status, reply.body, reply.error) == (200, b"fine", "")
