"""Results whose text PostgreSQL cannot store as it came: they are recorded all the same."""

from __future__ import annotations

import pytest

from payments.services.verification.rebuild import differences
from payments.tests.support.dashboard import act, held, sync
from payments.tests.support.shop import Shop, body_of

ODD = {"code": "card_declined", "decline_code": "do_not\x00honor", "message": "no\x00pe " * 300}


def test_a_decline_with_a_nul_and_a_long_message_is_recorded(shop: Shop) -> None:
    shop.psp.script({"decline": ODD}, kind="authorize")
    error = body_of(shop.create(10_000))["error"]
    assert error["code"] == "card_declined"
    [charge] = shop.operations(body_of(shop.create(10_000))["id"])
    assert charge.status == "SUCCEEDED", "the order is free again"
    assert list(differences()) == []


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
def test_a_refused_change_with_odd_text_is_recorded(shop: Shop, kind: str) -> None:
    intent_id = held(shop)
    if kind == "refund":
        shop.capture(intent_id)
    shop.psp.script({"decline": ODD}, kind=kind)
    {"capture": shop.capture, "void": shop.cancel, "refund": shop.refund}[kind](intent_id)
    operation = shop.operations(intent_id)[-1]
    assert (operation.status, "\x00" in operation.message) == ("DECLINED", False)
    assert list(differences()) == []


def test_an_external_operation_with_an_odd_reference_is_recorded(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 4_000, final=False, reference="ticket \x00" + "9" * 180)
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_captured_minor == 4_000
    assert list(differences()) == []
