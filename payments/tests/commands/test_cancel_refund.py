"""A refund is canceled only if it certainly has not been sent, also against a worker that sends."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from payments.clock import now_utc
from payments.models import Event, Operation, Refund
from payments.services import commands
from payments.services.callers.caller import CommandRequest
from payments.services.psp_gateway import sending
from payments.services.recovery import resolution
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.outcomes.test_replacement import (
    lose_on_the_way,
    prove_unsent,
    psp_out_of_reach,
    replacement_of,
)
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.crashes import crash
from payments.tests.support.money_moves import Move, end_leases
from payments.tests.support.shop import Shop, answered, body_of, render_refund
from psp_adapters.contract.operations import Outcome, PspResult


class Waiting:
    """A refund that never arrived at the PSP, and whose replacement waits to be sent."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.move = Move(shop, "refund")
        lost = lose_on_the_way(self.move)
        self.operation = replacement_of(prove_unsent(shop, lost, self.move.intent_id))
        [self.refund] = shop.refunds(self.move.intent_id)
        self.api = api_of(shop)

    def cancel(self) -> Reply:
        return cancel(self.api, self.refund)

    def resolve(self) -> None:
        recovery_sweep.resolve_operation(self.operation.id, actor="job:recovery")

    def status(self) -> str:
        self.refund.refresh_from_db()
        return str(self.refund.status)


@pytest.fixture
def waiting(shop: Shop) -> Waiting:
    return Waiting(shop)


def cancel(api: ApiClient, refund: Refund) -> Reply:
    return api.post(f"/v1/refunds/{refund.public_id}/cancel")


def written() -> Any:
    return (
        list(Refund.objects.values_list("id", "status", "updated_at")),
        list(Operation.objects.values_list("id", "status", "resent_at")),
        Event.objects.count(),
    )


def test_a_refund_that_waits_to_be_sent_is_canceled_and_never_made(waiting: Waiting) -> None:
    shop, intent_id = waiting.shop, waiting.move.intent_id
    with psp_out_of_reach(shop):
        shop.settle()  # Certainly not sent: it goes on waiting.
    before = Event.objects.count()
    reply = waiting.cancel()
    assert (reply.status, reply.body["status"]) == (200, "canceled")
    types = [event.type for event in Event.objects.order_by("id")][before:]
    assert types == ["refund.updated", "charge.refund.updated"]
    assert shop.intent(intent_id).unrefunded.minor == 10_000
    shop.settle()
    waiting.move.had_no_effect_yet()
    assert body_of(waiting.move.run())["status"] == "pending", "the first answer of its key stays"
    assert body_of(shop.refund(intent_id, 10_000))["status"] == "succeeded"
    assert [effect["amount_minor"] for effect in shop.effects("refund")] == [10_000]


def refused(api: ApiClient, refund: Refund, *, because: str) -> None:
    before = written()
    reply = cancel(api, refund)
    assert (reply.status, reply.error["code"]) == (400, "refund_not_cancelable"), reply.body
    assert because in reply.error["message"]
    assert written() == before


def test_a_refund_that_may_have_reached_the_psp_is_not_canceled(shop: Shop) -> None:
    api = api_of(shop)
    move = Move(shop, "refund")
    lose_on_the_way(move)
    [refund] = shop.refunds(move.intent_id)
    refused(api, refund, because="on its way to the payment provider")
    shop.order_id = "pending"
    paid = body_of(shop.create(token="pm_card_pendingRefund"))["id"]
    shop.refund(paid)
    refused(api, shop.refunds(paid)[0], because="has accepted it")
    shop.order_id = "done"
    paid = body_of(shop.create())["id"]
    shop.refund(paid)
    refused(api, shop.refunds(paid)[0], because="it is succeeded already")


def test_what_is_not_the_merchants_to_cancel_is_refused(
    waiting: Waiting, other_shop: Shop, owner_cursor: Any
) -> None:
    assert cancel(api_of(other_shop), waiting.refund).status == 404
    change = f"UPDATE payments_operation SET actor = %s WHERE id = '{waiting.operation.pk}'"
    owner_cursor.execute(change, ["job:late-success"])
    refused(waiting.api, waiting.refund, because="the platform returns a payment")
    owner_cursor.execute(change, ["test"])
    assert waiting.cancel().status == 200
    refused(waiting.api, waiting.refund, because="it is canceled already")


def test_a_refund_whose_request_has_no_answer_yet_is_not_canceled(shop: Shop) -> None:
    move = Move(shop, "refund")
    crash("before the PSP has it", move.run)
    end_leases()
    prove_unsent(shop, shop.operations(move.intent_id)[-1], move.intent_id)
    [refund] = shop.refunds(move.intent_id)
    refused(api_of(shop), refund, because="Repeat that request with its Idempotency-Key")
    move.run()
    move.ended_once()


def test_a_worker_does_not_send_what_was_canceled_after_it_took_it(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resolution.begin_sending

    def begin(operation: Operation) -> str | None:
        assert waiting.cancel().status == 200
        return real(operation)

    monkeypatch.setattr(resolution, "begin_sending", begin)
    waiting.resolve()
    assert waiting.status() == "canceled"
    waiting.move.had_no_effect_yet()
    repeated = resolution._repeat(waiting.operation)
    assert repeated.outcome is Outcome.UNKNOWN, "nor does one that was about to repeat it"
    waiting.move.had_no_effect_yet()


def test_what_a_worker_is_sending_is_not_canceled(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sending.send

    def send(operation: Operation, **how: float) -> PspResult:
        refused(waiting.api, waiting.refund, because="on its way to the payment provider")
        return real(operation, **how)

    monkeypatch.setattr(sending, "send", send)
    waiting.resolve()
    waiting.move.ended_once()
    assert waiting.status() == "succeeded"


def test_a_second_worker_does_not_make_a_sent_refund_look_unsent(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the refund before its lease ended, and finds the PSP out of reach."""
    real, late = sending.send, Operation.objects.get(pk=waiting.operation.pk)

    def send(operation: Operation, **how: float) -> PspResult:
        assert resolution.begin_sending(late) is None
        refused(waiting.api, waiting.refund, because="on its way to the payment provider")
        return real(operation, **how)

    monkeypatch.setattr(sending, "send", send)
    waiting.resolve()
    waiting.move.ended_once()


@pytest.mark.parametrize("attempt", range(2))
def test_a_cancel_that_races_the_worker_leaves_one_story(waiting: Waiting, attempt: int) -> None:
    shop = waiting.shop
    request = CommandRequest(shop.caller(), render=render_refund)

    def act(position: int) -> Any:
        if position:
            return answered(commands.cancel_refund(request, refund_id=waiting.refund.id))
        try:
            return waiting.resolve()
        finally:
            connections.close_all()

    at_once(2, act)
    shop.settle()
    effects = [effect["kind"] for effect in shop.effects("refund")]
    assert (waiting.status(), effects) in [("canceled", []), ("succeeded", ["refund"])]
    assert list(differences()) == []


def test_postgresql_refuses_to_send_a_closed_operation(waiting: Waiting) -> None:
    waiting.cancel()
    rows = Operation.objects.filter(pk=waiting.operation.pk)
    with pytest.raises(IntegrityError, match="closed_operation_sent"), transaction.atomic():
        rows.update(resent_at=now_utc())
    assert rows.get().resent_at is None
