"""Lost answers, crashes and absent customers: a setup is found out, and its card kept once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings

from payments.api.renderers import render_setup_intent
from payments.models import Case, Customer, Event, Mandate, PaymentMethod, SetupAttempt, SetupIntent
from payments.services.callers.caller import Answer, CommandRequest
from payments.services.commands.setups.intents import SetupDetails, confirm_setup_intent
from payments.services.operations import setups as setup_execution
from payments.services.psp_gateway import setup_calls
from payments.services.recovery import setups as recovery
from payments.tests.scenarios.test_races import answers_of, at_once, codes_of
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import credentials_of
from payments.tests.support.shop import Shop, answered, uuid_of
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.setups import SetupResult

PATH = "/v1/setup_intents"
CHALLENGED = "pm_card_threeDSecure2Required"


@pytest.fixture
def api(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> ApiClient:
    monkeypatch.setattr(settings, "PSP_BREAKERS", False)  # answers are lost by a PSP that is well
    return api_of(shop)


def set_up(api: ApiClient, token: str = "pm_card_visa", **more: Any) -> Reply:
    return api.post(PATH, payment_method=token, confirm=True, **more)


def lose(shop: Shop, fault: str, times: int = 1) -> None:
    api_key = credentials_of(shop.account)["api_key"]
    shop.psp.script({fault: 1}, kind="setup", times=times, api_key=api_key)


def end_leases(owner: psycopg.Cursor[Any], *, age_seconds: int = 0) -> None:
    """The attempt is due, and as old as that."""
    SetupAttempt.objects.filter(closed_at=None).update(
        lease_until="2000-01-01T00:00:00Z", next_check_at="2000-01-01T00:00:00Z"
    )
    with_triggers = "ALTER TABLE payments_setup_attempt {} TRIGGER permanent_columns"
    owner.execute(with_triggers.format("DISABLE"))
    owner.execute(
        "UPDATE payments_setup_attempt SET created_at = created_at - %s",
        [timedelta(seconds=age_seconds)],
    )
    owner.execute(with_triggers.format("ENABLE"))


def executed(shop: Shop) -> int:
    reference = SetupAttempt.objects.get().public_id
    calls = shop.psp.calls(kind="setup", reference=reference)
    return sum(call["executed"] for call in calls)


@pytest.mark.matrix
@pytest.mark.parametrize("fault", ["drop_after", "error_after", "truncate", "error_before"])
def test_a_setup_whose_answer_was_lost_is_found_out_and_made_once(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any], fault: str
) -> None:
    customer = api.post("/v1/customers").body["id"]
    lose(shop, fault)
    answer = set_up(api, key="once", customer=customer)
    assert (answer.status, answer.body["status"]) == (200, "processing")
    assert api.post(f"{PATH}/{answer.body['id']}/cancel").status == 429
    end_leases(owner_cursor)
    assert recovery.resolve_due_setups() == 1
    setup = api.get(f"{PATH}/{answer.body['id']}").body
    assert (setup["status"], executed(shop)) == ("succeeded", 1)
    assert PaymentMethod.objects.get().customer_id is not None
    assert set_up(api, key="once", customer=customer).body == answer.body, "the first is final"
    assert recovery.resolve_due_setups() == 0
    types = list(Event.objects.order_by("id").values_list("type", flat=True))
    assert types.count("setup_intent.succeeded") == types.count("payment_method.attached") == 1


def test_a_setup_that_never_arrived_is_repeated_for_a_minute_and_fails_after_that(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    lose(shop, "error_before", times=2)
    setup = set_up(api).body
    end_leases(owner_cursor)
    recovery.resolve_due_setups()
    assert SetupAttempt.objects.get().status == "UNKNOWN", "the repeat was lost as well"
    end_leases(owner_cursor, age_seconds=3600)
    recovery.resolve_due_setups()
    shown = api.get(f"{PATH}/{setup['id']}").body
    assert (shown["status"], executed(shop)) == ("requires_payment_method", 0)
    assert shown["last_setup_error"]["code"] == "processing_error"
    assert Event.objects.latest("id").type == "setup_intent.setup_failed"
    again = api.post(f"{PATH}/{setup['id']}/confirm", payment_method="pm_card_visa")
    assert again.body["status"] == "succeeded"


@pytest.mark.parametrize(
    ("fault", "status"), [("drop_after", "active"), ("error_before", "inactive")]
)
def test_a_mandate_follows_the_setup_whose_answer_was_lost(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any], fault: str, status: str
) -> None:
    accepted = {"customer_acceptance": {"type": "offline"}}
    lose(shop, fault)
    setup = set_up(api, "pm_sepaDebit_success", mandate_data=accepted).body
    assert (setup["mandate"], Mandate.objects.get().status) == (None, "pending")
    end_leases(owner_cursor, age_seconds=3600)
    recovery.resolve_due_setups()
    mandate = Mandate.objects.get()
    named = api.get(f"{PATH}/{setup['id']}").body["mandate"]
    assert (mandate.status, named) == (status, mandate.public_id if status == "active" else None)


def test_confirmations_at_once_verify_the_card_once(shop: Shop, api: ApiClient) -> None:
    setup_id = uuid_of(api.post(PATH, payment_method="pm_card_visa").body["id"])

    def confirm(_: int) -> Answer:
        request = CommandRequest(shop.caller(), render=render_setup_intent)
        confirmed = confirm_setup_intent(request, setup_intent_id=setup_id, details=SetupDetails())
        return answered(confirmed)

    results = at_once(4, confirm)
    assert [each["status"] for each in answers_of(results)] == ["succeeded"]
    assert codes_of(results) <= {"lock_timeout", "setup_intent_unexpected_state"}
    assert executed(shop) == 1


def test_what_was_certainly_not_sent_may_be_repeated_with_the_same_key(
    shop: Shop, api: ApiClient
) -> None:
    lose(shop, "rate_limit", times=5)
    answer = set_up(api, key="once")
    assert (answer.status, answer.error["code"]) == (503, "psp_unavailable")
    assert SetupIntent.objects.get().status == "requires_confirmation"
    shop.psp.heal()
    again = set_up(api, key="once").body
    assert again["status"] == "succeeded"
    assert SetupIntent.objects.count() == PaymentMethod.objects.count() == 1


def test_a_request_that_was_cut_off_goes_on_with_what_it_wrote(
    shop: Shop,
    api: ApiClient,
    owner_cursor: psycopg.Cursor[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: Any, **__: Any) -> SetupResult:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(setup_execution, "record_setup", killed)
        with pytest.raises(KeyboardInterrupt):
            set_up(api, key="once")
    assert set_up(api, key="once").error["code"] == "idempotency_key_in_use"
    end_leases(owner_cursor)
    owner_cursor.execute("UPDATE payments_idempotency_key SET lease_until = now() - interval '1s'")
    answer = set_up(api, key="once").body
    assert (answer["status"], executed(shop)) == ("succeeded", 1)
    assert SetupIntent.objects.count() == SetupAttempt.objects.count() == 1


def test_a_customer_who_never_comes_back_ends_the_attempt(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    setup = set_up(api, CHALLENGED).body
    end_leases(owner_cursor)
    recovery.resolve_due_setups()
    assert SetupAttempt.objects.get().status == "REQUIRES_ACTION"
    end_leases(owner_cursor, age_seconds=25 * 3600)
    recovery.resolve_due_setups()
    shown = api.get(f"{PATH}/{setup['id']}").body
    assert shown["status"] == "requires_payment_method"
    assert shown["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    assert SetupAttempt.objects.get().status == "CANCELED"


def test_a_challenge_that_was_completed_is_found_without_the_customer(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    setup = set_up(api, CHALLENGED).body
    shop.psp.complete_challenge(setup["next_action"]["redirect_to_url"]["url"])
    end_leases(owner_cursor)
    assert recovery.resolve_due_setups() == 1
    assert api.get(f"{PATH}/{setup['id']}").body["status"] == "succeeded"


def test_a_setup_in_doubt_for_a_day_has_a_case(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    lose(shop, "drop_after")
    set_up(api)
    shop.psp.set_behavior(down=1)
    for _ in range(2):
        end_leases(owner_cursor, age_seconds=25 * 3600)
        recovery.resolve_due_setups()
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("outcome_unknown", SetupAttempt.objects.get().public_id)
    shop.psp.heal()
    end_leases(owner_cursor)
    recovery.resolve_due_setups()
    assert SetupIntent.objects.get().status == "succeeded"


def test_a_setup_whose_look_up_fails_unexpectedly_is_postponed_alone_and_has_a_case_too(
    shop: Shop,
    api: ApiClient,
    owner_cursor: psycopg.Cursor[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose(shop, "drop_after", times=2)
    broken, sound = (set_up(api).body["id"] for _ in range(2))
    end_leases(owner_cursor, age_seconds=25 * 3600)
    look_up = setup_calls.look_up

    def failing(attempt: SetupAttempt, **given: Any) -> SetupResult | None:
        if attempt.setup_intent_id == uuid_of(broken):
            raise ZeroDivisionError
        return look_up(attempt, **given)

    monkeypatch.setattr(setup_calls, "look_up", failing)
    assert recovery.resolve_due_setups() == 2
    assert api.get(f"{PATH}/{sound}").body["status"] == "succeeded"
    attempt = SetupAttempt.objects.get(setup_intent_id=uuid_of(broken))
    assert (attempt.status, attempt.detail) == ("UNKNOWN", "ZeroDivisionError: ")
    assert attempt.next_check_at is not None
    assert Case.objects.get().subject == attempt.public_id


def test_a_card_whose_customer_was_deleted_meanwhile_is_not_kept(
    shop: Shop, api: ApiClient, owner_cursor: psycopg.Cursor[Any]
) -> None:
    customer = api.post("/v1/customers").body["id"]
    setup = set_up(api, CHALLENGED, customer=customer).body
    api.delete(f"/v1/customers/{customer}")
    assert Customer.objects.get().deleted_at is not None
    shop.psp.complete_challenge(setup["next_action"]["redirect_to_url"]["url"])
    end_leases(owner_cursor)
    recovery.resolve_due_setups()
    shown = api.get(f"{PATH}/{setup['id']}").body
    assert shown["status"] == "requires_payment_method"
    assert shown["last_setup_error"]["code"] == "payment_method_unexpected_state"
    assert PaymentMethod.objects.get().customer_id is None
    assert SetupAttempt.objects.get().status == Outcome.SUCCEEDED.name
