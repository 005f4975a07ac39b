"""Requests and answers of the sandbox PSP are mapped without a server."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.exceptions import LedgerError
from ledger.money import Money
from psp_adapters.contract.answers import Contradiction
from psp_adapters.contract.operations import REQUEST_REFUSED, OperationKind, Outcome, PspRequest
from psp_adapters.http import HttpAnswer
from psp_adapters.sandbox import mapping

_REQUEST = PspRequest(
    kind=OperationKind.CAPTURE,
    psp_key="key",
    reference="op-1",
    amount=Money(1000, "USD"),
    psp_payment_id="spay_1",
)


def _view(**changes: Any) -> dict[str, Any]:
    return {
        "object": "operation",
        "id": "sop_1",
        "kind": "capture",
        "status": "succeeded",
        "reference": "op-1",
        "payment_id": "spay_1",
        "amount_minor": 1000,
        "currency": "USD",
        "payment": {"expires_at": "2026-01-31T12:00:00.123Z"},
    } | changes


def _answer(status: int, body: object, **headers: str) -> HttpAnswer:
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpAnswer(status, headers, encoded)


def _error(kind: str, **more: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": "", "message": "no", **more}}


def test_every_field_of_a_good_answer_is_read() -> None:
    result = mapping.result_of_answer(_REQUEST, _answer(200, _view()))
    assert result.outcome is Outcome.SUCCEEDED
    assert (result.psp_id, result.psp_payment_id) == ("sop_1", "spay_1")
    assert result.amount == Money(1000, "USD")
    assert result.expires_at == datetime(2026, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": 7},
        {"kind": "refund"},
        {"kind": None},
        {"reference": "op-2"},
        {"payment_id": "spay_2"},
        {"payment_id": None},
        {"amount_minor": 999},
        {"amount_minor": "1000"},
        {"amount_minor": 1000.0},
        {"amount_minor": True},
        {"currency": "EUR"},
        {"currency": "usd"},
        {"currency": None},
        {"status": "splendid"},
        {"status": None},
        {"status": []},
        {"status": "requires_action"},
        {"status": "requires_action", "challenge_url": 7},
        {"payment": None},
        {"payment": {"expires_at": "soon"}},
        {"payment": {"expires_at": 7}},
        {"payment": {"expires_at": "2026-01-31T12:00:00"}},
        {"status": "declined", "error": "no"},
        {"status": "declined", "error": ["no"]},
    ],
)
def test_a_wrong_or_unreadable_answer_is_unknown(changes: dict[str, Any]) -> None:
    result = mapping.result_of_answer(_REQUEST, _answer(200, _view(**changes)))
    assert result.outcome is Outcome.UNKNOWN
    assert 0 < len(result.detail) <= 500


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"null"),
        (200, b"[]"),
        (200, b'"ok"'),
        (200, b"{}"),
        (201, orjson.dumps(_view())),
        (204, b""),
        (302, b""),
        (400, b"<html>"),
        (400, b"{}"),
        (400, b'{"error":null}'),
        (400, b'{"error":"no"}'),
        (402, b"{}"),
        (402, orjson.dumps(_error("declined"))),
        (409, orjson.dumps(_error("in_flight"))),
        (408, orjson.dumps(_error("timeout"))),
        (500, orjson.dumps(_error("internal"))),
        (503, orjson.dumps(_view())),
        (599, b""),
    ],
)
def test_a_status_that_proves_nothing_is_unknown(status: int, body: bytes) -> None:
    result = mapping.result_of_answer(_REQUEST, _answer(status, body))
    assert result.outcome is Outcome.UNKNOWN
    assert str(status) in result.detail


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_noise_is_never_a_decline_or_a_success(status: int, body: bytes) -> None:
    result = mapping.result_of_answer(_REQUEST, _answer(status, body))
    expected = Outcome.NOT_SENT if status == 429 else Outcome.UNKNOWN
    assert result.outcome is expected


_ANY_TEXT = st.text(st.characters(), max_size=3_000)


@given(st.sampled_from(["id", "payment_id", "code", "decline_code", "message"]), _ANY_TEXT)
def test_any_text_of_the_psp_becomes_a_result_that_can_be_stored(field: str, text: str) -> None:
    error = {"code": "card_declined", "decline_code": "generic_decline", "message": "no"}
    view = _view(status="declined", error=error)
    (error if field in error else view)[field] = text
    answer = HttpAnswer(402, {}, json.dumps({"operation": view}).encode())
    result = mapping.result_of_answer(_REQUEST, answer)
    assert result.outcome in (Outcome.DECLINED, Outcome.UNKNOWN)
    for name, most in {**result.TEXTS, "psp_id": 128, "psp_payment_id": 128}.items():
        stored = getattr(result, name)
        assert (len(stored) <= most, "\x00" in stored) == (True, False)
        stored.encode("utf-8")


@given(st.sampled_from(["id", "reference", "created_at", "status", "amount_minor"]), _ANY_TEXT)
def test_any_text_in_a_payment_is_read_or_refused(field: str, text: str) -> None:
    operation = _view(created_at="2026-01-31T12:00:00.123Z", final=True) | {field: text}
    view = {
        "id": "spay_1",
        "status": "authorized",
        "currency": "USD",
        "held_minor": 1000,
        "expired_minor": 0,
        "expires_at": "2026-01-31T12:00:00.123Z",
        "settles_at_once": False,
        "operations": [operation],
    }
    try:
        payment = mapping.payment_of(view, psp_payment_id="spay_1")
    except (Contradiction, KeyError, TypeError, ValueError, OverflowError, LedgerError):
        return
    [shown] = payment.operations
    assert len(shown.psp_id) <= 128
    assert "\x00" not in shown.psp_id + shown.reference


@pytest.mark.parametrize(
    ("kind", "status", "outcome", "code"),
    [
        ("idempotency_mismatch", 400, Outcome.UNKNOWN, ""),
        ("in_flight", 409, Outcome.UNKNOWN, ""),
        ("fenced", 409, Outcome.DECLINED, "processing_error"),
        ("invalid_request", 400, Outcome.DECLINED, REQUEST_REFUSED),
        ("invalid_state", 400, Outcome.DECLINED, "processing_error"),
        ("not_found", 404, Outcome.DECLINED, REQUEST_REFUSED),
        ("card_data_refused", 400, Outcome.DECLINED, REQUEST_REFUSED),
        ("unauthorized", 401, Outcome.NOT_SENT, ""),
        ("forbidden", 403, Outcome.NOT_SENT, ""),
    ],
)
def test_each_error_type_has_its_outcome(
    kind: str, status: int, outcome: Outcome, code: str
) -> None:
    result = mapping.result_of_answer(_REQUEST, _answer(status, _error(kind)))
    assert result.outcome is outcome
    assert kind in result.detail
    assert result.code == code


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("", 1.0), ("soon", 1.0), ("-1", 1.0), ("9" * 20, 1.0)]
)
def test_a_rate_limit_is_not_sent(header: str, seconds: float) -> None:
    answer = _answer(429, b"whatever", **{"retry-after": header})
    result = mapping.result_of_answer(_REQUEST, answer)
    assert (result.outcome, result.retry_after_seconds) == (Outcome.NOT_SENT, seconds)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("card_declined", "card_declined"),
        ("expired_card", "expired_card"),
        ("incorrect_cvc", "incorrect_cvc"),
        ("processing_error", "processing_error"),
        ("authentication_required", "authentication_required"),
        ("authentication_failed", "payment_intent_authentication_failure"),
        ("bank_declined", "bank_account_declined"),
        ("something_new", "card_declined"),
    ],
)
def test_decline_codes_are_mapped_to_those_of_the_merchant_api(theirs: str, ours: str) -> None:
    error = {"code": theirs, "decline_code": "insufficient_funds", "message": "No."}
    view = _view(status="declined", error=error)
    result = mapping.result_of_answer(_REQUEST, _answer(402, {"error": {}, "operation": view}))
    assert result.outcome is Outcome.DECLINED
    assert (result.code, result.decline_code) == (ours, "insufficient_funds")
    assert result.message == "No."


def test_a_decline_of_another_operation_is_unknown() -> None:
    view = _view(status="declined", reference="op-2")
    result = mapping.result_of_answer(_REQUEST, _answer(402, {"error": {}, "operation": view}))
    assert result.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("succeeded", Outcome.SUCCEEDED),
        ("pending", Outcome.PENDING),
        ("declined", Outcome.DECLINED),
        ("failed", Outcome.DECLINED),
        ("canceled", Outcome.DECLINED),
    ],
)
def test_every_status_has_its_outcome(status: str, outcome: Outcome) -> None:
    result = mapping.result_of_operation(
        _view(status=status), kind=OperationKind.CAPTURE, reference="op-1"
    )
    assert result.outcome is outcome


def test_a_strange_decline_code_becomes_the_generic_one() -> None:
    error = {"code": "card_declined", "decline_code": "<script>", "message": "No."}
    result = mapping.result_of_operation(
        _view(status="declined", error=error), kind=OperationKind.CAPTURE, reference="op-1"
    )
    assert result.decline_code == "generic_decline"


def test_details_and_messages_hide_keys_and_long_numbers() -> None:
    said = "Bearer abc.def, sandbox_k3y, 4242 4242 4242 4242 and 4242424242424242 " + "x" * 600
    answer = _answer(400, _error("invalid_request", message=said))
    detail = mapping.result_of_answer(_REQUEST, answer).detail
    assert len(detail) <= 500
    for secret in ("abc", "k3y", "4242"):
        assert secret not in detail
    view = _view(status="declined", error={"code": "card_declined", "message": said})
    result = mapping.result_of_operation(view, kind=OperationKind.CAPTURE, reference="op-1")
    assert len(result.message) <= 200
    assert "4242" not in result.message


def test_a_void_reports_the_amount_that_the_psp_released() -> None:
    request = PspRequest(
        kind=OperationKind.VOID,
        psp_key="key",
        reference="op-1",
        amount=Money(1000, "USD"),
        psp_payment_id="spay_1",
    )
    view = _view(kind="void", amount_minor=600)
    result = mapping.result_of_answer(request, _answer(200, view))
    assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(600, "USD"))


def test_a_request_has_only_the_fields_that_its_kind_needs() -> None:
    capture = mapping.modify_body(_REQUEST)
    assert capture == {"reference": "op-1", "amount_minor": 1000, "final": True}
    authorize = PspRequest(
        kind=OperationKind.AUTHORIZE,
        psp_key="key",
        reference="op-1",
        amount=Money(5, "JPY"),
        order_id="o-1",
        token="pm_card_visa",
        challenge_allowed=False,
        metadata={"a": "b"},
    )
    assert mapping.authorize_body(authorize) == {
        "reference": "op-1",
        "order_id": "o-1",
        "amount_minor": 5,
        "currency": "JPY",
        "token": "pm_card_visa",
        "capture": False,
        "challenge": "forbid",
        "return_url": "",
        "metadata": {"a": "b"},
    }
    allowed = replace(authorize, challenge_allowed=True)
    assert mapping.authorize_body(allowed)["challenge"] == "allow"
    requested = replace(allowed, three_d_secure="any")
    assert mapping.authorize_body(requested)["challenge"] == "request"
