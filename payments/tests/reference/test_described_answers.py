"""An answer that the reference does not describe fails the test that receives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from payments.api.openapi import document
from payments.objects.refund import REFUND
from paymentsite.tests.fixtures import described_answers
from paymentsite.tests.fixtures.described_answers import UndescribedAnswer, check_answer

_ERROR = {"type": "invalid_request_error", "code": "parameter_missing", "message": "No."}


@pytest.fixture(autouse=True)
def expected_differences(undescribed_answers_fail: None) -> Iterator[None]:
    """The differences of these tests are meant."""
    yield
    described_answers.forget()


def check(status: int, answer: dict[str, Any], path: str = "/v1/refunds/re_1") -> None:
    check_answer("GET", path, status, orjson.dumps(answer))


def test_answers_as_described_pass() -> None:
    check(200, REFUND.example())
    check(400, {"error": _ERROR})
    check(404, {"error": {**_ERROR, "code": "unrecognized_url"}}, "/v1/surprise")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"surprise": 1}, "surprise"),
        ({"amount": "500"}, "amount"),
        ({"amount": None}, "amount"),
        ({"status": "odd"}, "status"),
    ],
)
def test_a_field_that_is_not_as_declared_fails(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UndescribedAnswer, match=told):
        check(200, REFUND.example(**change))


def test_a_missing_field_fails_and_one_that_may_be_absent_does_not() -> None:
    whole = REFUND.example()
    assert "failure_reason" in REFUND.absent - whole.keys()
    with pytest.raises(UndescribedAnswer, match="currency"):
        check(200, {name: value for name, value in whole.items() if name != "currency"})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {**_ERROR, "code": "surprise"}),
        (409, _ERROR),
        (400, {**_ERROR, "type": "api_error"}),
        (418, _ERROR),
    ],
)
def test_a_code_or_status_without_a_row_fails(status: int, error: dict[str, Any]) -> None:
    with pytest.raises(UndescribedAnswer):
        check(status, {"error": error})


def test_a_difference_inside_an_event_is_told_by_its_field() -> None:
    event = document()["components"]["schemas"]["event"]["examples"][0]
    inner = {**event["data"]["object"], "amount": "many"}
    with pytest.raises(UndescribedAnswer, match=r"data\.object: amount"):
        check(200, {**event, "data": {"object": inner}}, "/v1/events/evt_1")
