"""kill -9 at every step of a money move: the repeated request finishes it, with one effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from payments.exceptions import IdempotencyKeyInUse
from payments.models import IdempotencyKey, Operation, PaymentIntent, Refund
from payments.services import recovery
from payments.services.caller import Answer, Caller
from payments.services.verification import differences
from payments.tests.crashes import STEPS, crash
from payments.tests.shop import Shop, body_of

Command = Callable[[Shop, str, Caller], Answer]

COMMANDS: dict[str, tuple[bool, Command, list[str]]] = {
    "create": (
        False,
        lambda shop, intent, caller: shop.create(caller=caller),
        ["authorize", "capture"],
    ),
    "capture": (
        True,
        lambda shop, intent, caller: shop.capture(intent, 6_000, caller=caller),
        ["authorize", "capture"],
    ),
    "cancel": (
        True,
        lambda shop, intent, caller: shop.cancel(intent, caller=caller),
        ["authorize", "void"],
    ),
    "increment": (
        True,
        lambda shop, intent, caller: shop.increment(intent, 12_000, caller=caller),
        ["authorize", "increment"],
    ),
    "refund": (
        True,
        lambda shop, intent, caller: shop.refund(intent, 2_000, caller=caller),
        ["authorize", "capture", "refund"],
    ),
}


def prepare(shop: Shop, name: str) -> str:
    """The payment that a command works on; empty for the one that makes it."""
    if not COMMANDS[name][0]:
        return ""
    intent = body_of(shop.create(10_000, manual=name != "refund"))
    return str(intent["id"])


def end_leases() -> None:
    """Let time pass: whoever died no longer owns anything."""
    Operation.objects.filter(closed_at__isnull=True).update(lease_until="2000-01-01T00:00:00Z")
    IdempotencyKey.objects.update(lease_until="2000-01-01T00:00:00Z")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_repeat_finishes_what_a_crash_left_with_one_effect(
    shop: Shop, name: str, step: str
) -> None:
    _, command, effects = COMMANDS[name]
    intent_id = prepare(shop, name)
    caller = shop.caller(key="the key", body={"command": name})

    crash(step, lambda: command(shop, intent_id, caller))
    end_leases()
    answer = command(shop, intent_id, caller)
    again = command(shop, intent_id, caller)

    assert answer.status == 200
    assert (again.body, again.replayed) == (answer.body, True)
    assert [e["kind"] for e in shop.effects()] == effects
    assert PaymentIntent.objects.count() == 1
    assert Refund.objects.count() == (1 if name == "refund" else 0)
    calls = [c for c in shop.psp.calls() if c["reference"] and c["kind"] == _kind(name)]
    keys = {c["idempotency_key"] for c in calls if c["order_id"] in ("", None, shop.order_id)}
    assert len(keys & set(Operation.objects.values_list("psp_key", flat=True))) == 1
    assert list(differences()) == []


@pytest.mark.parametrize("step", STEPS)
def test_recovery_finishes_alone_when_nobody_repeats(shop: Shop, step: str) -> None:
    crash(step, lambda: shop.create(caller=shop.caller(key="the key")))
    end_leases()
    Operation.objects.filter(next_check_at__isnull=False).update(
        next_check_at="2000-01-01T00:00:00Z"
    )

    recovery.resolve_due_operations()

    written = PaymentIntent.objects.first()
    before_commit = step in ("before the claim", "after the claim, before the commit")
    assert (written is None) is before_commit
    assert [e["kind"] for e in shop.effects()] == (
        [] if before_commit else ["authorize", "capture"]
    )
    assert list(differences()) == []


def test_a_repeat_while_the_first_run_is_alive_is_told_to_wait(shop: Shop) -> None:
    caller = shop.caller(key="the key")
    crash("before the PSP has it", lambda: shop.create(caller=caller))
    with pytest.raises(IdempotencyKeyInUse):
        shop.create(caller=caller)
    assert shop.effects() == []


def _kind(name: str) -> str:
    return {"create": "authorize", "cancel": "void"}.get(name, name)
