"""Lines of the account as a whole are booked as they say; what is given up is in suspense."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from ledger import settlement_rules as rules
from ledger.exceptions import AlreadyPosted
from ledger.money import Money
from ledger.posting_rules import Parties
from ledger.services import post
from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services.verification.rebuild import differences
from payments.tests.support.dispute_desk import LONG_AGO
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_bookings import source_of
from reconciliation.services.matching.reprocess import requeue_lines
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(settling.shop, monkeypatch)
    return settling


def match(settling: Settling, *rows: str) -> dict[str, SettlementLine]:
    """Read a report of these rows and match it; the lines by identity."""
    settling.read("\n".join(rows).encode(), f"{rows[0]}.csv")
    match_due_lines()
    return {line.identity: line for line in settling.lines()}


def assert_all_agrees() -> None:
    assert [*differences(), *line_differences()] == []


def test_a_payout_a_reserve_and_a_fee_at_the_sandbox_psp_are_booked(settling: Settling) -> None:
    settling.desk.pay(9_000)
    settling.close()
    psp = settling.shop.psp
    psp.move_money(settling.api_key, "risk_reserved_funds", -1_000)
    psp.move_money(settling.api_key, "fee", 0, fee_minor=250)
    [payout] = psp.pay_out(settling.api_key)
    assert payout["gross_minor"] == -(9_000 - 1_000 - 250)
    settling.close()
    settling.take_in()
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}
    assert {line.kind for line in settling.lines(psp_payment_id="")} == {
        "risk_reserved_funds",
        "fee",
        "payout",
    }
    assert settling.booked() == {1100: 0, 1110: 0, 1120: 7_750, 1130: 1_000, 5600: 250}
    assert_all_agrees()


@pytest.mark.parametrize(
    ("rows", "booked"),
    [
        (["l1 payout po_1 -9000 25"], {1110: -9_025, 1120: 9_000, 5600: 25}),
        (["l1 payout po_1 -900 0", "l2 payout_reversal po_1 900 0"], {1110: 0, 1120: 0}),
        (["l1 payout po_1 300 0"], {1110: 300, 1120: -300}),
        (
            ["l1 risk_reserved_funds x -50 0", "l2 risk_reserved_funds x 20 0"],
            {1110: -30, 1130: 30},
        ),
        (["l1 fee x -70 0", "l2 fee x 0 5", "l3 fee x 9 4"], {1110: -70, 5600: 70}),
        (["l1 fee x 10 10"], {}),
    ],
)
def test_each_kind_is_booked_by_its_sign_with_its_fee(
    plain: Settling, rows: list[str], booked: dict[int, int]
) -> None:
    lines = match(plain, *rows)
    assert {line.status for line in lines.values()} == {LineStatus.MATCHED}
    assert {line.operation_id or line.dispute_id for line in lines.values()} == {None}
    assert plain.booked() == booked
    assert_all_agrees()
    before = money_rows()
    match_due_lines()
    assert money_rows() == before


def test_a_line_that_is_given_up_is_in_suspense_and_1110_stays_what_the_psp_holds(
    settling: Settling,
) -> None:
    settling.desk.pay(9_000)
    settling.shop.psp.move_money(settling.api_key, "fee", -40)
    settling.shop.psp.move_money(settling.api_key, "other_adjustment", -700, fee_minor=1)
    settling.close()
    settling.take_in()
    [given_up] = settling.lines(status=LineStatus.DEAD)
    assert Case.objects.get().amount_minor == 701
    booked = {1100: 0, 1110: 9_000 - 741, 1990: 701, 5600: 40}
    assert settling.booked() == booked
    assert_all_agrees()
    assert requeue_lines() == 1
    assert_all_agrees()
    match_due_lines()
    given_up.refresh_from_db()
    assert given_up.status == LineStatus.DEAD
    assert settling.booked() == booked


def test_suspense_is_reversed_when_the_line_is_explained(plain: Settling) -> None:
    [charge] = plain.shop.operations(plain.desk.pay(9_000))
    psp_id, charge.psp_id = charge.psp_id, "cap_elsewhere"
    charge.save(update_fields=["psp_id"])
    plain.read(f"l1 charge {psp_id} 9000 100".encode())
    give_up(plain)
    assert plain.booked() == {1100: 9_000, 1110: 8_900, 1990: -8_900}
    assert_all_agrees()
    Operation.objects.filter(pk=charge.pk).update(psp_id=psp_id)
    requeue_lines()
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.operation_id) == (LineStatus.MATCHED, charge.pk)
    [case] = Case.objects.all()
    assert (case.status, case.closed_by) == ("closed", "rule:line_matched")
    assert plain.booked() == {1100: 0, 1110: 8_900, 1990: 0, 5100: 100}
    assert_all_agrees()


def give_up(settling: Settling) -> None:
    """Match the lines until they are given up."""
    match_due_lines()
    long_ago = {"retrying_since": LONG_AGO, "next_attempt_at": LONG_AGO, "attempts": 9}
    SettlementLine.objects.filter(next_attempt_at__isnull=False).update(**long_ago)
    match_due_lines()
    assert {line.status for line in settling.lines()} == {LineStatus.DEAD}


def test_a_dispute_that_booked_itself_is_not_in_suspense_but_its_twin_is(plain: Settling) -> None:
    intent_id = plain.desk.pay(25_000)
    dispute = plain.desk.opened()
    assert dispute.intent.public_id == intent_id
    before = plain.booked()
    match(plain, f"l1 dispute {dispute.psp_dispute_id} -24999 0")
    assert plain.booked() == before
    assert_all_agrees()
    match(
        plain,
        f"l2 dispute {dispute.psp_dispute_id} -25000 0",
        f"l3 dispute {dispute.psp_dispute_id} -25000 0",
    )
    statuses = [line.status for line in plain.lines()]
    assert sorted(statuses) == [LineStatus.DEAD, LineStatus.DEAD, LineStatus.MATCHED]
    assert plain.booked() == before | {1110: before[1110] - 25_000, 1990: 25_000}
    assert_all_agrees()


def test_a_line_that_cannot_be_booked_stops_no_other(plain: Settling) -> None:
    plain.read(b"l1 payout po_1 -9000 0\nl2 payout po_2 -100 0\nl3 fee x -7 0")
    first = plain.lines()[0]
    parties = Parties(psp_account=plain.shop.account.code, merchant="")
    with transaction.atomic():
        post(
            [rules.payout(parties, Money(1, "USD"))],
            source_type=rules.SOURCE,
            source_id=source_of(first.pk),
            payment_id=None,
            merchant_id=None,
            psp_account=plain.shop.account.code,
        )
    with pytest.raises(AlreadyPosted):
        match_due_lines()
    statuses = {line.identity: line.status for line in plain.lines()}
    assert statuses == {
        "l1": LineStatus.FAILING,
        "l2": LineStatus.MATCHED,
        "l3": LineStatus.MATCHED,
    }
    assert plain.booked() == {1110: -108, 1120: 101, 5600: 7}
    assert any("l1 (failing) should have booked 0.00 USD" in each for each in line_differences())


def test_postgresql_refuses_a_line_of_the_account_that_has_not_booked_what_it_says(
    plain: Settling,
) -> None:
    plain.read(b"l1 payout po_1 -9000 25")
    with pytest.raises(IntegrityError, match="line_differs_from_books"), transaction.atomic():
        SettlementLine.objects.update(
            status=LineStatus.MATCHED, accounted_at=now_utc(), next_attempt_at=None
        )
    assert [line.status for line in plain.lines()] == [LineStatus.OPEN]
    assert plain.booked() == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET amount_minor = 1",
        "UPDATE ledger_transaction SET source_id = gen_random_uuid()",
    ],
)
@pytest.mark.parametrize("row", ["l1 payout po_1 -9000 0", "l1 correction x_1 -9000 0"])
def test_bookings_of_the_account_that_were_changed_by_hand_are_named(
    plain: Settling, owner_cursor: Any, row: str, change: str
) -> None:
    match(plain, row)
    assert_all_agrees()
    with triggers_off(owner_cursor, change.split()[1]):
        owner_cursor.execute(change)
    assert "should have booked -90.00 USD" in next(line_differences())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_account SET dimension = 'elsewhere' WHERE code = 1110",
        "UPDATE ledger_account SET code = 1130 WHERE code = 1120",
        "UPDATE ledger_account SET code = 1300 WHERE code = 1990",
        "UPDATE ledger_account SET code = 2200 WHERE code = 1100",
    ],
)
def test_bookings_that_were_moved_to_another_account_by_hand_are_named(
    plain: Settling, owner_cursor: Any, change: str
) -> None:
    [charge] = plain.shop.operations(plain.desk.pay(9_000))
    lines = match(plain, f"l1 charge {charge.psp_id} 9000 100", "l2 correction x_1 -5 0")
    assert lines["l2"].status == LineStatus.DEAD
    match(plain, "l3 payout po_1 -8000 1")
    assert_all_agrees()
    with triggers_off(owner_cursor, "ledger_account"):
        owner_cursor.execute(change)
    assert any("on other accounts" in each for each in line_differences())
