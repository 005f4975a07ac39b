"""Settlement lines open and move disputes, and each line matches its ledger transactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger.models import LedgerEntry, LedgerTransaction
from ledger.money import Money
from payments.models import Case, Dispute, Event
from payments.services import callers
from payments.services.disputes.recording import record_dispute
from payments.services.disputes.sync import sync_due_disputes
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_dispute_orders import end_of, new_order, statement_of
from payments.tests.support.dispute_desk import LONG_AGO, Desk
from payments.tests.support.shop import Shop, open_shop
from paymentsite.tests.fixtures.matrix import orders
from psp_adapters.contract.disputes import DisputeStatus
from psp_adapters.contract.settlement_reports import LineKind, ReportLine
from reconciliation.services.matching.dispute_line_facts import LineConflict
from reconciliation.services.matching.dispute_lines import MatchedLine
from reconciliation.tests.support.dispute_report_lines import (
    account_for,
    account_for_all,
    disable_look_ups_of_disputes,
    lines_of,
)

OPENED = ["dispute_held", "dispute_withdrawn", "dispute_fee", "dispute_fee_passed_on"]


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


@pytest.fixture
def unanswered_desk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk of a shop whose PSP has no look-up of disputes."""
    disable_look_ups_of_disputes(shop, monkeypatch)
    return Desk(shop)


def written() -> tuple[int, ...]:
    """Per table that a refused line must not change, the number of rows."""
    models = (Dispute, Event, LedgerTransaction, LedgerEntry)
    return tuple(model.objects.count() for model in models)


def rules_of(accounted: MatchedLine) -> list[str]:
    rows = LedgerTransaction.objects.filter(pk__in=accounted.transaction_ids)
    return list(rows.order_by("id").values_list("rule", flat=True))


def rules_of_dispute(dispute: Dispute) -> list[str]:
    rows = LedgerTransaction.objects.filter(source_type="dispute", source_id=dispute.id)
    return list(rows.order_by("id").values_list("rule", flat=True))


def calls(desk: Desk) -> int:
    return len(desk.shop.psp.calls(order_id=desk.shop.order_id))


def test_a_settlement_line_opens_a_dispute_whose_notifications_were_all_lost(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    psp_dispute_id = desk.open()
    withdrawn, fee = lines_of(desk.shop)

    accounted = account_for(desk.shop, withdrawn)

    dispute = desk.dispute(psp_dispute_id)
    assert accounted.dispute_id == dispute.id
    assert (dispute.status, dispute.amount) == ("needs_response", Money(25_000, "USD"))
    assert dispute.reason == "fraudulent", "the PSP was asked: a line tells no reason"
    assert rules_of_dispute(dispute) == OPENED
    assert rules_of(accounted) == ["dispute_withdrawn"]
    assert rules_of(account_for(desk.shop, fee)) == ["dispute_fee"]
    assert desk.events(intent_id) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_a_line_of_booked_money_needs_no_look_up_and_changes_nothing(desk: Desk) -> None:
    desk.pay(25_000)
    desk.opened()
    before, asked = written(), calls(desk)
    for line in lines_of(desk.shop):
        assert len(account_for(desk.shop, line).transaction_ids) == 1
        assert account_for(desk.shop, line) == account_for(desk.shop, line)
    assert (written(), calls(desk)) == (before, asked)


def test_a_reversal_line_closes_a_dispute_whose_notification_was_lost(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win", return_fee=True)
    _, _, reversal, fee_returned = lines_of(desk.shop)

    assert rules_of(account_for(desk.shop, reversal)) == ["dispute_won"]
    assert rules_of(account_for(desk.shop, fee_returned)) == ["dispute_fee_returned"]

    dispute.refresh_from_db()
    assert dispute.status == "won"
    assert desk.events(intent_id)[2:] == [
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]
    assert list(differences()) == []


def test_a_line_with_amount_and_fee_matches_two_ledger_transactions(desk: Desk) -> None:
    desk.pay(25_000)
    desk.open()
    withdrawn, fee = lines_of(desk.shop)
    both = account_for(desk.shop, replace(withdrawn, fee=fee.fee))
    assert rules_of(both) == ["dispute_withdrawn", "dispute_fee"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"gross": Money(-24_000, "USD")}, "the report says -240.00 USD, our books -250.00 USD"),
        ({"gross": Money(-25_000, "EUR")}, "the report says -250.00 EUR, our books -250.00 USD"),
        ({"fee": Money(1_000, "USD")}, "the report says -10.00 USD, our books -15.00 USD"),
    ],
)
def test_a_line_that_contradicts_our_books_is_refused_and_books_nothing(
    desk: Desk, change: dict[str, Any], why: str
) -> None:
    desk.pay(25_000)
    dispute = desk.opened()
    withdrawn = lines_of(desk.shop)[0]
    if change.get("gross", withdrawn.gross).currency != "USD":
        change = {**change, "fee": Money.zero("EUR")}
    before = written()
    with pytest.raises(LineConflict, match=why) as caught:
        account_for(desk.shop, replace(withdrawn, **change))
    assert dispute.public_id in str(caught.value)
    assert caught.value.intent == dispute.intent
    assert written() == before


