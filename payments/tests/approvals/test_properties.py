"""Random refunds, decisions, expiries and cancels never return more than was paid."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.exceptions import PaymentRefused
from payments.models import Approval, Refund
from payments.services import commands
from payments.services.approvals import decisions
from payments.services.callers.caller import CommandRequest
from payments.services.verification.rebuild import differences, differences_of
from payments.tests.approvals.approving import lead, make_overdue, need_approval_above, person
from payments.tests.support.dashboard import act, sync
from payments.tests.support.shop import Shop, body_of, render_refund
from paymentsite.tests.fixtures.matrix import examples

PAID_MINOR = 10_000
VERBS = ("refund", "approve", "reject", "expire", "cancel", "dashboard")
steps = st.tuples(st.sampled_from(VERBS), st.integers(1, 70), st.integers(0, 3))


@pytest.mark.matrix(most=1)
@settings(
    max_examples=examples(8, whole=80),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=st.lists(steps, min_size=3, max_size=12))
def test_random_decisions_never_exceed_the_charge_and_the_books_follow(
    shop: Shop, plan: list[Any]
) -> None:
    if not User.objects.filter(username="ada").exists():
        lead("ada")
    shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    need_approval_above(shop, 2_000)
    intent_id = body_of(shop.create(PAID_MINOR))["id"]
    for verb, percent, place in [("refund", 30, 0), *plan]:
        with suppress(PaymentRefused):
            take(shop, intent_id, verb, PAID_MINOR * percent // 100, place)
        intent = shop.intent(intent_id)
        ours = sum(r.amount_minor for r in shop.refunds(intent_id) if r.status != "canceled")
        assert intent.amount_refunded_minor + intent.amount_refund_pending_minor == ours
        assert sum(e["amount_minor"] for e in shop.effects("refund")) <= PAID_MINOR
        assert list(differences_of([intent])) == [], (verb, percent, place)
    for approval in Approval.objects.filter(status="requested"):
        make_overdue(approval)
    decisions.expire_due_approvals()
    shop.settle()
    intent = shop.intent(intent_id)
    assert intent.amount_refund_pending_minor == 0
    went_back = sum(effect["amount_minor"] for effect in shop.effects("refund"))
    assert intent.amount_refunded_minor == went_back <= PAID_MINOR
    assert list(differences()) == []


def take(shop: Shop, intent_id: str, verb: str, amount_minor: int, place: int) -> None:
    """One step; `place` chooses among the refunds that there are."""
    if verb == "refund":
        shop.refund(intent_id, amount_minor)
        return
    if verb == "dashboard":
        intent = shop.intent(intent_id)
        if intent.amount_refunded_minor + amount_minor <= PAID_MINOR:
            act(shop, "refund", amount_minor)
            sync(shop, intent_id)
        return
    rows = list(Refund.objects.filter(intent_id=shop.intent(intent_id).id).order_by("id"))
    refund = rows[place % len(rows)]
    if verb == "cancel":
        request = CommandRequest(shop.caller(), render=render_refund)
        commands.cancel_refund(request, refund_id=refund.id)
    elif refund.approval_id is not None:
        if verb == "expire":
            make_overdue(Approval.objects.get(pk=refund.approval_id))
            decisions.expire_due_approvals()
            return
        decide = decisions.approve if verb == "approve" else decisions.reject
        decide(refund.approval_id, author=person("ada", "as drawn"))
