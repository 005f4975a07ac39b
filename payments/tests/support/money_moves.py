"""The five commands that move money, with the payment each needs and its effects at the PSP.

For tests that disturb them. What may not live here: any disturbance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from payments.models import IdempotencyKey, Operation, PaymentIntent
from payments.services.callers.caller import Answer, Caller
from payments.services.psp_gateway import references as psp_references
from payments.services.verification.rebuild import differences
from payments.tests.support.notices import books_of
from payments.tests.support.shop import Shop, body_of, uuid_of

LONG_AGO = "2000-01-01T00:00:00Z"

Command = Callable[[Shop, str, Caller], Answer]

# Needs a payment; the command; the effects of the payment in the end, the last ones its own.
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


def kind_of(name: str) -> str:
    """What the PSP calls a command."""
    return {"create": "authorize", "cancel": "void"}.get(name, name)


def end_leases() -> None:
    """Let time pass: the leases of dead workers end, and every look-up is due."""
    Operation.objects.filter(closed_at__isnull=True).update(lease_until=LONG_AGO)
    Operation.objects.filter(next_check_at__isnull=False).update(next_check_at=LONG_AGO)
    IdempotencyKey.objects.update(lease_until=LONG_AGO)


class Move:
    """One command of one shop under one key, and the same command undisturbed to compare with."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.name = shop, name
        _, self._command, self.effects = COMMANDS[name]
        order_id = shop.order_id
        shop.order_id = f"{order_id}-undisturbed"
        undisturbed = prepare(shop, name)
        answer = self._command(shop, undisturbed, shop.caller(key=f"{order_id} undisturbed"))
        self._expected = _story(undisturbed or body_of(answer)["id"])
        shop.order_id = order_id
        self.intent_id = prepare(shop, name)
        self.caller = shop.caller(key=order_id, body={"command": name})

    def run(self) -> Answer:
        """The command; again and again the same request."""
        return self._command(self.shop, self.intent_id, self.caller)

    def calls(self) -> list[dict[str, Any]]:
        """The PSP's calls that carry this command out."""
        operations = Operation.objects.filter(
            merchant=self.shop.merchant, order_id=self.shop.order_id, kind=kind_of(self.name)
        )
        references = {
            psp_references.reference_of(identifier)
            for identifier in operations.values_list("id", flat=True)
        }
        calls = self.shop.psp.calls(kind=kind_of(self.name))
        return [each for each in calls if each["reference"] in references]

    def ended_once(self) -> None:
        """One effect, one PSP key, the books of an undisturbed run, and no unknown outcome."""
        assert [each["kind"] for each in self.shop.effects()] == self.effects
        calls = self.calls()
        keys = {(each["reference"], each["idempotency_key"]) for each in calls}
        assert len(keys) == len({each["reference"] for each in calls})
        found = PaymentIntent.objects.filter(order_id=self.shop.order_id)
        [intent] = found if not self.intent_id else [self.shop.intent(self.intent_id)]
        assert _story(intent.public_id) == self._expected
        assert not Operation.objects.filter(closed_at__isnull=True).exists()
        assert list(differences()) == []

    def had_no_effect_yet(self) -> None:
        """The PSP did nothing for it, and the books agree."""
        own = 2 if self.name == "create" else 1
        assert [each["kind"] for each in self.shop.effects()] == self.effects[:-own]
        assert list(differences()) == []


def _story(intent_id: str) -> dict[str, Any]:
    """What must be the same however the payment ended."""
    intent = PaymentIntent.objects.get(pk=uuid_of(intent_id))
    operations = Operation.objects.filter(intent=intent).exclude(status="NOT_SENT")
    return {
        "status": intent.status,
        "counters": (
            intent.amount_authorized_minor,
            intent.amount_captured_minor,
            intent.amount_refunded_minor,
            intent.amount_refund_pending_minor,
        ),
        "operations": sorted(operations.values_list("kind", "status", "amount_minor")),
        "books": books_of(intent_id),
    }
