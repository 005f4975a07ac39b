"""Random commands, faults and PSP events in any order: books, counters and PSP agree."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.exceptions import PaymentRefused
from payments.models import Case, Operation, PaymentIntent
from payments.services import commands
from payments.services.callers.caller import Answer, Caller, CommandRequest
from payments.services.commands import IntentDetails
from payments.services.outcomes.late_and_external.adopt import (
    Overtaken,
    SnapshotIncomplete,
    adopt_payment,
    version_of,
)
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks
from payments.services.psp_gateway import accounts, references, sending
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery import payment_sync
from payments.services.recovery.payment_sync import sync_payment
from payments.services.verification.rebuild import differences, differences_of
from payments.tests.scenarios.random_steps import BEGINNINGS, Await, Step, steps
from payments.tests.support import passing_time
from payments.tests.support.dashboard import end_leases
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.late_outcomes import (
    assert_told_as_shown,
    close_as,
    sweep_reversals,
)
from payments.tests.support.shop import Shop, answered, body_of, render_intent, uuid_of
from paymentsite.tests.fixtures.matrix import examples
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.payments import PspOperationKind, PspPayment


@pytest.mark.matrix(most=1)
@settings(
    max_examples=examples(5, whole=50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    manual=st.booleans(),
    begun=st.sampled_from(sorted(BEGINNINGS)),
    plan=st.lists(steps, min_size=2, max_size=10),
)
def test_books_counters_and_psp_agree_after_every_step(
    shop: Shop, reached: Counter[str], manual: bool, begun: str, plan: list[Step]
) -> None:
    shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    shop.psp.heal()
    intent_id = body_of(shop.create(10_000, confirm=False, manual=manual))["id"]
    for step in [*BEGINNINGS[begun], *plan]:
        take(shop, intent_id, step)
        shop.psp.heal()
        assert list(differences_of([shop.intent(intent_id)])) == [], step
        count_reached(reached, shop, intent_id, step)
    shop.psp.advance(120)
    for _ in range(2):
        shop.settle()
        sync_everything(shop, intent_id)
    assert list(differences()) == []
    assert_money_is_booked_as_at_the_psp(shop, intent_id)
    for _ in range(3):
        sweep_reversals()
        shop.psp.advance(5)
        shop.settle()
        sync_everything(shop, intent_id)
    assert list(differences()) == []
    assert_money_is_booked_as_at_the_psp(shop, intent_id)
    assert_nothing_waits_for_ever(shop, intent_id)
    assert_told_as_shown(shop, intent_id)
    reached["life"] += 1


def count_reached(reached: Counter[str], shop: Shop, intent_id: str, step: Step) -> None:
    """Count the step and the states in which it left the payment."""
    reached[f"step: {step.verb}"] += 1
    if step.interleaved is not None:
        reached[f"interleaved {step.interleaved}: {step.verb}"] += 1
    reached[f"payment: {shop.intent(intent_id).status}"] += 1
    operations = shop.operations(intent_id)
    reached.update({f"operation: {o.kind} {o.status}" for o in operations})
    if any(operation.excess_minor for operation in operations):
        reached["payment: with a duplicate charge or another excess"] += 1
    if shop.psp.disputes(shop.order_id):
        reached["payment: disputed"] += 1


def sync_everything(shop: Shop, intent_id: str) -> None:
    """Sync every operation, payment and dispute, as late notifications would cause."""
    for operation in shop.operations(intent_id):
        with suppress(payment_sync.Inconclusive):
            payment_sync.sync_operation(operation.id, actor="psp:notification")
    sync_charges(shop, intent_id)
    for dispute in shop.psp.disputes(shop.order_id):
        with suppress(Inconclusive):
            Desk(shop).sync(dispute["id"])


def assert_nothing_waits_for_ever(shop: Shop, intent_id: str) -> None:
    """Open operations are looked up again; the order is occupied while money of it is kept."""
    intent = shop.intent(intent_id)
    for operation in shop.operations(intent_id):
        assert not operation.is_open or operation.next_check_at is not None
        if operation.guard_order and not operation.is_open:
            kept = intent.amount_captured_minor > intent.amount_refunded_minor
            assert operation.status == "SUCCEEDED"
            assert intent.amount_held_minor or kept
    assert not Case.objects.filter(intent_id=intent.id, kind="contradiction").exists()


def take(shop: Shop, intent_id: str, step: Step) -> None:
    if step.interleaved is Await.SYNCED:
        during_a_sync(shop, intent_id, replace(step, interleaved=None))
        return
    if step.verb == "wait":
        shop.psp.advance(30)
        shop.settle()
        sync_everything(shop, intent_id)
        return
    if step.verb in HAPPENS:
        HAPPENS[step.verb](shop, intent_id)
        return
    if step.verb == "dispute" or step.verb.startswith("bank"):
        dispute(shop, intent_id, step)
        return
    if step.verb in ("fails later", "succeeds after all"):
        revise(shop, intent_id, step)
        return
    if step.verb.startswith(("dashboard", "forced")):
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
    with looked_up_meanwhile(shop, intent_id, step.interleaved):
        first = attempt(lambda: command(shop, intent_id, step, caller))
    if step.twice and first is not None:
        again = attempt(lambda: command(shop, intent_id, step, caller))
        assert again is not None
        assert (again.status, again.body) == (first.status, first.body)


def act_in_dashboard(shop: Shop, intent_id: str, step: Step) -> None:
    """Make an operation in the PSP's dashboard, unless the PSP refuses; sync, or not."""
    more: dict[str, Any] = {} if step.verb.endswith("void") else {"amount_minor": step.amount_minor}
    if step.verb.endswith("capture"):
        more["final"] = step.final
    with suppress(AssertionError, NothingThere):
        payment_id = at_the_psp(shop, intent_id, step.which)
        manner, verb = step.verb.split()
        more |= {"force": True} if manner == "forced" else {}
        reference = f"ticket {uuid.uuid4().hex[:8]}"
        shop.psp.act(verb, payment_id=payment_id, reference=reference, **more)
    if step.which != 3:  # Else the notification is lost.
        sync_charges(shop, intent_id)


