"""A charge that certainly was not made goes on at the next account of its route, and only then."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from payments.exceptions import PspNotReached
from payments.models import Operation, PspAccount, RoutingDecision
from payments.services.commands import failover
from payments.services.psp_gateway import accounts
from payments.services.routing.rules import forget_rules
from payments.tests.support.factories import NOWHERE, credentials_of, set_credentials
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    events,
    reference,
    statuses,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.shop import Shop, another_account, body_of, fail_over

PAID_AT_THE_SECOND = [("authorize", "DECLINED"), ("authorize", "SUCCEEDED")]
TOLD = ["payment_intent.created", "charge.failed", "charge.succeeded", "payment_intent.succeeded"]
BUSY = {"code": "card_declined", "decline_code": "try_again_later", "message": "Try again later."}


@pytest.fixture(autouse=True)
def no_rules_afterwards() -> Iterator[None]:
    yield
    forget_rules()


@pytest.fixture
def second(shop: Shop) -> PspAccount:
    account = another_account(shop)
    fail_over(shop, account)
    return account


def decline_at(shop: Shop, account: PspAccount, **decline: str) -> None:
    """Let one charge at the account be declined."""
    key = credentials_of(account)["api_key"]
    shop.psp.script({"decline": BUSY | decline}, api_key=key, kind="authorize")


def cut_off(account: PspAccount) -> None:
    """Let nothing listen at the account's address."""
    set_credentials(account, base_url=NOWHERE)


def charges_made(shop: Shop) -> list[str]:
    return [each["kind"] for each in shop.effects()]


def decisions(shop: Shop) -> list[tuple[str, str]]:
    rows = RoutingDecision.objects.filter(merchant_id=shop.merchant.id).order_by("sequence")
    codes = {each.id: each.code for each in PspAccount.objects.all()}
    return [(codes[each.psp_account_id], each.reason) for each in rows]


