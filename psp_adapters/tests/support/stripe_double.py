"""Answers the SDK of Stripe without a network: fixed answers, or one payment and its dispute.

This double is ours, made from Stripe's documentation and published sample objects. The stateful
double that others wrote is localstripe, which has no disputes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from psp_adapters.http import NotSent
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.stripe.connection import Transport

Json = dict[str, Any]
Form = dict[str, str]
Answering = Callable[[str, str, Form], tuple[int, Any]]
BASE_URL = "http://stripe.invalid"
CREATED = 1_767_225_600
EXPIRES = CREATED + 7 * 86_400


class DoubledTransport(Transport):
    """Asks a function for each answer, and keeps the requests."""

    def __init__(self, answering: Answering) -> None:
        super().__init__(BASE_URL)
        self._answering = answering
        self.requests: list[tuple[str, str, Form]] = []
        self.keys: list[str] = []
        self.accounts: list[str] = []

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        if self._call.deadline_seconds <= 0:
            raise NotSent("no time left")
        parts = urlsplit(url)
        form = dict(parse_qsl(post_data or parts.query, keep_blank_values=True))
        self.requests.append((method.upper(), parts.path, form))
        self.keys.append((headers or {}).get("Idempotency-Key", ""))
        self.accounts.append((headers or {}).get("Stripe-Account", ""))
        status, body = self._answering(method.upper(), parts.path, form)
        return body if isinstance(body, str) else json.dumps(body), status, {"Retry-After": "7"}


def adapter_answered_by(answering: Answering) -> tuple[StripeAdapter, DoubledTransport]:
    """An adapter without a network."""
    transport = DoubledTransport(answering)
    adapter = StripeAdapter(api_key="sk_test_double", base_url=BASE_URL, transport=transport)
    return adapter, transport


def adapter_answered(*answers: tuple[int, Any]) -> tuple[StripeAdapter, DoubledTransport]:
    """An adapter that gets these answers, one after the other."""
    left = list(answers)
    return adapter_answered_by(lambda method, path, form: left.pop(0))


def intent_view(**changes: Any) -> Json:
    """A payment intent as Stripe shows it, authorized but not captured."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "requires_capture",
        "amount": 1000,
        "amount_received": 0,
        "amount_capturable": 1000,
        "capture_method": "manual",
        "currency": "usd",
        "created": CREATED,
        "metadata": {"reference": "op_1"},
        "last_payment_error": None,
        "next_action": None,
        "cancellation_reason": None,
        "latest_charge": {
            "id": "ch_1",
            "object": "charge",
            "status": "succeeded",
            "payment_method_details": {"type": "card", "card": {"capture_before": EXPIRES}},
        },
    } | changes


def refund_view(**changes: Any) -> Json:
    """A refund as Stripe shows it."""
    return {
        "id": "re_1",
        "object": "refund",
        "status": "succeeded",
        "amount": 400,
        "currency": "usd",
        "created": CREATED + 60,
        "payment_intent": "pi_1",
        "balance_transaction": "txn_2",
        "metadata": {"reference": "op_3"},
    } | changes


def dispute_view(**changes: Any) -> Json:
    """A chargeback of 10.00 USD as Stripe shows it, with its payment expanded."""
    return {
        "id": "dp_1",
        "object": "dispute",
        "status": "needs_response",
        "amount": 1000,
        "currency": "usd",
        "created": CREATED,
        "charge": "ch_1",
        "reason": "product_not_received",
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": intent_view(),
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "13.1"},
        },
        "evidence_details": {
            "due_by": EXPIRES,
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "balance_transactions": [
            {
                "id": "txn_3",
                "amount": -1000,
                "fee": 1500,
                "net": -2500,
                "currency": "usd",
                "reporting_category": "dispute",
            }
        ],
    } | changes


class DisputeDouble:
    """One payment and its chargeback, which takes evidence once and can be closed."""

    def __init__(self) -> None:
        self.dispute = dispute_view()

    def answer(self, method: str, path: str, form: Form) -> tuple[int, Any]:
        if path == "/v1/payment_intents":
            return 200, intent_view(
                status="succeeded",
                capture_method="automatic",
                amount_received=1000,
                amount_capturable=0,
                metadata={"reference": form["metadata[reference]"]},
            )
        if not path.startswith("/v1/disputes/dp_1"):
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        if method == "POST":
            self._change(path, form)
        return 200, self.dispute

    def _change(self, path: str, form: Form) -> None:
        for name in ("submission_reference", "acceptance_reference"):
            if said := form.get(f"metadata[{name}]"):
                self.dispute["metadata"][name] = said
        if form.get("submit") == "true":
            self.dispute["status"] = "under_review"
            self.dispute["evidence_details"]["submission_count"] += 1
        if path.endswith("/close"):
            self.dispute["status"] = "lost"
