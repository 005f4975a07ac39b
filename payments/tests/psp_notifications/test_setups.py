"""Notices about setups: a card is kept although its customer never comes back to the shop."""

from __future__ import annotations

import pytest

from payments.models import PspNotification, SetupAttempt
from payments.services.psp_notifications import processing
from payments.tests.support.api_client import api_of
from payments.tests.support.notices import Hooks, make_due, only_notification, store_notice
from payments.tests.support.shop import Shop

PATH = "/v1/setup_intents"
CHALLENGED = "pm_card_threeDSecure2Required"


@pytest.mark.parametrize(
    ("fails", "type_", "status"),
    [
        (False, "setup.succeeded", "succeeded"),
        (True, "setup.declined", "requires_payment_method"),
    ],
)
def test_the_end_of_a_challenge_is_learned_from_its_notice(
    shop: Shop, hooks: Hooks, *, fails: bool, type_: str, status: str
) -> None:
    api = api_of(shop)
    setup = api.post(PATH, payment_method=CHALLENGED, confirm=True).body
    url = setup["next_action"]["redirect_to_url"]["url"]
    shop.psp.complete_challenge(url, fail=fails)
    hooks.take(*hooks.caught(type_))
    assert api.get(f"{PATH}/{setup['id']}").body["status"] == status
    assert only_notification().status == "processed"
    hooks.take(*hooks.caught(type_))
    assert PspNotification.objects.count() == 1, "a repeat is stored once"


def test_a_notice_waits_while_the_setup_is_being_sent(shop: Shop, hooks: Hooks) -> None:
    api = api_of(shop)
    setup = api.post(PATH, payment_method=CHALLENGED, confirm=True).body
    SetupAttempt.objects.update(lease_until="2999-01-01T00:00:00Z")
    shop.psp.complete_challenge(setup["next_action"]["redirect_to_url"]["url"])
    hooks.take(*hooks.caught("setup.succeeded"))
    assert only_notification().status == "failing"
    SetupAttempt.objects.update(lease_until="2000-01-01T00:00:00Z")
    make_due()
    processing.process_due_notifications()
    assert only_notification().status == "processed"
    assert api.get(f"{PATH}/{setup['id']}").body["status"] == "succeeded"


def test_a_notice_of_another_account_looks_nothing_up(shop: Shop, other_shop: Shop) -> None:
    api = api_of(shop)
    setup = api.post(PATH, payment_method=CHALLENGED, confirm=True).body
    shop.psp.complete_challenge(setup["next_action"]["redirect_to_url"]["url"])
    reference = SetupAttempt.objects.get().public_id
    store_notice(other_shop, type="setup.succeeded", data={"references": [reference]})
    processing.process_due_notifications()
    assert api.get(f"{PATH}/{setup['id']}").body["status"] == "requires_action"
    assert only_notification().status == "failing"
