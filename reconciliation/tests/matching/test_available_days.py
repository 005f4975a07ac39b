"""Money is available when its settlement lines say, and merchants are told once."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, transaction

from ledger.models import Availability, LedgerTransaction
from ledger.services import SettledDay, write_availability
from payments.models import Event, MerchantBalance
from payments.objects.balance import balance_object
from payments.selectors.balance import balance_of, page_of_balance_transactions
from payments.selectors.paging import Paging
from payments.selectors.scope import Scope
from payments.services.automatic_actions.balance_announcements import announce_balances
from payments.services.outcomes.availability import Settled, follow_settlement
from payments.services.psp_gateway.references import reference_of
from payments.services.recovery.payment_sync import sync_operation
from payments.tests.support.shop import body_of
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.matching.test_line_groups import report
from reconciliation.tests.support.settling import Settling, speak_plainly

FEE = 300
"""Of 100.00 at 3 %."""


def today() -> date:
    return datetime.now(UTC).date()


def day(number: int) -> date:
    return today() + timedelta(days=number)


def noon(number: int) -> datetime:
    return datetime.combine(day(number), time(12), UTC)


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """A shop with a fee whose captures are expected in two days, and nothing to announce."""
    settling.shop.merchant.platform_fee_basis_points = 300
    settling.shop.merchant.save(update_fields=["platform_fee_basis_points"])
    speak_plainly(settling.shop, monkeypatch)
    announce_balances()
    return settling


def scope_of(settling: Settling) -> Scope:
    return Scope(settling.shop.merchant.id, settling.shop.caller().livemode)


def balance(settling: Settling) -> tuple[int, int]:
    """What is available and pending, which the balance transactions agree with."""
    found = balance_of(scope_of(settling))
    rows = page_of_balance_transactions(scope_of(settling), Paging(limit=100)).rows
    for amounts, is_available in ((found.available, True), (found.pending, False)):
        nets = [row.gross_minor - row.fee_minor for row in rows if row.available is is_available]
        assert sum(nets) == sum(money.minor for money in amounts)
    return sum(m.minor for m in found.available), sum(m.minor for m in found.pending)


def days_of(settling: Settling) -> dict[str, set[date]]:
    """By kind of balance transaction, its days."""
    found: dict[str, set[date]] = {}
    for row in page_of_balance_transactions(scope_of(settling), Paging(limit=100)).rows:
        found.setdefault(row.reporting_category, set()).add(row.available_on)
    return found


def told(settling: Settling) -> list[dict[str, Any]]:
    """The objects of the events that the merchant got, the oldest first."""
    events = Event.objects.filter(merchant=settling.shop.merchant, type="balance.available")
    return [event.payload["object"] for event in events.order_by("seq")]


def pay(settling: Settling, amount_minor: int = 10_000) -> Any:
    settling.shop.order_id += "x"
    [charge] = settling.shop.operations(settling.desk.pay(amount_minor))
    return charge


def test_a_capture_is_available_when_its_line_says_and_the_merchant_is_told_once(
    plain: Settling,
) -> None:
    charge = pay(plain)
    assert balance(plain) == (0, 10_000 - FEE)
    assert days_of(plain) == {"charge": {day(2)}}
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(-1)}")
    assert balance(plain) == (10_000 - FEE, 0)
    assert days_of(plain) == {"charge": {day(-1)}}
    assert announce_balances() == 1
    assert told(plain) == [
        balance_object(balance_of(scope_of(plain)), livemode=scope_of(plain).livemode)
    ]
    assert announce_balances() == 0
    assert announce_balances(now=noon(5)) == 0, "its estimate tells nothing more"


def test_money_expected_on_a_day_is_announced_on_it_and_not_before(plain: Settling) -> None:
    pay(plain)
    assert announce_balances(now=noon(1)) == 0
    assert announce_balances(now=noon(2)) == 1
    assert announce_balances(now=noon(2)) == 0
    assert announce_balances(now=noon(9)) == 0


def test_a_line_may_say_a_later_day_and_only_that_one_is_announced(plain: Settling) -> None:
    charge = pay(plain)
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(4)}")
    assert balance(plain) == (0, 10_000 - FEE)
    assert days_of(plain) == {"charge": {day(4)}}
    assert [announce_balances(now=noon(number)) for number in (0, 2, 3, 4, 5)] == [0, 0, 0, 1, 0]


def test_money_that_was_announced_is_pending_again_and_announced_again(plain: Settling) -> None:
    charge = pay(plain)
    assert announce_balances(now=noon(2)) == 1
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(6)}")
    assert [announce_balances(now=noon(number)) for number in (3, 6, 7)] == [0, 1, 0]


def test_lines_that_say_what_was_expected_write_nothing(plain: Settling) -> None:
    charge = pay(plain)
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(2)}")
    assert not Availability.objects.exists()
    assert [announce_balances(now=noon(number)) for number in (0, 2, 3)] == [0, 1, 0]


def test_a_capture_in_parts_is_available_with_its_last_part(plain: Settling) -> None:
    charge = pay(plain)
    report(plain, f"l1 charge {charge.psp_id} 6000 0 {day(5)}")
    assert days_of(plain) == {"charge": {day(2)}}
    report(plain, f"l2 charge {charge.psp_id} 4000 0 {day(3)}")
    assert days_of(plain) == {"charge": {day(5)}}


def test_captures_of_one_line_have_its_day(plain: Settling) -> None:
    plain.shop.order_id += "x"
    intent_id = body_of(plain.shop.create(10_000, manual=True))["id"]
    plain.shop.capture(intent_id, 6_000, final=False)
    plain.shop.capture(intent_id, 4_000)
    payment = plain.shop.operations(intent_id)[-1].psp_payment_id
    report(plain, f"l1 charge {payment} 10000 0 {day(7)}")
    assert days_of(plain) == {"charge": {day(7)}}


def test_a_refund_follows_its_charge_until_it_has_a_line_of_its_own(plain: Settling) -> None:
    charge = pay(plain)
    intent_id = body_of(plain.shop.refund(_public(charge), 2_000))["payment_intent"]
    refund = plain.shop.operations(intent_id)[-1]
    assert balance(plain) == (0, 8_000 - FEE)
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(0)}")
    assert balance(plain) == (8_000 - FEE, 0)
    report(plain, f"l2 refund {refund.psp_id} -2000 0 {day(3)}")
    assert balance(plain) == (10_000 - FEE, -2_000)
    assert days_of(plain) == {"charge": {day(0)}, "refund": {day(3)}}
    later = plain.shop.refund(intent_id, 1_000)
    assert later.status == 200
    assert balance(plain) == (9_000 - FEE, -2_000), "its charge is available"


def _public(charge: Any) -> str:
    from payments import public_ids

    return public_ids.encode(public_ids.PAYMENT_INTENT, charge.intent_id)


def test_a_reversal_never_shows_apart_from_what_it_reverses(plain: Settling) -> None:
    charge = pay(plain)
    report(plain, f"l1 charge {charge.psp_id} 10000 0 {day(6)}")
    plain.shop.psp.revise(reference_of(charge.id), "fail")
    sync_operation(charge.id, actor="test")
    assert days_of(plain) == {"charge": {day(6)}, "charge_failure": {day(6)}}
    assert balance(plain) == (0, 0)
    report(plain, f"l2 charge_failure {charge.psp_id} -10000 0 {day(1)}")
    assert days_of(plain) == {"charge": {day(6)}, "charge_failure": {day(1)}}


def test_a_payout_gives_its_day_to_the_lines_of_its_report(plain: Settling) -> None:
    charge = pay(plain)
    plain.read(f"l1 charge {charge.psp_id} 10000 0\np1 payout po_1 -10000 0".encode())
    match_due_lines()
    assert {line.available_on for line in plain.lines()} == {date(2026, 3, 1)}
    assert days_of(plain) == {"charge": {date(2026, 3, 1)}}


def test_two_modes_are_told_apart_and_a_lost_sweep_is_made_up_for(plain: Settling) -> None:
    pay(plain)
    rows = MerchantBalance.objects.filter(merchant=plain.shop.merchant)
    assert sorted(rows.values_list("livemode", flat=True)) == [False, True]
    assert announce_balances(now=noon(30)) == 1
    [told_of] = Event.objects.filter(type="balance.available")
    assert told_of.livemode is scope_of(plain).livemode
    assert {row.announced_to for row in rows.all()} == {day(30)}


def test_nothing_is_told_if_the_change_is_rolled_back(plain: Settling) -> None:
    charge = pay(plain)
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        follow_settlement([Settled(charge.id, False, day(-3))])
        raise KeyboardInterrupt
    assert not Availability.objects.exists()
    assert announce_balances() == 0


def test_postgresql_refuses_a_day_for_what_is_not_owed_to_the_merchant(
    plain: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    pay(plain)
    owed = LedgerTransaction.objects.get(rule="captured")
    other = LedgerTransaction.objects.get(rule="authorized")
    stranger = MerchantBalance.objects.exclude(merchant=plain.shop.merchant).first()
    wrong = [SettledDay(other.id, plain.shop.merchant.id, today(), True)]
    if stranger is not None:
        wrong.append(SettledDay(owed.id, stranger.merchant_id, today(), True))
    for each in wrong:
        with pytest.raises(DatabaseError, match="availability_of_nothing"), transaction.atomic():
            write_availability([each], today=today())
    assert not Availability.objects.exists()
    with transaction.atomic():
        write_availability(
            [SettledDay(owed.id, plain.shop.merchant.id, day(1), True)], today=today()
        )
    with pytest.raises(psycopg.Error, match="permanent_column"):
        owner_cursor.execute("UPDATE ledger_availability SET merchant_id = gen_random_uuid()")
