"""Requests that are never finished, or whose headers are refused: on every door, without a key."""

from __future__ import annotations

import secrets
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.urls import reverse

from payments.api.decoding import MAX_BODY_BYTES
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.storefront import Storefront, Tables
from paymentsite.launcher import platform_processes
from paymentsite.receiving import HEADER_BYTES_MAX, LARGE_BODIES_MAX, LARGE_BODY_BYTES

DOORS = ("/v1/payment_intents", "/psp/sandbox/webhook", "/admin/login/", "/docs", "/return/pi_x")
UNFINISHED = (
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\namount=10",
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le",
)
LARGE = b"POST /psp/sandbox/webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n{" % (
    LARGE_BODY_BYTES + 1
)
THREADS = platform_processes.API_WORKERS * platform_processes.API_THREADS


@contextmanager
def sent(server: ApiServer, request: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Make so many connections and send these bytes on each, and nothing after them."""
    address = urlsplit(server.base_url)
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            target = (str(address.hostname), int(address.port or 0))
            connection = stack.enter_context(socket.create_connection(target, timeout=30))
            connection.sendall(request)
            connections.append(connection)
        yield connections


def unanswered(connections: list[socket.socket]) -> int:
    """On how many of them the server has neither answered nor closed."""
    arrived = select.poll()
    for connection in connections:
        arrived.register(connection, select.POLLIN)
    return len(connections) - len(arrived.poll(0))


def test_more_slow_senders_than_threads_hold_up_no_payment_and_are_ended(
    storefront: Storefront, tables: Tables
) -> None:
    """Large bodies, which are held in memory, are limited besides."""
    storefront.pay()  # The first request of a worker takes longer.
    before = tables.rows()
    with ExitStack() as stack:

        def send(request: bytes, count: int) -> list[socket.socket]:
            return stack.enter_context(sent(storefront.server, request, count))

        slow = [
            connection
            for door in DOORS
            for unfinished in UNFINISHED
            for connection in send(unfinished % door.encode(), THREADS // 4)
        ]
        assert len(slow) > 2 * THREADS
        assert tables.rows() == before
        assert storefront.pay().status == "succeeded"
        assert unanswered(slow) > THREADS, "so many were still open while the payment went on"
        large = send(LARGE, 2 * LARGE_BODIES_MAX * platform_processes.API_WORKERS)
        assert storefront.pay().status == "succeeded"
        answers = [{one.recv(12) for one in connections} for connections in (slow, large)]
    assert answers == [{b"HTTP/1.1 408", b""}, {b"HTTP/1.1 408", b"HTTP/1.1 503"}]


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Large", "x" * (HEADER_BYTES_MAX // 2))] * 2,
        [(f"X-{number}", "x") for number in range(120)],
    ],
    ids=["large", "many"],
)
def test_too_many_or_too_large_headers_are_refused(
    storefront: Storefront, tables: Tables, headers: list[tuple[str, str]]
) -> None:
    before = tables.rows()
    for door in DOORS:
        assert storefront.wire.send("GET", door, headers=headers).status == 431
    assert tables.rows() == before


@pytest.mark.parametrize(
    "name", ["Idempotency_Key", "X_Forwarded_Proto", "Stripe_Version", "Content_Length", "X_1"]
)
def test_a_header_name_with_an_underscore_is_refused_on_every_door(
    storefront: Storefront, tables: Tables, name: str
) -> None:
    before = tables.rows()
    for door in (*DOORS, "/livez", "/v1/no_such_path"):
        for value in ("https", "ключ".encode().decode("latin-1")):
            sent = [("Authorization", f"Bearer {storefront.secret_key}"), (name, value)]
            refused = storefront.wire.send("POST", door, b"amount=1000", sent)
            assert refused.refusal == (400, "header_name_invalid", None)
            assert "Idempotency-Key" in refused.error["message"]
    assert tables.rows() == before


def test_a_file_for_the_upload_page_is_received_whole_and_too_large_ones_are_refused(
    storefront: Storefront, tables: Tables
) -> None:
    """The page wants a login, once it has read the form's token behind three megabytes of file."""
    before = tables.rows()
    address = urlsplit(storefront.server.base_url)
    token = secrets.token_hex(16)
    form = b"\r\n".join(
        (
            b"--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n",
            b"x" * 3 * MAX_BODY_BYTES,
            b"--b\r\nContent-Disposition: form-data; name=csrfmiddlewaretoken\r\n",
            token.encode(),
            b"--b--\r\n",
        )
    )
    most = settings.REPORT_UPLOAD_BYTES_MAX + MAX_BODY_BYTES
    answers = []
    for length, body in ((len(form), form), (most + 1, b"--b")):
        connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
        path = reverse("admin:reconciliation_settlementreport_import_report")
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(length))
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Cookie", f"csrftoken={token}")
        connection.endheaders()
        connection.send(body)
        answer = connection.getresponse()
        answers.append((answer.status, answer.headers.get("Location", "")[:13]))
        connection.close()
    assert answers == [(302, "/admin/login/"), (413, "")]
    assert tables.rows() == before
