"""What events tell of a payment is what the API shows of it, whatever came before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from payments.models import Case
from payments.tests.support.dashboard import act, held, sync
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    assert_told_as_shown,
    falsely_closed,
    reference,
    sweep_reversals,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.passing_time import EXPIRES_AT_ONCE, hold, run_out
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (Shop.cancel, Shop.capture),
        (Shop.cancel, Shop.cancel),
        (Shop.capture, Shop.cancel),
        (Shop.capture, Shop.capture),
    ],
)
def test_a_final_status_is_published_once(
    shop: Shop, first: Callable[..., object], then: Callable[..., object]
) -> None:
    """The PSP takes the first change back, and the merchant makes another one."""
    intent_id = held(shop)
    first(shop, intent_id)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "AUTHORIZED"
    then(shop, intent_id)
    assert_told_as_shown(shop, intent_id)
    assert_the_books_agree()


def test_a_hold_that_ends_beside_a_declined_capture_is_told(shop: Shop) -> None:
    intent_id = hold(shop, token=EXPIRES_AT_ONCE)
    shop.capture(intent_id, 3_000, final=False)
    lose_the_answer(shop, "capture")
    shop.capture(intent_id, 2_000, final=False)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    run_out(shop, intent_id)
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert_told_as_shown(shop, intent_id)


def test_a_late_hold_that_was_captured_in_the_dashboard_is_kept_and_told(shop: Shop) -> None:
    intent_id, _ = falsely_closed(shop, Outcome.DECLINED, manual=True)
    act(shop, "capture", 4_000, final=False)
    sync(shop, intent_id)
    assert sweep_reversals() == 0
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert_told_as_shown(shop, intent_id)
    assert "It is kept." in Case.objects.get(kind="late_success").summary
    assert body_of(shop.capture(intent_id))["amount_received"] == 10_000
    assert_the_books_agree()
