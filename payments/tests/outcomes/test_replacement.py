"""What was accepted is carried out: an operation that never reached the PSP is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Case, IdempotencyKey, Operation
from payments.services import callers
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.tests.support.crashes import crash
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.factories import credentials_of, set_credentials
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    close_as,
    confirm_late_outcomes,
    counters,
    events,
    statuses,
    sync_as_notified,
)
from payments.tests.support.money_moves import COMMANDS, Move, end_leases, kind_of
from payments.tests.support.shop import Shop, age_operations, body_of, uuid_of
from paymentsite.launcher.ports import hold_any_port
from psp_adapters.contract.operations import Outcome, PspResult

CHANGES = [name for name in COMMANDS if name != "create"]
PAST_THE_FENCE_SECONDS = 90
"""Older than the same key may be repeated, and than the PSP's look-up lag."""


def lose_on_the_way(move: Move) -> Operation:
    """Accept the command, and have it lost before the PSP; returns its operation."""
    shop = move.shop
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id, kind=kind_of(move.name))
    answer = move.run()
    assert answer.status == 200
    return shop.operations(move.intent_id)[-1]


def prove_unsent(shop: Shop, operation: Operation, intent_id: str) -> Operation:
    """Have recovery fence an operation and record that it never arrived; returns it anew."""
    age_operations(intent_id, seconds=PAST_THE_FENCE_SECONDS)
    shop.settle()
    operation.refresh_from_db()
    assert operation.status == "NOT_SENT"
    return operation


def replacement_of(operation: Operation) -> Operation:
    return Operation.objects.get(replaces_id=operation.id)


@contextmanager
def psp_out_of_reach(shop: Shop) -> Iterator[None]:
    """Let no connection to the PSP be made."""
    reachable = credentials_of(shop.account)["base_url"]
    set_credentials(shop.account, base_url=f"http://127.0.0.1:{hold_any_port()}")
    try:
        yield
    finally:
        set_credentials(shop.account, base_url=reachable)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_never_reached_the_psp_is_sent_again_and_has_its_effect_once(
    shop: Shop, name: str
) -> None:
    move = Move(shop, name)
    lost = lose_on_the_way(move)
    told = events(move.intent_id)

    prove_unsent(shop, lost, move.intent_id)
    replacement = replacement_of(lost)

    assert (replacement.status, replacement.psp_key != lost.psp_key) == ("SENDING", True)
    assert events(move.intent_id) == told, "the merchant is told of no failure"
    move.had_no_effect_yet()
    shop.settle()
    move.ended_once()
    assert cases() == []
    assert len(shop.refunds(move.intent_id)) == (name == "refund")


def test_the_refund_that_the_merchant_knows_succeeds(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = lose_on_the_way(move)
    [refund] = shop.refunds(move.intent_id)
    prove_unsent(shop, lost, move.intent_id)
    shop.settle()
    [same] = shop.refunds(move.intent_id)
    assert (same.id, same.status) == (refund.id, "succeeded")
    assert same.operation_id == replacement_of(lost).id
    assert "refund.failed" not in events(move.intent_id)


def test_a_replacement_that_cannot_be_sent_waits_and_is_sent_later(shop: Shop) -> None:
    move = Move(shop, "refund")
    prove = prove_unsent(shop, lose_on_the_way(move), move.intent_id)
    with psp_out_of_reach(shop):
        shop.settle()
        waiting = replacement_of(prove)
        assert (waiting.status, waiting.resent_at) == ("UNKNOWN", None)
        assert waiting.next_check_at is not None
    shop.settle()
    move.ended_once()
    assert len(move.calls()) == 2, "the lost request, and the replacement's"


def test_a_replacement_lost_as_well_is_replaced_again_after_a_wait(shop: Shop) -> None:
    move = Move(shop, "capture")
    first = lose_on_the_way(move)
    prove_unsent(shop, first, move.intent_id)
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id, kind="capture")
    shop.settle()
    second = prove_unsent(shop, replacement_of(first), move.intent_id)
    third = replacement_of(second)
    assert third.requested_at == second.requested_at
    assert third.next_check_at is not None
    assert third.next_check_at > now_utc() + timedelta(seconds=30), "half of the time tried so far"
    shop.settle()
    move.ended_once()


