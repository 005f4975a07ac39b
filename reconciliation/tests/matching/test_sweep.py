"""Due lines are matched once, by one worker; a line that does not match waits or is a case."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger.database.statements import execute
from ledger.models import LedgerTransaction
from payments.models import Case
from payments.services.verification.rebuild import differences
from payments.tests.selectors.test_search_plans import generate
from payments.tests.support.shop import Shop, body_of, open_shop, uuid_of
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.models import SettlementLine, SettlementMatch
from reconciliation.services.matching import sweep as line_sweep
from reconciliation.services.matching.recorded_operations import operations_named
from reconciliation.services.matching.reprocess import requeue_lines
from reconciliation.services.matching.sweep import match_due_lines, name_of
from reconciliation.services.reports import reading
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.states import LineStatus
from reconciliation.tests.support.settling import (
    PlainReports,
    Settling,
    make_due,
    money_rows,
    speak_plainly,
)


def test_a_dispute_without_notification_is_found_by_the_report(settling: Settling) -> None:
    intent_id = settling.disputed(25_000)
    settling.close()
    settling.take_in()

    dispute = settling.desk.dispute()
    assert dispute.status == "needs_response"
    assert settling.desk.events(intent_id) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
    ]
    _, withdrawn, fee = settling.lines()
    assert [line.status for line in (withdrawn, fee)] == [LineStatus.MATCHED] * 2
    assert [line.dispute_id for line in (withdrawn, fee)] == [dispute.id] * 2
    assert rules_of(withdrawn) == ["dispute_withdrawn"]
    assert rules_of(fee) == ["dispute_fee"]
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_the_next_report_closes_the_dispute(settling: Settling) -> None:
    settling.disputed()
    settling.close()
    settling.take_in()
    dispute = settling.desk.dispute()
    settling.desk.move(dispute.psp_dispute_id, "win", return_fee=True)
    settling.close()
    settling.take_in()
    dispute.refresh_from_db()
    assert dispute.status == "won"
    assert [rules_of(line) for line in settling.lines(dispute_id=dispute.id)] == [
        ["dispute_withdrawn"],
        ["dispute_fee"],
        ["dispute_won"],
        ["dispute_fee_returned"],
    ]
    assert list(differences()) == []


def rules_of(line: SettlementLine) -> list[str]:
    matches = SettlementMatch.objects.filter(line=line).values("transaction_id")
    rows = LedgerTransaction.objects.filter(pk__in=matches)
    return list(rows.order_by("id").values_list("rule", flat=True))


def test_a_repeated_sweep_changes_nothing(settling: Settling) -> None:
    settling.disputed()
    settling.close()
    [report] = settling.take_in()
    before, seen = money_rows(), SettlementLine.objects.count()
    settling.read(stored_file(report.pk).read(), "the-same-file-by-hand.csv")
    settling.take_in()
    assert (money_rows(), SettlementLine.objects.count()) == (before, seen)
    assert Case.objects.count() == 0


def test_concurrent_workers_match_each_line_once(
    settling: Settling, run_together: Callable[..., list[Any]]
) -> None:
    for _ in range(4):
        settling.disputed()
    settling.close()
    settling.fetch()
    reading.read_due_reports()
    counts = run_together(*[match_due_lines] * 4)
    assert sum(counts) == 12, counts
    assert len(settling.lines(status=LineStatus.MATCHED)) == 12
    assert SettlementMatch.objects.count() == 8
    assert list(differences()) == []


def statements_to_match(settling: Settling, payments: int) -> int:
    """How many statements it takes to match the lines of so many refunded payments."""
    for _ in range(payments):
        settling.shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
        settling.shop.refund(settling.desk.pay(9_000), 1_000)
    settling.close()
    settling.fetch()
    reading.read_due_reports()
    with CaptureQueriesContext(connection) as queries:
        assert match_due_lines() == 2 * payments
    return len(queries)


def test_the_lines_of_recorded_operations_are_matched_together(settling: Settling) -> None:
    statements_to_match(settling, 1)  # It opens the accounts.
    few, many = statements_to_match(settling, 1), statements_to_match(settling, 6)
    assert few == many
    assert {line.status for line in settling.lines()} == {LineStatus.MATCHED}
    assert {line.attempts for line in settling.lines()} == {1}


def test_the_operations_of_many_lines_are_found_by_their_index(shop: Shop) -> None:
    """On an account with thousands of operations, whatever an earlier test had analyzed."""
    intent_id = uuid_of(body_of(shop.create(order_id=""))["id"])
    generate(2_500, intent=intent_id, customer=intent_id)
    named = operations_named(accounts=[shop.account.id], ids=[f"sop_{n}" for n in range(200)])
    with transaction.atomic():
        execute("SET LOCAL enable_seqscan = off")
        assert "operation_psp_id" in named.explain()


def test_while_a_psp_is_down_only_its_own_lines_wait(
    settling: Settling,
) -> None:
    settling.disputed()
    other = Settling(open_shop(settling.shop.psp))
    other.disputed()
    settling.close()
    assert settling.fetch() == 2
    reading.read_due_reports()
    settling.shop.psp.script(
        {"down": 1},
        times=None,
        kind="look_up",
        path=f"/v1/disputes/{settling.desk.at_the_psp()[0]['id']}",
    )
    before = money_rows()
    match_due_lines()
    assert {line.status for line in settling.lines(kind="dispute")} == {LineStatus.FAILING}
    assert {line.status for line in other.lines(kind="dispute")} == {LineStatus.MATCHED}
    assert money_rows() > before
    charges = {line.status for line in settling.lines(kind="charge")}
    assert charges == {LineStatus.MATCHED}, "they need no look-up"
    settling.shop.psp.heal()
    assert match_due_lines() == 0, "the other lines are retried later"
    make_due()
    match_due_lines()
    assert {line.status for line in settling.lines(kind="dispute")} == {LineStatus.MATCHED}


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """A shop whose PSP's reports a test writes by hand, with one recorded dispute."""
    settling = Settling(shop)
    settling.disputed(25_000)
    settling.desk.sync(settling.desk.at_the_psp()[0]["id"])
    speak_plainly(shop, monkeypatch)
    return settling


