"""Evidence reaches the PSP once, and so does the acceptance of a dispute."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError

from payments.clock import now_utc
from payments.exceptions import (
    DisputeRefused,
    InvalidParameter,
    ResourceMissing,
)
from payments.models import (
    Dispute,
    DisputeResponse,
    Event,
)
from payments.objects.dispute import dispute_object
from payments.services.verification.rebuild import differences
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop, body_of


@pytest.fixture
def desk(shop: Shop, settings: Any) -> Desk:
    settings.PSP_BREAKERS = False  # answers are lost by a PSP that is well
    return Desk(shop)


def untouched(desk: Desk, dispute: Dispute) -> bool:
    """Nothing was written and nothing was sent."""
    now = desk.dispute()
    return (
        DisputeResponse.objects.count() == 0
        and desk.submissions() == []
        and (now.evidence, now.submission_count, now.updated_at)
        == (dispute.evidence, dispute.submission_count, dispute.updated_at)
    )


def test_evidence_is_staged_changed_and_submitted(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    staged = body_of(
        desk.update(
            dispute,
            evidence={"customer_name": "Ann", "uncategorized_text": "draft"},
            metadata={"ticket": "7"},
            submit=False,
        )
    )
    assert (staged["evidence"]["customer_name"], staged["metadata"]) == ("Ann", {"ticket": "7"})
    details = staged["evidence_details"]
    assert (details["has_evidence"], details["submission_count"]) == (True, 0)
    assert details["due_by"] is not None
    assert desk.submissions() == []

    sent = body_of(desk.update(dispute, evidence={"uncategorized_text": "It was delivered."}))
    assert sent["status"] == "under_review"
    details = sent["evidence_details"]
    assert (details["submission_count"], details["due_by"]) == (1, None)
    assert (details["past_due"], details["submission_method"]) == (False, "manual")
    response = DisputeResponse.objects.get()
    assert (response.status, response.stage) == ("SUCCEEDED", "chargeback")
    assert response.evidence == {"customer_name": "Ann", "uncategorized_text": "It was delivered."}
    assert desk.submissions() == [{"reference": response.public_id, "stage": "chargeback"}]
    row = desk.dispute()
    assert (row.submission_count, row.next_reminder_at) == (1, None)
    assert row.submitted_at is not None
    assert desk.events(intent_id)[2:] == ["charge.dispute.updated"] * 3
    assert list(differences()) == []


def test_metadata_alone_submits_nothing(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    assert body_of(desk.update(dispute, metadata={"a": "1"}))["metadata"] == {"a": "1"}
    assert body_of(desk.update(dispute, metadata={"a": ""}))["metadata"] == {}
    assert desk.submissions() == []
    event = Event.objects.filter(type="charge.dispute.updated").order_by("seq").first()
    assert event is not None
    assert event.payload["previous_attributes"] == {"metadata": {"a": None}}
    assert desk.events(intent_id).count("charge.dispute.updated") == 2


@pytest.mark.parametrize(
    ("word", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")]
)
def test_the_sandbox_psp_decides_by_the_text_of_the_evidence(
    desk: Desk, word: str, status: str
) -> None:
    desk.shop.psp.set_behavior(settle_delay_seconds=0)
    desk.pay()
    dispute = desk.opened()
    desk.submit(dispute, word)
    assert desk.sync(dispute.psp_dispute_id).status == status
    assert list(differences()) == []


def test_an_escalated_inquiry_takes_evidence_again(desk: Desk) -> None:
    desk.shop.psp.set_behavior(settle_delay_seconds=0)
    desk.pay()
    inquiry = desk.opened(inquiry=True)
    desk.submit(inquiry, "escalate_inquiry_evidence")
    dispute = desk.sync(inquiry.psp_dispute_id)
    assert (dispute.status, dispute.slot_is_spent) == ("needs_response", False)
    assert dispute_object(dispute)["evidence_details"]["due_by"] is not None
    assert dispute.next_reminder_at is not None
    desk.submit(dispute, "winning_evidence")
    dispute = desk.sync(dispute.psp_dispute_id)
    assert (dispute.status, dispute.submission_count) == ("won", 2)
    assert [each["stage"] for each in desk.submissions()] == ["inquiry", "chargeback"]
    assert list(differences()) == []


def test_invalid_evidence_is_refused_by_parameter_and_writes_nothing(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=3600)
    with pytest.raises(InvalidParameter, match="no evidence") as nothing:
        desk.update(dispute, submit=True)
    assert nothing.value.code == "parameter_missing"
    assert untouched(desk, dispute)

    Dispute.objects.update(evidence_due_by=now_utc() - timedelta(minutes=1))
    with pytest.raises(DisputeRefused) as late:
        desk.submit(dispute)
    assert late.value.code == "dispute_past_due"
    with pytest.raises(DisputeRefused):
        desk.update(dispute, evidence={"customer_name": "Ann"}, submit=False)
    assert untouched(desk, dispute)
    shown = dispute_object(desk.dispute(), now=now_utc())["evidence_details"]
    assert shown["past_due"] is True


def test_a_second_submission_is_refused_and_shows_no_hours_left(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.submit(dispute)
    for again in (
        lambda: desk.submit(dispute, "more"),
        lambda: desk.update(dispute, evidence={"customer_name": "Ann"}, submit=False),
        lambda: desk.update(dispute, submit=True),
    ):
        with pytest.raises(DisputeRefused) as refused:
            again()
        assert refused.value.code == "dispute_evidence_already_submitted"
        assert "once" in refused.value.message
    assert len(desk.submissions()) == DisputeResponse.objects.count() == 1
    assert dispute_object(desk.dispute())["evidence_details"]["due_by"] is None


def test_a_closed_dispute_refuses_every_response(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)
    for command in (lambda: desk.submit(dispute), lambda: desk.close(dispute)):
        with pytest.raises(DisputeRefused) as refused:
            command()
        assert refused.value.code == "dispute_unexpected_state"
    assert DisputeResponse.objects.count() == 0
    assert body_of(desk.update(dispute, metadata={"a": "1"}))["metadata"] == {"a": "1"}


def test_another_merchants_dispute_does_not_exist(desk: Desk, other_shop: Shop) -> None:
    desk.pay()
    dispute = desk.opened()
    stranger = Desk(other_shop)
    with pytest.raises(ResourceMissing):
        stranger.submit(dispute)
    with pytest.raises(ResourceMissing):
        stranger.close(dispute)
    assert untouched(desk, dispute)


def test_accepting_a_dispute_is_final(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened()
    assert body_of(desk.close(dispute))["status"] == "lost"
    [at_the_psp] = desk.at_the_psp()
    assert at_the_psp["status"] == "lost"
    assert at_the_psp["accepted_reference"] == DisputeResponse.objects.get().public_id
    assert desk.events(intent_id)[2:] == ["charge.dispute.closed"]
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    with pytest.raises(DisputeRefused):
        desk.close(dispute)
    assert DisputeResponse.objects.count() == 1
    assert list(differences()) == []


def test_closing_an_inquiry_costs_nothing(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(inquiry=True)
    assert body_of(desk.close(dispute))["status"] == "warning_closed"
    assert list(differences()) == []


def test_a_response_that_the_psp_declines_frees_the_slot_and_is_an_error(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")  # we do not know yet
    caller = desk.shop.caller(key="the key")
    answer = desk.submit(dispute, caller=caller)
    assert (answer.status, body_of(answer)["error"]["code"]) == (400, "dispute_unexpected_state")
    assert desk.submit(dispute, caller=caller).body == answer.body
    row = desk.dispute()
    assert (row.answered_stage, row.submission_count) == ("", 0)
    assert row.next_sync_at <= now_utc() + timedelta(seconds=1), "asked about at once"
    assert DisputeResponse.objects.get().status == "DECLINED"


def test_postgresql_takes_one_submission_per_stage_and_changes_none(
    desk: Desk, application_cursor: psycopg.Cursor[Any], owner_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.submit(dispute)
    row = DisputeResponse.objects.get()
    row.pk, row.psp_key = None, "another"
    row.closed_at, row.next_check_at = None, now_utc()
    row.__dict__["status"] = "SENDING"
    with pytest.raises(IntegrityError, match="one_submission_per_stage"):
        row.save(force_insert=True)
    for statement, refusal in (
        ("UPDATE payments_dispute_response SET evidence = '{}'", "permanent_column"),
        ("UPDATE payments_dispute_response SET psp_key = 'x'", "permanent_column"),
        ("UPDATE payments_dispute SET amount_minor = 1", "permanent_column"),
        ("UPDATE payments_dispute SET loss_policy = 'platform'", "permanent_column"),
        ("UPDATE payments_dispute SET status = 'warning_closed'", "illegal_status"),
        ("DELETE FROM payments_dispute", "permission denied"),
    ):
        cursor = owner_cursor if refusal == "permanent_column" else application_cursor
        with pytest.raises(psycopg.Error, match=refusal):
            cursor.execute(statement)