@pytest.mark.parametrize(
    ("kind", "gross_minor", "fee_minor"),
    [
        (LineKind.DISPUTE, 25_000, 0),
        (LineKind.DISPUTE, 0, 1_500),
        (LineKind.DISPUTE_REVERSAL, -25_000, 0),
        (LineKind.DISPUTE_FEE, -25_000, 1_500),
        (LineKind.DISPUTE_FEE, 0, 0),
    ],
)
def test_a_line_that_is_impossible_for_its_kind_is_refused_and_books_nothing(
    desk: Desk, kind: LineKind, gross_minor: int, fee_minor: int
) -> None:
    desk.pay(25_000)
    desk.open()
    line = replace(
        lines_of(desk.shop)[0],
        kind=kind,
        gross=Money(gross_minor, "USD"),
        fee=Money(fee_minor, "USD"),
    )
    before = written()
    with pytest.raises(LineConflict, match="a line of the kind"):
        account_for(desk.shop, line)
    assert written() == before


def test_a_line_that_the_psps_look_up_does_not_confirm_is_retried_later(desk: Desk) -> None:
    desk.pay(25_000)
    dispute = desk.opened()
    [withdrawn, _] = lines_of(desk.shop)
    early = replace(withdrawn, kind=LineKind.DISPUTE_REVERSAL, gross=Money(25_000, "USD"))
    before = written()
    with pytest.raises(Inconclusive, match="does not show what its report says"):
        account_for(desk.shop, early)
    assert written() == before
    desk.move(dispute.psp_dispute_id, "win")
    assert rules_of(account_for(desk.shop, early)) == ["dispute_won"]


def test_a_line_of_an_unknown_dispute_is_retried_later(desk: Desk, other_shop: Shop) -> None:
    desk.pay(25_000)
    desk.open()
    line = lines_of(desk.shop)[0]
    before = written()
    with pytest.raises(Inconclusive, match="does not find the dispute"):
        account_for(other_shop, line)
    desk.shop.psp.set_behavior(down=1)
    with pytest.raises(Inconclusive) as caught:
        account_for(desk.shop, line)
    assert caught.value.is_unanswered
    assert written() == before
    assert Case.objects.count() == 0


def test_concurrent_workers_with_the_same_line_open_one_dispute(
    desk: Desk, run_together: Callable[..., list[Any]]
) -> None:
    desk.pay(25_000)
    desk.open()
    line = lines_of(desk.shop)[0]
    first, *others = run_together(*[lambda: account_for(desk.shop, line)] * 4)
    assert isinstance(first, MatchedLine), first
    assert others == [first] * 3
    assert rules_of_dispute(desk.dispute()) == OPENED
    assert list(differences()) == []


MOVES: dict[str, tuple[str, ...]] = {
    "open": (),
    "won": ("win",),
    "won, its fee returned": ("win, return fee",),
    "prevented": ("prevent",),
}


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("life", ["open", "won", "prevented"])
def test_lines_and_statements_of_a_dispute_in_any_order_end_in_the_same_state(
    desk: Desk, life: str
) -> None:
    ends = []
    steps: list[Any] = ["statement", *range(len(lines_after(desk, life)))]
    for order in orders(steps):
        new_order(desk, "".join(map(str, order)))
        intent_id = desk.pay(25_000)
        psp_dispute_id = desk.open()
        early = statement_of(desk, psp_dispute_id)
        live(desk, psp_dispute_id, life)
        lines = dict(enumerate(lines_of(desk.shop)))
        [charge] = desk.shop.operations(intent_id)
        for step in order:
            if step == "statement":
                record_dispute(
                    statement=early, charge=charge, caller=callers.for_operation(charge, "test")
                )
            else:
                account_for(desk.shop, lines[step])
        ends.append(end_of(desk, intent_id))
    assert all(end == ends[0] for end in ends)
    assert Case.objects.count() == 0
    assert list(differences()) == []


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("life", [life for life in MOVES if life != "prevented"])
def test_lines_alone_in_any_order_end_in_the_state_of_the_statements(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, life: str
) -> None:
    expected = end_by_statements(desk, life)
    disable_look_ups_of_disputes(desk.shop, monkeypatch)
    for order in orders(range(len(lines_after(desk, life)))):
        new_order(desk, "".join(map(str, order)))
        intent_id = desk.pay(25_000)
        live(desk, desk.open(), life)
        lines = lines_of(desk.shop)
        accounted = list(account_for_all(desk.shop, [lines[each] for each in order] * 2))
        assert len({each.transaction_ids for each in accounted}) == len(lines)
        end = end_of(desk, intent_id)
        assert end["ledger"] == expected["ledger"], order
        assert end["amounts"] == expected["amounts"]
        assert end["events"] == expected["events"]
        assert end["dispute"][0][:4] == expected["dispute"][0][:4]
    assert Case.objects.count() == 0
    assert list(differences()) == []


