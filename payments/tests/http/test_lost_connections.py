"""PostgreSQL cuts every connection of the application, as a restart does: no request fails."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connections

from payments.services.verification.rebuild import differences
from payments.tests.http.conftest import ServerDatabase
from payments.tests.http.support.storefront import Storefront, new_order

INTENTS = "/v1/payment_intents"
ONCE = [("authorize", 10_000), ("capture", 10_000)]


_OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user "
    "AND pid <> pg_backend_pid()"
)


def cut_connections(database: ServerDatabase) -> int:
    """End every connection of the application but this one; how many there were."""
    connections.close_all()  # those of this process are not what is tested
    with psycopg.connect(database.application_url, autocommit=True) as connection:
        ended = connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}").fetchall()
        end = time.monotonic() + 10
        while connection.execute(f"SELECT pid {_OTHERS}").fetchall():
            assert time.monotonic() < end, "connections outlive their end"
            time.sleep(0.01)
    return len(ended)


def test_requests_after_the_cut_succeed(
    storefront: Storefront, server_database: ServerDatabase
) -> None:
    for _ in range(3):
        storefront.pay()
        assert cut_connections(server_database) > 0
        orders = [{**storefront.order(), "metadata": {"order_id": new_order()}} for _ in range(8)]
        with ThreadPoolExecutor(8) as executor:
            replies = list(
                executor.map(lambda o: storefront.wire.post(INTENTS, o, key=new_order()), orders)
            )
        assert [reply.status for reply in replies] == [200] * 8
        assert {reply.json["status"] for reply in replies} == {"succeeded"}


@pytest.mark.parametrize("times", [1, 2])
def test_a_cut_during_the_call_to_the_psp_does_not_affect_the_request(
    storefront: Storefront, server_database: ServerDatabase, times: int
) -> None:
    storefront.psp.script({"hold": True}, order_id=storefront.order_id)
    with ThreadPoolExecutor(1) as executor:
        paying = executor.submit(storefront.wire.post, INTENTS, storefront.order(), key=new_order())
        storefront.psp.wait_for(order_id=storefront.order_id, kind="capture")
        for _ in range(times):
            cut_connections(server_database)
        storefront.psp.release()
        paid = paying.result(30)

    assert (paid.status, paid.json["status"]) == (200, "succeeded")
    assert storefront.effects() == ONCE
    assert list(differences()) == []
