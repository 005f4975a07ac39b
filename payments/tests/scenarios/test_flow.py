"""The life of a payment, through the commands, against the sandbox PSP."""

from __future__ import annotations

import pytest

from ledger.selectors import payment_vectors
from payments.exceptions import (
    AmountRefused,
    ChargeRefused,
    InvalidParameter,
    OrderAlreadyPaid,
    PendingAtBank,
    PspNotReached,
    ResourceMissing,
    UnexpectedState,
)
from payments.models import Event, IdempotencyKey, PaymentIntent
from payments.tests.support.shop import Shop, age_operations, body_of, uuid_of


def test_a_sale_takes_the_money_once_and_books_it(shop: Shop) -> None:
    answer = shop.create(10_000)
    intent = body_of(answer)

    assert (answer.status, intent["status"]) == (200, "succeeded")
    assert intent["amount_received"] == 10_000
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]
    [vector] = payment_vectors([uuid_of(intent["id"])])
    assert (vector.authorized.minor, vector.captured.minor, vector.held.minor) == (
        10_000,
        10_000,
        0,
    )
    assert list(Event.objects.order_by("seq").values_list("type", flat=True)) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_authorize_then_capture_in_part_releases_the_rest(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 10_000)

    captured = body_of(shop.capture(intent["id"], 6_000))

    assert (captured["status"], captured["amount_received"]) == ("succeeded", 6_000)
    [vector] = payment_vectors([uuid_of(intent["id"])])
    assert (vector.captured.minor, vector.released.minor, vector.held.minor) == (6_000, 4_000, 0)


def test_several_captures_until_a_final_one(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))

    first = body_of(shop.capture(intent["id"], 3_000, final=False))
    second = body_of(shop.capture(intent["id"], 2_000, final=False))
    last = body_of(shop.capture(intent["id"], 1_000))

    assert (first["status"], first["amount_capturable"]) == ("requires_capture", 7_000)
    assert (second["status"], second["amount_capturable"]) == ("requires_capture", 5_000)
    assert (last["status"], last["amount_received"]) == ("succeeded", 6_000)
    assert [e["amount_minor"] for e in shop.effects("capture")] == [3_000, 2_000, 1_000]


