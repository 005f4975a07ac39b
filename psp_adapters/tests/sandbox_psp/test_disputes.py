"""Disputes at the simulator: tokens, the bank's decisions, money, notices, restarts, faults."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from psp_adapters.contract.disputes import DisputeRequest
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.sandbox import disputes as mapping
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of, kinds

DEADLINE_SECONDS = 5.0


@pytest.fixture(scope="module")
def module_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def own_sandbox(module_sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    """A simulator of this module's own, because its clock is moved; each test has an account."""
    yield module_sandbox
    module_sandbox.heal()


@pytest.fixture
def buyer(own_sandbox: SandboxProcess) -> Shop:
    return Shop(own_sandbox.base_url)


def disputed(psp: SandboxProcess, shop: Shop, token: str, **more: Any) -> list[dict[str, Any]]:
    shop.pay(token, capture=True, **more)
    psp.advance(2)
    psp.advance(2)
    return psp.disputes(shop.order_id)


def evidence(shop: Shop, dispute_id: str, text: str, **more: Any) -> tuple[int, Any]:
    reference = more.pop("reference", f"dr-{uuid.uuid4().hex}")
    body = {"reference": reference, "evidence": {"uncategorized_text": text}}
    path = f"/v1/disputes/{dispute_id}/evidence"
    return shop.request("POST", path, body, key=more.pop("key", f"key-{reference}"))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("pm_card_createDispute", [("fraudulent", "needs_response", 1001)]),
        (
            "pm_card_createDisputeProductNotReceived",
            [("product_not_received", "needs_response", 1001)],
        ),
        ("pm_card_createDisputeInquiry", [("fraudulent", "warning_needs_response", 1001)]),
        (
            "pm_card_createDisputeMultipleDisputes",
            [
                ("fraudulent", "needs_response", 500),
                ("product_not_received", "needs_response", 501),
            ],
        ),
        ("pm_card_createIssuerFraudRecord", []),
        ("pm_card_visa", []),
    ],
)
def test_a_token_is_disputed_a_moment_later(
    own_sandbox: SandboxProcess, buyer: Shop, token: str, expected: list[tuple[str, str, int]]
) -> None:
    buyer.pay(token, capture=True, minor=1001)
    assert own_sandbox.disputes(buyer.order_id) == []
    own_sandbox.advance(2)
    own_sandbox.advance(2)
    found = own_sandbox.disputes(buyer.order_id)
    assert [(d["reason"], d["status"], d["amount_minor"]) for d in found] == expected
    moved = kinds(own_sandbox, buyer)[2:]
    assert moved == [
        effect
        for _, status, minor in expected
        if status == "needs_response"
        for effect in (("dispute", minor), ("dispute_fee", 1500))
    ]


