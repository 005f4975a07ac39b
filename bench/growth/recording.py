"""Lives every kind of life once for each merchant, and reads the rows back as COPY writes them.

The generator therefore follows the schema by itself: no column is described here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from bench.growth.lives import Days, Life
from bench.growth.visits import Inbox, Psp, Visit, settle

LIFE_TABLES: Final[dict[str, LiteralString]] = {
    "payments_customer": "id = ANY(%(customers)s)",
    "payments_payment_method": "id IN (SELECT payment_method_id FROM payments_operation"
    " WHERE intent_id = ANY(%(intents)s)) OR customer_id = ANY(%(customers)s)",
    "payments_payment_intent": "id = ANY(%(intents)s)",
    "payments_operation": "intent_id = ANY(%(intents)s)",
    "payments_refund": "intent_id = ANY(%(intents)s)",
    "payments_dispute": "intent_id = ANY(%(intents)s)",
    "payments_dispute_response": "dispute_id IN (SELECT id FROM payments_dispute"
    " WHERE intent_id = ANY(%(intents)s))",
    "payments_deadline": "intent_id = ANY(%(intents)s)",
    "payments_event": "aggregateid = ANY(%(aggregates)s)",
    "payments_delivery": "aggregateid = ANY(%(aggregates)s)",
    "payments_delivery_attempt": "delivery_id IN (SELECT id FROM payments_delivery"
    " WHERE aggregateid = ANY(%(aggregates)s))",
    "payments_psp_notification": "psp_payment_id IN (SELECT psp_payment_id FROM payments_operation"
    " WHERE intent_id = ANY(%(intents)s) AND psp_payment_id <> '')",
    "payments_idempotency_key": "key = ANY(%(keys)s)",
    "ledger_transaction": "payment_id = ANY(%(intents)s)",
    "ledger_entry": "payment_id = ANY(%(intents)s)",
}
"""The rows of a life by table, in the order in which copies are written."""
MERCHANT_TABLES: Final[dict[str, LiteralString]] = {
    "payments_psp_account": "id = (SELECT test_psp_account_id FROM payments_merchant"
    " WHERE id = %(merchant)s)",
    "payments_merchant": "id = %(merchant)s",
    "payments_api_key": "merchant_id = %(merchant)s",
    "payments_webhook_endpoint": "merchant_id = %(merchant)s",
}
LEFT_OUT: Final[dict[str, str]] = {
    "payments_setup_intent": "no life saves a card by one",
    "payments_setup_attempt": "the same",
    "payments_mandate": "no life pays by debit",
    "payments_checkout_session": "no life pays on a hosted page",
    "payments_payment_link": "no life begins at one",
    "payments_routing_rule": "no life is routed",
    "payments_routing_decision": "the same",
    "payments_audit_entry": "lives need no act of an operator",
    "payments_service_key": "the same",
    "ledger_period": "lives close no day",
    "ledger_seal": "a sweep seals what lives wrote",
    "ledger_availability": "no life is in a settlement report",
    "payments_merchant_balance": "a sweep writes it, once for each merchant and mode",
    "payments_case": "no life leaves one open, nor are there any",
    "payments_approval": "no life has a refund over its limit",
    "payments_approval_limit": "the same",
    "payments_dispatch": "every event has been fanned out",
    "payments_unnumbered_event": "every event has its number on the stream",
    "payments_stream_entry": "consumed by every group, and deleted",
    "payments_failed_event": "of the examples of consumers",
    "payments_card_velocity": "of the examples of consumers",
    "payments_stream_group": "how far the stream is, not history",
    "payments_books_check": "how far verification is, not history",
    "ledger_account": "made by their id",
    "ledger_balance_snapshot": "a cache",
}
"""Tables of payments and books that no copy is made of, and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as COPY wrote it, and the step of the life in which it appeared."""

    table: str
    step: int
    text: str


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One life as it was lived for one merchant."""

    name: str
    share: float
    oldest_days: float
    currency: str
    merchant: UUID
    waits: list[Days] = field(default_factory=list)
    """Before each step but the first."""
    rows: list[Row] = field(default_factory=list)
    seen_in: dict[str, int] = field(default_factory=dict)
    """Times of other days (a hold's end, a deadline), and the step in which each appeared."""
    payments: int = 0
    moved: dict[str, dict[str, int]] = field(default_factory=dict)
    """By the PSP's id of a payment: the sums of its effects there."""


@dataclass(slots=True, kw_only=True)
class Recording:
    """Everything that copies are made of."""

    columns: dict[str, list[str]]
    founded_at: float
    """Unix seconds before the merchants were made."""
    began_at: list[float]
    """Unix seconds at which each step began."""
    ended_at: float
    lives: list[Recorded]
    merchants: dict[UUID, tuple[list[Row], str]]
    """The rows of each merchant itself, and its secret key."""
    accounts: dict[UUID, tuple[int, str, str]]
    """Accounts of the books: code, dimension, currency."""
    psp_account: tuple[UUID, str]
    """Its id and its code."""

    def endpoints(self, merchant: UUID) -> list[UUID]:
        """The ids of a merchant's webhook endpoints."""
        return [
            UUID(row.text.split("\t", 1)[0])
            for row in self.merchants[merchant][0]
            if row.table == "payments_webhook_endpoint"
        ]


_TIMES: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d|(?<![\w.-])\d{10}(?![\w.])")