def test_capturing_all_that_is_left_ends_the_payment_even_if_not_final(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    assert body_of(shop.capture(intent["id"], 10_000, final=False))["status"] == "succeeded"


def test_capturing_more_than_is_held_is_refused_and_writes_nothing(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    with pytest.raises(AmountRefused) as refusal:
        shop.capture(intent["id"], 10_001)
    assert refusal.value.param == "amount_to_capture"
    assert len(shop.operations(intent["id"])) == 1
    assert shop.intent(intent["id"]).status == "AUTHORIZED"
    assert shop.effects("capture") == []


def test_an_increment_raises_amount_and_authorization(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    raised = body_of(shop.increment(intent["id"], 12_500))
    assert (raised["amount"], raised["amount_capturable"]) == (12_500, 12_500)
    assert body_of(shop.capture(intent["id"]))["amount_received"] == 12_500


def test_an_increment_must_raise(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    with pytest.raises(AmountRefused):
        shop.increment(intent["id"], 10_000)
    assert len(shop.operations(intent["id"])) == 1


def test_canceling_an_authorization_voids_it_at_the_psp(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    canceled = body_of(shop.cancel(intent["id"]))
    assert (canceled["status"], canceled["amount_capturable"]) == ("canceled", 0)
    assert [e["kind"] for e in shop.effects()] == ["authorize", "void"]
    [vector] = payment_vectors([uuid_of(intent["id"])])
    assert (vector.released.minor, vector.held.minor) == (10_000, 0)


def test_canceling_before_any_charge_calls_no_psp(shop: Shop) -> None:
    intent = body_of(shop.create(confirm=False))
    assert body_of(shop.cancel(intent["id"]))["status"] == "canceled"
    assert shop.effects() == []
    with pytest.raises(UnexpectedState):
        shop.confirm(intent["id"])


def test_canceling_what_is_left_after_a_capture_keeps_what_was_captured(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    shop.capture(intent["id"], 4_000, final=False)
    canceled = body_of(shop.cancel(intent["id"]))
    assert (canceled["status"], canceled["amount_received"]) == ("succeeded", 4_000)
    [vector] = payment_vectors([uuid_of(intent["id"])])
    assert (vector.captured.minor, vector.released.minor) == (4_000, 6_000)


def test_refunds_in_part_and_in_full_until_nothing_is_left(shop: Shop) -> None:
    intent = body_of(shop.create(10_000))

    first = body_of(shop.refund(intent["id"], 2_500))
    assert (first["status"], first["amount"]) == ("succeeded", 2_500)
    assert shop.intent(intent["id"]).status == "PARTIALLY_REFUNDED"
    shop.refund(intent["id"], 2_500)
    rest = body_of(shop.refund(intent["id"]))
    assert rest["amount"] == 5_000
    assert shop.intent(intent["id"]).status == "REFUNDED"
    with pytest.raises(ChargeRefused) as refusal:
        shop.refund(intent["id"], 1)
    assert refusal.value.code == "charge_already_refunded"
    assert [e["amount_minor"] for e in shop.effects("refund")] == [2_500, 2_500, 5_000]
    [vector] = payment_vectors([uuid_of(intent["id"])])
    assert vector.refunded.minor == 10_000


def test_a_refund_between_two_captures_shows_when_the_last_capture_is_done(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    shop.capture(intent["id"], 4_000, final=False)
    shop.refund(intent["id"], 1_000)
    assert shop.intent(intent["id"]).status == "AUTHORIZED"

    shop.capture(intent["id"], 1_000)

    row = shop.intent(intent["id"])
    assert (row.status, row.amount_captured_minor, row.amount_refunded_minor) == (
        "PARTIALLY_REFUNDED",
        5_000,
        1_000,
    )


def test_refunding_more_than_is_left_is_refused_and_writes_nothing(shop: Shop) -> None:
    intent = body_of(shop.create(10_000))
    with pytest.raises(AmountRefused):
        shop.refund(intent["id"], 10_001)
    assert shop.refunds(intent["id"]) == []
    assert shop.intent(intent["id"]).amount_refund_pending_minor == 0


def test_a_declined_payment_can_be_tried_again_with_another_method(shop: Shop) -> None:
    declined = shop.create(token="pm_card_visa_chargeDeclinedInsufficientFunds")
    body = body_of(declined)
    assert declined.status == 402
    assert body["error"] == {"code": "card_declined", "decline_code": "insufficient_funds"}
    intent_id = body["payment_intent"]["id"]
    assert body["payment_intent"]["status"] == "requires_payment_method"
    assert shop.effects() == []

    assert body_of(shop.confirm(intent_id, token="pm_card_visa"))["status"] == "succeeded"
    assert [o.status for o in shop.operations(intent_id)] == ["DECLINED", "SUCCEEDED"]
    assert len(shop.effects("capture")) == 1


def test_a_confirm_without_any_method_is_refused(shop: Shop) -> None:
    intent = body_of(shop.create(confirm=False, token=""))
    with pytest.raises(InvalidParameter) as refusal:
        shop.confirm(intent["id"])
    assert refusal.value.param == "payment_method"
    assert shop.operations(intent["id"]) == []


def test_a_completed_challenge_is_found_by_a_look_up(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_card_threeDSecure2Required"))
    assert intent["status"] == "requires_action"
    url = intent["next_action"]["redirect_to_url"]["url"]
    assert shop.effects() == []

    shop.psp.complete_challenge(url)
    shop.settle()

    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]


def test_a_failed_challenge_frees_the_intent_for_another_method(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_card_threeDSecure2Required"))
    shop.psp.complete_challenge(intent["next_action"]["redirect_to_url"]["url"], fail=True)
    shop.settle()
    assert shop.intent(intent["id"]).status == "FAILED"
    assert body_of(shop.confirm(intent["id"], token="pm_card_visa"))["status"] == "succeeded"


def test_canceling_a_challenge_prevents_its_completion(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_card_threeDSecure2Required"))
    assert body_of(shop.cancel(intent["id"]))["status"] == "canceled"
    assert [o.status for o in shop.operations(intent["id"])] == ["CANCELED", "SUCCEEDED"]
    assert shop.effects() == []


def test_a_bank_debit_stays_processing_until_the_bank_confirms_it(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_bankDebit_success"))
    assert intent["status"] == "processing"
    with pytest.raises(PendingAtBank):
        shop.cancel(intent["id"])

    shop.psp.advance(60)
    shop.settle()

    assert shop.intent(intent["id"]).status == "CAPTURED"


def test_a_bank_debit_that_fails_frees_the_intent(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_bankDebit_fail"))
    shop.psp.advance(60)
    shop.settle()
    assert shop.intent(intent["id"]).status == "FAILED"


def test_a_pending_refund_is_reserved_and_booked_once(shop: Shop) -> None:
    intent = body_of(shop.create(token="pm_card_pendingRefund"))
    refund = body_of(shop.refund(intent["id"], 4_000))
    assert refund["status"] == "pending"
    row = shop.intent(intent["id"])
    assert (row.amount_refund_pending_minor, row.amount_refunded_minor) == (4_000, 0)

    shop.psp.advance(60)
    shop.settle()

    row = shop.intent(intent["id"])
    assert (row.amount_refund_pending_minor, row.amount_refunded_minor) == (0, 4_000)
    [vector] = payment_vectors([row.id])
    assert vector.refunded.minor == 4_000


def test_an_order_is_charged_once_until_its_payment_is_refunded_or_canceled(shop: Shop) -> None:
    first = body_of(shop.create(manual=True))
    with pytest.raises(OrderAlreadyPaid) as refusal:
        shop.create(manual=True)
    assert first["id"] in refusal.value.message
    assert PaymentIntent.objects.count() == 1

    shop.cancel(first["id"])
    second = body_of(shop.create())
    assert second["status"] == "succeeded"
    shop.refund(second["id"])
    assert body_of(shop.create())["status"] == "succeeded"


def test_the_order_guard_can_be_turned_off(shop: Shop) -> None:
    shop.merchant.order_guard = False
    shop.merchant.save()
    assert body_of(shop.create())["status"] == "succeeded"
    assert body_of(shop.create())["status"] == "succeeded"


def test_another_merchants_payment_does_not_exist(shop: Shop, other_shop: Shop) -> None:
    intent = body_of(shop.create(manual=True))
    for attempt in (other_shop.capture, other_shop.cancel, other_shop.refund):
        with pytest.raises(ResourceMissing):
            attempt(intent["id"])
    assert shop.intent(intent["id"]).status == "AUTHORIZED"


def test_an_unreachable_psp_moves_no_money_and_the_repeat_makes_no_second_intent(
    shop: Shop,
) -> None:
    caller = shop.caller(key="once")
    shop.psp.script({"rate_limit": True}, times=None, order_id=shop.order_id, kind="authorize")
    with pytest.raises(PspNotReached):
        shop.create(caller=caller)
    assert shop.effects() == []
    row = PaymentIntent.objects.get()
    assert row.status == "INITIATED"

    shop.psp.heal()
    answer = body_of(shop.create(caller=caller))

    assert (answer["id"], answer["status"]) == (row.public_id, "succeeded")
    assert PaymentIntent.objects.count() == 1
    assert IdempotencyKey.objects.get().answer_status == 200
    assert len(shop.effects("capture")) == 1


def test_a_refund_that_was_not_sent_releases_its_reservation(shop: Shop) -> None:
    intent = body_of(shop.create())
    shop.psp.script({"rate_limit": True}, times=None, kind="refund")
    with pytest.raises(PspNotReached):
        shop.refund(intent["id"], 4_000)
    row = shop.intent(intent["id"])
    assert (row.amount_refund_pending_minor, row.amount_refunded_minor) == (0, 0)
    assert [r.status for r in shop.refunds(intent["id"])] == ["canceled"]


@pytest.mark.parametrize("fault", ["error_after", "drop_after", "truncate"])
def test_a_charge_whose_answer_was_lost_is_processing_and_then_found(
    shop: Shop, fault: str
) -> None:
    shop.psp.script({fault: True}, order_id=shop.order_id)
    intent = body_of(shop.create())
    assert intent["status"] == "processing"
    assert shop.operations(intent["id"])[0].status == "UNKNOWN"

    shop.settle()

    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]


@pytest.mark.parametrize("fault", ["error_before", "drop_before"])
def test_a_charge_that_never_reached_the_psp_is_repeated_with_the_same_key_while_young(
    shop: Shop, fault: str
) -> None:
    shop.psp.script({fault: True}, order_id=shop.order_id)
    intent = body_of(shop.create())
    assert intent["status"] == "processing"
    assert shop.effects() == []

    shop.settle()

    assert shop.intent(intent["id"]).status == "CAPTURED"
    calls = shop.psp.calls(order_id=shop.order_id, kind="authorize")
    assert len({call["idempotency_key"] for call in calls}) == 1
    assert len(shop.effects("capture")) == 1


def test_an_old_charge_that_never_reached_the_psp_is_fenced_and_fails(shop: Shop) -> None:
    shop.psp.script({"drop_before": True}, order_id=shop.order_id)
    caller = shop.caller(key="once")
    intent = body_of(shop.create(caller=caller))
    assert intent["status"] == "processing"
    age_operations(intent["id"], seconds=61)

    shop.settle()

    row = shop.intent(intent["id"])
    assert (row.status, shop.operations(intent["id"])[0].status) == ("FAILED", "NOT_SENT")
    assert shop.effects() == []
    assert Event.objects.filter(type="payment_intent.payment_failed").count() == 1


def test_a_repeat_that_was_not_sent_does_not_close_an_unknown_charge(shop: Shop) -> None:
    """The charge was made; the PSP does not find it yet, and rate-limits the repeat."""
    shop.psp.set_behavior(not_found_lag_seconds=600)
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    intent = body_of(shop.create())
    shop.psp.script({"rate_limit": True}, kind="authorize")

    shop.settle()

    assert [o.status for o in shop.operations(intent["id"])] == ["UNKNOWN"]
    assert shop.intent(intent["id"]).status == "PROCESSING"
    shop.psp.heal()
    shop.settle()
    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert len(shop.effects("capture")) == 1
