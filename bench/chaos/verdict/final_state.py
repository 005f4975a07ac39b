"""Reads the final state: what the PSP did, what merchants are shown, what the database holds.

A read that is missing makes the verdict unknown, never a pass.
"""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from bench.chaos.load.history import Record
from bench.chaos.load.http_client import HttpClient
from bench.chaos.load.requests import seen_of
from bench.chaos.load.webhook_receiver import ReceivedWebhook
from bench.chaos.platform.cluster import Cluster
from bench.chaos.platform.settlement import balances_of, disputes_of, lines_of
from payments import public_ids

_READERS = 6
_POLL_SECONDS = 0.25
_OPEN = ("SENDING", "UNKNOWN")


@dataclass(slots=True, kw_only=True)
class FinalState:
    """Everything that the invariants are checked on."""

    records: list[Record] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    movements: list[dict[str, Any]] = field(default_factory=list)
    """Of the PSP's: payouts, reserves and fees of an account."""
    calls: list[dict[str, Any]] = field(default_factory=list)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By public id: what a merchant is shown at the end."""
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: list[dict[str, Any]] = field(default_factory=list)
    charges_elsewhere: int = 0
    """How many charges went on at another account."""
    refund_operations: dict[str, str] = field(default_factory=dict)
    """The operation's reference by the refund's public id."""
    events: list[dict[str, Any]] = field(default_factory=list)
    events_read_at: float = 0.0
    """Before the events were read: the platform goes on meanwhile, and so do deliveries."""
    received: list[ReceivedWebhook] = field(default_factory=list)
    """Webhooks that merchants' endpoints received, in the order of arrival."""
    webhook_secrets: dict[int, str] = field(default_factory=dict)
    """Of the merchants that listen, by merchant."""
    notifications: list[dict[str, Any]] = field(default_factory=list)
    """Stored notifications of PSPs: `event_id`, `body_sha256`, `status` …"""
    notice_counts: dict[str, int] = field(default_factory=dict)
    """The PSP's own counts of its notifications: how many were sent, lost, doubled, forged …"""
    still_open: list[str] = field(default_factory=list)
    """References of open operations when the time to converge was over."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Of settlement reports, as we hold them."""
    balances: list[dict[str, Any]] = field(default_factory=list)
    """Of the accounts that settlement changes, per currency."""
    disputes: list[dict[str, Any]] = field(default_factory=list)
    """As we know them."""
    disputes_at_psp: list[dict[str, Any]] = field(default_factory=list)
    unmade_with_case: set[UUID] = field(default_factory=set)
    """Operations that were accepted and may not be sent any more, as a case says of each."""
    books: tuple[int, str] = (-1, "not asked")
    unprovoked_ends: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class UnknownWatch:
    """Records when each outcome was first seen to be unknown, to time recovery."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._end = threading.Event()
        self.since: dict[str, float] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Poll four times a second until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling."""
        self._end.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._end.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=2) as connection:
                    self._poll(connection)
            except psycopg.Error:
                self._end.wait(_POLL_SECONDS)  # the database restarts

    def _poll(self, connection: psycopg.Connection[Any]) -> None:
        while not self._end.is_set():
            rows = connection.execute(
                "SELECT id FROM payments_operation WHERE next_check_at IS NOT NULL AND "
                "(status = 'UNKNOWN' OR status = 'SENDING' AND lease_until < now())"
            ).fetchall()
            now = time.time()
            for row in rows:
                self.since.setdefault(public_ids.encode(public_ids.OPERATION, row[0]), now)
            self._end.wait(_POLL_SECONDS)


def waiting_notifications(database_url: str) -> int:
    """How many notifications are not processed yet."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM payments_psp_notification WHERE status = 'stored'"
        ).fetchone()
    return int(found[0]) if found else 0


def waiting_deliveries(database_url: str) -> int:
    """How many events are not yet with the merchants that want them."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM payments_dispatch) + "
            "(SELECT count(*) FROM payments_delivery WHERE status = 'pending')"
        ).fetchone()
    return int(found[0]) if found else 0


