"""A PSP that stores a 5xx as its answer to a key cannot keep an outcome unknown for ever."""

from __future__ import annotations

from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, age_operations, body_of

FAILS_FOR_EVER = {"error_before": 1, "cache_errors": 1}


def test_a_capture_whose_key_always_answers_500_is_fenced_at_the_third_check(
    shop: Shop,
) -> None:
    intent_id = body_of(shop.create(manual=True))["id"]
    shop.psp.script(FAILS_FOR_EVER, order_id=shop.order_id, kind="capture")
    shop.capture(intent_id)
    checks = 0
    while shop.operations(intent_id)[-1].fenced_at is None:
        checks += 1
        assert checks < 4, "not fenced yet"
        shop.settle()

    assert checks == 3
    assert shop.intent(intent_id).status == "PROCESSING", "within the PSP's look-up lag"
    age_operations(intent_id, seconds=23)
    shop.settle()
    capture = shop.operations(intent_id)[1]
    assert (capture.kind, capture.status) == ("capture", "NOT_SENT")
    assert [each["kind"] for each in shop.effects()] == ["authorize"]
    assert list(differences()) == []
    shop.settle()  # Its replacement has a key of its own.
    assert shop.intent(intent_id).status == "CAPTURED"
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]


def test_a_charge_made_behind_a_stored_500_is_found_and_not_fenced(shop: Shop) -> None:
    shop.psp.script({"error_after": 1, "cache_errors": 1}, order_id=shop.order_id)
    intent_id = body_of(shop.create())["id"]
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]
    assert list(differences()) == []


def test_recovery_repeats_the_same_key_after_an_outage(shop: Shop) -> None:
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
