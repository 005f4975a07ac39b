"""Reading answers, and tokens, in the ways that all adapters share."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.answers import (
    Answer,
    Contradiction,
    OtherMode,
    readable,
    require_request,
    retry_after,
    view_of,
)
from psp_adapters.contract.operations import (
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
    PspUnavailable,
)
from psp_adapters.contract.payments import CardDataRefused, refuse_card_number

REQUEST = PspRequest(
    kind=OperationKind.CAPTURE,
    psp_key="key-1",
    reference="op_1",
    amount=Money(1000, "USD"),
    psp_payment_id="pay_1",
)
RESULT = PspResult(
    outcome=Outcome.SUCCEEDED, psp_id="cap_1", psp_payment_id="pay_1", amount=Money(1000, "USD")
)


def raising(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Contradiction("another amount"), "contradictory answer: another amount"),
        (OtherMode("of the other mode"), "contradictory answer: of the other mode"),
        (KeyError("id"), "unreadable answer: KeyError"),
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer(error: Exception, words: str) -> None:
    with pytest.raises(PspUnavailable, match=words):
        readable(raising, error)
    with pytest.raises(PspUnavailable, match="DivisionByZero"):
        readable(lambda said: Decimal(said) / 0, 1)
    assert readable(int, "7") == 7


@pytest.mark.parametrize("answer", [Answer(404, {}, {}), Answer(200, {}, []), Answer(200, {}, "x")])
def test_only_an_object_with_status_200_is_a_view(answer: Answer) -> None:
    with pytest.raises(PspUnavailable):
        view_of(answer)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"psp_payment_id": "pay_2"}, "another payment"),
        ({"amount": Money(1000, "EUR")}, "another currency"),
        ({"amount": None}, "another currency"),
        ({"amount": Money(999, "USD")}, "another amount"),
    ],
)
def test_a_result_about_something_else_contradicts_the_request(
    change: dict[str, Any], words: str
) -> None:
    assert require_request(RESULT, REQUEST) is RESULT
    with pytest.raises(Contradiction, match=words):
        require_request(replace(RESULT, **change), REQUEST)


def test_a_void_may_release_another_amount() -> None:
    released = replace(RESULT, amount=Money(300, "USD"))
    assert require_request(released, replace(REQUEST, kind=OperationKind.VOID)) is released


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7.0), ("", 1.0), ("soon", 1.0), ("-1", 1.0), ("9999999", 1.0)]
)
def test_an_unreadable_retry_after_is_one_second(said: str, seconds: float) -> None:
    assert retry_after({"Retry-After": said}) == seconds


@pytest.mark.parametrize(
    ("token", "is_refused"),
    [
        ("4242424242424242", True),
        ("4242-4242-4242-4242", True),
        ("tok_4242424242424242", True),
        ("123456789012", True),
        ("pm_card_visa", False),
        ("1234", False),
        ("", False),
    ],
)
def test_a_card_number_is_no_token(token: str, is_refused: bool) -> None:
    if not is_refused:
        return refuse_card_number(token)
    with pytest.raises(CardDataRefused):
        refuse_card_number(token)
