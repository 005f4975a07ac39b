"""Lost answers, kills and races: a response to a dispute still reaches the PSP once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from payments.clock import now_utc
from payments.exceptions import (
    DisputeRefused,
    IdempotencyKeyInUse,
    OperationUnderWay,
    PaymentRefused,
    PspNotReached,
)
from payments.models import (
    Case,
    DisputeResponse,
    Event,
)
from payments.objects.dispute import dispute_object
from payments.services.disputes import response_recording, responses, sync
from payments.services.idempotency import keys
from payments.services.psp_gateway import dispute_calls
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.crashes import Where, crash_at
from payments.tests.support.dispute_desk import Desk, end_leases
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.contract.operations import Outcome


@pytest.fixture
def desk(shop: Shop, settings: Any) -> Desk:
    settings.PSP_BREAKERS = False  # answers are lost by a PSP that is well
    return Desk(shop)


@pytest.mark.matrix
@pytest.mark.parametrize("fault", ["drop_after", "error_after", "truncate", "down", "error_before"])
@pytest.mark.parametrize("kind", ["submit_evidence", "accept_dispute"])
def test_a_response_whose_answer_was_lost_is_resolved_and_never_sent_twice(
    desk: Desk, fault: str, kind: str
) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.lose(fault, kind)
    command = desk.submit if kind == "submit_evidence" else desk.close
    caller = desk.shop.caller(key="the key")
    answer = command(dispute, caller=caller)
    assert (answer.status, body_of(answer)["status"]) == (200, "needs_response")
    response = DisputeResponse.objects.get()
    assert response.status == "UNKNOWN"
    if kind == "submit_evidence":
        assert body_of(answer)["evidence_details"]["due_by"] is None, "the slot is spent"
        with pytest.raises(DisputeRefused):
            desk.submit(dispute, "again")
    else:
        with pytest.raises(OperationUnderWay):
            desk.submit(dispute, "after all")

    end_leases()
    assert responses.resolve_due_responses() == 1
    response.refresh_from_db()
    assert response.status == "SUCCEEDED"
    assert desk.dispute().status == ("under_review" if kind == "submit_evidence" else "lost")
    [at_the_psp] = desk.at_the_psp()
    taken = [each["reference"] for each in at_the_psp["submissions"]]
    taken += [at_the_psp["accepted_reference"]] * bool(at_the_psp["accepted_reference"])
    assert taken == [response.public_id]
    assert command(dispute, caller=caller).body == answer.body, "the first answer is final"
    assert responses.resolve_due_responses() == 0
    assert list(differences()) == []


@pytest.mark.parametrize("kind", ["submit_evidence", "accept_dispute"])
def test_a_response_to_an_inquiry_is_not_repeated_after_the_escalation(
    desk: Desk, kind: str
) -> None:
    """Closing an inquiry costs nothing; the same request would lose the chargeback."""
    intent_id = desk.pay()
    dispute = desk.opened(inquiry=True)
    desk.lose("down", kind)
    command = desk.submit if kind == "submit_evidence" else desk.close
    assert command(dispute).status == 200
    calls_before = len(desk.shop.psp.calls(kind=kind))
    desk.move(dispute.psp_dispute_id, "escalate")
    end_leases()
    assert responses.resolve_due_responses() == 1

    response = DisputeResponse.objects.get()
    assert (response.status, response.code) == ("DECLINED", "dispute_unexpected_state")
    assert len(desk.shop.psp.calls(kind=kind)) == calls_before, "nothing was sent again"
    assert chargeback_without_response(desk)
    row = desk.dispute()
    assert (row.status, row.slot_is_spent, row.submission_count) == ("needs_response", False, 0)
    assert desk.events(intent_id)[-1] == "charge.dispute.funds_withdrawn"
    assert body_of(desk.submit(row))["status"] == "under_review"
    assert list(differences()) == []


@pytest.mark.parametrize("kind", ["submit_evidence", "accept_dispute"])
def test_a_response_to_an_inquiry_is_declined_if_it_has_escalated_without_notification(
    desk: Desk, kind: str
) -> None:
    desk.pay()
    dispute = desk.opened(inquiry=True)
    desk.move(dispute.psp_dispute_id, "escalate")
    command = desk.submit if kind == "submit_evidence" else desk.close
    answer = command(dispute)
    assert (answer.status, body_of(answer)["error"]["code"]) == (400, "dispute_unexpected_state")
    assert chargeback_without_response(desk)
    assert desk.dispute().next_sync_at <= now_utc(), "a sync is due at once"
    assert sync.sync_due_disputes() == 1
    assert desk.dispute().status == "needs_response"
    assert list(differences()) == []


def chargeback_without_response(desk: Desk) -> bool:
    """The PSP has neither evidence nor an acceptance, and still takes them."""
    [at_the_psp] = desk.at_the_psp()
    told = (at_the_psp["submissions"], at_the_psp["accepted_reference"])
    return at_the_psp["status"] == "needs_response" and told == ([], "")


def test_a_response_that_is_declined_later_emits_an_event(desk: Desk) -> None:
    """The merchant's answer was 200, so an event must correct it."""
    intent_id = desk.pay()
    dispute = desk.opened()
    due_by = dispute_object(dispute)["evidence_details"]["due_by"]
    desk.lose("down")
    assert desk.submit(dispute).status == 200
    desk.move(dispute.psp_dispute_id, "win")
    end_leases()
    responses.resolve_due_responses()
    assert DisputeResponse.objects.get().status == "DECLINED"
    rows = Event.objects.filter(aggregateid=uuid_of(intent_id), type="charge.dispute.updated")
    _, refused = [event.payload for event in rows.order_by("seq")]
    details = refused["object"]["evidence_details"]
    assert (details["submission_count"], details["due_by"]) == (0, due_by)
    previous = {"due_by": None, "submission_count": 1, "submission_method": "manual"}
    assert refused["previous_attributes"] == {"evidence_details": previous}
    assert desk.events(intent_id)[-2:] == [
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]


