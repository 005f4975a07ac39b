"""What the adapter makes of Mollie's objects and refusals, without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspUnavailable,
)
from psp_adapters.contract.payments import PspOperationKind, PspPaymentStatus
from psp_adapters.mollie import mapping, results
from psp_adapters.mollie.payments import Payment
from psp_adapters.tests.suites.contract_suite import send
from psp_adapters.tests.support.mollie_double import (
    WEBHOOK_URL,
    adapter_answered,
    capture_view,
    error,
    eur,
    open_view,
    page_of,
    payment_view,
    refund_view,
)

K = OperationKind
REQUEST = PspRequest(
    kind=K.AUTHORIZE,
    psp_key="key",
    reference="op_1",
    amount=Money(1000, "EUR"),
    order_id="o-1",
    token="tkn_visa",
    return_url="https://shop.example/back",
)
CAPTURE = PspRequest(
    kind=K.CAPTURE,
    psp_key="key",
    reference="op_2",
    amount=Money(700, "EUR"),
    psp_payment_id="tr_1",
)
VOID = replace(CAPTURE, kind=K.VOID, reference="op_4", amount=Money(1000, "EUR"))
REFUND = replace(CAPTURE, kind=K.REFUND, reference="op_3", amount=Money(400, "EUR"))


def embedded(*captures: Any, refunds: Any = ()) -> Any:
    return {"captures": list(captures), "refunds": list(refunds)}


def test_a_charge_carries_our_reference_and_an_address_of_its_own() -> None:
    adapter, transport = adapter_answered((201, payment_view()))
    assert send(adapter, REQUEST).outcome is Outcome.SUCCEEDED
    [(method, path, body)] = transport.requests
    assert (method, path, transport.keys) == ("POST", "/v2/payments", ["key"])
    assert body.pop("webhookUrl").startswith(f"{WEBHOOK_URL}?op=op_1&signature=")
    assert body == {
        "amount": eur("10.00"),
        "description": "o-1",
        "method": "creditcard",
        "redirectUrl": "https://shop.example/back",
        "metadata": {"order_id": "o-1", "reference": "op_1"},
        "captureMode": "manual",
        "cardToken": "tkn_visa",
    }


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (Money(1000, "EUR"), "10.00"),
        (Money(5, "EUR"), "0.05"),
        (Money(7, "JPY"), "7"),
        (Money(500_000, "ISK"), "5000"),
    ],
)
def test_amounts_are_decimal_texts_with_the_decimals_of_mollie(amount: Money, written: str) -> None:
    view = mapping.amount_view(amount)
    assert view == {"currency": amount.currency, "value": written}
    assert mapping.money_of(view) == amount


@pytest.mark.parametrize("value", [10.0, 10, None, "10,00", "1e3", "10.001", "", "NaN"])
def test_what_is_no_amount_is_unknown_and_never_a_success(value: Any) -> None:
    adapter, _ = adapter_answered((201, payment_view(amount={"currency": "EUR", "value": value})))
    assert send(adapter, REQUEST).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": eur("10.01")},
        {"amount": {"currency": "USD", "value": "10.00"}},
        {"metadata": {"reference": "op_9"}},
        {"metadata": None},
        {"metadata": '{"reference": "op_1"}'},
        {"status": "something_new"},
        {"id": None},
    ],
)
def test_an_answer_about_something_else_is_unknown(changes: dict[str, Any]) -> None:
    adapter, _ = adapter_answered((201, payment_view(**changes)))
    assert send(adapter, REQUEST).outcome is Outcome.UNKNOWN


def test_an_answer_of_the_other_mode_is_for_an_operator() -> None:
    adapter, _ = adapter_answered((201, payment_view(mode="live")))
    result = send(adapter, REQUEST)
    assert (result.outcome, result.contradicts_us) == (Outcome.UNKNOWN, True)


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (error(422, field="amount"), Outcome.DECLINED, REQUEST_REFUSED),
        (error(422, extra={"failureReason": "card_expired"}), Outcome.DECLINED, "expired_card"),
        (error(401), Outcome.NOT_SENT, ""),
        (error(429), Outcome.NOT_SENT, ""),
        (error(403), Outcome.UNKNOWN, ""),
        (error(409), Outcome.UNKNOWN, ""),
        (error(500), Outcome.UNKNOWN, ""),
        (error(503), Outcome.UNKNOWN, ""),
        ((422, "<html>a proxy</html>"), Outcome.UNKNOWN, ""),
        ((404, {"status": 200, "title": "OK", "detail": ""}), Outcome.UNKNOWN, ""),
        ((302, None), Outcome.UNKNOWN, ""),
        ((201, None), Outcome.UNKNOWN, ""),
        ((201, []), Outcome.UNKNOWN, ""),
        ((500, "null"), Outcome.UNKNOWN, ""),
        ((422, []), Outcome.UNKNOWN, ""),
        ((422, {"status": 422}), Outcome.UNKNOWN, ""),
    ],
    ids=range(16),
)
def test_only_a_certain_no_is_a_decline(answer: Any, outcome: Outcome, code: str) -> None:
    adapter, transport = adapter_answered(answer)
    result = send(adapter, REQUEST)
    assert (result.outcome, result.code) == (outcome, code)
    assert len(transport.requests) == 1


def test_a_refused_change_is_told_apart_from_a_payment_that_is_not_there() -> None:
    for answer, code in ((error(422), "processing_error"), (error(404), REQUEST_REFUSED)):
        adapter, _ = adapter_answered(answer)
        result = send(adapter, REFUND)
        assert (result.outcome, result.code) == (Outcome.DECLINED, code)


def test_nothing_is_sent_that_would_need_the_customer_without_one() -> None:
    adapter, transport = adapter_answered()
    bare = replace(REQUEST, token="method:ideal")
    assert send(adapter, replace(bare, challenge_allowed=False)).code == "authentication_required"
    assert send(adapter, replace(bare, return_url="")).code == REQUEST_REFUSED
    assert send(adapter, replace(REQUEST, token="pm_card_visa")).code == REQUEST_REFUSED
    assert send(adapter, replace(CAPTURE, kind=K.INCREMENT)).outcome is Outcome.DECLINED
    assert send(adapter, replace(CAPTURE, psp_payment_id="pi_1")).outcome is Outcome.DECLINED
    assert transport.requests == []


@pytest.mark.parametrize(
    ("reason", "code", "decline_code"),
    [
        ("insufficient_funds", "card_declined", "insufficient_funds"),
        ("authentication_failed", "payment_intent_authentication_failure", ""),
        ("a_new_reason", "card_declined", "a_new_reason"),
        ("A sentence!", "card_declined", "generic_decline"),
        (None, "processing_error", ""),
    ],
)
def test_a_failed_payment_has_a_code_and_keeps_an_unknown_reason(
    reason: str | None, code: str, decline_code: str
) -> None:
    view = open_view(status="failed", details={"failureReason": reason})
    result = results.authorization_of(Payment(view))
    assert (result.outcome, result.code) == (Outcome.DECLINED, code)
    assert result.decline_code == decline_code
    assert result.message


@pytest.mark.parametrize(
    ("view", "status", "outcome"),
    [
        (open_view(), PspPaymentStatus.OPEN, Outcome.REQUIRES_ACTION),
        (open_view(_links={}), PspPaymentStatus.OPEN, Outcome.PENDING),
        (open_view(status="pending"), PspPaymentStatus.OPEN, Outcome.PENDING),
        (open_view(status="expired"), PspPaymentStatus.DECLINED, Outcome.DECLINED),
        (open_view(status="canceled"), PspPaymentStatus.DECLINED, Outcome.DECLINED),
        (open_view(status="paid"), PspPaymentStatus.CAPTURED, Outcome.SUCCEEDED),
        (payment_view(), PspPaymentStatus.HELD, Outcome.SUCCEEDED),
        (payment_view(status="canceled"), PspPaymentStatus.RELEASED, Outcome.SUCCEEDED),
        (payment_view(status="expired"), PspPaymentStatus.EXPIRED, Outcome.SUCCEEDED),
    ],
)
def test_every_state_of_a_payment_is_read(
    view: Any, status: PspPaymentStatus, outcome: Outcome
) -> None:
    payment = results.payment_of(view, psp_payment_id="tr_1")
    assert (payment.status, payment.operations[0].outcome) == (status, outcome)
    kinds = [each.kind for each in payment.operations[1:]]
    assert kinds == {
        PspPaymentStatus.RELEASED: [PspOperationKind.VOID],
        PspPaymentStatus.EXPIRED: [PspOperationKind.EXPIRE],
    }.get(status, [])


def test_a_capture_under_way_is_pending_and_the_hold_is_not_released() -> None:
    pending = capture_view(status="pending")
    adapter, transport = adapter_answered((201, pending))
    assert send(adapter, CAPTURE).outcome is Outcome.PENDING
    assert len(transport.requests) == 1
    shown = results.payment_of(payment_view(_embedded=embedded(pending)), psp_payment_id="tr_1")
    assert (shown.status, shown.held) == (PspPaymentStatus.HELD, Money(1000, "EUR"))
    assert shown.operations[1].outcome is Outcome.PENDING


def test_a_rest_that_mollie_does_not_release_leaves_the_capture_a_success() -> None:
    after = payment_view(_embedded=embedded(capture_view()))
    for answer in ((200, after), error(422)), ((200, after), error(500)), (error(500),):
        adapter, transport = adapter_answered((201, capture_view()), *answer)
        result = send(adapter, CAPTURE)
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, CAPTURE.amount)
        assert "not released" in result.detail
        assert transport.keys == ["key", "", "key:release"][: len(transport.keys)]
    shown = results.payment_of(after, psp_payment_id="tr_1")
    assert (shown.status, shown.held) == (PspPaymentStatus.CAPTURED, Money(0, "EUR"))


def test_a_void_stores_its_note_first_and_is_pending_until_the_bank_released_the_hold() -> None:
    noted = {"metadata": {"reference": "op_1", "order_id": "o-1", "void": "op_4"}}
    held, released = payment_view(**noted), payment_view(status="canceled", **noted)
    adapter, transport = adapter_answered(
        (200, payment_view()), (200, held), (202, None), (200, held)
    )
    assert send(adapter, VOID).outcome is Outcome.PENDING
    assert transport.requests[1][:2] == ("PATCH", "/v2/payments/tr_1")
    assert transport.requests[1][2] == noted
    assert transport.keys == ["", "key:note", "key", ""]

    query = LookUp(kind=K.VOID, reference="op_4", psp_payment_id="tr_1")
    adapter, _ = adapter_answered((200, held), (200, released))
    assert adapter.look_up(query, deadline_seconds=1) is None
    found = adapter.look_up(query, deadline_seconds=1)
    assert found is not None
    assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, VOID.amount)


def test_a_void_is_not_sent_without_its_note_nor_for_what_was_paid() -> None:
    for answers in ([error(500)], [(200, payment_view()), error(500)]):
        adapter, transport = adapter_answered(*answers)
        assert send(adapter, VOID).outcome is Outcome.NOT_SENT
        assert len(transport.requests) == len(answers)
    adapter, _ = adapter_answered((200, open_view(status="paid")))
    refused = send(adapter, VOID)
    assert (refused.outcome, refused.code) == (Outcome.DECLINED, "processing_error")


def test_a_rest_that_was_released_without_a_void_of_ours_ran_out() -> None:
    part = capture_view(amount=eur("3.00"), metadata={"reference": "op_2", "final": False})
    view = payment_view(status="paid", _embedded=embedded(part))
    shown = results.payment_of(view, psp_payment_id="tr_1")
    assert shown.status is PspPaymentStatus.CAPTURED
    assert [(each.kind, each.amount.minor) for each in shown.operations[1:]] == [
        (PspOperationKind.CAPTURE, 300),
        (PspOperationKind.EXPIRE, 700),
    ]


def test_operations_of_the_dashboard_are_listed_without_a_reference() -> None:
    capture = capture_view(amount=eur("10.00"), metadata=None)
    refunds = [refund_view(id="re_2", metadata="mine", status="queued"), refund_view()]
    view = payment_view(status="paid", _embedded=embedded(capture, refunds=refunds))
    shown = results.payment_of(view, psp_payment_id="tr_1")
    assert [(each.psp_id, each.reference, each.outcome) for each in shown.operations[1:]] == [
        ("cpt_1", "", Outcome.SUCCEEDED),
        ("re_2", "", Outcome.PENDING),
        ("re_1", "op_3", Outcome.SUCCEEDED),
    ]
    adapter, _ = adapter_answered((200, view))
    query = LookUp(kind=K.REFUND, reference="", psp_id="re_2", psp_payment_id="tr_1")
    found = adapter.look_up(query, deadline_seconds=1)
    assert found is not None
    assert found.psp_id == "re_2"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "paid"},
        {"amountCaptured": eur("3.00")},
        {"amountRefunded": eur("3.00")},
        {"status": "paid", "_embedded": None},
    ],
)
def test_a_payment_whose_changes_are_missing_is_not_read_as_expired(
    changes: dict[str, Any],
) -> None:
    adapter, _ = adapter_answered(*[(200, payment_view(**changes))] * 3)
    with pytest.raises(PspUnavailable):
        adapter.look_up_payment("tr_1", deadline_seconds=1)
    query = LookUp(kind=K.CAPTURE, reference="op_2", psp_payment_id="tr_1")
    found = adapter.look_up(query, deadline_seconds=1)
    assert found is not None
    assert (found.outcome, found.contradicts_us) == (Outcome.UNKNOWN, True)
    assert send(adapter, VOID).outcome is Outcome.NOT_SENT


def test_a_hold_is_not_voided_while_a_capture_is_under_way() -> None:
    view = payment_view(_embedded=embedded(capture_view(status="pending")))
    adapter, transport = adapter_answered((200, view))
    assert send(adapter, VOID).outcome is Outcome.NOT_SENT
    assert len(transport.requests) == 1


def test_a_reference_that_mollie_has_twice_shows_both() -> None:
    twice = [refund_view(), refund_view(id="re_2", createdAt="2026-01-03T12:00:00+00:00")]
    view = open_view(status="paid", _embedded=embedded(refunds=twice))
    listed = page_of("payments", payment_view(id="tr_2"), payment_view())
    queries = (
        (view_answer(view), LookUp(kind=K.REFUND, reference="op_3", psp_payment_id="tr_1")),
        (listed, LookUp(kind=K.AUTHORIZE, reference="op_1")),
    )
    for answer, query in queries:
        adapter, _ = adapter_answered(answer)
        found = adapter.look_up(query, deadline_seconds=1)
        assert found is not None
        first, *others = [found.psp_id, *(each.psp_id for each in found.also_found)]
        assert (first[-1], [each[-1] for each in others]) == ("1", ["2"])


def view_answer(view: Any) -> tuple[int, Any]:
    return 200, view


def test_the_list_is_read_until_what_is_older_and_never_given_up_as_not_found() -> None:
    other = payment_view(id="tr_9", metadata={})
    page, last = page_of("payments", other, following="tr_8"), page_of("payments", other)
    query = LookUp(kind=K.AUTHORIZE, reference="op_1")
    adapter, transport = adapter_answered(page, last)
    assert adapter.look_up(query, deadline_seconds=1) is None
    assert transport.requests[1][2] == {"limit": "250", "from": "tr_8"}

    adapter, transport = adapter_answered(page)
    later = replace(query, sent_at=datetime(2026, 1, 1, 12, 5, 1, tzinfo=UTC))
    assert adapter.look_up(later, deadline_seconds=1) is None

    adapter, _ = adapter_answered(*[page] * 50)
    with pytest.raises(PspUnavailable, match="too long"):
        adapter.look_up(query, deadline_seconds=1)


@pytest.mark.parametrize("changes", [{"mode": "live"}, {"metadata": {"reference": "op_9"}}])
def test_a_contradiction_found_by_a_look_up_is_for_an_operator(changes: dict[str, Any]) -> None:
    query = LookUp(kind=K.AUTHORIZE, reference="op_1", psp_id="tr_1")
    adapter, _ = adapter_answered((200, payment_view(**changes)), (200, payment_view(status=None)))
    found = adapter.look_up(query, deadline_seconds=1)
    assert found is not None
    assert (found.outcome, found.contradicts_us) == (Outcome.UNKNOWN, True)
    with pytest.raises(PspUnavailable):
        adapter.look_up(query, deadline_seconds=1)


def test_what_mollie_cannot_do_is_said() -> None:
    adapter, transport = adapter_answered(page_of("payments"))
    with pytest.raises(PspUnavailable):
        adapter.fence(LookUp(kind=K.AUTHORIZE, reference="op_1"), deadline_seconds=1)
    for kind in (K.CAPTURE, K.VOID, K.REFUND):
        with pytest.raises(PspUnavailable):
            adapter.look_up(LookUp(kind=kind, reference="op_2"), deadline_seconds=1)
    assert len(transport.requests) == 1


def test_no_key_is_in_a_detail() -> None:
    adapter, _ = adapter_answered(error(422, detail="The key live_abc123 and Bearer test_x"))
    assert "live_abc123" not in send(adapter, REQUEST).detail
