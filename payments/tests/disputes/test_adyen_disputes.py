"""Disputes over Adyen's adapter, from the first notification to the books."""

from __future__ import annotations

import pytest

from payments.models import Case, Dispute, DisputeResponse
from payments.services.disputes import responses, sync
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_adyen import AdyenShop, adyen, held
from payments.tests.support.api_client import Reply, api_of
from payments.tests.support.money_moves import LONG_AGO

__all__ = ["adyen"]


def disputed(shop: AdyenShop) -> tuple[str, Dispute]:
    """A sale that is charged back; Adyen's id of the dispute."""
    held(shop, manual=False)
    opened = shop.psp.open_dispute(order_id=shop.order_id)
    dispute_id = shop.face.open_dispute(opened)
    shop.deliver()
    return dispute_id, Dispute.objects.get(psp_dispute_id=dispute_id)


def answer(shop: AdyenShop, dispute: Dispute) -> Reply:
    evidence = {"uncategorized_text": "It was delivered."}
    return api_of(shop).post(f"/v1/disputes/{dispute.public_id}", evidence=evidence)


def decide(shop: AdyenShop, dispute_id: str, move: str) -> None:
    """Have the bank decide, and Adyen state it."""
    shop.psp.move_dispute(shop.face.disputes.known[dispute_id].sandbox_id, move)
    shop.face.disputes.tell_the_decision(dispute_id)


def end_sending() -> None:
    """The senders of all responses are gone."""
    DisputeResponse.objects.update(lease_until=LONG_AGO, next_check_at=LONG_AGO)


@pytest.mark.parametrize(
    ("move", "status", "funds_back"), [("win", "won", True), ("lose", "lost", False)]
)
def test_a_chargeback_is_answered_and_decided(
    adyen: AdyenShop, move: str, status: str, funds_back: bool
) -> None:
    dispute_id, dispute = disputed(adyen)
    assert (dispute.status, dispute.amount_minor) == ("needs_response", 10_000)
    assert dispute.funds_withdrawn_at is not None
    assert answer(adyen, dispute).body["status"] == "under_review"
    adyen.deliver()
    dispute.refresh_from_db()
    assert (dispute.status, dispute.submission_count) == ("under_review", 1)
    decide(adyen, dispute_id, move)
    adyen.deliver()
    dispute.refresh_from_db()
    assert dispute.status == status
    assert (dispute.funds_reinstated_at is not None) == funds_back
    assert list(differences()) == []
    assert not Case.objects.exists()


def test_an_acceptance_loses_the_dispute_once(adyen: AdyenShop) -> None:
    _, dispute = disputed(adyen)
    closed = api_of(adyen).post(f"/v1/disputes/{dispute.public_id}/close")
    assert closed.body["status"] == "lost"
    adyen.deliver()
    dispute.refresh_from_db()
    assert dispute.status == "lost"
    assert list(differences()) == []


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_evidence_whose_answer_is_lost_is_taken_once(adyen: AdyenShop, after: bool) -> None:
    _, dispute = disputed(adyen)
    adyen.face.drop_next("POST /disputes/defendDispute", after=after)
    assert answer(adyen, dispute).status == 200
    assert DisputeResponse.objects.get().status == "UNKNOWN"
    if adyen.sent:
        adyen.deliver()
    end_sending()
    responses.resolve_due_responses()
    assert DisputeResponse.objects.get().status == "SUCCEEDED"
    if adyen.sent:
        adyen.deliver()
    dispute.refresh_from_db()
    assert (dispute.status, dispute.submission_count) == ("under_review", 1)
    assert len([e for e in adyen.face.items if e["eventCode"] == "INFORMATION_SUPPLIED"]) == 1


def test_a_second_chargeback_takes_the_money_again(adyen: AdyenShop) -> None:
    dispute_id, dispute = disputed(adyen)
    answer(adyen, dispute)
    decide(adyen, dispute_id, "win")
    adyen.face.disputes.tell(dispute_id, "SECOND_CHARGEBACK", disputeStatus="Lost")
    adyen.deliver()
    first, second = Dispute.objects.order_by("psp_dispute_id")
    assert (first.status, second.status) == ("won", "lost")
    assert second.psp_dispute_id == f"{dispute_id}.2"
    assert adyen.intent(f"{first.intent.public_id}").amount_disputed_minor == 10_000
    assert list(differences()) == []


def test_the_notifications_of_a_dispute_come_in_any_order(adyen: AdyenShop) -> None:
    held(adyen, manual=False)
    opened = adyen.psp.open_dispute(order_id=adyen.order_id)
    dispute_id = adyen.face.open_dispute(opened)
    adyen.face.disputes.tell(dispute_id, "INFORMATION_SUPPLIED", disputeStatus="Pending")
    adyen.face.disputes.tell(dispute_id, "CHARGEBACK_REVERSED")
    bodies = adyen.sent[::-1]
    adyen.sent.clear()
    for body in bodies:
        adyen.deliver(body)
    sync.sync_due_disputes()
    [dispute] = Dispute.objects.all()
    assert (dispute.status, dispute.began_as_inquiry) == ("won", False)
    assert dispute.intent.amount_disputed_minor == 0
    assert list(differences()) == []