def test_a_response_that_was_not_sent_may_be_repeated_with_the_same_key(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    desk.lose("rate_limit")
    caller = desk.shop.caller(key="the key")
    with pytest.raises(PspNotReached):
        desk.submit(dispute, caller=caller)
    row = desk.dispute()
    assert (row.answered_stage, row.submission_count) == ("", 0)
    assert row.next_reminder_at is not None
    assert desk.submissions() == []
    assert desk.events(intent_id)[2:] == ["charge.dispute.updated"] * 2
    last = Event.objects.filter(aggregateid=uuid_of(intent_id)).latest("seq")
    assert last.payload["object"]["evidence_details"]["submission_count"] == 0
    assert body_of(desk.submit(dispute, caller=caller))["status"] == "under_review"
    assert len(desk.submissions()) == 1
    statuses = DisputeResponse.objects.order_by("id").values_list("status", flat=True)
    assert list(statuses) == ["NOT_SENT", "SUCCEEDED"]


STEPS: dict[str, Where] = {
    "before the claim": (keys, "claim", "before"),
    "after the claim, before the commit": (keys, "claim", "after"),
    "after the commit": (responses, "_seconds_for", "before"),
    "before the PSP has it": (dispute_calls, "send", "before"),
    "after the PSP has done it": (dispute_calls, "send", "after"),
    "in the second transaction": (keys, "put_answer", "after"),
    "after the second commit": (responses, "record_response", "after"),
}


@pytest.mark.matrix
@pytest.mark.parametrize("retried_by", ["the merchant", "the sweep"])
@pytest.mark.parametrize("kind", ["submit", "close"])
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_leaves_one_response(
    desk: Desk, step: str, kind: str, retried_by: str
) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    command = desk.submit if kind == "submit" else desk.close
    caller = desk.shop.caller(key="the key", body=kind)

    crash_at(STEPS[step], lambda: command(dispute, caller=caller))
    if DisputeResponse.objects.filter(closed_at__isnull=True).exists():
        with pytest.raises((IdempotencyKeyInUse, OperationUnderWay, DisputeRefused)):
            command(dispute, caller=caller)
    end_leases()
    if retried_by == "the sweep":
        responses.resolve_due_responses()
    answer = command(dispute, caller=caller)

    assert answer.status == 200
    assert body_of(answer)["status"] == ("under_review" if kind == "submit" else "lost")
    response = DisputeResponse.objects.get()
    assert response.status == "SUCCEEDED"
    [at_the_psp] = desk.at_the_psp()
    references = [each["reference"] for each in at_the_psp["submissions"]]
    assert references == ([response.public_id] if kind == "submit" else [])
    assert at_the_psp["accepted_reference"] == ("" if kind == "submit" else response.public_id)
    again = command(dispute, caller=caller)
    assert (again.replayed, again.body) == (True, answer.body)
    last = "charge.dispute.updated" if kind == "submit" else "charge.dispute.closed"
    assert desk.events(intent_id)[-1] == last
    assert list(differences()) == []


def test_eight_concurrent_submissions_are_one(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    results = at_once(8, lambda n: desk.submit(dispute, f"number {n}"))
    answered = [r for r in results if not isinstance(r, PaymentRefused)]
    assert [body_of(answer)["status"] for answer in answered] == ["under_review"]
    codes = {r.code for r in results if isinstance(r, PaymentRefused)}
    assert codes == {"dispute_evidence_already_submitted"}
    assert len(desk.submissions()) == 1


def test_concurrent_submissions_and_acceptances_each_succeed_at_most_once(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    at_once(8, lambda n: desk.submit(dispute) if n % 2 else desk.close(dispute))
    assert DisputeResponse.objects.filter(kind="evidence", status="SUCCEEDED").count() <= 1
    assert DisputeResponse.objects.filter(kind="acceptance", status="SUCCEEDED").count() <= 1
    assert not DisputeResponse.objects.filter(closed_at__isnull=True).exists()
    desk.sync(dispute.psp_dispute_id)
    assert list(differences()) == []


def test_evidence_submitted_in_the_dashboard_has_ours_declined(
    desk: Desk, application_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.lose("down")
    desk.submit(dispute)
    adapter = dispute_calls.adapter_of(desk.shop.account)
    theirs = dispute_calls.DisputeRequest(
        psp_key="the dashboard",
        reference="the dashboard",
        psp_dispute_id=dispute.psp_dispute_id,
        answers_inquiry=False,
        evidence={"uncategorized_text": "from the dashboard"},
    )
    assert adapter.submit_evidence(theirs, deadline_seconds=5).outcome is Outcome.SUCCEEDED
    end_leases()
    responses.resolve_due_responses()
    response = DisputeResponse.objects.get()
    assert (response.status, response.code) == ("DECLINED", "dispute_unexpected_state")
    row = desk.dispute()
    assert (row.status, row.submission_count) == ("under_review", 1)
    assert [each["reference"] for each in desk.submissions()] == ["the dashboard"]


def test_an_unknown_response_too_old_to_repeat_opens_a_case(
    desk: Desk, owner_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.lose("down")
    desk.submit(dispute)
    owner_cursor.execute("ALTER TABLE payments_dispute_response DISABLE TRIGGER permanent_columns")
    owner_cursor.execute(
        "UPDATE payments_dispute_response SET created_at = now() - interval '2 days'"
    )
    owner_cursor.execute("ALTER TABLE payments_dispute_response ENABLE TRIGGER permanent_columns")
    for _ in range(2):
        end_leases()
        responses.resolve_due_responses()
    assert desk.submissions() == []
    response = DisputeResponse.objects.get()
    assert response.status == "UNKNOWN"
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("outcome_unknown", response.public_id)


def test_a_not_sent_result_after_the_senders_lease_is_ignored(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.lose("down")
    desk.submit(dispute)
    response = DisputeResponse.objects.get()
    late = response_recording.DisputeResult(outcome=Outcome.NOT_SENT, detail="no connection")
    response_recording.record_response(
        response=response,
        result=late,
        caller=desk.shop.caller(),
        sender_lease=response.lease_until - timedelta(seconds=5),
    )
    response.refresh_from_db()
    assert response.status == "UNKNOWN"
    assert "lease was over" in response.detail