def psp_id(settling: Settling) -> str:
    return settling.desk.dispute().psp_dispute_id


def test_a_second_line_of_the_same_transaction_is_a_case(plain: Settling) -> None:
    plain.read(f"l1 dispute {psp_id(plain)} -25000 0\nl2 dispute {psp_id(plain)} -25000 0".encode())
    assert match_due_lines() == 2
    first, second = plain.lines()
    assert (first.status, second.status) == (LineStatus.MATCHED, LineStatus.DEAD)
    [case] = Case.objects.all()
    assert case.kind == "contradiction"
    assert "line 1" in case.summary
    assert "has reported the same money already" in case.summary
    assert (case.amount_minor, case.currency) == (25_000, "USD")
    assert case.subject == name_of(second)
    assert SettlementMatch.objects.count() == 1


def test_a_line_of_another_amount_than_booked_is_a_case(plain: Settling) -> None:
    before = money_rows()
    plain.read(f"l1 dispute {psp_id(plain)} -24999 0".encode())
    match_due_lines()
    [line] = plain.lines()
    assert line.status == LineStatus.DEAD
    [case] = Case.objects.all()
    assert case.intent_id == plain.desk.dispute().intent_id
    assert "-249.99 USD" in case.summary
    assert money_rows() == before


def test_a_line_of_an_unknown_kind_is_a_case(plain: Settling) -> None:
    plain.read(b"l1 surprise_fee x_1 0 100")
    assert match_due_lines() == 1
    [line] = plain.lines()
    assert (line.status, line.last_error) == (LineStatus.DEAD, "no rule knows a line surprise_fee")
    [case] = Case.objects.all()
    assert "surprise_fee" in case.summary
    assert case.psp_account == plain.shop.account


def grow_old(owner_cursor: psycopg.Cursor[Any]) -> None:
    owner_cursor.execute(
        "UPDATE reconciliation_settlement_line SET retrying_since = %s, next_attempt_at = %s, "
        "attempts = attempts + 5 WHERE next_attempt_at IS NOT NULL",
        [timezone.now() - timedelta(days=4), timezone.now() - timedelta(hours=1)],
    )


def test_a_line_unmatched_for_a_day_is_a_case_and_can_be_requeued(
    plain: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    plain.read(b"l1 dispute sdp_stranger -100 0")
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.attempts) == (LineStatus.FAILING, 1)
    assert Case.objects.count() == 0
    grow_old(owner_cursor)
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.attempts) == (LineStatus.DEAD, 7)
    [case] = Case.objects.all()
    assert "the provider does not find the dispute" in case.summary
    assert "sdp_stranger" in case.summary
    assert requeue_lines(report_name="another") == 0
    assert requeue_lines(account_code=plain.shop.account.code) == 1
    assert requeue_lines() == 0
    assert match_due_lines() == 1
    assert plain.lines()[0].status == LineStatus.FAILING


