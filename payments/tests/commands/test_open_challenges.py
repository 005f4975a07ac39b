"""Another payment method replaces an open challenge: one charge in the end, in any order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError

from ledger.database.statements import Batch
from payments.exceptions import InvalidParameter, OperationUnderWay, PspNotReached, UnexpectedState
from payments.models import Operation, PaymentMethod
from payments.public_ids import new_id
from payments.services.commands import run
from payments.services.operations import execution
from payments.services.psp_gateway import sending
from payments.tests.scenarios.test_races import answers_of, at_once, codes_of
from payments.tests.support.api_client import api_of
from payments.tests.support.crashes import Where, crash_at
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    confirm_late_outcomes,
    events,
    reference,
    statuses,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.money_moves import end_leases
from payments.tests.support.shop import Shop, body_of

CHALLENGED = "pm_card_authenticationRequired"
ONE_SALE = [("authorize", 10_000), ("capture", 10_000)]


def challenged(shop: Shop, *, manual: bool = False) -> dict[str, Any]:
    intent = body_of(shop.create(token=CHALLENGED, manual=manual))
    assert intent["status"] == "requires_action"
    return intent


def complete(shop: Shop, intent: dict[str, Any], *, fail: bool = False) -> None:
    url = intent["next_action"]["redirect_to_url"]["url"]
    shop.psp.complete_challenge(url, fail=fail)


def effects(shop: Shop) -> list[tuple[str, int]]:
    return [(each["kind"], each["amount_minor"]) for each in shop.effects()]


def test_another_method_ends_the_challenge_and_is_charged_once(shop: Shop) -> None:
    intent = challenged(shop)
    api, key = api_of(shop), "replace"
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    answer = api.post(path, key=key, payment_method="pm_card_visa")

    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert answer.body["next_action"] is None
    assert answer.body["latest_charge"] != intent["latest_charge"]
    assert statuses(shop, intent["id"]) == [
        ("authorize", "CANCELED"),
        ("void", "SUCCEEDED"),
        ("authorize", "SUCCEEDED"),
    ]
    assert api.get(f"/v1/charges/{intent['latest_charge']}").body["status"] == "failed"
    assert effects(shop) == ONE_SALE
    assert events(intent["id"]) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.updated",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    assert api.post(path, key=key, payment_method="pm_card_visa").body == answer.body
    again = api.post(path, payment_method="pm_card_mastercard")
    assert again.error["code"] == "payment_intent_unexpected_state"
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


def test_a_second_challenge_replaces_the_first_and_is_replayed_without_ending_it(
    shop: Shop,
) -> None:
    first, caller = challenged(shop), shop.caller(key="k")
    answer = shop.confirm(first["id"], token="pm_card_threeDSecure2Required", caller=caller)
    second = body_of(answer)
    assert second["status"] == "requires_action"
    assert second["next_action"] != first["next_action"]
    again = shop.confirm(first["id"], token="pm_card_threeDSecure2Required", caller=caller)
    assert (again.body, again.replayed) == (answer.body, True)
    complete(shop, second)
    sync_as_notified(shop.operations(first["id"])[-1])
    assert shop.intent(first["id"]).status == "CAPTURED"
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


@pytest.mark.parametrize("token", ["", CHALLENGED])
def test_without_another_method_the_challenge_stays(shop: Shop, token: str) -> None:
    intent = challenged(shop)
    methods = PaymentMethod.objects.count()
    with pytest.raises(UnexpectedState, match="pass another payment_method") as refusal:
        shop.confirm(intent["id"], token=token)
    assert refusal.value.intent.public_id == intent["id"]
    assert statuses(shop, intent["id"]) == [("authorize", "REQUIRES_ACTION")]
    assert PaymentMethod.objects.count() == methods


def test_an_update_says_that_another_method_is_to_be_confirmed(shop: Shop) -> None:
    intent = challenged(shop)
    reply = api_of(shop).post(f"/v1/payment_intents/{intent['id']}", payment_method="pm_card_visa")
    assert (reply.status, reply.error["code"]) == (400, "payment_intent_unexpected_state")
    assert "confirm with it" in reply.error["message"]
    assert shop.intent(intent["id"]).status == "REQUIRES_ACTION"


@pytest.mark.parametrize(
    ("manual", "token"), [(True, "pm_bankDebit_success"), (False, "pm_ideal_success")]
)
def test_a_method_that_cannot_be_used_leaves_the_challenge_open(
    shop: Shop, manual: bool, token: str
) -> None:
    intent = challenged(shop, manual=manual)
    with pytest.raises(InvalidParameter):
        shop.confirm(intent["id"], token=token)
    assert statuses(shop, intent["id"]) == [("authorize", "REQUIRES_ACTION")]


def test_a_declined_replacement_leaves_a_payment_that_can_be_tried_again(shop: Shop) -> None:
    intent = challenged(shop)
    declined = shop.confirm(intent["id"], token="pm_card_visa_chargeDeclined")
    assert declined.status == 402
    assert body_of(shop.confirm(intent["id"], token="pm_card_visa"))["status"] == "succeeded"
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


def test_a_completed_challenge_of_which_we_know_nothing_yet_is_not_voided(shop: Shop) -> None:
    intent = challenged(shop, manual=True)
    complete(shop, intent)
    with pytest.raises(UnexpectedState, match="requires_capture"):
        shop.confirm(intent["id"], token="pm_card_visa")
    assert effects(shop) == ONE_SALE[:1]
    assert_the_books_agree()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize(
    ("manual", "fail", "notified", "status", "kinds"),
    [
        (False, False, True, "CAPTURED", ["authorize", "capture"]),
        (False, False, False, "CAPTURED", ["authorize", "capture"]),
        (True, False, True, "CANCELED", ["authorize", "void"]),
        (True, False, False, "CANCELED", ["authorize", "void"]),
        (False, True, True, "CAPTURED", ["authorize", "capture"]),
    ],
)
def test_a_customer_who_answers_while_the_void_is_sent_is_charged_once_at_most(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    manual: bool,
    fail: bool,
    notified: bool,
    status: str,
    kinds: list[str],
) -> None:
    intent = challenged(shop, manual=manual)
    real = sending.send

    def send(operation: Operation, **how: Any) -> Any:
        monkeypatch.setattr(sending, "send", real)
        complete(shop, intent, fail=fail)
        if notified:
            sync_as_notified(shop.operations(intent["id"])[0])
        return real(operation, **how)

    monkeypatch.setattr(sending, "send", send)
    if fail:  # Nothing is open then, and the other method is charged.
        assert body_of(shop.confirm(intent["id"], token="pm_card_visa"))["status"] == "succeeded"
    else:
        with pytest.raises((UnexpectedState, OperationUnderWay)):
            shop.confirm(intent["id"], token="pm_card_visa")
    shop.settle()
    assert [kind for kind, _ in effects(shop)] == kinds
    assert shop.intent(intent["id"]).status == status
    assert_the_books_agree()


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize(
    ("fault", "repeated"), [("drop_after", True), ("drop_before", False), ("rate_limit", True)]
)
def test_nothing_is_charged_while_the_end_of_the_challenge_is_unknown(
    shop: Shop, fault: str, repeated: bool
) -> None:
    intent, caller = challenged(shop), shop.caller(key="k")
    shop.psp.script({fault: True}, kind="void")
    hurried = replace(caller, answer_by_monotonic=time.monotonic() + 0.3)
    with pytest.raises((OperationUnderWay, PspNotReached), match=r"nothing was (charged|sent)"):
        shop.confirm(intent["id"], token="pm_card_visa", caller=hurried)
    assert effects(shop) == []
    assert_the_books_agree()
    shop.psp.heal()
    end_leases()
    if repeated:
        answer = shop.confirm(intent["id"], token="pm_card_visa", caller=caller)
        assert body_of(answer)["status"] == "succeeded"
        assert effects(shop) == ONE_SALE
    else:
        shop.settle()
        row = shop.intent(intent["id"])
        assert row.status == "INITIATED"
        assert body_of(shop.cancel(intent["id"]))["status"] == "canceled"
    assert_the_books_agree()


def test_a_challenge_that_the_psp_does_not_end_stays_and_says_so(shop: Shop) -> None:
    intent = challenged(shop)
    shop.psp.script({"decline": {"code": "processing_error"}}, kind="void")
    with pytest.raises(UnexpectedState, match="did not end the open attempt"):
        shop.confirm(intent["id"], token="pm_card_visa")
    assert shop.intent(intent["id"]).status == "REQUIRES_ACTION"
    complete(shop, intent)
    sync_as_notified(shop.operations(intent["id"])[0])
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize(
    "where",
    [
        (execution, "execute", "before"),
        (sending, "send", "after"),
        (run, "end_challenge", "after"),
    ],
    ids=lambda where: " ".join(map(str, where[1:])),
)
def test_a_repeat_after_a_crash_ends_in_one_charge(shop: Shop, where: Where) -> None:
    intent, caller = challenged(shop), shop.caller(key="k")

    def confirm() -> Any:
        return shop.confirm(intent["id"], token="pm_card_visa", caller=caller)

    crash_at(where, confirm)
    assert_the_books_agree()
    end_leases()
    answer = confirm()
    assert body_of(answer)["status"] == "succeeded"
    assert confirm().body == answer.body
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


def test_concurrent_replacements_charge_once(shop: Shop) -> None:
    intent = challenged(shop)
    results = at_once(4, lambda _: shop.confirm(intent["id"], token="pm_card_visa"))
    assert [a["status"] for a in answers_of(results)] == ["succeeded"]
    assert codes_of(results) <= {"lock_timeout", "payment_intent_unexpected_state"}
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


def replaced(shop: Shop, intent_id: str) -> None:
    shop.confirm(intent_id, token="pm_card_visa")


def crashed_before_the_charge(shop: Shop, intent_id: str) -> None:
    crash_at((run, "end_challenge", "after"), lambda: replaced(shop, intent_id))


@pytest.mark.parametrize("late_first", [True, False])
def test_a_replaced_attempt_that_succeeds_after_all_is_given_back(
    shop: Shop, late_first: bool
) -> None:
    """Before the new charge begins, it is the payment's own; after that it is a duplicate."""
    intent_id = challenged(shop)["id"]
    begin: Callable[[Shop, str], None] = crashed_before_the_charge if late_first else replaced
    begin(shop, intent_id)
    old = shop.operations(intent_id)[0]
    shop.psp.revise(reference(old), "succeed")
    sync_as_notified(old)
    if late_first:
        with pytest.raises((UnexpectedState, OperationUnderWay)):
            replaced(shop, intent_id)
    assert_the_books_agree()
    sweep_reversals()
    confirm_late_outcomes()
    sums = {kind: sum(m for k, m in effects(shop) if k == kind) for kind, _ in effects(shop)}
    kept_minor = sums["capture"] - sums.get("refund", 0)
    assert kept_minor == (0 if late_first else 10_000)
    assert cases() == ["late_success"]
    assert_the_books_agree()


def test_postgresql_lets_only_a_void_of_a_charge_end_a_challenge(shop: Shop) -> None:
    charge = shop.operations(challenged(shop)["id"])[0]
    for kind, charge_id in (("capture", charge.id), ("void", None)):
        wrong = Operation.objects.get(pk=charge.id)
        wrong.id, wrong.psp_key, wrong.psp_id = new_id(), f"{kind} of {charge.id.hex}", ""
        wrong.kind, wrong.charge_id, wrong.ends_challenge = kind, charge_id, True
        wrong.__dict__["status"] = "SENDING"
        with pytest.raises(IntegrityError, match="operation_ends_challenge_by_void"):
            Batch().insert(wrong).execute()
    assert Operation.objects.count() == 1
