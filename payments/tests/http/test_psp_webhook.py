"""The sandbox PSP sends its notifications to the API server directly, without a test between."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from psycopg import sql

from payments.models import Operation, PspNotification
from payments.services.psp_gateway import references
from payments.services.psp_notifications import processing
from payments.tests.http.conftest import ServerDatabase
from payments.tests.http.support.servers import WEBHOOK_SECRET
from payments.tests.http.support.storefront import Storefront
from payments.tests.http.support.wire import Reply, Wire
from payments.tests.support.notices import notice_of, sign
from paymentsite.tests.fixtures.databases import owner_connection

PATH = "/psp/sandbox/webhook"


@pytest.fixture
def notified(storefront: Storefront) -> Iterator[Storefront]:
    """The PSP sends its notifications of the account to the server."""
    words = {"url": f"{storefront.server.base_url}{PATH}", "secret": WEBHOOK_SECRET}
    _endpoint(storefront, "PUT", words)
    yield storefront
    _endpoint(storefront, "DELETE", {})


def _endpoint(storefront: Storefront, method: str, words: dict[str, str]) -> None:
    request = urllib.request.Request(
        f"{storefront.psp.base_url}/v1/webhook_endpoint",
        data=json.dumps(words).encode(),
        method=method,
        headers={"Authorization": f"Bearer {settings.SANDBOX_PSP_CREDENTIALS['api_key']}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def _stored_for(storefront: Storefront, number: int) -> list[PspNotification]:
    """The notifications stored of the storefront's newest order, once there are enough."""
    [charge] = Operation.objects.filter(merchant=storefront.merchant, order_id=storefront.order_id)
    reference = references.reference_of(charge.id)
    end = time.monotonic() + 10
    while True:
        rows = list(PspNotification.objects.filter(our_references=[reference]))
        if len(rows) >= number:
            return rows
        assert time.monotonic() < end, f"only {[row.type for row in rows]}"
        time.sleep(0.02)


def test_a_lost_answer_is_resolved_by_the_psps_notification(notified: Storefront) -> None:
    notified.psp.script({"drop_after": 1}, order_id=notified.order_id)
    reply = notified.wire.post("/v1/payment_intents", notified.order(), key=notified.order_id)
    assert reply.json["status"] == "processing"
    _stored_for(notified, 2)

    processing.process_due_notifications()

    intent = notified.wire.get(f"/v1/payment_intents/{reply.json['id']}")
    assert intent.json["status"] == "succeeded"
    assert {row.status for row in _stored_for(notified, 2)} == {"processed"}


def test_of_doubled_reordered_and_forged_notifications_each_signed_one_is_stored_once(
    notified: Storefront,
) -> None:
    notified.psp.set_behavior(webhooks={"double": 0.5, "reorder": 0.3, "forge": 1}, seed=5)
    intent = notified.pay()
    rows = _stored_for(notified, 2)
    time.sleep(1)
    assert not PspNotification.objects.filter(event_id__contains="forged").exists()
    assert len(_stored_for(notified, 2)) == len(rows) == 2
    processing.process_due_notifications()
    assert notified.stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"Content-Length: 50000000", b"x" * 100_000, 413),
        (b"Content-Length: 262145", b"x" * 262_145, 413),
        (b"Content-Length: 2", b"{}", 400),
        (b"Content-Length: 0", b"", 400),
        (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n", 400),
    ],
    ids=range(5),
)
def test_notifications_by_a_stranger_are_refused(
    storefront: Storefront, head: bytes, body: bytes, status: int
) -> None:
    before = PspNotification.objects.count()
    started = time.monotonic()
    assert _post(storefront, head, body) == status
    assert time.monotonic() - started < 5
    assert PspNotification.objects.count() == before


def test_a_server_without_its_database_answers_503_to_the_psp(
    storefront: Storefront, server_database: ServerDatabase
) -> None:
    credentials = settings.SANDBOX_PSP_CREDENTIALS
    body = notice_of(credentials["api_key"])
    wire = Wire(storefront.server.base_url)

    def send() -> Reply:
        proof = [("Sandbox-Signature", sign(body, secret=WEBHOOK_SECRET))]
        return wire.send("POST", PATH, body, [("Content-Type", "application/json"), *proof])

    with out_of_reach(server_database):
        answer = send()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")

    end = time.monotonic() + 30
    while wire.send("GET", "/healthz").status != 200:
        assert time.monotonic() < end, "it does not come back by itself"
        time.sleep(0.1)
    stored = PspNotification.objects.filter(event_id=json.loads(body)["id"])
    assert not stored.exists()
    assert send().status == 200
    assert stored.get().status == "stored"


@contextmanager
def out_of_reach(database: ServerDatabase) -> Iterator[None]:
    """PostgreSQL runs, but refuses new sessions of this database and ends the open ones."""
    name = sql.Identifier(database.name)
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    connections.close_all()  # those of this process are not what is tested
    application = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)  # of another one
    with owner_connection() as owner, application:
        owner.execute(allow.format(name, sql.Literal(False)))
        try:
            application.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND usename = current_user",
                [database.name],
            )
            yield
        finally:
            owner.execute(allow.format(name, sql.Literal(True)))


def _post(storefront: Storefront, head: bytes, body: bytes) -> int:
    address: Any = urlsplit(storefront.server.base_url)
    lines = [f"POST {PATH} HTTP/1.1".encode(), b"Host: 127.0.0.1", head, b"", b""]
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines))
        answer = b""
        try:
            connection.sendall(body)
        finally:
            while b"\r\n" not in answer:
                answer += connection.recv(1000)
    return int(answer.split(b" ")[1])
