"""Several lines about one operation: they match by their sum, in any order, and wait until then."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from ledger.database.statements import execute
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services.psp_gateway.references import reference_of
from payments.services.recovery.payment_sync import sync_operation
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import body_of, open_shop
from paymentsite.tests.fixtures.matrix import examples
from reconciliation.discrepancies import Discrepancy as D
from reconciliation.models import SettlementLine
from reconciliation.services.expectations.open_items import open_items
from reconciliation.services.matching.line_bookings import book_lines, to_book
from reconciliation.services.matching.line_groups import agrees, group_of
from reconciliation.services.matching.part_lines import is_over
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import Settling, make_due, speak_plainly


@pytest.fixture
def plain(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    speak_plainly(settling.shop, monkeypatch)
    return settling


def sale(settling: Settling, amount_minor: int = 10_000) -> Operation:
    settling.shop.order_id += "x"
    [charge] = settling.shop.operations(settling.desk.pay(amount_minor))
    return charge


def capture(settling: Settling, amount_minor: int, *, of: int) -> Operation:
    settling.shop.order_id += "x"
    intent_id = body_of(settling.shop.create(of, manual=True))["id"]
    settling.shop.capture(intent_id, amount_minor)
    return settling.shop.operations(intent_id)[-1]


def report(settling: Settling, *rows: str) -> dict[str, str]:
    """Read and match a report of these rows; by line its discrepancy, empty if it is matched."""
    number = SettlementLine.objects.count()
    settling.read("\n".join(rows).encode(), f"report_{number}.csv")
    return match(settling)


def match(settling: Settling) -> dict[str, str]:
    while match_due_lines():  # What waited for others is due again.
        pass
    lines = settling.lines()
    assert all(line.status == LineStatus.MATCHED for line in lines if not line.discrepancy)
    return {line.identity: line.discrepancy for line in lines}


def assert_all_agrees() -> None:
    assert [*differences(), *line_differences()] == []


def test_a_charge_that_settles_in_parts_waits_for_the_rest_and_then_matches(
    plain: Settling,
) -> None:
    charge = sale(plain)
    asked = len(plain.shop.psp.calls(order_id=plain.shop.order_id))
    assert report(plain, f"l1 charge {charge.psp_id} 6000 90") == {"l1": D.PARTIAL_SETTLEMENT}
    assert plain.booked() == {1100: 10_000}
    assert "by its lines 60.00 USD moved" in plain.lines()[0].last_error
    assert report(plain, f"l2 charge {charge.psp_id} 4000 10") == {"l1": "", "l2": ""}
    assert plain.booked() == {1100: 0, 1110: 9_900, 5100: 100}
    assert len(plain.shop.psp.calls(order_id=plain.shop.order_id)) == asked
    assert open_items([charge.id]) == {}
    assert_all_agrees()


def test_a_refund_settles_and_fails_in_parts(plain: Settling) -> None:
    intent_id = plain.desk.pay(10_000)
    plain.shop.refund(intent_id, 5_000)
    charge, refund = plain.shop.operations(intent_id)
    settled = [f"l{n} refund {refund.psp_id} {minor} 0" for n, minor in enumerate((-2_000, -3_000))]
    assert set(report(plain, f"lc charge {charge.psp_id} 10000 0", *settled).values()) == {""}
    assert plain.booked() == {1100: 0, 1110: 5_000, 2200: 0}
    plain.shop.psp.revise(reference_of(refund.id), "fail")
    sync_operation(refund.id, actor="test")
    failed = [f"f{n} refund_failure {refund.psp_id} {n} 0" for n in (4_000, 1_000)]
    assert report(plain, failed[0])["f4000"] == D.PARTIAL_SETTLEMENT
    make_due()
    assert set(report(plain, failed[1]).values()) == {""}
    assert plain.booked() == {1100: 0, 1110: 10_000, 2200: 0}
    assert_all_agrees()


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("together", [True, False])
def test_a_charge_of_all_that_was_authorized_matches_with_the_reversal_of_the_rest(
    plain: Settling, step: int, together: bool
) -> None:
    operation = capture(plain, 3_500, of=5_000)
    rows = [
        f"l1 charge {operation.psp_id} 5000 80",
        f"l2 partial_capture_reversal {operation.psp_id} -1500 0",
    ][::step]
    if together:
        assert report(plain, *rows) == {"l1": "", "l2": ""}
    else:
        first, second = rows
        assert report(plain, first)[first[:2]] in (D.AMOUNT_MISMATCH, D.STATUS_MISMATCH)
        assert not Case.objects.exists()
        make_due()
        assert report(plain, second) == {"l1": "", "l2": ""}
    assert plain.booked() == {1100: 0, 1110: 3_420, 5100: 80}
    assert_all_agrees()


def test_the_whole_amount_matches_beside_a_part_that_is_too_much(plain: Settling) -> None:
    charge = sale(plain)
    assert report(plain, f"l1 charge {charge.psp_id} 300 0") == {"l1": D.PARTIAL_SETTLEMENT}
    found = report(plain, f"l2 charge {charge.psp_id} 10000 0")
    assert found["l2"] == ""
    make_due()
    assert match(plain) == {"l1": D.AMOUNT_MISMATCH, "l2": ""}
    assert plain.booked() == {1100: 0, 1110: 10_300, 1990: -300}
    [case] = Case.objects.all()
    assert "all lines about it say 103.00 USD" in case.summary


def grow_old(owner_cursor: Any, days: int) -> None:
    owner_cursor.execute(
        "UPDATE reconciliation_settlement_line SET attempts = 9, next_attempt_at = now(), "
        "retrying_since = now() - make_interval(days => %s) WHERE next_attempt_at IS NOT NULL",
        [days],
    )


def test_a_part_is_given_up_once_the_rest_is_overdue_and_comes_back_with_it(
    plain: Settling, owner_cursor: Any
) -> None:
    charge = sale(plain)
    report(plain, f"l1 charge {charge.psp_id} 6000 0")
    grow_old(owner_cursor, 4)
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.discrepancy) == (LineStatus.DEAD, D.PARTIAL_SETTLEMENT)
    assert plain.booked() == {1100: 10_000, 1110: 6_000, 1990: -6_000}
    [case] = Case.objects.all()
    assert (case.status, case.discrepancy) == ("open", D.PARTIAL_SETTLEMENT)
    report(plain, f"l2 charge {charge.psp_id} 4000 0")
    assert match(plain) == {"l1": "", "l2": ""}
    case.refresh_from_db()
    assert (case.status, case.closed_by) == ("closed", "rule:line_matched")
    assert plain.booked() == {1100: 0, 1110: 10_000, 1990: 0}
    assert_all_agrees()


def test_a_part_is_not_given_up_before_its_rest_is_overdue(plain: Settling) -> None:
    now, account_id = now_utc(), plain.shop.account.pk
    long_ago = now - timedelta(days=40)
    for occurred_at, code, over in (
        (now, D.PARTIAL_SETTLEMENT, False),
        (now, D.AMOUNT_MISMATCH, True),
        (long_ago, D.PARTIAL_SETTLEMENT, True),
    ):
        line = SettlementLine(
            psp_account_id=account_id, retrying_since=long_ago, occurred_at=occurred_at
        )
        assert is_over(line, code, now, attempts=9) == over


def split(random: Random, amount_minor: int) -> list[int]:
    """Parts of an amount, in any number."""
    cuts = sorted(random.sample(range(1, amount_minor), random.randint(1, 4)))
    return [b - a for a, b in zip([0, *cuts], [*cuts, amount_minor], strict=True)]


@pytest.mark.parametrize("seed", range(examples(2, whole=20)))
def test_however_amounts_are_split_and_lines_arrive_the_books_are_the_same(
    plain: Settling, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random, books = Random(seed), []
    parts = [split(random, 10_000) for _ in range(3)]
    for order in range(2):
        settling = plain if not order else Settling(open_shop(plain.shop.psp))
        speak_plainly(settling.shop, monkeypatch)
        charges = [sale(settling) for _ in parts]
        rows = [
            f"l{n}_{place} charge {charge.psp_id} {minor} 1"
            for n, (charge, split_of) in enumerate(zip(charges, parts, strict=True))
            for place, minor in enumerate(split_of)
        ]
        random.shuffle(rows)
        middle = random.randint(1, len(rows) - 1)
        report(settling, *rows[:middle])
        found = report(settling, *rows[middle:])
        assert set(found.values()) == {""}
        assert len(found) == len(rows)
        by_operation = {charge.id: 0 for charge in charges}
        for line in settling.lines():
            by_operation[line.operation_id] += line.gross_minor
        assert set(by_operation.values()) == {10_000}
        books.append(settling.booked())
    assert books[0] == books[1]
    assert_all_agrees()


MEMBERS = [
    *(("charge", 10_000), ("charge", 6_000), ("charge", 4_000), ("charge_failure", -10_000)),
    *(("charge_failure", -4_000), ("partial_capture_reversal", -2_000), ("charge", 12_000)),
]


@pytest.mark.parametrize("status", ["SUCCEEDED", "REVERSED"])
@pytest.mark.parametrize("seed", range(examples(4, whole=40)))
def test_postgresql_takes_just_the_lines_that_agree_with_their_operation(
    plain: Settling, seed: int, status: str
) -> None:
    random, charge = Random(seed), sale(plain)
    if status == "REVERSED":
        plain.shop.psp.revise(reference_of(charge.id), "fail")
        sync_operation(charge.id, actor="test")
        charge.refresh_from_db()
    chosen = random.sample(MEMBERS, random.randint(1, 3))
    rows = [f"l{n} {kind} {charge.psp_id} {minor} 0" for n, (kind, minor) in enumerate(chosen)]
    plain.read("\n".join(rows).encode())
    for line in plain.lines():
        agreed = agrees(charge, Money(line.gross_minor, line.currency), group_of(line))
        said = "" if agreed else "line_differs_from_operation"
        assert refusal_of(line, charge) == said, (chosen, line.identity)


def refusal_of(line: SettlementLine, charge: Operation) -> str:
    """What PostgreSQL says to the line as matched; it is rolled back."""
    try:
        with transaction.atomic():
            book_lines([to_book(line, payment_id=charge.intent_id)])
            execute(
                "UPDATE reconciliation_settlement_line SET status = 'matched', "
                "accounted_at = now(), next_attempt_at = NULL, operation_id = %s WHERE id = %s",
                [charge.id, line.pk],
            )
            raise InterruptedError
    except (InterruptedError, DatabaseError) as reason:
        return str(reason).partition(":")[0]
