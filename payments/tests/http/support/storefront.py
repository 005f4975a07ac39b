"""A merchant's server: an API key, the official SDK, raw HTTP, and orders of its own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
import stripe
from psycopg import sql

from payments import public_ids
from payments.models import IdempotencyKey, Merchant, Operation
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.wire import Wire
from psp_adapters.tests.support.sandbox_process import SandboxProcess

LONG_AGO = "2000-01-01T00:00:00Z"


@dataclass
class Storefront:
    """One merchant over HTTP; `psp` is the sandbox PSP, the truth about its money."""

    server: ApiServer
    psp: SandboxProcess
    merchant: Merchant
    secret_key: str
    order_id: str = field(default_factory=lambda: new_order())

    @cached_property
    def stripe(self) -> stripe.StripeClient:
        """The official SDK, as a merchant sets it up."""
        return stripe.StripeClient(self.secret_key, base_addresses={"api": self.server.base_url})

    @cached_property
    def wire(self) -> Wire:
        return Wire(self.server.base_url, self.secret_key)

    def order(self, **more: Any) -> dict[str, Any]:
        """Parameters of a payment of this merchant's order: 100.00 USD with a good card, at once.

        A value of None leaves the parameter out.
        """
        parameters = {
            "amount": 10_000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "metadata": {"order_id": self.order_id},
            **more,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def pay(self, **more: Any) -> stripe.PaymentIntent:
        """A payment of a new order, through the SDK."""
        self.order_id = new_order()
        return self.stripe.v1.payment_intents.create(self.order(**more))  # type: ignore[arg-type]

    def effects(self, order_id: str = "") -> list[tuple[str, int]]:
        """What the PSP did for the order: kind and amount, in order."""
        effects = self.psp.effects(order_id=order_id or self.order_id)
        return [(effect["kind"], effect["amount_minor"]) for effect in effects]

    def settle(self) -> None:
        """Let the recovery job resolve every open operation of this merchant."""
        for operation in self.operations().filter(next_check_at__isnull=False):
            self.operations().filter(pk=operation.pk).update(lease_until=LONG_AGO)
            recovery_sweep.resolve_operation(operation.pk, actor="job:recovery")

    def end_leases(self) -> None:
        """Let time pass: the leases of dead workers end."""
        self.operations().filter(closed_at__isnull=True).update(lease_until=LONG_AGO)
        IdempotencyKey.objects.filter(merchant=self.merchant).update(lease_until=LONG_AGO)

    def operations(self) -> Any:
        """Rows of this merchant's operations."""
        return Operation.objects.filter(merchant=self.merchant).order_by("id")


def new_order() -> str:
    """An order id that was never used."""
    return f"order-{uuid.uuid4().hex[:12]}"


def unknown_id(prefix: str) -> str:
    """A well-formed id of nothing."""
    return public_ids.encode(prefix, public_ids.new_id())


class Tables:
    """Counts the rows of everything that a request can write."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename ~ '^(payments|ledger)_' ORDER BY 1"
        ).fetchall()
        self._counts = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name), sql.Identifier(name))
            for (name,) in names
        )

    def rows(self) -> dict[str, int]:
        """Rows per table of payments and the books."""
        return dict(self._connection.execute(self._counts).fetchall())