@dataclass
class _Living:
    """A life that is being lived."""

    life: Life
    visit: Visit
    steps: Iterator[Days]
    recorded: Recorded
    first_step: dict[tuple[str, str], int] = field(default_factory=dict)
    """By table and first column: when the row appeared."""


class Recorder:
    """Lives lives step by step, all of them together, so that no two steps share a second."""

    def __init__(
        self,
        *,
        psp: Psp,
        received: Inbox,
        account: Any,
        owner_url: str,
        founded_at: float,
        before_reading: Callable[[], None],
    ) -> None:
        """`before_reading` is called before the merchants' own rows are read."""
        self._psp = psp
        self._received = received
        self._account = account
        self._owner_url = owner_url
        self._founded_at = founded_at
        self._before_reading = before_reading

    def record(self, lives: Sequence[Life], merchants: Mapping[UUID, str]) -> Recording:
        """Live each life for each merchant, given with a secret key."""
        living = [
            self._born(life, merchant, secret_key)
            for merchant, secret_key in merchants.items()
            for life in lives
        ]
        with psycopg.connect(self._owner_url, autocommit=True) as owner:
            columns = {table: _columns(owner, table) for table in [*LIFE_TABLES, *MERCHANT_TABLES]}
            began_at: list[float] = []
            going_on = living
            while going_on:
                began_at.append(_next_second())
                going_on = [each for each in going_on if self._go_on(each)]
                settle(self._psp, self._received, account_code=self._account.code)
                for each in living:
                    _read(owner, each, columns, step=len(began_at) - 1)
            self._note_effects(living)
            self._before_reading()
            found = owner.execute("SELECT id, code, dimension, currency FROM ledger_account")
            return Recording(
                columns=columns,
                founded_at=self._founded_at,
                began_at=began_at,
                ended_at=time.time(),
                lives=[each.recorded for each in living],
                merchants={
                    each: (_merchant_rows(owner, each, columns), secret_key)
                    for each, secret_key in merchants.items()
                },
                accounts={row[0]: (row[1], row[2], row[3]) for row in found},
                psp_account=(self._account.id, self._account.code),
            )

    def _born(self, life: Life, merchant: UUID, secret_key: str) -> _Living:
        visit = Visit(secret_key=secret_key, psp=self._psp, currency=life.currency)
        recorded = Recorded(
            name=life.name,
            share=life.share,
            oldest_days=life.oldest_days,
            currency=life.currency,
            merchant=merchant,
        )
        return _Living(life, visit, life.live(visit), recorded)

    def _go_on(self, living: _Living) -> bool:
        """One step further; False after the last."""
        try:
            living.recorded.waits.append(next(living.steps))
        except StopIteration:
            return False
        return True

    def _note_effects(self, living: Sequence[_Living]) -> None:
        """What each payment moved at the PSP."""
        for each in living:
            each.recorded.payments = len(each.visit.intents)
            for order in each.visit.orders:
                for effect in self._psp.control("GET", f"effects?order_id={order}"):
                    sums = each.recorded.moved.setdefault(effect["payment_id"], {})
                    kind = effect["kind"]
                    sums[kind] = sums.get(kind, 0) + effect["amount_minor"]
                    sums["released"] = sums.get("released", 0) + effect["released_minor"]


def _read(owner: Any, living: _Living, columns: dict[str, list[str]], *, step: int) -> None:
    """Read all rows of a life as they are now."""
    from payments import public_ids

    visit, recorded = living.visit, living.recorded
    intents = [public_ids.decode(public_ids.PAYMENT_INTENT, each) for each in visit.intents]
    customers = [public_ids.decode(public_ids.CUSTOMER, each) for each in visit.customers]
    of = {"intents": intents, "customers": customers, "keys": visit.keys}
    of["aggregates"] = intents + customers
    recorded.rows = []
    for table, condition in LIFE_TABLES.items():
        for text in _copied(owner, table, columns[table], condition, of):
            first = living.first_step.setdefault((table, text.split("\t", 1)[0]), step)
            recorded.rows.append(Row(table, first, text))
            for moment in _TIMES.findall(text):
                recorded.seen_in.setdefault(moment, step)


def _merchant_rows(owner: Any, merchant: UUID, columns: dict[str, list[str]]) -> list[Row]:
    return [
        Row(table, 0, text)
        for table, condition in MERCHANT_TABLES.items()
        for text in _copied(owner, table, columns[table], condition, {"merchant": merchant})
    ]


def _copied(
    owner: Any, table: str, columns: Sequence[str], condition: LiteralString, of: Mapping[str, Any]
) -> list[str]:
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY 1) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table), sql.SQL(condition)
    )
    text = query.as_string(owner)
    with owner.cursor() as cursor, psycopg.ClientCursor(owner) as client:
        whole = client.mogrify(text, of)
        with cursor.copy(whole) as copy:
            written = b"".join(bytes(block) for block in copy).decode()
    return written.splitlines()


def _columns(owner: Any, table: str) -> list[str]:
    """The columns that a copy names: those that PostgreSQL does not number itself, id first."""
    rows = owner.execute(
        """
        SELECT a.attname FROM pg_attribute a
          LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
           AND i.indkey[0] = a.attnum
         WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attidentity = '' AND a.atttypid <> 'xid8'::regtype
         ORDER BY i.indrelid IS NULL, a.attnum""",
        [table],
    )
    return [row[0] for row in rows]


def _next_second() -> float:
    """Wait until another second begins: times in JSON are whole seconds."""
    now = time.time()
    begins = int(now) + 1
    time.sleep(begins - now + 0.002)
    return float(begins)
