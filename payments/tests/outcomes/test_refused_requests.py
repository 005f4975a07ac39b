"""A request that the PSP does not accept as valid is no decline of the customer's bank."""

from __future__ import annotations

import logging

import pytest

from payments.api.renderers import render_intent
from payments.services import commands
from payments.services.callers.caller import CommandRequest
from payments.services.commands import Confirmation
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, answered, body_of, uuid_of

MORE_THAN_THE_PSP_TAKES = 10**15


def test_an_invalid_request_asks_for_no_other_card_and_raises_an_alert(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    intent_id = body_of(shop.create(MORE_THAN_THE_PSP_TAKES, confirm=False))["id"]
    with caplog.at_level(logging.ERROR):
        answer = answered(
            commands.confirm_intent(
                CommandRequest(shop.caller(), render=render_intent),
                intent_id=uuid_of(intent_id),
                payment_method="pm_card_visa",
                confirmation=Confirmation(),
            )
        )
    error = body_of(answer)["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["code"] == "provider_refused_request"
    last = error["payment_intent"]["last_payment_error"]
    assert (last["type"], last["code"]) == ("invalid_request_error", "provider_refused_request")
    assert "alert: the PSP refused" in caplog.text
    assert shop.effects() == []
    assert shop.operations(intent_id)[0].guard_order is None
    assert list(differences()) == []
