"""A merchant's server: the official `stripe` SDK, pointed at us, and a record of its sales."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import stripe

from payments.demo.web import SandboxPsp

RETURN_URL: Final = "https://shop.example.com/thank-you"
WAIT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.25
_OPEN: Final = frozenset({"processing", "pending"})


class WentWrong(Exception):
    """A scene had an unexpected result."""


def expect(condition: object, otherwise: str) -> None:
    """Raise WentWrong unless the condition holds."""
    if not condition:
        raise WentWrong(otherwise)


@dataclass(slots=True)
class Sale:
    """One payment of the shop."""

    intent_id: str
    order_id: str
    should_be: str
    """The public status expected at the end of the day."""


@dataclass
class Shop:
    """One merchant with its SDK. `day` prefixes the orders of this run."""

    name: str
    client: stripe.StripeClient
    psp: SandboxPsp
    day: str
    has_browsers: bool = True
    """Its customers use a browser where one is installed."""
    sales: list[Sale] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, *, name: str, secret_key: str, base_url: str, **more: Any) -> Shop:
        """A shop whose SDK talks to `base_url`; nothing else about the SDK is changed."""
        client = stripe.StripeClient(secret_key, base_addresses={"api": base_url})
        return cls(name=name, client=client, **more)

    def order(self, what: str) -> str:
        """The id of an order of this run."""
        return f"{self.day}-{what}"

    def create(
        self,
        order_id: str,
        amount_minor: int,
        currency: str,
        *,
        method: str = "pm_card_visa",
        confirm: bool = True,
        manual: bool = False,
        should_be: str = "succeeded",
        key: str = "",
    ) -> stripe.PaymentIntent:
        """Create a payment of the order and record the sale."""
        params: Any = {
            "amount": amount_minor,
            "currency": currency.lower(),
            "payment_method": method,
            "metadata": {"order_id": order_id},
            "capture_method": "manual" if manual else "automatic",
        }
        if confirm:
            params |= {"confirm": True, "return_url": RETURN_URL}
        intent = self.client.v1.payment_intents.create(
            params=params, options={"idempotency_key": key or f"{order_id}-create"}
        )
        if intent.id not in {sale.intent_id for sale in self.sales}:
            self.sales.append(Sale(intent.id, order_id, should_be))
        return intent

    def confirm(self, intent: stripe.PaymentIntent, method: str, *, attempt: int) -> Any:
        """Confirm a payment with this method."""
        params: Any = {"payment_method": method, "return_url": RETURN_URL}
        return self.client.v1.payment_intents.confirm(
            intent.id,
            params=params,
            options={"idempotency_key": f"{self.day}-{intent.id}-confirm-{attempt}"},
        )

    def capture(
        self, intent: stripe.PaymentIntent, amount_minor: int, *, final: bool = True
    ) -> stripe.PaymentIntent:
        """Capture this amount of an authorization."""
        params: Any = {"amount_to_capture": amount_minor}
        if not final:
            params["final_capture"] = False
        return self.client.v1.payment_intents.capture(
            intent.id,
            params=params,
            options={"idempotency_key": f"{self.day}-{intent.id}-capture-{amount_minor}-{final}"},
        )

    def refund(
        self, intent: stripe.PaymentIntent, amount_minor: int | None = None, *, nth: int = 1
    ) -> stripe.Refund:
        """Refund this amount, or the rest."""
        params: Any = {"payment_intent": intent.id, "reason": "requested_by_customer"}
        if amount_minor is not None:
            params["amount"] = amount_minor
        refund = self.client.v1.refunds.create(
            params=params, options={"idempotency_key": f"{self.day}-{intent.id}-refund-{nth}"}
        )
        self.refunds.append(refund.id)
        return refund

    def retrieve(self, intent_id: str) -> stripe.PaymentIntent:
        """The payment as it is now."""
        return self.client.v1.payment_intents.retrieve(intent_id)

    def wait_for(self, intent_id: str) -> stripe.PaymentIntent:
        """The payment once it is no longer open, or as it is after WAIT_SECONDS."""
        return _poll(lambda: self.retrieve(intent_id))

    def wait_for_refund(self, refund_id: str) -> stripe.Refund:
        """The refund once it is no longer open, or as it is after WAIT_SECONDS."""
        return _poll(lambda: self.client.v1.refunds.retrieve(refund_id))


def wait_deadline() -> float:
    """The end of a wait that begins now (time.monotonic)."""
    return time.monotonic() + WAIT_SECONDS


def _poll(retrieve: Callable[[], Any]) -> Any:
    """Retrieve until the status is no longer open, for at most WAIT_SECONDS."""
    deadline = wait_deadline()
    while True:
        found = retrieve()
        if found.status not in _OPEN or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)
