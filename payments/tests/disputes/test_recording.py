"""How a PSP's statement about a dispute becomes status, books, counters, events and cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ledger.models import LedgerTransaction
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Case, Dispute, Operation
from payments.objects.charge import charge_object
from payments.objects.dispute import dispute_balance_transactions, dispute_object
from payments.selectors.balance import balance_of
from payments.selectors.scope import Scope
from payments.services import callers
from payments.services.disputes import sync
from payments.services.disputes.recording import RecordedDispute, record_dispute
from payments.services.psp_gateway import dispute_calls
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from payments.services.verification.rebuild import differences
from payments.tests.support.dispute_desk import Desk, effects_of
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, open_shop
from psp_adapters.contract.disputes import DisputeStatus, PspDispute


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def rules_of(dispute: Dispute) -> list[str]:
    rows = LedgerTransaction.objects.filter(source_type="dispute", source_id=dispute.id)
    return list(rows.order_by("id").values_list("rule", flat=True))


def balance_minor(shop: Shop) -> int:
    balance = balance_of(Scope(shop.merchant.id, livemode=False))
    [money] = [a + p for a, p in zip(balance.available, balance.pending, strict=True)]
    return money.minor


OPENED = ["dispute_held", "dispute_withdrawn", "dispute_fee", "dispute_fee_passed_on"]


def test_a_chargeback_takes_amount_and_fee_from_the_merchant(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened()

    assert (dispute.status, dispute.amount) == ("needs_response", Money(25_000, "USD"))
    assert (dispute.reason, dispute.network_reason_code) == ("fraudulent", "10.4")
    assert rules_of(dispute) == OPENED
    assert balance_minor(desk.shop) == -1_500
    assert desk.events(intent_id) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    [transaction] = desk.shown_in_the_ledger(dispute)
    assert dispute_balance_transactions(dispute) == [transaction]
    assert (transaction.gross_minor, transaction.fee_minor) == (-25_000, 1_500)
    assert (transaction.type, transaction.reporting_category) == ("adjustment", "dispute")
    assert transaction.source == dispute.public_id
    intent = desk.shop.intent(intent_id)
    assert (intent.status, intent.amount_disputed_minor) == ("CAPTURED", 25_000)
    [charge] = desk.shop.operations(intent_id)
    shown = charge_object(charge, intent)
    assert (shown["disputed"], shown["dispute"]) == (True, dispute.public_id)
    assert effects_of(desk) == [("dispute", 25_000), ("dispute_fee", 1_500)]
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_a_won_chargeback_gives_the_amount_back_and_keeps_the_fee(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    dispute = desk.sync(dispute.psp_dispute_id)

    assert dispute.status == "won"
    assert rules_of(dispute) == [*OPENED, "dispute_won", "dispute_hold_released"]
    assert balance_minor(desk.shop) == 23_500
    assert desk.events(intent_id)[2:] == [
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]
    shown = desk.shown_in_the_ledger(dispute)
    assert dispute_balance_transactions(dispute) == shown
    assert [(t.gross_minor, t.fee_minor, t.reporting_category) for t in shown] == [
        (-25_000, 1_500, "dispute"),
        (25_000, 0, "dispute_reversal"),
    ]
    assert desk.shop.intent(intent_id).amount_disputed_minor == 0
    assert dispute.funds_reinstated_at is not None
    assert dispute.closed_at is not None
    assert dispute.is_charge_refundable
    assert list(differences()) == []


def test_a_returned_fee_is_booked_to_the_party_that_paid_it(desk: Desk) -> None:
    desk.pay(25_000)
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win", return_fee=True)
    dispute = desk.sync(dispute.psp_dispute_id)
    assert balance_minor(desk.shop) == 25_000
    assert dispute_balance_transactions(dispute) == desk.shown_in_the_ledger(dispute)
    assert desk.shown_in_the_ledger(dispute)[1].fee_minor == -1_500
    assert list(differences()) == []


@pytest.mark.parametrize(
    ("policy", "balance", "last_rules"),
    [
        ("merchant", -1_500, ["dispute_lost_by_merchant"]),
        ("platform", 25_000, ["dispute_lost_by_platform", "dispute_hold_released"]),
    ],
)
def test_the_merchants_policy_decides_who_bears_a_lost_chargeback(
    shop: Shop, policy: str, balance: int, last_rules: list[str]
) -> None:
    desk = Desk(open_shop(shop.psp, dispute_loss_policy=policy))
    intent_id = desk.pay(25_000)
    dispute = desk.opened()
    # A policy changed afterwards does not affect the existing dispute.
    desk.shop.merchant.dispute_loss_policy = "platform" if policy == "merchant" else "merchant"
    desk.shop.merchant.save()
    desk.move(dispute.psp_dispute_id, "lose")
    dispute = desk.sync(dispute.psp_dispute_id)

    assert dispute.status == "lost"
    assert rules_of(dispute)[-len(last_rules) :] == last_rules
    assert ("dispute_fee_passed_on" in rules_of(dispute)) == (policy == "merchant")
    assert balance_minor(desk.shop) == balance
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    assert dispute_balance_transactions(dispute) == desk.shown_in_the_ledger(dispute)
    assert list(differences()) == []


def test_an_inquiry_moves_no_money(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened(inquiry=True)
    assert dispute.status == "warning_needs_response"
    assert rules_of(dispute) == ["dispute_exposed"]
    assert balance_minor(desk.shop) == 25_000
    assert dispute_object(dispute)["balance_transactions"] == []
    assert desk.shop.intent(intent_id).amount_disputed_minor == 0
    assert list(differences()) == []

    desk.move(dispute.psp_dispute_id, "close")
    dispute = desk.sync(dispute.psp_dispute_id)
    assert dispute.status == "warning_closed"
    assert rules_of(dispute) == ["dispute_exposed", "dispute_exposure_ended"]
    assert desk.events(intent_id) == ["charge.dispute.created", "charge.dispute.closed"]
    assert effects_of(desk) == []
    assert list(differences()) == []


def test_an_inquiry_may_become_a_chargeback_with_another_deadline(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    inquiry = desk.opened(inquiry=True, due_in_seconds=3600)
    # The simulator's clock may be ahead; then the deadline is further away by ours.
    last_reminder_is_past = inquiry.evidence_due_by - now_utc() < timedelta(hours=24)
    assert (inquiry.next_reminder_at is None) == last_reminder_is_past
    desk.move(inquiry.psp_dispute_id, "escalate")
    dispute = desk.sync(inquiry.psp_dispute_id)
    assert (dispute.id, dispute.status) == (inquiry.id, "needs_response")
    assert rules_of(dispute) == ["dispute_exposed", "dispute_exposure_ended", *OPENED]
    assert dispute.evidence_due_by > inquiry.evidence_due_by
    assert dispute.next_reminder_at is not None
    assert desk.events(intent_id) == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]
    assert list(differences()) == []


@pytest.mark.parametrize("inquiry", [True, False])
def test_a_prevented_dispute_ends_without_a_loss(desk: Desk, inquiry: bool) -> None:
    desk.pay(25_000)
    dispute = desk.opened(inquiry=inquiry)
    desk.move(dispute.psp_dispute_id, "prevent", return_fee=True)
    dispute = desk.sync(dispute.psp_dispute_id)
    assert (dispute.status, dispute.closed_at is None) == ("prevented", False)
    assert balance_minor(desk.shop) == 25_000
    assert list(differences()) == []


def test_a_dispute_first_reported_as_prevented_is_recorded_as_prevented(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    psp_dispute_id = desk.open(inquiry=True)
    desk.move(psp_dispute_id, "prevent")
    assert desk.sync(psp_dispute_id).status == "prevented"
    assert desk.events(intent_id) == ["charge.dispute.created", "charge.dispute.closed"]
    assert list(differences()) == []


def test_several_disputes_of_one_charge_are_recorded_separately(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    first = desk.opened(amount_minor=10_000)
    second = desk.opened(amount_minor=15_000, reason="product_not_received")
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    desk.move(first.psp_dispute_id, "win")
    desk.move(second.psp_dispute_id, "lose")
    assert desk.sync(first.psp_dispute_id).status == "won"
    assert desk.sync(second.psp_dispute_id).status == "lost"
    assert desk.shop.intent(intent_id).amount_disputed_minor == 15_000
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_a_second_chargeback_after_a_won_dispute_is_a_new_dispute(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    first = desk.opened()
    desk.move(first.psp_dispute_id, "win")
    desk.sync(first.psp_dispute_id)
    second = desk.opened()
    assert rules_of(second) == OPENED
    desk.move(second.psp_dispute_id, "lose")
    desk.sync(second.psp_dispute_id)
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    assert list(differences()) == []


def test_more_disputed_than_captured_is_booked_with_a_case(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    desk.opened()
    second = desk.opened(amount_minor=5_000)
    assert desk.shop.intent(intent_id).amount_disputed_minor == 30_000
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("disputed_too_much", second.public_id)
    assert list(differences()) == []


def test_a_dispute_of_a_refunded_payment_opens_a_case(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    desk.shop.refund(intent_id)
    dispute = desk.opened(amount_minor=25_000)
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("disputed_and_refunded", dispute.public_id)
    assert case.amount_minor == 25_000
    assert list(differences()) == []


def test_an_inquiry_about_a_refunded_payment_opens_no_case(desk: Desk) -> None:
    intent_id = desk.pay(25_000)
    desk.shop.refund(intent_id)
    desk.opened(amount_minor=25_000, inquiry=True)
    assert Case.objects.count() == 0


def test_a_dispute_reported_before_its_charge_is_known_has_both_looked_up(
    desk: Desk, settings: Any
) -> None:
    settings.PSP_BREAKERS = False
    lose_the_answer(desk.shop, "authorize")
    intent_id = desk.pay(25_000)
    assert desk.shop.intent(intent_id).status == "PROCESSING"
    dispute = desk.opened()
    intent = desk.shop.intent(intent_id)
    assert (intent.status, intent.amount_disputed_minor) == ("CAPTURED", 25_000)
    assert dispute.status == "needs_response"
    assert list(differences()) == []


def test_a_dispute_of_an_unknown_payment_is_inconclusive(desk: Desk, other_shop: Shop) -> None:
    desk.pay()
    psp_dispute_id = desk.open()
    with pytest.raises(Inconclusive):
        sync.sync_dispute(account=other_shop.account, psp_dispute_id=psp_dispute_id, actor="test")
    with pytest.raises(Inconclusive):
        desk.sync("sdp_unknown")
    assert Dispute.objects.count() == 0


def test_a_repeated_statement_is_recorded_once(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    events, rules = desk.events(intent_id), rules_of(dispute)
    for _ in range(3):
        desk.sync(dispute.psp_dispute_id)
    assert (desk.events(intent_id), rules_of(dispute)) == (events, rules)


def test_a_contradicting_statement_opens_a_case_and_books_nothing(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)
    statement = dispute_calls.ask(desk.shop.account, dispute.psp_dispute_id)
    assert statement is not None
    before = (desk.events(intent_id), rules_of(dispute))
    [charge] = desk.shop.operations(intent_id)
    for changes in (
        {"status": DisputeStatus.LOST},
        {"amount": Money(1, "USD")},
        {"amount": Money(25_000, "EUR")},
        {"began_as_inquiry": True},
        {"fee": Money(99, "USD")},
    ):
        recorded = _record(charge, replace(statement, **changes))
        assert recorded.contradiction
    assert (desk.events(intent_id), rules_of(dispute)) == before
    assert Case.objects.get().kind == "contradiction"
    assert desk.dispute().status == "won"
    assert list(differences()) == []


@pytest.mark.parametrize(
    ("end", "rules"),
    [
        (DisputeStatus.PREVENTED, ["dispute_held", "dispute_hold_released"]),
        (DisputeStatus.WON, ["dispute_held", "dispute_hold_released"]),
        (DisputeStatus.LOST, ["dispute_held", "dispute_withdrawn", "dispute_lost_by_merchant"]),
    ],
)
def test_a_chargeback_closed_before_its_withdrawal_leaves_nothing_held(
    desk: Desk, end: DisputeStatus, rules: list[str]
) -> None:
    """Some PSPs open a chargeback first and withdraw the money days later, or never."""
    intent_id = desk.pay()
    told = dispute_calls.ask(desk.shop.account, desk.open())
    assert told is not None
    statement = replace(told, funds_withdrawn=False, fee=Money.zero("USD"))
    [charge] = desk.shop.operations(intent_id)
    _record(charge, statement)
    assert rules_of(desk.dispute()) == ["dispute_held"]
    assert list(differences()) == []
    _record(charge, replace(statement, status=end))
    assert rules_of(desk.dispute()) == rules
    assert list(differences()) == []


def test_a_contradicting_first_statement_creates_no_dispute(desk: Desk) -> None:
    intent_id = desk.pay()
    statement = dispute_calls.ask(desk.shop.account, desk.open())
    assert statement is not None
    [charge] = desk.shop.operations(intent_id)
    recorded = _record(charge, replace(statement, status=DisputeStatus.WARNING_CLOSED))
    assert recorded.dispute is None
    assert recorded.contradiction
    assert Dispute.objects.count() == 0
    assert Case.objects.get().kind == "contradiction"
    assert desk.events(intent_id) == []


def test_an_outdated_statement_changes_nothing(desk: Desk) -> None:
    intent_id = desk.pay()
    psp_dispute_id = desk.open()
    old = dispute_calls.ask(desk.shop.account, psp_dispute_id)
    assert old is not None
    desk.move(psp_dispute_id, "lose")
    dispute = desk.sync(psp_dispute_id)
    before = (desk.events(intent_id), rules_of(dispute))
    [charge] = desk.shop.operations(intent_id)
    recorded = _record(charge, old)
    assert (recorded.contradiction, desk.dispute().status) == ("", "lost")
    assert (desk.events(intent_id), rules_of(dispute)) == before
    assert Case.objects.count() == 0


def test_a_sync_that_finds_a_contradiction_raises_conflict(
    desk: Desk, owner_cursor: psycopg.Cursor[Any]
) -> None:
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    owner_cursor.execute("ALTER TABLE payments_dispute DISABLE TRIGGER legal_transition")
    owner_cursor.execute(
        "UPDATE payments_dispute SET status = 'prevented', closed_at = now(), next_sync_at = NULL"
    )
    owner_cursor.execute("ALTER TABLE payments_dispute ENABLE TRIGGER legal_transition")
    with pytest.raises(Conflict):
        desk.sync(dispute.psp_dispute_id)
    assert Case.objects.get().subject == dispute.public_id


def test_the_sweep_syncs_open_disputes_without_a_notification(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened()
    assert dispute.next_sync_at is not None
    assert sync.sync_due_disputes() == 0
    desk.move(dispute.psp_dispute_id, "lose")
    Dispute.objects.update(next_sync_at="2000-01-01T00:00:00Z")
    assert sync.sync_due_disputes() == 1
    assert (desk.dispute().status, desk.dispute().next_sync_at) == ("lost", None)
    assert sync.sync_due_disputes() == 0


def _record(charge: Operation, statement: PspDispute) -> RecordedDispute:
    return record_dispute(
        statement=statement, charge=charge, caller=callers.for_operation(charge, "test")
    )