def test_the_key_of_a_killed_request_is_answered_from_the_replacement(shop: Shop) -> None:
    move = Move(shop, "refund")
    crash("before the PSP has it", move.run)
    end_leases()
    lost = shop.operations(move.intent_id)[-1]
    prove_unsent(shop, lost, move.intent_id)
    replacement = replacement_of(lost)
    assert IdempotencyKey.objects.filter(operation_id=replacement.id).count() == 1
    answer = move.run()
    assert (answer.status, body_of(answer)["status"]) == (200, "succeeded")
    move.ended_once()


def test_a_change_accepted_a_day_ago_is_not_sent_any_more_and_has_a_case(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = lose_on_the_way(move)
    age_operations(move.intent_id, seconds=24 * 3600)
    shop.settle()
    lost.refresh_from_db()
    assert lost.status == "NOT_SENT"
    assert not Operation.objects.filter(replaces_id=lost.id).exists()
    assert [r.status for r in shop.refunds(move.intent_id)] == ["canceled"]
    assert "not_carried_out" in cases()
    case = Case.objects.get(kind="not_carried_out")
    assert (case.amount_minor, case.currency) == (2_000, "USD")
    move.had_no_effect_yet()


def test_a_replacement_that_could_not_be_sent_for_a_day_ends_with_a_case(shop: Shop) -> None:
    move = Move(shop, "capture")
    lost = prove_unsent(shop, lose_on_the_way(move), move.intent_id)
    age_operations(move.intent_id, seconds=24 * 3600)
    shop.settle()
    assert replacement_of(lost).status == "NOT_SENT"
    assert shop.intent(move.intent_id).status == "AUTHORIZED"
    assert cases() == ["not_carried_out"]
    move.had_no_effect_yet()


def test_a_capture_is_not_sent_again_once_the_hold_is_gone(shop: Shop) -> None:
    move = Move(shop, "capture")
    lost = lose_on_the_way(move)
    shop.psp.act("void", order_id=shop.order_id)
    charge = shop.operations(move.intent_id)[0]
    sync_as_notified(charge)
    assert shop.intent(move.intent_id).held.minor == 0
    prove_unsent(shop, lost, move.intent_id)
    assert not Operation.objects.filter(replaces_id=lost.id).exists()
    assert shop.intent(move.intent_id).status == "CANCELED"
    assert "not_carried_out" in cases()
    assert_the_books_agree()


def test_a_refund_is_not_sent_again_once_a_bank_has_charged_back(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = lose_on_the_way(move)
    Desk(shop).opened()
    prove_unsent(shop, lost, move.intent_id)
    assert not Operation.objects.filter(replaces_id=lost.id).exists()
    assert [r.status for r in shop.refunds(move.intent_id)] == ["canceled"]
    assert "not_carried_out" in cases()


def deny(operation: Operation) -> None:
    """Record that the operation never arrived, as after a fence that does not hold."""
    recorded = record_outcome(
        operation=operation,
        result=PspResult(outcome=Outcome.NOT_SENT, detail="the PSP denied it"),
        caller=callers.for_operation(operation, "test"),
        was_accepted=lambda: True,
    )
    assert recorded.changed


def test_a_refund_made_in_spite_of_its_fence_is_booked_beside_its_replacement(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = lose_on_the_way(move)
    deny(lost)
    shop.settle()
    accounts.adapter_of(shop.account).refund(sending.request_of(lost), deadline_seconds=5)
    sync_as_notified(Operation.objects.get(pk=lost.id))
    confirm_late_outcomes()
    assert statuses(shop, move.intent_id)[-2:] == [("refund", "SUCCEEDED")] * 2
    assert [r.status for r in shop.refunds(move.intent_id)] == ["succeeded"] * 2
    assert counters(shop, move.intent_id)["refunded"] == 4_000
    case = Case.objects.get(kind="late_success")
    assert "sent again" in case.summary
    assert_the_books_agree()


@pytest.mark.parametrize("name", CHANGES)
def test_a_replacement_is_not_sent_if_the_psp_has_made_what_it_replaces(
    shop: Shop, name: str
) -> None:
    move = Move(shop, name)
    kind = kind_of(name)
    shop.psp.script({"drop_after": 1}, order_id=shop.order_id, kind=kind)
    move.run()
    lost = shop.operations(move.intent_id)[-1]
    deny(lost)
    for _ in range(4):
        shop.settle()
    assert statuses(shop, move.intent_id)[-2:] == [(kind, "SUCCEEDED"), (kind, "NOT_SENT")]
    move.ended_once()
    assert "late_success" in cases()


def test_a_replacement_that_waited_is_not_sent_once_a_bank_has_charged_back(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = prove_unsent(shop, lose_on_the_way(move), move.intent_id)
    with psp_out_of_reach(shop):
        shop.settle()
    Desk(shop).opened()
    shop.settle()
    assert replacement_of(lost).status == "NOT_SENT"
    assert shop.effects("refund") == []
    assert [r.status for r in shop.refunds(move.intent_id)] == ["canceled"]
    assert "not_carried_out" in cases()
    assert_the_books_agree()


def test_the_refusal_of_our_own_fence_is_no_decline(shop: Shop) -> None:
    move = Move(shop, "refund")
    lost = lose_on_the_way(move)
    Operation.objects.filter(pk=lost.pk).update(fenced_at=now_utc())
    close_as_refused = PspResult(outcome=Outcome.DECLINED, code="fenced", detail="409 fenced")
    caller = callers.for_operation(lost, "test")
    recorded = record_outcome(operation=lost, result=close_as_refused, caller=caller)
    assert not recorded.changed
    assert [r.status for r in shop.refunds(move.intent_id)] == ["pending"]


def test_a_charge_is_not_replaced(shop: Shop) -> None:
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id)
    intent_id = str(body_of(shop.create())["id"])
    age_operations(intent_id, seconds=PAST_THE_FENCE_SECONDS)
    shop.settle()
    assert statuses(shop, intent_id) == [("authorize", "NOT_SENT")]
    assert shop.intent(intent_id).status == "FAILED"
    assert cases() == []


def test_a_request_that_was_refused_to_the_merchant_is_not_sent_again(shop: Shop) -> None:
    intent_id = str(body_of(shop.create(manual=True))["id"])
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id, kind="capture")
    shop.capture(intent_id)
    close_as(shop.operations(intent_id)[-1], Outcome.NOT_SENT)
    assert statuses(shop, intent_id)[-1] == ("capture", "NOT_SENT")
    assert shop.intent(intent_id).status == "AUTHORIZED"


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount_minor", 1_999), ("kind", "capture"), ("final", False), ("currency", "EUR")],
)
def test_postgresql_refuses_a_replacement_that_differs(
    shop: Shop, column: str, value: object
) -> None:
    move = Move(shop, "refund")
    lost = prove_unsent(shop, lose_on_the_way(move), move.intent_id)
    before = Operation.objects.count()
    other = replacement_of(lost)
    setattr(other, column, value)
    other.id, other.psp_key = public_ids.new_id(), "other"
    with pytest.raises(IntegrityError, match="replacement_differs"), transaction.atomic():
        other.save(force_insert=True)
    assert Operation.objects.count() == before


def test_postgresql_lets_a_refund_go_over_to_its_replacement_only(shop: Shop) -> None:
    move = Move(shop, "refund")
    lose_on_the_way(move)
    [refund] = shop.refunds(move.intent_id)
    other = Operation.objects.get(kind="authorize", intent_id=uuid_of(move.intent_id))
    refund.operation_id = other.id
    with pytest.raises(IntegrityError, match="refund_of_other_operation"), transaction.atomic():
        refund.save(update_fields=["operation_id"])
    refund.refresh_from_db()
    assert refund.operation_id != other.id