def revise(shop: Shop, intent_id: str, step: Step) -> None:
    """The PSP changes what became of one operation, ours or external, unless it refuses.

    It never undoes an authorization of which money was captured: that contradicts itself.
    """
    shown = [
        act
        for o in shop.operations(intent_id)
        if o.is_charge and o.psp_payment_id and (seen := payment_of(shop, o)) is not None
        for act in seen.operations
        if act.reference
    ]
    if not shown:
        return
    chosen = shown[step.which % len(shown)]
    captured = any(each.kind is PspOperationKind.CAPTURE for each in shown)
    if chosen.kind is PspOperationKind.AUTHORIZE and captured:
        return
    with suppress(AssertionError):
        to = "fail" if step.verb == "fails later" else "succeed"
        shop.psp.revise(chosen.reference, to, keep_hold=step.final)
    if step.which % 2:  # Else the notification is lost.
        sync_everything(shop, intent_id)


def close_falsely(shop: Shop, intent_id: str) -> None:
    """An adapter with a defect reports a decline of what the PSP may have done."""
    for operation in shop.operations(intent_id):
        if operation.status == "UNKNOWN":
            close_as(operation, Outcome.DECLINED)


def during_a_sync(shop: Shop, intent_id: str, step: Step) -> None:
    """A snapshot is taken, which lists all twice; before it is adopted, something else happens."""
    charge = next((o for o in reversed(shop.operations(intent_id)) if o.is_charge), None)
    if charge is None or charge.is_open or not charge.psp_payment_id:
        return
    lease = payment_sync.lease_payment(charge.id)
    version, seen = version_of(charge.intent_id), payment_of(shop, charge)
    take(shop, intent_id, step)
    if lease is None or seen is None:
        return
    seen = replace(seen, operations=seen.operations * 2)
    with suppress(Overtaken, SnapshotIncomplete):
        adopt_payment(charge.id, seen, lease=lease, version=version, actor="test")
    end_leases()


@contextmanager
def looked_up_meanwhile(shop: Shop, intent_id: str, when: Await | None) -> Iterator[None]:
    """While a command waits for the PSP, all of its payment is looked up and adopted."""
    real = sending.send

    def send(operation: Operation, **how: Any) -> PspResult:
        if when in (Await.REVERSED, Await.REINSTATED):
            reverse_its_charge(shop, intent_id, operation, back=when is Await.REINSTATED)
        if when is Await.UNSENT:
            sync_everything(shop, intent_id)
        result = real(operation, **how)
        if when is Await.UNRECORDED:
            sync_everything(shop, intent_id)
        return result

    if when is not None:
        sending.send = send
    try:
        yield
    finally:
        sending.send = real


def reverse_its_charge(shop: Shop, intent_id: str, operation: Operation, *, back: bool) -> None:
    """The PSP reverses the charge of a change that has captured nothing, or takes that back."""
    charge = Operation.objects.filter(pk=operation.charge_id).first()
    seen = payment_of(shop, charge) if charge is not None and charge.psp_payment_id else None
    if charge is None or seen is None or is_captured(seen):
        return
    for to in ("fail", "succeed") if back else ("fail",):
        with suppress(AssertionError):
            shop.psp.revise(references.reference_of(charge.id), to)
        sync_everything(shop, intent_id)


def is_captured(seen: PspPayment) -> bool:
    return any(each.kind is PspOperationKind.CAPTURE for each in seen.operations)


def payment_of(shop: Shop, charge: Operation) -> PspPayment | None:
    adapter = accounts.adapter_of(shop.account)
    return adapter.look_up_payment(charge.psp_payment_id, deadline_seconds=5)


def update(shop: Shop, intent_id: str, step: Step) -> Answer:
    """The merchant asks for another amount, or for another currency."""
    return answered(
        commands.update_intent(
            CommandRequest(shop.caller(), render=render_intent),
            intent_id=uuid_of(intent_id),
            details=IntentDetails(),
            amount_minor=max(100, step.amount_minor),
            currency="EUR" if step.final else None,
        )
    )


