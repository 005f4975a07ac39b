"""Requests cut on their way in, answers cut on their way out, and a server stopped meanwhile.

Crash points C0, C12, C13 and C21, on the real server.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from payments.models import Event
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.http.conftest import ServerDatabase
from payments.tests.http.support.servers import ApiServer, variables_of
from payments.tests.http.support.storefront import LONG_AGO, Storefront, Tables, new_order
from payments.tests.http.support.wire import FORM, Reply, Wire, encoded
from psp_adapters.tests.support.sandbox_process import SandboxProcess

INTENTS = "/v1/payment_intents"
ONCE = [("authorize", 10_000), ("capture", 10_000)]


@pytest.fixture(scope="module")
def second_server(
    server_database: ServerDatabase,
    sandbox_psp: SandboxProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiServer]:
    """Another instance, to be killed, and to be deployed anew while the first goes on."""
    folder = tmp_path_factory.mktemp("second")
    second = ApiServer(folder, variables_of(server_database.application_url), workers=1)
    second.start()
    yield second
    second.stop()


@pytest.mark.parametrize("who_dies", ["the client", "the server"])
def test_an_incomplete_request_has_no_effect(
    storefront: Storefront, second_server: ApiServer, tables: Tables, who_dies: str
) -> None:
    """What is left of it could be another request: a capture without its amount takes all."""
    storefront = replace(storefront, server=second_server)
    key, body = new_order(), encoded(storefront.order(), FORM)
    before = tables.rows()
    with half_sent(storefront, key, body) as connection:
        if who_dies == "the client":
            connection.close()
        else:
            storefront.server.kill()
            storefront.server.start()

    assert tables.rows() == before
    assert storefront.psp.calls(order_id=storefront.order_id) == []
    answer = storefront.wire.post(INTENTS, body, key=key)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False), answer.body
    assert storefront.effects() == ONCE


@contextmanager
def half_sent(storefront: Storefront, key: str, body: bytes) -> Iterator[socket.socket]:
    """A request whose head and half of its body are at the server."""
    address = urlsplit(storefront.server.base_url)
    lines = [
        f"POST {INTENTS} HTTP/1.1",
        f"Host: {address.netloc}",
        f"Authorization: Bearer {storefront.secret_key}",
        f"Idempotency-Key: {key}",
        f"Content-Type: {FORM}",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)  # it waits for the rest
        yield connection


@pytest.mark.parametrize("bytes_let_through", [0, 600], ids=["nothing", "half"])
def test_an_answer_cut_on_its_way_is_replayed_byte_for_byte(
    storefront: Storefront, bytes_let_through: int
) -> None:
    key, order = new_order(), storefront.order()
    with front_that_cuts_after(storefront.server.base_url, bytes_let_through) as front:
        with pytest.raises((OSError, HTTPException)):
            Wire(front, storefront.secret_key).post(INTENTS, order, key=key)

    replay, again = [storefront.wire.post(INTENTS, order, key=key) for _ in range(2)]
    assert (replay.status, replay.headers["idempotent-replayed"]) == (200, "true")
    assert (again.body, replay.json["status"]) == (replay.body, "succeeded")
    assert storefront.effects() == ONCE


@contextmanager
def front_that_cuts_after(base_url: str, size: int) -> Iterator[str]:
    """A proxy for one connection that lets so many bytes of the answer through."""
    address = urlsplit(base_url)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def carry() -> None:
            client, _ = server.accept()
            target = (str(address.hostname), int(address.port or 0))
            with client, socket.create_connection(target) as upstream:
                threading.Thread(target=_copy, args=(client, upstream), daemon=True).start()
                answer = b""
                while len(answer) <= size:
                    part = upstream.recv(65_536)
                    assert part, "the answer is shorter than it is to be cut"
                    answer += part
                client.sendall(answer[:size])
                client.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=carry)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(65_536):
            target.sendall(part)
    except OSError:
        return  # the other side has cut


def test_the_request_of_a_client_that_is_gone_is_executed_once(
    storefront: Storefront, second_server: ApiServer
) -> None:
    storefront.psp.script({"hold": True}, order_id=storefront.order_id)
    with under_way(storefront, second_server.base_url) as lost:
        second_server.kill()
        with pytest.raises((OSError, HTTPException)):
            lost.result(30)
    second_server.start()
    storefront.psp.heal()
    storefront.operations().update(lease_until=LONG_AGO, next_check_at=LONG_AGO)

    recovery_sweep.resolve_due_operations()

    [operation] = storefront.operations()
    assert operation.status == "SUCCEEDED"
    assert storefront.effects() == ONCE
    told = Event.objects.filter(aggregateid=operation.intent_id).values_list("type", flat=True)
    assert {"charge.succeeded", "payment_intent.succeeded"} <= set(told)
    assert list(differences()) == []


def test_a_stopping_server_answers_open_requests_and_accepts_no_new_ones(
    storefront: Storefront, second_server: ApiServer
) -> None:
    storefront.psp.script({"hold": True}, order_id=storefront.order_id)
    with under_way(storefront, second_server.base_url) as waiting:
        server = psutil.Process(pid_of(second_server))
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: refuses(second_server), "it takes new connections")
        elsewhere = storefront.wire.post(
            INTENTS, storefront.order(metadata={"order_id": new_order()}), key=new_order()
        )
        storefront.psp.release()
        answer = waiting.result(30)

    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert (elsewhere.status, elsewhere.json["status"]) == (200, "succeeded")
    assert storefront.effects() == ONCE
    server.wait(30)
    assert list(differences()) == []


@contextmanager
def under_way(storefront: Storefront, base_url: str) -> Iterator[Future[Reply]]:
    """A payment that a server has sent to the PSP, and that waits there."""
    wire = Wire(base_url, storefront.secret_key)
    with ThreadPoolExecutor(1) as executor:
        sent = executor.submit(wire.post, INTENTS, storefront.order(), key=new_order())
        storefront.psp.wait_for(order_id=storefront.order_id, kind="capture", timeout_seconds=10)
        yield sent


def pid_of(server: ApiServer) -> int:
    pid: Any = server._process.pid
    assert pid is not None, "the server runs"
    return int(pid)


def refuses(server: ApiServer) -> bool:
    try:
        return Wire(server.base_url).send("GET", "/healthz", timeout_seconds=1).status != 200
    except OSError:
        return True


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)
