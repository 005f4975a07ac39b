"""A PSP that keeps a 5xx as the answer of its key cannot hold a payment in doubt."""

from __future__ import annotations

from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, age_operations, body_of

FAILS_FOR_EVER = {"error_before": 1, "cache_errors": 1}


def test_a_capture_whose_key_answers_500_for_ever_is_forbidden_at_the_third_look(
    shop: Shop,
) -> None:
    intent_id = body_of(shop.create(manual=True))["id"]
    shop.psp.script(FAILS_FOR_EVER, order_id=shop.order_id, kind="capture")
    shop.capture(intent_id)
    looks = 0
    while shop.operations(intent_id)[-1].fenced_at is None:
        looks += 1
        assert looks < 4, "still allowed"
        shop.settle()

    assert looks == 3
    assert shop.intent(intent_id).status == "PROCESSING", "it may be there unseen"
    age_operations(intent_id, seconds=23)
    shop.settle()
    capture = shop.operations(intent_id)[-1]
    assert (capture.kind, capture.status) == ("capture", "NOT_SENT")
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert [each["kind"] for each in shop.effects()] == ["authorize"]
    assert list(differences()) == []
    again = body_of(shop.capture(intent_id))
    assert again["status"] == "succeeded"
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]


def test_a_charge_that_happened_behind_a_kept_500_is_found_and_not_fenced(shop: Shop) -> None:
    shop.psp.script({"error_after": 1, "cache_errors": 1}, order_id=shop.order_id)
    intent_id = body_of(shop.create())["id"]
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]
    assert list(differences()) == []


def test_after_an_outage_the_same_key_is_still_repeated(shop: Shop) -> None:
    shop.psp.set_behavior(down=1, kinds=["authorize", "look_up", "fence"])
    intent_id = body_of(shop.create())["id"]
    for _ in range(3):
        shop.settle()
    assert shop.intent(intent_id).status == "PROCESSING"
    shop.psp.heal()
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    calls = [each for each in shop.psp.calls(kind="authorize") if each["order_id"] == shop.order_id]
    assert len({each["idempotency_key"] for each in calls}) == 1
    assert list(differences()) == []
