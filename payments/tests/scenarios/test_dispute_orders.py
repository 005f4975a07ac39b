"""Statements and notifications about a dispute in any order, late or doubled: one end state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, combinations, permutations
from typing import Any

import psycopg
import pytest

from ledger.models import LedgerEntry
from payments.models import Case, Dispute, Event, PspNotification
from payments.services import callers
from payments.services.disputes import recording, sync
from payments.services.psp_gateway import dispute_calls
from payments.services.psp_notifications import processing
from payments.services.verification.rebuild import differences
from payments.tests.support.crashes import crash_at
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.notices import Hooks, make_due
from payments.tests.support.shop import Shop, uuid_of
from paymentsite.tests.fixtures.matrix import orders
from psp_adapters.contract.disputes import DisputeRequest, PspDispute
from psp_adapters.contract.operations import Outcome

LIVES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "chargeback won": (False, ("win",)),
    "chargeback lost": (False, ("lose",)),
    "inquiry closed": (True, ("close",)),
    "inquiry escalated and won": (True, ("escalate", "win")),
    "inquiry escalated and lost": (True, ("escalate", "lose")),
    "inquiry escalated and prevented": (True, ("escalate", "prevent")),
    "chargeback prevented": (False, ("prevent",)),
    "chargeback prevented, its fee returned": (False, ("prevent, return fee",)),
    "chargeback won, its fee returned": (False, ("win, return fee",)),
    "chargeback won, its fee returned later": (False, ("win", "return fee")),
    "chargeback answered and won": (False, ("answer", "win")),
    "chargeback answered and lost": (False, ("answer", "lose")),
    "inquiry prevented": (True, ("prevent",)),
    "inquiry answered and closed": (True, ("answer", "close")),
    "inquiry escalated, answered and lost": (True, ("escalate", "answer", "lose")),
}
"""Whether it begins as an inquiry, and the steps that follow."""
LONG_LIVES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "inquiry answered, escalated and prevented": (True, ("answer", "escalate", "prevent")),
    "inquiry answered, escalated, answered and won": (
        True,
        ("answer", "escalate", "answer", "win, return fee"),
    ),
}
"""Too long for every order; tested with every set of missed statements."""


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def end_of(desk: Desk, intent_id: str) -> dict[str, Any]:
    """Everything that must not depend on the order."""
    intent = desk.shop.intent(intent_id)
    rows = LedgerEntry.objects.filter(payment_id=uuid_of(intent_id)).values_list(
        "transaction__rule", "account__code", "direction", "amount_minor", "currency", "entry_type"
    )
    entries = sorted(rows)
    types = set(Event.objects.filter(aggregateid=intent.id).values_list("type", flat=True))
    return {
        "status": intent.status,
        "dispute": [
            (
                *(d.status, d.amount_minor, d.fee_minor, d.fee_returned_minor),
                *(d.submission_count, d.is_charge_refundable),
            )
            for d in Dispute.objects.filter(intent=intent)
        ],
        "amounts": (
            intent.amount_captured_minor,
            intent.amount_refunded_minor,
            intent.amount_disputed_minor,
        ),
        "ledger": hashlib.sha256(repr(entries).encode()).hexdigest(),
        "entries": len(entries),
        "events": sorted(types - {"charge.dispute.updated"}),
    }


def new_order(desk: Desk, number: object) -> None:
    desk.shop.order_id = f"order-{number}-{desk.shop.merchant.id}"


def statements_of_a_life(desk: Desk, life: tuple[bool, tuple[str, ...]]) -> Iterator[PspDispute]:
    """The PSP's statement after each step of a dispute's life."""
    inquiry, moves = life
    psp_dispute_id = desk.open(inquiry=inquiry)
    yield statement_of(desk, psp_dispute_id)
    for move in moves:
        statement = statement_of(desk, psp_dispute_id)
        if move == "return fee":
            yield replace(statement, fee_returned=statement.fee)
            continue
        if move == "answer":
            answer_in_the_dashboard(desk, statement)
        else:
            verb, _, fee = move.partition(", ")
            desk.move(psp_dispute_id, verb, return_fee=fee == "return fee")
        yield statement_of(desk, psp_dispute_id)


def statement_of(desk: Desk, psp_dispute_id: str) -> PspDispute:
    statement = dispute_calls.ask(desk.shop.account, psp_dispute_id)
    assert statement is not None
    return statement


def answer_in_the_dashboard(desk: Desk, statement: PspDispute) -> None:
    reference = f"dashboard-{statement.psp_dispute_id}-{statement.status}"
    request = DisputeRequest(
        psp_key=reference,
        reference=reference,
        psp_dispute_id=statement.psp_dispute_id,
        answers_inquiry=statement.is_inquiry,
        evidence={"uncategorized_text": "It was delivered."},
    )
    adapter = dispute_calls.adapter_of(desk.shop.account)
    assert adapter.submit_evidence(request, deadline_seconds=5).outcome is Outcome.SUCCEEDED


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("life", LIVES)
def test_statements_about_a_dispute_in_any_order_end_in_the_same_state(
    desk: Desk, life: str
) -> None:
    ends = []
    steps = len(LIVES[life][1]) + 1
    for order in orders(range(steps)):
        new_order(desk, order)
        intent_id = desk.pay(25_000)
        statements = list(statements_of_a_life(desk, LIVES[life]))
        [charge] = desk.shop.operations(intent_id)
        for position in (*order, *order):
            recording.record_dispute(
                statement=statements[position],
                charge=charge,
                caller=callers.for_operation(charge, "test"),
            )
        ends.append(end_of(desk, intent_id))
    assert len(ends) > 1
    assert all(end == ends[0] for end in ends)
    assert ends[0]["entries"] > 6
    assert Case.objects.count() == 0
    assert list(differences()) == []


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("life", [*LIVES, *LONG_LIVES])
def test_a_dispute_ends_in_the_same_state_whichever_statements_were_missed(
    desk: Desk, life: str
) -> None:
    """Only some steps are recorded, but always the last."""
    lived = {**LIVES, **LONG_LIVES}[life]
    steps = len(lived[1]) + 1
    ends = []
    missed = chain.from_iterable(combinations(range(steps - 1), n) for n in range(steps))
    for unseen in missed:
        new_order(desk, unseen)
        intent_id = desk.pay(25_000)
        [charge] = desk.shop.operations(intent_id)
        for step, statement in enumerate(statements_of_a_life(desk, lived)):
            if step not in unseen:
                recording.record_dispute(
                    statement=statement, charge=charge, caller=callers.for_operation(charge, "test")
                )
        ends.append(end_of(desk, intent_id))
    assert len(ends) == 2 ** (steps - 1)
    assert all(end == ends[0] for end in ends)
    assert list(differences()) == []


@pytest.mark.matrix(most=1)
@pytest.mark.parametrize("first", [2, 0, 1, 3])
def test_doubled_dispute_notifications_in_any_order_end_in_the_same_state(
    desk: Desk, hooks: Hooks, first: int
) -> None:
    """Won before created, funds withdrawn before created, each twice."""
    types = (
        "dispute.created",
        "dispute.funds_withdrawn",
        "dispute.closed",
        "dispute.funds_reinstated",
    )
    ends = []
    in_time = tuple(range(4))
    for order in (in_time, *(each for each in permutations(in_time) if each[0] == first)):
        hooks.receiver.deliveries.clear()
        new_order(desk, f"{len(ends)}-{order}")
        intent_id = desk.pay(25_000)
        desk.move(desk.open(), "win")
        notices = hooks.caught(*types)
        hooks.take(*chain.from_iterable((notices[p], notices[p]) for p in order))
        ends.append(end_of(desk, intent_id))
    assert len(ends) == 7
    assert all(end == ends[0] for end in ends)
    assert ends[0]["dispute"][0][0] == "won"
    waiting = PspNotification.objects.exclude(status="processed").filter(
        type__startswith="dispute."
    )
    assert waiting.count() == 0
    assert list(differences()) == []


def test_a_notification_of_an_unknown_dispute_is_retried(
    desk: Desk, hooks: Hooks, application_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    hooks.take(
        hooks.notice(
            type="dispute.created", data={"dispute": {"id": "sdp_unknown"}, "payment_id": "x"}
        )
    )
    row = PspNotification.objects.get(type="dispute.created")
    assert (row.status, row.psp_dispute_id) == ("failing", "sdp_unknown")
    assert Dispute.objects.count() == 0
    with pytest.raises(psycopg.Error, match="permission denied"):
        application_cursor.execute("UPDATE payments_psp_notification SET psp_dispute_id = 'x'")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_a_dispute_is_recorded_leaves_all_or_nothing(
    desk: Desk, hooks: Hooks, when: str
) -> None:
    intent_id = desk.pay(25_000)
    desk.open()
    [notice] = hooks.caught("dispute.created")
    hooks.deliver(notice)
    where = (sync, "record_dispute", when)
    crash_at(where, processing.process_due_notifications)
    assert Dispute.objects.count() == (when == "after")
    make_due()
    processing.process_due_notifications()
    assert desk.dispute().status == "needs_response"
    assert desk.events(intent_id) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert list(differences()) == []


def test_concurrent_workers_and_copies_of_a_notification_open_one_dispute(
    desk: Desk, hooks: Hooks, run_together: Callable[..., list[Any]]
) -> None:
    intent_id = desk.pay(25_000)
    dispute_id = desk.open()
    desk.move(dispute_id, "win")
    notices = hooks.caught("dispute.created", "dispute.closed", "dispute.funds_reinstated")
    for notice in notices:
        hooks.deliver(notice)

    def look() -> None:
        sync.sync_dispute(account=desk.shop.account, psp_dispute_id=dispute_id, actor="test")

    results = run_together(*[look] * 4, *[processing.process_due_notifications] * 4)
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert desk.dispute().status == "won"
    assert desk.events(intent_id).count("charge.dispute.created") == 1
    assert desk.events(intent_id).count("charge.dispute.funds_reinstated") == 1
    assert list(differences()) == []
