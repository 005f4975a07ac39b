"""Evidence is handed in once, whatever happens on the way; giving in likewise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connections

from payments.exceptions import (
    DisputeRefused,
    IdempotencyKeyInUse,
    InvalidParameter,
    OperationUnderWay,
    PaymentRefused,
    PspNotReached,
    ResourceMissing,
)
from payments.models import (
    Case,
    Dispute,
    DisputeResponse,
    Event,
    IdempotencyKey,
)
from payments.objects.dispute import dispute_object
from payments.services import dispute_calls, dispute_responses, disputes, idempotency
from payments.services.events import now_utc
from payments.services.verification import differences
from payments.tests.crashes import Where, crash_at
from payments.tests.dispute_desk import Desk
from payments.tests.shop import Shop, body_of
from psp_adapters.contract import Outcome

LONG_AGO = "2000-01-01T00:00:00Z"


@pytest.fixture
def desk(shop: Shop, settings: Any) -> Desk:
    settings.PSP_BREAKERS = False  # answers are lost by a PSP that is well
    return Desk(shop)


def lose(desk: Desk, fault: str, kind: str = "submit_evidence") -> None:
    desk.shop.psp.script({fault: 1}, order_id=desk.shop.order_id, kind=kind)


def end_leases() -> None:
    """Let time pass: whoever died no longer owns anything."""
    DisputeResponse.objects.filter(closed_at__isnull=True).update(
        lease_until=LONG_AGO, next_check_at=LONG_AGO
    )
    IdempotencyKey.objects.update(lease_until=LONG_AGO)


def submissions(desk: Desk) -> list[dict[str, str]]:
    [dispute] = desk.at_the_psp()
    found: list[dict[str, str]] = dispute["submissions"]
    return found


def untouched(desk: Desk, dispute: Dispute) -> bool:
    """Nothing was written and nothing was sent."""
    now = desk.dispute()
    return (
        DisputeResponse.objects.count() == 0
        and submissions(desk) == []
        and (now.evidence, now.submission_count, now.updated_at)
        == (dispute.evidence, dispute.submission_count, dispute.updated_at)
    )


def test_evidence_is_staged_changed_and_handed_in(desk: Desk) -> None:
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
    assert submissions(desk) == []

    sent = body_of(desk.update(dispute, evidence={"uncategorized_text": "It was delivered."}))
    assert sent["status"] == "under_review"
    details = sent["evidence_details"]
    assert (details["submission_count"], details["due_by"]) == (1, None)
    assert (details["past_due"], details["submission_method"]) == (False, "manual")
    response = DisputeResponse.objects.get()
    assert (response.status, response.stage) == ("SUCCEEDED", "chargeback")
    assert response.evidence == {"customer_name": "Ann", "uncategorized_text": "It was delivered."}
    assert submissions(desk) == [{"reference": response.public_id, "stage": "chargeback"}]
    row = desk.dispute()
    assert (row.submission_count, row.next_reminder_at) == (1, None)
    assert row.submitted_at is not None
    assert desk.events(intent_id)[2:] == ["charge.dispute.updated"] * 3
    assert list(differences()) == []


def test_metadata_alone_hands_nothing_in(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    assert body_of(desk.update(dispute, metadata={"a": "1"}))["metadata"] == {"a": "1"}
    assert body_of(desk.update(dispute, metadata={"a": ""}))["metadata"] == {}
    assert submissions(desk) == []
    event = Event.objects.filter(type="charge.dispute.updated").order_by("seq").first()
    assert event is not None
    assert event.payload["previous_attributes"] == {"metadata": {"a": None}}
    assert desk.events(intent_id).count("charge.dispute.updated") == 2


@pytest.mark.parametrize(
    ("word", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")]
)
def test_the_words_of_evidence_decide_in_the_sandbox(desk: Desk, word: str, status: str) -> None:
    desk.shop.psp.set_behavior(settle_delay_seconds=0)
    desk.pay()
    dispute = desk.opened()
    desk.submit(dispute, word)
    assert desk.look(dispute.psp_dispute_id).status == status
    assert list(differences()) == []


def test_an_escalated_inquiry_takes_evidence_again(desk: Desk) -> None:
    desk.shop.psp.set_behavior(settle_delay_seconds=0)
    desk.pay()
    inquiry = desk.opened(inquiry=True)
    desk.submit(inquiry, "escalate_inquiry_evidence")
    dispute = desk.look(inquiry.psp_dispute_id)
    assert (dispute.status, dispute.slot_is_spent) == ("needs_response", False)
    assert dispute_object(dispute)["evidence_details"]["due_by"] is not None
    assert dispute.next_reminder_at is not None
    desk.submit(dispute, "winning_evidence")
    dispute = desk.look(dispute.psp_dispute_id)
    assert (dispute.status, dispute.submission_count) == ("won", 2)
    assert [each["stage"] for each in submissions(desk)] == ["inquiry", "chargeback"]
    assert list(differences()) == []


def test_what_cannot_be_handed_in_is_refused_by_name_and_writes_nothing(desk: Desk) -> None:
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
    assert len(submissions(desk)) == DisputeResponse.objects.count() == 1
    assert dispute_object(desk.dispute())["evidence_details"]["due_by"] is None


def test_a_dispute_that_is_over_takes_nothing(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    desk.look(dispute.psp_dispute_id)
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


def test_giving_in_is_final(desk: Desk) -> None:
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


def test_an_inquiry_that_is_closed_costs_nothing(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(inquiry=True)
    assert body_of(desk.close(dispute))["status"] == "warning_closed"
    assert list(differences()) == []


def test_what_the_psp_refuses_frees_the_slot_and_is_an_error(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")  # we do not know yet
    caller = desk.shop.caller(key="the key")
    answer = desk.submit(dispute, caller=caller)
    assert (answer.status, body_of(answer)["error"]["code"]) == (400, "dispute_unexpected_state")
    assert desk.submit(dispute, caller=caller).body == answer.body
    row = desk.dispute()
    assert (row.answered_stage, row.submission_count) == ("", 0)
    assert row.next_look_at <= now_utc(), "asked about at once"
    assert DisputeResponse.objects.get().status == "DECLINED"


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "truncate", "down", "error_before"])
@pytest.mark.parametrize("kind", ["submit_evidence", "accept_dispute"])
def test_a_lost_answer_is_found_out_and_never_sent_twice(desk: Desk, fault: str, kind: str) -> None:
    desk.pay()
    dispute = desk.opened()
    lose(desk, fault, kind)
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
    assert dispute_responses.resolve_due_responses() == 1
    response.refresh_from_db()
    assert response.status == "SUCCEEDED"
    assert desk.dispute().status == ("under_review" if kind == "submit_evidence" else "lost")
    [at_the_psp] = desk.at_the_psp()
    taken = [each["reference"] for each in at_the_psp["submissions"]]
    taken += [at_the_psp["accepted_reference"]] * bool(at_the_psp["accepted_reference"])
    assert taken == [response.public_id]
    assert command(dispute, caller=caller).body == answer.body, "the first answer is final"
    assert dispute_responses.resolve_due_responses() == 0
    assert list(differences()) == []


def test_what_was_not_sent_may_be_tried_again_with_the_same_key(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    lose(desk, "rate_limit")
    caller = desk.shop.caller(key="the key")
    with pytest.raises(PspNotReached):
        desk.submit(dispute, caller=caller)
    row = desk.dispute()
    assert (row.answered_stage, row.submission_count) == ("", 0)
    assert row.next_reminder_at is not None
    assert submissions(desk) == []
    assert body_of(desk.submit(dispute, caller=caller))["status"] == "under_review"
    assert len(submissions(desk)) == 1
    statuses = DisputeResponse.objects.order_by("id").values_list("status", flat=True)
    assert list(statuses) == ["NOT_SENT", "SUCCEEDED"]


STEPS: dict[str, Where] = {
    "before the claim": (idempotency, "claim", "before"),
    "after the claim, before the commit": (idempotency, "claim", "after"),
    "after the commit": (dispute_responses, "_seconds_for", "before"),
    "before the PSP has it": (dispute_calls, "send", "before"),
    "after the PSP has done it": (dispute_calls, "send", "after"),
    "in the second transaction": (idempotency, "put_answer", "after"),
    "after the second commit": (dispute_responses, "record_response", "after"),
}


@pytest.mark.parametrize("retried_by", ["the merchant", "the sweep"])
@pytest.mark.parametrize("kind", ["submit", "close"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_one_response(
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
        dispute_responses.resolve_due_responses()
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


def test_eight_submissions_at_once_are_one(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    results = at_once(8, lambda n: desk.submit(dispute, f"number {n}"))
    answered = [r for r in results if not isinstance(r, PaymentRefused)]
    assert [body_of(answer)["status"] for answer in answered] == ["under_review"]
    codes = {r.code for r in results if isinstance(r, PaymentRefused)}
    assert codes == {"dispute_evidence_already_submitted"}
    assert len(submissions(desk)) == 1


def test_submitting_and_giving_in_at_once_never_both_are_open(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    at_once(8, lambda n: desk.submit(dispute) if n % 2 else desk.close(dispute))
    assert DisputeResponse.objects.filter(kind="evidence", status="SUCCEEDED").count() <= 1
    assert DisputeResponse.objects.filter(kind="acceptance", status="SUCCEEDED").count() <= 1
    assert not DisputeResponse.objects.filter(closed_at__isnull=True).exists()
    desk.look(dispute.psp_dispute_id)
    assert list(differences()) == []


def test_what_somebody_handed_in_at_the_psp_leaves_no_place_for_ours(
    desk: Desk, application_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    lose(desk, "down")
    desk.submit(dispute)
    adapter = dispute_calls.adapter_of(desk.shop.account)
    theirs = dispute_calls.DisputeRequest(
        psp_key="the dashboard",
        reference="the dashboard",
        psp_dispute_id=dispute.psp_dispute_id,
        evidence={"uncategorized_text": "from the dashboard"},
    )
    assert adapter.submit_evidence(theirs, deadline_seconds=5).outcome is Outcome.SUCCEEDED
    end_leases()
    dispute_responses.resolve_due_responses()
    response = DisputeResponse.objects.get()
    assert (response.status, response.code) == ("DECLINED", "dispute_unexpected_state")
    row = desk.dispute()
    assert (row.status, row.submission_count) == ("under_review", 1)
    assert [each["reference"] for each in submissions(desk)] == ["the dashboard"]


def test_too_late_to_repeat_is_a_case_for_a_person(
    desk: Desk, owner_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    lose(desk, "down")
    desk.submit(dispute)
    owner_cursor.execute("ALTER TABLE payments_dispute_response DISABLE TRIGGER permanent_columns")
    owner_cursor.execute(
        "UPDATE payments_dispute_response SET created_at = now() - interval '2 days'"
    )
    owner_cursor.execute("ALTER TABLE payments_dispute_response ENABLE TRIGGER permanent_columns")
    for _ in range(2):
        end_leases()
        dispute_responses.resolve_due_responses()
    assert submissions(desk) == []
    response = DisputeResponse.objects.get()
    assert response.status == "UNKNOWN"
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("outcome_unknown", response.public_id)


def test_a_sender_whose_lease_was_over_cannot_say_that_nothing_was_sent(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    lose(desk, "down")
    desk.submit(dispute)
    response = DisputeResponse.objects.get()
    late = disputes.DisputeResult(outcome=Outcome.NOT_SENT, detail="no connection")
    disputes.record_response(
        response=response,
        result=late,
        caller=desk.shop.caller(),
        sender_lease=response.lease_until - timedelta(seconds=5),
    )
    response.refresh_from_db()
    assert response.status == "UNKNOWN"
    assert "lease was over" in response.detail


def test_postgresql_takes_one_submission_per_stage_and_changes_none(
    desk: Desk, application_cursor: psycopg.Cursor[Any]
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
        with pytest.raises(psycopg.Error, match=refusal):
            application_cursor.execute(statement)


def at_once(number: int, command: Callable[[int], Any]) -> list[Any]:
    """Run a command in threads that start together; refusals count as results."""
    barrier, results = threading.Barrier(number), [None] * number

    def run(position: int) -> None:
        try:
            barrier.wait()
            results[position] = command(position)
        except PaymentRefused as refusal:
            results[position] = refusal
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