def test_a_decline_that_is_not_the_cards_goes_on_at_the_next_account(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    answer = shop.create(caller=shop.caller(key="once", body="once"))
    intent_id = body_of(answer)["id"]

    intent = shop.intent(intent_id)
    first, charge = shop.operations(intent_id)
    assert (answer.status, body_of(answer)["status"], intent.status) == (
        200,
        "succeeded",
        "CAPTURED",
    )
    assert statuses(shop, intent_id) == PAID_AT_THE_SECOND
    assert (first.psp_account, charge.psp_account, intent.psp_account) == (
        shop.account,
        second,
        second,
    )
    assert (first.guard_order, charge.guard_order) == (None, shop.order_id)
    assert first.psp_key != charge.psp_key
    assert intent.payment_method is not None
    assert intent.payment_method.psp_account == second
    assert events(intent_id) == TOLD
    assert charges_made(shop) == ["authorize", "capture"]
    assert balances(intent_id, at=second) == {1100: 10_000}
    assert decisions(shop)[-1] == (second.code, "retriable_decline")
    repeat = shop.create(caller=shop.caller(key="once", body="once"))
    assert (repeat.body, repeat.replayed) == (answer.body, True)
    shop.refund(intent_id, 10_000)
    assert_the_books_agree()


def test_a_charge_that_was_not_sent_goes_on_at_the_next_account(
    shop: Shop, second: PspAccount
) -> None:
    intent_id = body_of(shop.create(confirm=False))["id"]
    cut_off(shop.account)
    answer = shop.confirm(intent_id)
    assert body_of(answer)["status"] == "succeeded"
    assert statuses(shop, intent_id) == [("authorize", "NOT_SENT"), ("authorize", "SUCCEEDED")]
    assert events(intent_id) == TOLD
    assert decisions(shop)[-1] == (second.code, "not_sent")
    assert_the_books_agree()


def test_a_method_that_its_psp_keeps_is_charged_at_its_account_alone(
    shop: Shop, second: PspAccount
) -> None:
    method = shop.intent(body_of(shop.create())["id"]).payment_method
    assert method is not None
    method.stored_token = "pm_card_mastercard"
    method.save(update_fields=["stored_token"])
    decline_at(shop, shop.account)
    answer = shop.create(token=method.public_id, order_id=f"{shop.order_id}-later")
    assert answer.status == 402
    [only] = Operation.objects.filter(psp_account__in=(shop.account, second), status="DECLINED")
    assert (only.psp_account, only.token) == (shop.account, "pm_card_mastercard")


@pytest.mark.parametrize(
    "said", ["generic_decline", "do_not_honor", "fraudulent", "stolen_card", "never_seen_before"]
)
def test_a_hard_decline_is_final(shop: Shop, second: PspAccount, said: str) -> None:
    decline_at(shop, shop.account, decline_code=said)
    answer = shop.create()
    intent_id = body_of(answer)["payment_intent"]["id"]
    assert (answer.status, statuses(shop, intent_id)) == (402, [("authorize", "DECLINED")])
    assert shop.intent(intent_id).psp_account == shop.account
    assert events(intent_id)[-2:] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize("behavior", ["drop_before", "drop_after", "error_before", "error_after"])
def test_an_unknown_outcome_is_never_charged_elsewhere(
    shop: Shop, second: PspAccount, behavior: str
) -> None:
    key = credentials_of(shop.account)["api_key"]
    shop.psp.script({behavior: 1}, api_key=key, kind="authorize")
    intent_id = body_of(shop.create())["id"]
    assert statuses(shop, intent_id) == [("authorize", "UNKNOWN")]
    shop.psp.script({"decline": BUSY}, api_key=key, kind="authorize")
    shop.settle()
    [charge] = shop.operations(intent_id)
    assert charge.status in ("SUCCEEDED", "DECLINED")
    assert not Operation.objects.filter(psp_account=second).exists()
    assert_the_books_agree()


def test_at_most_three_accounts_are_tried_and_only_the_end_is_told(shop: Shop) -> None:
    others = [another_account(shop) for _ in range(3)]
    fail_over(shop, *others)
    for each in (shop.account, *others):
        decline_at(shop, each)
    answer = shop.create()
    intent_id = body_of(answer)["payment_intent"]["id"]
    assert answer.status == 402
    assert body_of(answer)["error"]["decline_code"] == "try_again_later"
    assert statuses(shop, intent_id) == [("authorize", "DECLINED")] * 3
    failed = ["charge.failed"] * 3
    assert events(intent_id) == [
        "payment_intent.created",
        *failed,
        "payment_intent.payment_failed",
    ]
    assert shop.intent(intent_id).psp_account == others[1]
    assert body_of(shop.create())["status"] == "succeeded", "the order is free again"
    assert_the_books_agree()


def test_no_further_account_is_tried_when_the_requests_time_is_nearly_over(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    soon = time.monotonic() + failover.ATTEMPT_SECONDS - 0.1
    answer = shop.create(caller=shop.caller(answer_by_monotonic=soon))
    assert answer.status == 402
    assert not Operation.objects.filter(psp_account=second).exists()


def test_a_request_that_reached_no_account_may_be_repeated(shop: Shop, second: PspAccount) -> None:
    own_url = credentials_of(shop.account)["base_url"]
    decline_at(shop, shop.account)
    shop.create(order_id="before, so that both accounts have described the token")
    for account in (shop.account, second):
        cut_off(account)
    caller = shop.caller(key="again", body="again")
    with pytest.raises(PspNotReached):
        shop.create(caller=caller)
    row = Operation.objects.order_by("id").last()
    assert row is not None
    assert (row.status, row.psp_account) == ("NOT_SENT", second)
    assert shop.intent(row.intent.public_id).status == "INITIATED"

    set_credentials(shop.account, base_url=own_url)
    set_credentials(second, base_url=own_url)
    assert body_of(shop.create(caller=caller))["status"] == "succeeded"
    assert charges_made(shop) == ["authorize", "capture"]
    assert_the_books_agree()


def test_a_paused_account_is_passed_over(shop: Shop) -> None:
    paused, second = another_account(shop), another_account(shop)
    fail_over(shop, paused, second)
    PspAccount.objects.filter(pk=paused.pk).update(status="paused")
    accounts.forget_accounts()
    decline_at(shop, shop.account)
    assert body_of(shop.create())["status"] == "succeeded"
    last = RoutingDecision.objects.order_by("sequence").last()
    assert last is not None
    left_out = {each["account"]: each.get("left_out") for each in last.candidates}
    assert left_out == {shop.account.code: None, paused.code: "paused", second.code: None}


def test_a_late_success_of_the_first_charge_goes_back_at_its_own_account(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    intent_id = body_of(shop.create())["id"]
    first, _ = shop.operations(intent_id)
    shop.psp.revise(reference(first), "succeed")
    sync_as_notified(first)
    sweep_reversals()
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    refund = shop.operations(intent_id)[-1]
    assert (refund.kind, refund.psp_account, refund.charge_id) == ("refund", shop.account, first.id)
    assert_the_books_agree()


def test_a_charge_at_the_second_account_of_unknown_outcome_is_found_out_there(
    shop: Shop, second: PspAccount
) -> None:
    decline_at(shop, shop.account)
    key = credentials_of(second)["api_key"]
    shop.psp.script({"drop_after": 1}, api_key=key, kind="authorize")
    intent_id = body_of(shop.create())["id"]
    assert shop.intent(intent_id).status == "PROCESSING"
    shop.settle()
    assert statuses(shop, intent_id) == PAID_AT_THE_SECOND
    assert charges_made(shop) == ["authorize", "capture"]
    assert_the_books_agree()
