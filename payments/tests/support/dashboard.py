"""External operations, made in the PSP's dashboard, and what must hold afterwards. No tests."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from payments.clock import now_utc
from payments.models import Operation, PaymentIntent
from payments.services.outcomes.late_and_external.adopt import adopt_payment, version_of
from payments.services.psp_gateway import accounts
from payments.services.recovery.payment_sync import sync_payment
from payments.services.verification.rebuild import differences
from payments.tests.support.passing_time import hold
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.contract.payments import PspPayment


def sold(shop: Shop, **values: Any) -> str:
    identifier: str = body_of(shop.create(10_000, **values))["id"]
    return identifier


def held(shop: Shop) -> str:
    return hold(shop, token="pm_card_visa")


def act(shop: Shop, verb: str, amount_minor: int | None = None, **more: Any) -> dict[str, Any]:
    """Make an operation in the PSP's dashboard, on the shop's order."""
    if amount_minor is not None:
        more["amount_minor"] = amount_minor
    return shop.psp.act(verb, order_id=shop.order_id, **more)


def sync(shop: Shop, intent_id: str) -> None:
    """Look the whole payment up at the PSP and record what differs."""
    [charge] = [o for o in shop.operations(intent_id) if o.is_charge]
    sync_payment(charge.id, actor="test")


def adopt(charge: Operation, view: PspPayment) -> int:
    """Adopt a snapshot as if the PSP had shown it just now; returns how many changes it caused."""
    lease = now_utc() + timedelta(seconds=60)
    Operation.objects.filter(pk=charge.pk).update(lease_until=lease)
    version = version_of(charge.intent_id)
    adopted = adopt_payment(charge.id, view, lease=lease, version=version, actor="test")
    return adopted.changed


def end_leases() -> None:
    """Let every lease that a killed worker left behind be over."""
    Operation.objects.update(lease_until=now_utc() - timedelta(seconds=1))


def seen(shop: Shop, intent_id: str) -> PspPayment:
    adapter = accounts.adapter_of(shop.account)
    payment = adapter.look_up_payment(shop.intent(intent_id).psp_reference, deadline_seconds=5)
    assert payment is not None
    return payment


def external_operations(intent_id: str) -> list[Operation]:
    rows = Operation.objects.filter(intent_id=uuid_of(intent_id), actor="psp:dashboard")
    return list(rows.order_by("id"))


def amounts(intent: PaymentIntent) -> tuple[int, int, int, int, int]:
    return (
        intent.amount_authorized_minor,
        intent.amount_captured_minor,
        intent.amount_refunded_minor,
        intent.amount_refund_pending_minor,
        intent.amount_excess_minor,
    )


def assert_sound(shop: Shop, intent_id: str) -> None:
    """Our amounts equal the PSP's effects, and agree with our books."""
    sums: Counter[str] = Counter()
    for effect in shop.effects():
        sums[effect["kind"]] += effect["amount_minor"]
    intent = shop.intent(intent_id)
    assert intent.amount_captured_minor == sums["capture"]
    assert intent.amount_refunded_minor == sums["refund"] - sums["refund_failed"]
    assert list(differences()) == []
