"""Whatever is asked, in whatever order, twice or too much: books, counters and PSP agree."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.exceptions import PaymentRefused
from payments.models import PaymentIntent
from payments.services import looks
from payments.services.caller import Answer, Caller
from payments.services.looks import NotYetKnown
from payments.services.payment_looks import look_at_payment
from payments.services.verification import differences
from payments.tests.late import sweep_reversals
from payments.tests.shop import Shop, body_of

TOKENS = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_visa_chargeDeclined",
    "pm_card_chargeDeclinedExpiredCard",
    "pm_card_threeDSecure2Required",
    "pm_card_pendingRefund",
    "pm_card_authorizationExpiresNow",
    "pm_bankDebit_success",
    "pm_bankDebit_fail",
    "pm_card_captureFails",
    "pm_card_captureFailsThenHeals",
    "pm_card_refundFail",
    "pm_card_declinedThenPaid",
    "pm_bankDebit_returned",
)
FAULTS = ("drop_after", "error_after", "truncate", "drop_before", "error_before", "rate_limit")


@dataclass(frozen=True)
class Step:
    verb: str
    amount_minor: int = 0
    token: str = "pm_card_visa"
    final: bool = True
    twice: bool = False
    fault: str | None = None


amounts = st.integers(min_value=1, max_value=12_000)
faults = st.one_of(st.none(), st.none(), st.none(), st.sampled_from(FAULTS))
steps = st.one_of(
    st.builds(
        Step, verb=st.just("confirm"), token=st.sampled_from(TOKENS), twice=st.booleans(),
        fault=faults,
    ),
    st.builds(
        Step, verb=st.just("capture"), amount_minor=amounts, final=st.booleans(),
        twice=st.booleans(), fault=faults,
    ),
    st.builds(
        Step, verb=st.just("refund"), amount_minor=amounts, twice=st.booleans(), fault=faults
    ),
    st.builds(Step, verb=st.just("increment"), amount_minor=amounts, fault=faults),
    st.builds(Step, verb=st.just("cancel"), twice=st.booleans(), fault=faults),
    st.builds(Step, verb=st.just("challenge"), final=st.booleans()),
    st.builds(
        Step, verb=st.sampled_from(["dashboard capture", "dashboard void", "dashboard refund"]),
        amount_minor=amounts, final=st.booleans(),
    ),
    st.builds(Step, verb=st.just("wait")),
)  # fmt: skip


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(manual=st.booleans(), plan=st.lists(steps, min_size=2, max_size=10))
def test_books_counters_and_psp_agree_after_every_step(
    shop: Shop, manual: bool, plan: list[Step]
) -> None:
    shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    shop.psp.heal()
    intent_id = body_of(shop.create(10_000, confirm=False, manual=manual))["id"]
    for step in plan:
        take(shop, intent_id, step)
        shop.psp.heal()
        assert list(differences()) == [], step
    shop.psp.advance(120)
    for _ in range(2):
        shop.settle()
        hear_everything(shop, intent_id)
        look(shop, intent_id)
    assert list(differences()) == []
    if not has_excess(shop, intent_id):
        assert truth(shop) == stored(shop.intent(intent_id))
    sweep_reversals()
    sweep_reversals()
    assert list(differences()) == []


def hear_everything(shop: Shop, intent_id: str) -> None:
    """The notices of everything that has happened, at last."""
    for operation in shop.operations(intent_id):
        with suppress(looks.NotYetKnown):
            looks.look_at_operation(operation.id, actor="psp:notification")


def has_excess(shop: Shop, intent_id: str) -> bool:
    """A charge too many is counted apart."""
    return any(operation.excess_minor for operation in shop.operations(intent_id))


def take(shop: Shop, intent_id: str, step: Step) -> None:
    if step.verb == "wait":
        shop.psp.advance(30)
        shop.settle()
        hear_everything(shop, intent_id)
        look(shop, intent_id)
        return
    if step.verb.startswith("dashboard"):
        act_in_dashboard(shop, intent_id, step)
        return
    if step.verb == "challenge":
        url = shop.intent(intent_id).next_action_url
        if url:
            shop.psp.complete_challenge(url, fail=not step.final)
        return
    if step.fault is not None:
        shop.psp.script({step.fault: True}, kind=psp_kind(step.verb))
    caller = shop.caller(key=uuid.uuid4().hex)
    first = attempt(lambda: command(shop, intent_id, step, caller))
    if step.twice and first is not None:
        again = attempt(lambda: command(shop, intent_id, step, caller))
        assert again is not None
        assert (again.status, again.body) == (first.status, first.body)


def act_in_dashboard(shop: Shop, intent_id: str, step: Step) -> None:
    """Somebody at the PSP does it, unless the PSP refuses; we see it at the next look."""
    words: dict[str, Any] = (
        {} if step.verb.endswith("void") else {"amount_minor": step.amount_minor}
    )
    if step.verb.endswith("capture"):
        words["final"] = step.final
    with suppress(AssertionError):
        shop.psp.act(step.verb.removeprefix("dashboard "), order_id=shop.order_id, **words)
    look(shop, intent_id)


def look(shop: Shop, intent_id: str) -> None:
    """A look at the payment; what of ours is still open comes first, and is looked at again."""
    charge_id = shop.intent(intent_id).latest_charge_id
    if charge_id is not None:
        with suppress(NotYetKnown):
            look_at_payment(charge_id, actor="test")


def command(shop: Shop, intent_id: str, step: Step, caller: Caller) -> Answer:
    verbs: dict[str, Callable[[], Answer]] = {
        "confirm": lambda: shop.confirm(intent_id, token=step.token, caller=caller),
        "capture": lambda: shop.capture(
            intent_id, step.amount_minor, final=step.final, caller=caller
        ),
        "refund": lambda: shop.refund(intent_id, step.amount_minor, caller=caller),
        "increment": lambda: shop.increment(intent_id, step.amount_minor, caller=caller),
        "cancel": lambda: shop.cancel(intent_id, caller=caller),
    }
    return verbs[step.verb]()


def attempt(run: Callable[[], Answer]) -> Answer | None:
    try:
        return run()
    except PaymentRefused:
        return None


def psp_kind(verb: str) -> str:
    return {"confirm": "authorize", "cancel": "void"}.get(verb, verb)


def truth(shop: Shop) -> dict[str, int]:
    """What the PSP did with the order's money, from its own effects."""
    sums: dict[str, int] = {}
    for effect in shop.effects():
        sums[effect["kind"]] = sums.get(effect["kind"], 0) + effect["amount_minor"]
    return {
        "authorized": sums.get("authorize", 0)
        + sums.get("increment", 0)
        - sums.get("authorize_failed", 0),
        "captured": sums.get("capture", 0) - sums.get("capture_failed", 0),
        "refunded": sums.get("refund", 0) - sums.get("refund_failed", 0),
    }


def stored(intent: PaymentIntent) -> dict[str, int]:
    return {
        "authorized": intent.amount_authorized_minor,
        "captured": intent.amount_captured_minor,
        "refunded": intent.amount_refunded_minor,
    }