def webhook_endpoints(database_url: str) -> list[str]:
    """The public ids of all merchants' endpoints."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT id FROM payments_webhook_endpoint").fetchall()
    return [public_ids.encode(public_ids.WEBHOOK_ENDPOINT, row[0]) for row in rows]


def open_operations(database_url: str) -> list[str]:
    """References of the operations that are open now."""
    return list(open_leases(database_url))


def open_leases(database_url: str) -> dict[str, datetime]:
    """The operations that are open now, and the end of the lease of each."""
    with psycopg.connect(database_url, connect_timeout=2) as connection:
        rows = connection.execute(
            "SELECT id, lease_until FROM payments_operation WHERE status = ANY(%s)", [list(_OPEN)]
        ).fetchall()
    return {public_ids.encode(public_ids.OPERATION, row[0]): row[1] for row in rows}


def read_everything(cluster: Cluster, records: list[Record]) -> FinalState:
    """All final reads; what could not be read is named in `missing`."""
    truth = FinalState(records=records, unprovoked_ends=list(cluster.unprovoked_ends))
    truth.effects, truth.calls = cluster.psp.effects(), cluster.psp.calls()
    truth.movements = cluster.psp.movements()
    truth.notice_counts, truth.disputes_at_psp = cluster.psp.notice_counts(), cluster.psp.disputes()
    _read_database(cluster.variables["DATABASE_URL"], truth)
    _read_as_merchant(cluster, truth)
    done = cluster.python("manage.py", "verify_ledger")
    truth.books = (done.returncode, (done.stdout + done.stderr).strip()[-2000:])
    return truth


def _read_database(url: str, truth: FinalState) -> None:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute(
            "SELECT o.id, o.intent_id, o.kind, o.status, o.amount_minor, o.currency, o.psp_key, "
            "o.psp_id, o.order_id, o.actor, o.checks, o.detail, o.created_at, o.lease_until, "
            "o.closed_at, o.guard_order, o.fenced_at, o.replaces_id, o.excess_minor "
            "FROM payments_operation o ORDER BY o.id"
        ).fetchall()
        for row in rows:
            row["reference"] = public_ids.encode(public_ids.OPERATION, row["id"])
            row["intent"] = public_ids.encode(public_ids.PAYMENT_INTENT, row["intent_id"])
            truth.operations.append(row)
        made = "SELECT id, operation_id FROM payments_refund WHERE operation_id IS NOT NULL"
        for row in connection.execute(made).fetchall():
            refund = public_ids.encode(public_ids.REFUND, row["id"])
            truth.refund_operations[refund] = public_ids.encode(
                public_ids.OPERATION, row["operation_id"]
            )
        (moved_on,) = connection.execute(
            "SELECT count(*) AS charges FROM payments_routing_decision "
            "WHERE charge_id IS NOT NULL "
            "AND reason IN ('not_sent', 'retriable_decline', 'breaker_open')"
        ).fetchall()
        truth.charges_elsewhere = moved_on["charges"]
        truth.events_read_at = time.time()
        truth.events = connection.execute(
            "SELECT id, aggregateid, seq, type, created_at, actor FROM payments_event "
            "WHERE aggregateid IN (SELECT id FROM payments_payment_intent) "
            "ORDER BY aggregateid, seq"
        ).fetchall()
        truth.notifications = connection.execute(
            "SELECT event_id, body_sha256, status, last_error, our_references "
            "FROM payments_psp_notification ORDER BY id"
        ).fetchall()
        truth.lines, truth.disputes = lines_of(connection), disputes_of(connection)
        truth.balances = balances_of(connection)
        cases = connection.execute(
            "SELECT operation_id FROM payments_case WHERE kind = 'not_carried_out'"
        ).fetchall()
        truth.unmade_with_case = {case["operation_id"] for case in cases}
        for event in truth.events:
            event["id"] = public_ids.encode(public_ids.EVENT, event["id"])
            event["intent"] = public_ids.encode(public_ids.PAYMENT_INTENT, event.pop("aggregateid"))


def _read_as_merchant(cluster: Cluster, truth: FinalState) -> None:
    merchants = _merchants(truth)
    wanted = [
        ("intent", each, f"/v1/payment_intents/{each}?expand[]=latest_charge", merchant)
        for each, merchant in merchants.items()
        if merchant >= 0
    ]
    refunds: dict[str, int] = {}
    for record in truth.records:
        if record.type == "ok" and record.seen.get("refund"):
            refunds[record.seen["refund"]] = record.merchant
    wanted += [("refund", each, f"/v1/refunds/{each}", m) for each, m in refunds.items()]

    def read(number: int) -> None:
        client = HttpClient(cluster.api_ports)
        for kind, identifier, path, merchant in wanted[number::_READERS]:
            seen = _read_one(client, path, cluster.secret_keys[merchant])
            if seen is None:
                truth.missing.append(f"{kind} {identifier}")
            else:
                (truth.intents if kind == "intent" else truth.refunds)[identifier] = seen
        client.close()

    with ThreadPoolExecutor(_READERS) as readers:
        for done in [readers.submit(read, number) for number in range(_READERS)]:
            done.result()


def _merchants(truth: FinalState) -> dict[str, int]:
    """Every intent of an answer or of the database, and its merchant."""
    by_order = {record.order: record.merchant for record in truth.records if record.order}
    found = {row["intent"]: by_order.get(row["order_id"], -1) for row in truth.operations}
    for record in truth.records:
        if record.seen.get("intent"):
            found[record.seen["intent"]] = record.merchant
    for intent, merchant in found.items():
        if merchant < 0:
            truth.missing.append(f"intent {intent}: its merchant is unknown")
    return found


def _read_one(client: HttpClient, path: str, secret_key: str) -> dict[str, Any] | None:
    """What the merchant is shown; an empty dict if there is no such object; None if unreadable."""
    for server in (0, 1, 0, 1, 0):
        try:
            answer = client.send(server, "GET", path, secret_key=secret_key, timeout_seconds=10)
        except (OSError, http.client.HTTPException):
            continue
        if answer.status == 404:
            return {}
        if answer.status == 200:
            return seen_of(answer.json())
    return None


def unix_seconds(moment: datetime | str) -> float:
    """A time of the database or of the PSP."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.timestamp()
