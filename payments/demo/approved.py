"""A scene of two people: a shop refunds more than one person may return, a support lead decides."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any, Final

from django.core.management import CommandError, call_command

from payments.demo.shop import Shop, WentWrong, expect

LEAD: Final = "staff:support-lead"
"""`manage.py seed_demo` makes this login, and the limit of its role."""


def refund_over_the_limit(shop: Shop) -> str:
    """It waits, and nothing is sent, until the lead approves; another one is rejected."""
    order_id = shop.order("two-pairs-of-eyes")
    intent = shop.create(order_id, 24_000, "USD")
    refund = shop.refund(intent, 21_000)
    expect(refund.status == "pending", f"the refund is {refund.status}, and was not approved")
    kinds = [effect["kind"] for effect in shop.psp.effects(order_id)]
    expect("refund" not in kinds, "the refund was sent before it was approved")
    approved = _decide("approve", refund.id, "The customer sent both back.")
    expect(approved["status"] == "applied", f"the approval is {approved['status']}")
    done = shop.wait_for_refund(refund.id)
    expect(done.status == "succeeded", f"the approved refund is {done.status}")
    more = shop.client.v1.refunds.create(
        params={"payment_intent": intent.id, "amount": 1_000},
        options={"idempotency_key": f"{shop.day}-{intent.id}-refund-more"},
    )
    _decide("reject", more.id, "Not part of the return.")
    ended = shop.client.v1.refunds.retrieve(more.id)
    expect(ended.status == "canceled", f"the rejected refund is {ended.status}")
    return "a refund of 210.00 USD waited for a support lead, who approved it and rejected one more"


def _decide(verb: str, subject: str, why: str) -> dict[str, Any]:
    """Decide as the lead does on the command line; what the request is then."""
    waiting = _run("list")
    found = [row["approval"] for row in waiting if row["subject"] == subject]
    expect(found, f"no request for approval of {subject} waits")
    try:
        decided: dict[str, Any] = _run(verb, found[0], "--by", LEAD, "--why", why)
    except CommandError as refusal:
        raise WentWrong(str(refusal)) from None
    return decided


def _run(*command: str) -> Any:
    shown = StringIO()
    call_command("approvals", *command, "--json", stdout=shown)
    return json.loads(shown.getvalue())