def test_a_worker_whose_lease_has_ended_writes_no_match(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.read(f"l1 dispute {psp_id(plain)} -25000 0".encode())
    genuine = line_sweep.match_dispute_line

    def slowly(**words: Any) -> Any:
        accounted = genuine(**words)
        # Another worker has leased it meanwhile.
        SettlementLine.objects.update(next_attempt_at=F("next_attempt_at") + timedelta(seconds=60))
        return accounted

    monkeypatch.setattr(line_sweep, "match_dispute_line", slowly)
    assert match_due_lines() == 1
    assert plain.lines()[0].status == LineStatus.OPEN
    assert SettlementMatch.objects.count() == 0
    monkeypatch.undo()
    speak_plainly(plain.shop, monkeypatch)
    make_due()
    match_due_lines()
    assert plain.lines()[0].status == LineStatus.MATCHED


def test_the_wait_between_attempts_grows(plain: Settling) -> None:
    plain.read(b"l1 dispute sdp_stranger -100 0")
    gaps = []
    for tried_hours in (0, 1, 10):
        make_due()
        SettlementLine.objects.update(retrying_since=timezone.now() - timedelta(hours=tried_hours))
        match_due_lines()
        [line] = plain.lines()
        assert line.next_attempt_at is not None
        gaps.append((line.next_attempt_at - timezone.now()).total_seconds())
    assert 4 < gaps[0] < 16
    assert 800 < gaps[1] < 2_800
    assert 1_700 < gaps[2] < 5_500


def test_no_line_is_dead_because_its_psp_is_down_for_days(
    plain: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    plain.read(b"l1 dispute sdp_stranger -100 0")
    grow_old(owner_cursor)
    plain.shop.psp.set_behavior(down=1)
    assert match_due_lines() == 1
    assert plain.lines()[0].status == LineStatus.FAILING
    assert Case.objects.count() == 0


def test_lines_of_disputes_are_matched_first(plain: Settling) -> None:
    charges = b"".join(f"c{n} charge cap_{n} 1 0\n".encode() for n in range(5))
    plain.read(charges + f"l1 dispute {psp_id(plain)} -25000 0".encode())
    assert match_due_lines(limit=1) == 1
    assert [line.status for line in plain.lines(identity="l1")] == [LineStatus.MATCHED]


def test_a_line_whose_kind_the_adapter_learns_later_is_matched(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.read(f"l1 Chargeback {psp_id(plain)} -25000 0".encode())
    match_due_lines()
    assert [line.status for line in plain.lines()] == [LineStatus.DEAD]
    assert requeue_lines() == 1
    match_due_lines()
    assert [line.status for line in plain.lines()] == [LineStatus.DEAD], (
        "the adapter does not know the kind yet"
    )
    monkeypatch.setattr(
        PlainReports, "read_report", learned(PlainReports.read_report, "Chargeback", "dispute")
    )
    assert requeue_lines() == 1
    match_due_lines()
    [line] = plain.lines()
    assert (line.status, line.kind, line.psp_type) == (
        LineStatus.MATCHED,
        "dispute",
        "Chargeback",
    )
    assert plain.read(f"l1 Chargeback {psp_id(plain)} -25000 0\n".encode(), "again").lines_new == 0


def learned(read: Any, word: str, kind: str) -> Any:
    def read_report(self: PlainReports, file: ReportFile) -> Any:
        for line in read(self, file):
            yield replace(line, kind=LineKind(kind)) if line.psp_type == word else line

    return read_report


def test_unknown_lines_of_two_versions_of_a_report_are_two_cases(plain: Settling) -> None:
    plain.read(b"l1 surprise x_1 0 100")
    plain.read(b"l2 surprise x_2 0 999")
    match_due_lines()
    assert Case.objects.filter(summary__contains="no rule knows a line surprise").count() == 2


def test_concurrent_workers_with_six_lines_of_one_transaction_match_one(
    plain: Settling, run_together: Callable[..., list[Any]]
) -> None:
    twins = "\n".join(f"l{n} dispute {psp_id(plain)} -25000 0" for n in range(6))
    plain.read(twins.encode())
    results = run_together(*[match_due_lines] * 4)
    assert all(isinstance(result, int) for result in results), results
    make_due()
    match_due_lines()
    statuses = [line.status for line in plain.lines()]
    assert (statuses.count(LineStatus.MATCHED), statuses.count(LineStatus.DEAD)) == (1, 5)
    assert SettlementMatch.objects.count() == 1
    assert Case.objects.count() == 5


def test_a_line_that_postgresql_refuses_is_retried_and_delays_no_other(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.read(
        f"l1 dispute {psp_id(plain)} -25000 0\nl2 dispute_fee {psp_id(plain)} 0 1500".encode()
    )
    genuine = line_sweep.match_dispute_line

    def wrongly(**words: Any) -> Any:
        accounted = genuine(**words)
        if words["line"].identity == "l1":
            return replace(accounted, transaction_ids=())
        return accounted

    monkeypatch.setattr(line_sweep, "match_dispute_line", wrongly)
    assert match_due_lines() == 2
    first, second = plain.lines()
    assert (first.status, second.status) == (LineStatus.FAILING, LineStatus.MATCHED)
    assert "line_differs_from_books" in first.last_error
