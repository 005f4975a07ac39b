"""Statements and writing commits of one payment: `python -m bench.counting SECRET_KEY PAYMENTS`.

Statements are counted as they go through Django's cursors, in whatever thread (the health check of
a connection that is taken from the pool does not, and is not meant to). Writing commits are counted
by PostgreSQL itself: only a transaction that writes is given a transaction id.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import django

from bench.load import new_run

_UPDATES = r"(?<!FOR )(?<!FOR NO KEY )(?<!DO )UPDATE"
"""A locking read is none, and what INSERT … ON CONFLICT updates is named by the INSERT."""


class StatementLog:
    """Every statement of every connection of this process, from when it is switched on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.statements: list[str] = []

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        with self._lock:
            self.statements.append(sql)
        return execute(sql, params, many, context)

    def watch(self, *, connection: Any, **_signal: Any) -> None:
        """Listen to a connection; the receiver of Django's `connection_created`."""
        if self not in connection.execute_wrappers:
            connection.execute_wrappers.append(self)

    def taken(self) -> list[str]:
        """The statements since the last call."""
        with self._lock:
            taken, self.statements = self.statements, []
        return taken


def summary(statement: str) -> str:
    """Which tables a statement writes, or the first one it reads, to find it again in the code."""
    flat = " ".join(statement.replace('"', "").split())
    written = re.findall(rf"(?:INSERT INTO|{_UPDATES}|DELETE FROM) (\w+)", flat)
    if not flat:
        return "health check"
    if written:
        return "write " + ", ".join(dict.fromkeys(written))
    read = re.search(r"\bFROM (\w+)", flat)
    lock = " for update" if re.search(r"FOR (NO KEY )?UPDATE", flat) else ""
    return f"read {read.group(1)}{lock}" if read else flat[:60]


def main() -> int:
    """Print the counts as JSON."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "paymentsite.settings"
    django.setup()
    from django.db.backends.signals import connection_created

    log = StatementLog()
    connection_created.connect(log.watch, weak=False)
    secret_key, payments = sys.argv[1], int(sys.argv[2])
    print(json.dumps(_count(log, secret_key, payments)))
    return 0


def _count(log: StatementLog, secret_key: str, payments: int) -> dict[str, Any]:
    shop = _Shop(secret_key)
    shop.pay()  # the first one opens accounts and fills caches
    shop.pay()
    log.taken()
    shop.pay()
    early = log.taken()
    reads_early = _reads(shop, log)
    before = _next_transaction_id()
    for _ in range(payments):
        shop.pay()
    writing = (_next_transaction_id() - before) / payments
    log.taken()
    shop.pay()
    late = log.taken()
    reads_late = _reads(shop, log)
    return {
        "statements": len(late),
        "statement_list": [summary(each) for each in late],
        "writing_commits": round(writing, 2),
        "statements_before": len(early),
        "reads": {path: [reads_early[path], reads_late[path]] for path in reads_late},
        "payments_between": payments,
    }


def _reads(shop: _Shop, log: StatementLog) -> dict[str, int]:
    """Statements of reading one payment, and pages of few and of many."""
    counts = {}
    for shown, path in (
        ("one payment", f"/v1/payment_intents/{shop.last_id}"),
        ("a page of payments", "/v1/payment_intents?limit=100"),
        ("a page of charges", "/v1/charges?limit=100"),
        ("a page of events", "/v1/events?limit=100"),
        ("a page of balance transactions", "/v1/balance_transactions?limit=100"),
        ("the balance", "/v1/balance"),
    ):
        shop.get(path)  # reads the API key anew, if that was long ago
        log.taken()
        shop.get(path)
        counts[shown] = len(log.taken())
    return counts


class _Shop:
    """A merchant's server that speaks to the platform within this process."""

    def __init__(self, secret_key: str) -> None:
        from django.test import Client

        self._client = Client(headers={"authorization": f"Bearer {secret_key}"})
        self._run = new_run()
        self._number = 0
        self.last_id = ""

    def pay(self) -> None:
        self._number += 1
        answer = self._client.post(
            "/v1/payment_intents",
            f"amount=2000&currency=usd&confirm=true&payment_method=pm_card_visa"
            f"&metadata[order_id]=count-{self._run}-{self._number}",
            content_type="application/x-www-form-urlencoded",
            headers={"idempotency-key": f"count-{self._run}-{self._number}"},
        )
        body = _body_of(answer)
        if body.get("status") != "succeeded":
            raise RuntimeError(f"the payment did not succeed: {body}")
        self.last_id = body["id"]

    def get(self, path: str) -> None:
        _body_of(self._client.get(path))


def _body_of(answer: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.content)
    if answer.status_code != 200:
        raise RuntimeError(f"answered {answer.status_code}: {body}")
    return body


def _next_transaction_id() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(main())
