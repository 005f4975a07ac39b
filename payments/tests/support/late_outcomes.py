"""Operations whose result at the PSP contradicts ours; what books and events say of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ledger.models import LedgerEntry
from payments.models import Case, Event, Operation, PaymentIntent, PspAccount
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.services import callers
from payments.services.automatic_actions import late_success_reversals
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks, ChargeVector
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import references
from payments.services.recovery import payment_sync
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.contract.operations import Outcome, PspResult

_OF_CHARGE: Final = (
    *("status", "amount", "amount_captured", "amount_refunded", "captured", "refunded", "paid"),
    *("failure_code", "failure_message"),
)
_OF_INTENT: Final = ("status", "amount_capturable", "amount_received")
_FINAL: Final = ("payment_intent.succeeded", "payment_intent.canceled")


def close_as(operation: Operation, outcome: Outcome) -> None:
    """Record a false result, as a defective adapter or PSP would cause."""
    result = PspResult(outcome=outcome, code="card_declined", detail="the test says so")
    caller = callers.for_operation(operation, "test")
    assert record_outcome(operation=operation, result=result, caller=caller).changed


def falsely_closed(
    shop: Shop, outcome: Outcome, *, manual: bool = False, **more: Any
) -> tuple[str, Operation]:
    """A charge that succeeded at the PSP and that we closed with `outcome`."""
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000, manual=manual, **more))["id"]
    operation = shop.operations(intent_id)[-1]
    close_as(operation, outcome)
    return intent_id, operation


def sync_as_notified(operation: Operation) -> None:
    """Look the operation up and record the result, as a notification of the PSP would cause."""
    payment_sync.sync_operation(operation.id, actor="psp:notification")


def confirm_late_outcomes() -> None:
    """Let recovery look up what late outcomes changed; nothing may be due afterwards."""
    waiting = Operation.objects.filter(next_check_at__isnull=False, closed_at__isnull=False)
    for operation_id in list(waiting.values_list("id", flat=True)):
        Operation.objects.filter(pk=operation_id).update(
            lease_until=datetime(2000, 1, 1, tzinfo=UTC)
        )
        assert recovery_sweep.resolve_operation(operation_id, actor="job:recovery")
    assert not waiting.exists()


def sweep_reversals() -> int:
    """Run the sweep of late successes with every reversal due."""
    Operation.objects.filter(reversal_due_at__isnull=False).update(
        reversal_due_at=datetime(2000, 1, 1, tzinfo=UTC)
    )
    return late_success_reversals.reverse_due_charges()


def statuses(shop: Shop, intent_id: str) -> list[tuple[str, str]]:
    return [(o.kind, o.status) for o in shop.operations(intent_id)]


def counters(shop: Shop, intent_id: str) -> dict[str, int]:
    intent = shop.intent(intent_id)
    names = ("authorized", "captured", "refunded", "refund_pending", "over_refunded", "excess")
    found = {name: getattr(intent, f"amount_{name}_minor") for name in names}
    return {name: minor for name, minor in found.items() if minor}


def balances(intent_id: str, *, at: PspAccount | None = None) -> dict[int, int]:
    """Per account code, what is booked for a payment: debits minus credits.

    Of the accounts of one PSP account, if it is given.
    """
    sums: dict[int, int] = {}
    entries = LedgerEntry.objects.filter(payment_id=uuid_of(intent_id))
    if at is not None:
        entries = entries.filter(account__dimension=at.code)
    for code, direction, minor in entries.values_list("account__code", "direction", "amount_minor"):
        sums[code] = sums.get(code, 0) + (minor if direction == "D" else -minor)
    return {code: minor for code, minor in sums.items() if minor}


def events(intent_id: str) -> list[str]:
    rows = Event.objects.filter(aggregateid=uuid_of(intent_id)).order_by("seq")
    return list(rows.values_list("type", flat=True))


def cases() -> list[str]:
    return sorted(Case.objects.values_list("kind", flat=True))


def reference(operation: Operation) -> str:
    return references.reference_of(operation.id)


def assert_the_books_agree() -> None:
    assert list(differences()) == []


def assert_told_as_shown(shop: Shop, intent_id: str) -> None:
    """The last event of each object shows what it shows now, and one final status was published.

    An intent whose final status is published is told of no more: its charge and refunds are. Nor is
    one told of a late success that is given back.
    """
    intent, operations = shop.intent(intent_id), shop.operations(intent_id)
    for refund in shop.refunds(intent_id):
        operation = next(o for o in operations if o.id == refund.operation_id)
        _compare(intent, refund_object(refund, intent, operation), ("status",))
    if not _is_one_charge(intent, operations):
        return  # The amounts of the intent are of several charges: the PSP contradicts itself.
    for charge in operations:
        if charge.is_charge:
            _compare(intent, charge_object(charge, intent), _OF_CHARGE)
    if not Case.objects.filter(intent_id=intent.id, kind="late_success").exists():
        names = ("status",) if intent.published_status else _OF_INTENT
        _compare(intent, payment_intent_object(intent), names)
    final = Event.objects.filter(aggregateid=intent.id, type__in=_FINAL)
    assert final.count() <= 1, list(final.values_list("type", flat=True))


def _compare(intent: PaymentIntent, shown: dict[str, Any], names: tuple[str, ...]) -> None:
    events = Event.objects.filter(aggregateid=intent.id, payload__object__id=shown["id"])
    last = events.order_by("seq").last()
    if last is None:
        assert shown["object"] == "charge"
        assert shown["status"] in ("pending", "failed"), f"{shown['id']} was never told of"
        return
    told = last.payload["object"]
    differs = {name: (told[name], shown[name]) for name in names if told[name] != shown[name]}
    assert not differs, f"{last.type} told of {shown['id']} what it no longer shows: {differs}"


def _is_one_charge(intent: PaymentIntent, operations: list[Operation]) -> bool:
    """Is everything that the intent counts of its latest charge? Duplicate charges do not count."""
    others = (o for o in operations if o.is_charge and o.id != intent.latest_charge_id)
    return all(
        other.status == "EXCESS" or ChargeBooks(other, operations).vector() == ChargeVector()
        for other in others
    )
