"""What should be in a settlement report by now is a case, until its line comes."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from ledger.database.statements import execute
from payments.clock import now_utc
from payments.models import Case, Operation, PspAccount
from payments.services.commands.operators.cases import close_case
from payments.tests.support.factories import move_to_psp, staff
from payments.tests.support.shop import Shop, open_shop
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import MissingSettlement, ReportFetch, SettlementWatch
from reconciliation.services.expectations import open_items
from reconciliation.services.expectations.watching import watch_settlements
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(shop, monkeypatch)
    return Settling(shop)


def paid(settling: Settling, *, refunded: bool = False) -> Operation:
    """The capture of a new order, or its refund."""
    settling.shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
    intent_id = settling.desk.pay(9_000)
    if refunded:
        settling.shop.refund(intent_id, 1_000)
    return settling.shop.operations(intent_id)[-1]


def let_days_pass(owner_cursor: Any, days: int = 30) -> None:
    """Everything that is booked by now was booked so long ago."""
    with triggers_off(owner_cursor, "ledger_transaction"):
        owner_cursor.execute(
            "UPDATE ledger_transaction SET posted_at = posted_at - make_interval(days => %s)",
            [days],
        )


def settle(settling: Settling, *rows: str) -> None:
    settling.read("\n".join(rows).encode(), f"{uuid.uuid4()}.csv")
    match_due_lines()


def open_cases() -> list[Case]:
    return list(Case.objects.filter(status="open").order_by("id"))


def test_what_is_in_no_report_in_time_is_one_case_until_its_line_comes(
    plain: Settling, owner_cursor: Any
) -> None:
    settled, missing, refund = paid(plain), paid(plain), paid(plain, refunded=True)
    charge_of_refund = plain.shop.operations(refund.intent.public_id)[0]
    let_days_pass(owner_cursor)
    unsettled_yet = paid(plain)
    settle(
        plain,
        f"l1 charge {settled.psp_id} 9000 0",
        f"l2 charge {charge_of_refund.psp_id} 9000 0",
    )
    before = money_rows()
    assert watch_settlements() == 2
    assert watch_settlements() == 0
    assert money_rows() == before
    rows = {row.operation_id: row for row in MissingSettlement.objects.all()}
    assert {key: row.amount_minor for key, row in rows.items()} == {
        missing.id: 9_000,
        refund.id: -1_000,
    }
    assert unsettled_yet.id not in rows
    assert [(case.subject, case.discrepancy) for case in open_cases()] == [
        (each.public_id, Discrepancy.MISSING_AT_PSP) for each in (missing, refund)
    ]
    settle(plain, f"l3 charge {missing.psp_id} 9000 0")
    assert watch_settlements() == 1
    [case] = open_cases()
    assert case.subject == refund.public_id
    [closed] = Case.objects.filter(status="closed")
    assert (closed.subject, closed.closed_by) == (missing.public_id, "rule:late_line")
    assert Discrepancy.LATE_SETTLEMENT in closed.resolution
    row = MissingSettlement.objects.get(operation=missing)
    assert row.settled_at is not None
    assert row.late_by is not None
    assert timedelta(days=25) < row.late_by < timedelta(days=30)
    close_case(case.id, author=staff("ada"), resolution="The PSP keeps it.")
    assert watch_settlements() == 0, "an operation has one case"


def test_an_account_without_a_report_has_one_case_until_one_comes(
    plain: Settling, owner_cursor: Any
) -> None:
    operations = [paid(plain) for _ in range(3)]
    assert watch_settlements() == 0
    let_days_pass(owner_cursor)
    assert [watch_settlements(), watch_settlements()] == [1, 0]
    [case] = open_cases()
    assert case.discrepancy == Discrepancy.FILE_GAP
    assert case.subject == f"reports of {plain.shop.account.code}"
    assert "has come ever" in case.summary
    assert not MissingSettlement.objects.exists()
    settle(plain, *(f"l{n} charge {each.psp_id} 9000 0" for n, each in enumerate(operations[1:])))
    watch_settlements()
    assert [each.subject for each in open_cases()] == [operations[0].public_id]


@pytest.mark.parametrize("why", ["not due", "not watched", "named by a line", "not attempted yet"])
def test_nothing_is_missing_that_is_not_due_or_that_a_line_names(
    plain: Settling, owner_cursor: Any, why: str
) -> None:
    operation = paid(plain)
    let_days_pass(owner_cursor, 1 if why == "not due" else 30)
    if why == "not due":
        PspAccount.objects.update(settlement_calendar={"business_days": 20})
    if why == "not watched":
        PspAccount.objects.update(settlement_calendar={"watched": False})
    amount = 1 if why == "named by a line" else 9_000
    psp_id = "cap_other" if why.startswith("not ") and why != "not attempted yet" else ""
    plain.read(f"l1 charge {psp_id or operation.psp_id} {amount} 0".encode())
    if why != "not attempted yet":
        match_due_lines()
    assert watch_settlements() == 0
    assert not MissingSettlement.objects.exists()


def test_a_run_reads_what_became_due_and_not_what_was_looked_through(
    plain: Settling, owner_cursor: Any
) -> None:
    operations = [paid(plain) for _ in range(4)]
    let_days_pass(owner_cursor)
    settle(plain, *(f"l{n} charge {each.psp_id} 9000 0" for n, each in enumerate(operations)))
    with CaptureQueriesContext(connection) as first:
        watch_settlements()
    [watch] = SettlementWatch.objects.all()
    assert watch.position > 0
    with CaptureQueriesContext(connection) as later:
        watch_settlements()
    assert len(later) < len(first)
    assert open_items.entries_after(watch.ledger_account_id, watch.position, most=10) != []
    after = str(watch.position)
    given = [watch.ledger_account_id, after, 10, "x", watch.ledger_account_id, after]
    with transaction.atomic():
        execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in execute("EXPLAIN " + open_items._NEXT, given))
    assert "ledger_entry_account_xid" in plan
    assert "Seq Scan" not in plan


def test_an_open_item_says_until_when_it_is_expected(
    plain: Settling, owner_cursor: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    operation = paid(plain)
    call_command("explain", operation.public_id)
    assert "not in a settlement report yet, expected until 20" in capsys.readouterr().out
    let_days_pass(owner_cursor)
    call_command("explain", operation.public_id)
    assert "not in a settlement report yet, OVERDUE since 20" in capsys.readouterr().out
    settle(plain, "l1 payout po_1 -1 0")
    watch_settlements()
    call_command("settlement_reports", missing=True)
    told = capsys.readouterr().out
    assert f"{operation.public_id} authorize at {plain.shop.account.code}: 90.00 USD" in told
    assert "1 captures and refunds are missing" in told


def test_a_capture_that_was_reversed_before_its_line_came_is_expected_no_more(
    plain: Settling, owner_cursor: Any
) -> None:
    operation = paid(plain)
    let_days_pass(owner_cursor)
    settle(plain, "l1 payout po_1 -1 0")
    assert watch_settlements() == 1
    Operation.objects.filter(pk=operation.pk).update(status="REVERSED")
    assert watch_settlements() == 1
    row = MissingSettlement.objects.get()
    assert (row.late_by, row.settled_at is not None) == (None, True)
    assert "reversed" in Case.objects.get().resolution
    assert now_utc() >= row.found_at


def test_a_rule_that_is_switched_off_for_an_account_leaves_its_cases_open(
    plain: Settling, owner_cursor: Any
) -> None:
    operation = paid(plain)
    let_days_pass(owner_cursor)
    settle(plain, "l1 payout po_1 -1 0")
    assert watch_settlements() == 1
    PspAccount.objects.update(rules_off=["late_line"])
    settle(plain, f"l2 charge {operation.psp_id} 9000 0")
    assert watch_settlements() == 1
    assert MissingSettlement.objects.get().settled_at is not None
    assert [case.subject for case in open_cases()] == [operation.public_id]
    with pytest.raises(IntegrityError, match="psp_account_rules_off"), transaction.atomic():
        PspAccount.objects.update(rules_off=["late_lines"])


def test_an_account_with_a_listed_report_that_is_not_here_is_judged_after_some_days(
    plain: Settling, owner_cursor: Any
) -> None:
    operation = paid(plain)
    let_days_pass(owner_cursor)
    settle(plain, "l1 payout po_1 -1 0")
    unreadable = plain.read(b"cut", "unreadable.csv")
    listed = ReportFetch.objects.create(
        psp_account=plain.shop.account,
        name="listed.csv",
        next_attempt_at=now_utc(),
        added_at=now_utc(),
    )
    assert watch_settlements() == 0
    with triggers_off(owner_cursor, "reconciliation_settlement_report"):
        owner_cursor.execute(
            "UPDATE reconciliation_settlement_report SET received_at = now() - interval '9 days' "
            "WHERE id = %s",
            [unreadable.pk],
        )
    assert watch_settlements() == 0
    with triggers_off(owner_cursor, "reconciliation_report_fetch"):
        owner_cursor.execute(
            "UPDATE reconciliation_report_fetch SET added_at = now() - interval '9 days' "
            "WHERE id = %s",
            [listed.pk],
        )
    assert watch_settlements() == 1
    assert [case.subject for case in open_cases() if case.kind == "not_settled"] == [
        operation.public_id
    ]


def test_an_account_that_cannot_be_judged_delays_no_other(
    plain: Settling, owner_cursor: Any
) -> None:
    broken = open_shop(plain.shop.psp).account
    move_to_psp(broken, "no-such-psp")
    paid(plain)
    let_days_pass(owner_cursor)
    settle(plain, "l1 payout po_1 -1 0")
    assert watch_settlements() == 1