def test_a_manual_capture_is_disputed_once(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    payment_id = buyer.pay("pm_card_createDispute")[1]["payment_id"]
    own_sandbox.advance(3)
    assert own_sandbox.disputes(buyer.order_id) == []
    buyer.modify(payment_id, "capture", 300, final=False)
    buyer.modify(payment_id, "capture", 400)
    own_sandbox.advance(3)
    assert [d["amount_minor"] for d in own_sandbox.disputes(buyer.order_id)] == [700]


@pytest.mark.parametrize(
    ("token", "text", "status", "moved"),
    [
        ("createDispute", "winning_evidence", "won", [("dispute_reversed", 1000)]),
        ("createDispute", "losing_evidence", "lost", []),
        ("createDispute", "it was delivered", "under_review", []),
        ("createDispute", "escalate_inquiry_evidence", "under_review", []),
        ("createDisputeInquiry", "winning_evidence", "warning_closed", []),
        (
            "createDisputeInquiry",
            "escalate_inquiry_evidence",
            "needs_response",
            [("dispute", 1000), ("dispute_fee", 1500)],
        ),
        (
            "createDisputeInquiry",
            "losing_evidence",
            "needs_response",
            [("dispute", 1000), ("dispute_fee", 1500)],
        ),
    ],
)
def test_the_text_of_the_evidence_decides_a_dispute(
    own_sandbox: SandboxProcess,
    buyer: Shop,
    token: str,
    text: str,
    status: str,
    moved: list[tuple[str, int]],
) -> None:
    [dispute] = disputed(own_sandbox, buyer, f"pm_card_{token}")
    before = kinds(own_sandbox, buyer)
    answered, view = evidence(buyer, dispute["id"], text)
    assert (answered, view["status"].endswith("under_review")) == (200, True)
    own_sandbox.advance(3)
    [now] = own_sandbox.disputes(buyer.order_id)
    assert now["status"] == status
    assert kinds(own_sandbox, buyer)[len(before) :] == moved


def test_an_escalated_inquiry_takes_evidence_again(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    [dispute] = disputed(own_sandbox, buyer, "pm_card_createDisputeInquiry")
    evidence(buyer, dispute["id"], "escalate_inquiry_evidence")
    assert error_of(evidence(buyer, dispute["id"], "more"))[1] == "evidence_already_submitted"
    own_sandbox.advance(3)
    assert evidence(buyer, dispute["id"], "winning_evidence")[0] == 200
    own_sandbox.advance(3)
    [won] = own_sandbox.disputes(buyer.order_id)
    assert (won["status"], won["funds_reinstated"]) == ("won", True)
    assert [each["stage"] for each in won["submissions"]] == ["inquiry", "chargeback"]


@pytest.mark.parametrize(
    ("inquiry", "status"),
    [(False, "lost"), (True, "warning_closed")],
    ids=["chargeback", "inquiry"],
)
def test_the_deadline_decides_without_evidence(
    own_sandbox: SandboxProcess, buyer: Shop, inquiry: bool, status: str
) -> None:
    buyer.pay(capture=True)
    opened = own_sandbox.open_dispute(order_id=buyer.order_id, inquiry=inquiry, due_in_seconds=60)
    own_sandbox.advance(59)
    assert own_sandbox.disputes(buyer.order_id)[0]["status"] == opened["status"]
    own_sandbox.advance(2)
    assert own_sandbox.disputes(buyer.order_id)[0]["status"] == status
    assert evidence(buyer, opened["id"], "too late")[0] == 400


@pytest.mark.parametrize("move", ["win", "prevent"])
def test_the_fee_is_kept_unless_it_is_returned(
    own_sandbox: SandboxProcess, buyer: Shop, move: str
) -> None:
    for return_fee in (False, True):
        buyer.pay(capture=True)
        opened = own_sandbox.open_dispute(order_id=buyer.order_id)
        before = len(kinds(own_sandbox, buyer))
        moved = own_sandbox.move_dispute(opened["id"], move, return_fee=return_fee)
        assert moved["fee_returned_minor"] == (1500 if return_fee else 0)
        back = kinds(own_sandbox, buyer)[before:]
        expected = [("dispute_reversed", 1000)] + [("dispute_fee_returned", 1500)] * return_fee
        assert back == expected


def test_an_uncaptured_or_unknown_payment_cannot_be_disputed(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay()
    with pytest.raises(AssertionError, match="nothing_captured"):
        own_sandbox.open_dispute(order_id=buyer.order_id)
    with pytest.raises(AssertionError, match="payment_unknown"):
        own_sandbox.open_dispute(order_id="unknown")
    with pytest.raises(AssertionError, match="404"):
        own_sandbox.move_dispute("sdp_unknown", "win")
    assert kinds(own_sandbox, buyer) == [("authorize", 1000)]


def test_a_dispute_is_seen_step_by_step_and_again_after_a_kill(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    with Receiver() as receiver:
        receiver.status = 500
        body = {"url": receiver.url, "secret": SECRET}
        assert buyer.request("PUT", "/v1/webhook_endpoint", body)[0] == 200
        buyer.pay(capture=True)
        opened = own_sandbox.open_dispute(order_id=buyer.order_id, inquiry=True)
        own_sandbox.move_dispute(opened["id"], "escalate")
        own_sandbox.move_dispute(opened["id"], "win")
        expected = {
            "dispute.created": 1,
            "dispute.updated": 1,
            "dispute.funds_withdrawn": 1,
            "dispute.closed": 1,
            "dispute.funds_reinstated": 1,
        }
        receiver.wait_until(lambda got: expected.keys() <= {each.type for each in got})
        seen = {each.notice["id"]: each.body for each in receiver.deliveries}
        own_sandbox.kill()
        receiver.deliveries.clear()
        receiver.status = 200
        own_sandbox.start()
        receiver.wait_until(lambda got: {each.notice["id"] for each in got} >= set(seen))
        assert all(seen[each.notice["id"]] == each.body for each in receiver.deliveries)
        types = [each.notice["type"] for each in receiver.deliveries]
        assert {name: types.count(name) for name in expected} == expected
        assert own_sandbox.disputes(buyer.order_id)[0]["status"] == "won"


@pytest.mark.parametrize(
    ("token", "text", "count"),
    [
        ("createDispute", "winning_evidence", 1),
        ("createDisputeInquiry", "escalate_inquiry_evidence", 1),
        ("createDisputeMultipleDisputes", "losing_evidence", 2),
    ],
)
def test_a_scheduled_effect_does_not_happen_again_after_a_kill(
    own_sandbox: SandboxProcess, buyer: Shop, token: str, text: str, count: int
) -> None:
    opened = disputed(own_sandbox, buyer, f"pm_card_{token}")
    assert len(opened) == count
    evidence(buyer, opened[0]["id"], text)
    own_sandbox.advance(3)
    before = own_sandbox.disputes(buyer.order_id), kinds(own_sandbox, buyer)
    own_sandbox.kill()
    own_sandbox.start()
    own_sandbox.advance(3)
    assert (own_sandbox.disputes(buyer.order_id), kinds(own_sandbox, buyer)) == before


def test_a_decision_after_another_one_is_not_made(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    [dispute] = disputed(own_sandbox, buyer, "pm_card_createDisputeInquiry")
    evidence(buyer, dispute["id"], "escalate_inquiry_evidence")
    own_sandbox.move_dispute(dispute["id"], "escalate")
    own_sandbox.advance(3)
    [now] = own_sandbox.disputes(buyer.order_id)
    assert now["status"] == "needs_response"
    assert kinds(own_sandbox, buyer)[2:] == [("dispute", 1000), ("dispute_fee", 1500)]


def test_another_account_sees_nothing_of_a_dispute(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True)
    dispute_id = own_sandbox.open_dispute(order_id=buyer.order_id)["id"]
    stranger = Shop(own_sandbox.base_url)
    assert stranger.request("GET", f"/v1/disputes/{dispute_id}")[0] == 404
    assert evidence(stranger, dispute_id, "mine")[0] == 404
    assert own_sandbox.disputes(buyer.order_id)[0]["submissions"] == []


@pytest.mark.parametrize(
    ("fault", "outcome", "taken"),
    [
        ("down", Outcome.UNKNOWN, False),
        ("rate_limit", Outcome.NOT_SENT, False),
        ("error_before", Outcome.UNKNOWN, False),
        ("error_after", Outcome.UNKNOWN, True),
        ("drop_after", Outcome.UNKNOWN, True),
        ("truncate", Outcome.UNKNOWN, True),
        ("hang", Outcome.UNKNOWN, True),
    ],
)
def test_a_response_after_every_fault_is_unknown_and_a_repeat_is_one_submission(
    sandbox: SandboxProcess,
    adapter: SandboxAdapter,
    api_key: str,
    fault: str,
    outcome: Outcome,
    taken: bool,
) -> None:
    shop = Shop(sandbox.base_url)
    shop.api_key = api_key
    shop.pay(capture=True)
    request = a_response(sandbox.open_dispute(order_id=shop.order_id)["id"])
    sandbox.script({fault: 1}, order_id=shop.order_id, kind="submit_evidence")
    result = adapter.submit_evidence(request, deadline_seconds=0.4)
    assert result.outcome is outcome
    assert len(sandbox.disputes(shop.order_id)[0]["submissions"]) == taken
    again = adapter.submit_evidence(request, deadline_seconds=DEADLINE_SECONDS)
    assert again.outcome is Outcome.SUCCEEDED
    assert len(sandbox.disputes(shop.order_id)[0]["submissions"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "sdp_another"},
        {"status": "puzzled"},
        {"amount_minor": 10.5},
        {"currency": "XXY"},
        {"inquiry": "yes"},
        {"evidence_due_by": "tomorrow"},
        {"evidence_due_by": "2026-03-01T12:00:00"},
        {"submissions": 5},
        {"reference": None},
    ],
)
def test_an_unreadable_dispute_is_no_answer(
    sandbox: SandboxProcess, changes: dict[str, Any]
) -> None:
    shop = Shop(sandbox.base_url)
    shop.pay(capture=True)
    view = sandbox.open_dispute(order_id=shop.order_id)
    assert mapping.dispute_of(view, psp_dispute_id=view["id"]).psp_dispute_id == view["id"]
    with pytest.raises(mapping._UNREADABLE):
        mapping.dispute_of({**view, **changes}, psp_dispute_id=view["id"])


def test_a_look_up_that_cannot_be_sent_is_unavailable(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    sandbox.script({"down": 1}, kind="look_up")
    with pytest.raises(PspUnavailable):
        adapter.look_up_dispute("sdp_any", deadline_seconds=DEADLINE_SECONDS)


def test_an_answer_that_does_not_name_our_response_is_unknown(
    sandbox: SandboxProcess, adapter: SandboxAdapter, api_key: str
) -> None:
    shop = Shop(sandbox.base_url)
    shop.api_key = api_key
    shop.pay(capture=True)
    request = a_response(sandbox.open_dispute(order_id=shop.order_id)["id"])
    adapter.submit_evidence(request, deadline_seconds=DEADLINE_SECONDS)
    path = f"/v1/disputes/{request.psp_dispute_id}"
    answer = adapter._http.send("GET", path, deadline_seconds=DEADLINE_SECONDS)
    other = replace(request, reference="dr-another")
    assert mapping.result_of_answer(request, answer).outcome is Outcome.SUCCEEDED
    assert mapping.result_of_answer(other, answer).outcome is Outcome.UNKNOWN


def a_response(dispute_id: str) -> DisputeRequest:
    reference = f"dr-{uuid.uuid4().hex}"
    return DisputeRequest(
        psp_key=f"key-{reference}",
        reference=reference,
        psp_dispute_id=dispute_id,
        answers_inquiry=False,
        evidence={"uncategorized_text": "It was delivered."},
    )