def live(desk: Desk, psp_dispute_id: str, life: str) -> None:
    for move in MOVES[life]:
        verb, _, fee = move.partition(", ")
        desk.move(psp_dispute_id, verb, return_fee=fee == "return fee")


def lines_after(desk: Desk, life: str) -> list[ReportLine]:
    new_order(desk, "counted")
    desk.pay(25_000)
    live(desk, desk.open(), life)
    return lines_of(desk.shop)


def end_by_statements(desk: Desk, life: str) -> dict[str, Any]:
    new_order(desk, "by-statements")
    intent_id = desk.pay(25_000)
    psp_dispute_id = desk.open()
    live(desk, psp_dispute_id, life)
    desk.sync(psp_dispute_id)
    return end_of(desk, intent_id)


def test_a_dispute_opened_by_a_line_alone_has_no_reason_and_no_deadline(
    unanswered_desk: Desk,
) -> None:
    unanswered_desk.pay(25_000)
    unanswered_desk.open()
    withdrawn, _ = lines_of(unanswered_desk.shop)
    account_for(unanswered_desk.shop, withdrawn)
    dispute = unanswered_desk.dispute()
    assert (dispute.status, dispute.reason) == ("needs_response", "general")
    assert (dispute.evidence_due_by, dispute.fee_minor) == (None, 0)
    assert dispute.opened_at == withdrawn.occurred_at


def test_a_withdrawal_line_escalates_a_known_inquiry(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened(inquiry=True)
    desk.move(dispute.psp_dispute_id, "escalate")
    disable_look_ups_of_disputes(desk.shop, monkeypatch)
    list(account_for_all(desk.shop, lines_of(desk.shop)))
    dispute.refresh_from_db()
    assert (dispute.status, dispute.began_as_inquiry) == ("needs_response", True)
    assert rules_of_dispute(dispute)[:3] == [
        "dispute_exposed",
        "dispute_exposure_ended",
        "dispute_held",
    ]
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    assert list(differences()) == []


def test_a_reversal_of_a_lost_dispute_opens_a_case_and_books_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened()
    withdrawn = lines_of(desk.shop)[0]
    [charge] = desk.shop.operations(intent_id)
    statement = replace(statement_of(desk, dispute.psp_dispute_id), status=DisputeStatus.LOST)
    record_dispute(statement=statement, charge=charge, caller=callers.for_operation(charge, "test"))
    disable_look_ups_of_disputes(desk.shop, monkeypatch)
    reversal = replace(withdrawn, kind=LineKind.DISPUTE_REVERSAL, gross=Money(25_000, "USD"))
    before = written()
    with pytest.raises(Conflict, match="the dispute is lost, the provider says won"):
        account_for(desk.shop, reversal)
    assert [case.kind for case in Case.objects.all()] == ["contradiction"]
    assert written() == before


def test_a_fee_line_before_its_dispute_line_is_retried_later(unanswered_desk: Desk) -> None:
    unanswered_desk.pay(25_000)
    unanswered_desk.open()
    withdrawn, fee = lines_of(unanswered_desk.shop)
    before = written()
    with pytest.raises(Inconclusive, match="the line of the dispute itself has not come yet"):
        account_for(unanswered_desk.shop, fee)
    assert written() == before
    account_for(unanswered_desk.shop, withdrawn)
    assert rules_of(account_for(unanswered_desk.shop, fee)) == ["dispute_fee"]


def test_a_line_without_a_charge_of_ours_is_retried_later(
    unanswered_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unanswered_desk.pay(25_000)
    unanswered_desk.open()
    line = lines_of(unanswered_desk.shop)[0]
    stranger = open_shop(unanswered_desk.shop.psp)
    disable_look_ups_of_disputes(stranger, monkeypatch)
    before = written()
    with pytest.raises(Inconclusive, match="no charge of ours at this account"):
        account_for(stranger, line)
    assert written() == before


def test_a_line_without_our_reference_finds_its_charge_by_the_payment(
    unanswered_desk: Desk,
) -> None:
    unanswered_desk.pay(25_000)
    unanswered_desk.open()
    withdrawn, _ = lines_of(unanswered_desk.shop)
    account_for(unanswered_desk.shop, replace(withdrawn, reference=""))
    assert unanswered_desk.dispute().status == "needs_response"


def test_no_sync_is_scheduled_at_a_psp_without_look_ups_of_disputes(unanswered_desk: Desk) -> None:
    unanswered_desk.pay(25_000)
    unanswered_desk.open()
    list(account_for_all(unanswered_desk.shop, lines_of(unanswered_desk.shop)))
    Dispute.objects.update(next_sync_at=LONG_AGO)
    assert sync_due_disputes() == 1
    assert unanswered_desk.dispute().next_sync_at is None
    assert sync_due_disputes() == 0
