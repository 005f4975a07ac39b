"""Operations whose result at the PSP contradicts ours, and what the books say of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ledger.models import LedgerEntry
from payments.models import Case, Event, Operation
from payments.services import callers
from payments.services.automatic_actions import late_success_reversals
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import references
from payments.services.recovery import payment_sync
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.contract.operations import Outcome, PspResult


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


def balances(intent_id: str) -> dict[int, int]:
    """Per account code, what is booked for a payment: debits minus credits."""
    sums: dict[int, int] = {}
    for code, direction, minor in LedgerEntry.objects.filter(
        payment_id=uuid_of(intent_id)
    ).values_list("account__code", "direction", "amount_minor"):
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