class NothingThere(Exception):
    """No charge has reached the PSP, or no dispute was opened."""


def at_the_psp(shop: Shop, intent_id: str, which: int) -> str:
    """The id of one of the intent's payments at the PSP, counted from the newest."""
    found = [o.psp_payment_id for o in shop.operations(intent_id) if o.is_charge]
    known: list[str] = [each for each in reversed(found) if each]
    if not known:
        raise NothingThere
    return known[which % len(known)]


def dispute(shop: Shop, intent_id: str, step: Step) -> None:
    """A cardholder disputes, or a bank decides, unless the PSP refuses; sync, or not."""
    with suppress(AssertionError, NothingThere):
        if step.verb == "dispute":
            shop.psp.open_dispute(
                payment_id=at_the_psp(shop, intent_id, step.which),
                amount_minor=step.amount_minor,
                inquiry=not step.final,
            )
        else:
            opened = shop.psp.disputes(shop.order_id)
            if not opened:
                raise NothingThere
            move = step.verb.removeprefix("bank ")
            shop.psp.move_dispute(opened[step.which % len(opened)]["id"], move)
    if step.which != 3:
        sync_everything(shop, intent_id)


def sync_charges(shop: Shop, intent_id: str) -> None:
    """Sync every charge's payment with the PSP."""
    for operation in shop.operations(intent_id):
        if operation.is_charge:
            with suppress(Inconclusive):
                sync_payment(operation.id, actor="test")


def pay_otherwise(shop: Shop, intent_id: str) -> None:
    """Another payment intent pays the order, or, if one has, gives the money back."""
    others = PaymentIntent.objects.filter(order_id=shop.order_id).exclude(pk=uuid_of(intent_id))
    paid = others.filter(status="CAPTURED").first()
    attempt(lambda: shop.create(5_000) if paid is None else shop.refund(paid.public_id))


HAPPENS: dict[str, Callable[[Shop, str], object]] = {
    "sync": sync_everything,
    "time": lambda shop, intent_id: shop.psp.advance(30),
    "reversals": lambda shop, intent_id: sweep_reversals(),
    "closed falsely": lambda shop, intent_id: close_falsely(shop, intent_id),
    "pay otherwise": pay_otherwise,
    "deadlines": lambda shop, intent_id: passing_time.sweep(),
}


def command(shop: Shop, intent_id: str, step: Step, caller: Caller) -> Answer:
    verbs: dict[str, Callable[[], Answer]] = {
        "confirm": lambda: shop.confirm(intent_id, token=step.token, caller=caller),
        "capture": lambda: shop.capture(
            intent_id, step.amount_minor, final=step.final, caller=caller
        ),
        "refund": lambda: shop.refund(intent_id, step.amount_minor, caller=caller),
        "increment": lambda: shop.increment(intent_id, step.amount_minor, caller=caller),
        "cancel": lambda: shop.cancel(intent_id, caller=caller),
        "update": lambda: update(shop, intent_id, step),
    }
    return verbs[step.verb]()


def attempt(run: Callable[[], Answer]) -> Answer | None:
    try:
        return run()
    except PaymentRefused:
        return None


def psp_kind(verb: str) -> str:
    return {"confirm": "authorize", "cancel": "void"}.get(verb, verb)


def moved_at_the_psp(shop: Shop) -> dict[str, Counter[str]]:
    """What the PSP captured and refunded and did not reverse, by its payment, from its effects."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for effect in shop.effects():
        kind = effect["kind"].removesuffix("_failed")
        sign = 1 if kind == effect["kind"] else -1
        sums[effect["payment_id"]][kind] += sign * effect["amount_minor"]
    return sums


def assert_money_is_booked_as_at_the_psp(shop: Shop, intent_id: str) -> None:
    """What each charge holds, took and gave back, and what is disputed, is the same at the PSP."""
    operations = list(Operation.objects.filter(intent__order_id=shop.order_id).order_by("id"))
    moved = moved_at_the_psp(shop)
    for charge in operations:
        if not charge.is_charge:
            continue
        here = ChargeBooks(charge, operations).vector()
        there = moved.pop(charge.psp_payment_id, Counter())
        seen = payment_of(shop, charge) if charge.psp_payment_id else None
        held_minor = seen.held.minor if seen is not None else 0
        assert (here.held_minor, here.captured_minor, here.refunded_minor) == (
            held_minor,
            there["capture"],
            there["refund"],
        ), charge.public_id
    assert not moved, f"the PSP has payments of which we know nothing: {sorted(moved)}"
    intent = shop.intent(intent_id)
    disputed_minor = sum(
        each["amount_minor"]
        for each in shop.psp.disputes(shop.order_id)
        if each["status"] in ("needs_response", "under_review", "lost")
        if each["currency"] == intent.currency
    )
    assert intent.amount_disputed_minor == disputed_minor
