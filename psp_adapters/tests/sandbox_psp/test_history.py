"""A payment of made-up history: its id tells what has happened to it."""

from __future__ import annotations

import pytest

from psp_adapters.sandbox_psp.refusals import Refusal
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.rules.recorder import Instruction
from psp_adapters.sandbox_psp.state.truth import Truth

_PAYMENT = "spay_grown_EUR_10000_6000_1000_4000_00000000000000aa"


def _refund(rules: Rules, amount_minor: int) -> str:
    account = rules.truth.account("a")
    payment = rules.payment(account, _PAYMENT, now_ms=1)
    assert payment is not None
    order = Instruction(kind="refund", reference=f"r-{amount_minor}", amount_minor=amount_minor)
    return rules.modify(payment, order, now_ms=2, decline=None).status


def test_a_payment_that_its_id_tells_of_is_refunded_up_to_what_is_left() -> None:
    rules = Rules(Truth())
    assert _refund(rules, 4_000) == "succeeded"
    with pytest.raises(Refusal) as refused:
        _refund(rules, 1_001)
    assert refused.value.code == "refund_exceeds_captured"
    assert _refund(rules, 1_000) == "succeeded"
    payment = rules.truth.payments[_PAYMENT]
    assert (payment.status, payment.held_minor, payment.currency) == ("refunded", 0, "EUR")
    assert [effect.kind for effect in rules.truth.effects] == ["refund", "refund"]


def test_a_restart_knows_such_a_payment_and_another_account_does_not() -> None:
    rules = Rules(Truth())
    _refund(rules, 4_000)
    restarted = Truth()
    for record in rules.truth.take_unsaved():
        restarted.apply(record)
    assert restarted.payments[_PAYMENT].refunded_minor == 5_000
    assert rules.payment(rules.truth.account("b"), _PAYMENT, now_ms=3) is None
    assert rules.payment(rules.truth.account("a"), "spay_grown_EUR_1", now_ms=3) is None
