"""What stays unexplained is written off by a posting that a second person approved."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError

from ledger.selectors import balances
from payments.exceptions import PaymentRefused
from payments.models import Approval, ApprovalCommand, AuditEntry, Case
from payments.services.approvals import decisions
from payments.services.approvals.rights import set_limit
from payments.services.audit.authors import Author
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.shop import Shop
from reconciliation.models import SettlementLine
from reconciliation.services.expectations.remainder import remainders_of
from reconciliation.services.matching.reprocess import requeue_lines
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.services.remediation.write_offs import NotToWriteOff, request_write_off
from reconciliation.services.verification import line_differences
from reconciliation.states import LineStatus
from reconciliation.tests.exports.test_rows import rows_of
from reconciliation.tests.support.settling import Settling, money_rows, speak_plainly

OF_WRITE_OFFS = {"suspense_written_off", "suspense_kept"}


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(shop, monkeypatch)
    staff("ada")
    group, _ = Group.objects.get_or_create(name="controller")
    set_limit(
        group, author=TESTS, command=ApprovalCommand.WRITE_OFF, currency="USD", amount_max=None
    )
    User.objects.create_user("bea", is_staff=True).groups.add(group)
    return Settling(shop)


def in_suspense(settling: Settling, row: bytes) -> Case:
    """A line that no rule knows, given up with its case."""
    settling.read(row)
    match_due_lines()
    return Case.objects.get(status="open")


def ask(case: Case, *, by: str = "staff:ada", why: str = "The PSP does not know either.") -> str:
    out = StringIO()
    call_command("write_off", case.public_id, "--by", by, "--why", why, stdout=out)
    return out.getvalue()


def booked(settling: Settling) -> dict[int, int]:
    """By account of the PSP account, in minor units, without zeros."""
    found = balances(dimension=settling.shop.account.code)
    return {ref.code: money.minor for ref, money in found.items() if money}


@pytest.mark.parametrize(
    ("row", "after"),
    [
        (b"l1 surprise x_1 0 500", {1110: -500, 5400: 500}),
        (b"l1 surprise x_1 500 0", {1110: 500, 4300: 500}),
    ],
)
def test_a_second_person_writes_off_what_stays_unexplained(
    plain: Settling, row: bytes, after: dict[int, int]
) -> None:
    case = in_suspense(plain, row)
    before = money_rows()
    out = StringIO()
    call_command("write_off", stdout=out)
    assert case.public_id in out.getvalue()
    assert "1 cases of settlement lines in suspense" in out.getvalue()
    assert "waits for a second person" in ask(case)
    approval = Approval.objects.get()
    assert [line["account"] for line in approval.frozen["postings"][0]["lines"]] in (
        [5400, 1990],
        [1990, 4300],
    )
    assert money_rows() == before
    ended = decisions.approve(approval.id, author=Author("staff:bea", "Small enough."))
    assert (ended.status, booked(plain)) == ("applied", after)
    [line] = plain.lines()
    case.refresh_from_db()
    assert (line.status, line.discrepancy) == (LineStatus.WRITTEN_OFF, "")
    assert (case.status, case.closed_by) == ("closed", "staff:bea")
    assert f"under {approval.public_id}" in case.resolution
    [remainder] = remainders_of(plain.shop.account, ask_psp=False)
    assert (remainder.breaks, remainder.explained.minor) == ({}, after[1110])
    assert list(line_differences()) == []
    act = AuditEntry.objects.get(act="case.write_off")
    assert (act.actor, act.approval_id) == ("staff:bea", approval.id)
    assert requeue_lines() == 0
    adjusted = [row for row in rows_of("adjustments") if row["case"] == case.public_id]
    people = {(row["maker"], row["closed_by"]) for row in adjusted if row["rule"] in OF_WRITE_OFFS}
    assert people == {("staff:ada", "staff:bea")}


def test_who_asked_approves_nothing_and_a_rejection_leaves_the_case_open(plain: Settling) -> None:
    case = in_suspense(plain, b"l1 surprise x_1 0 500")
    ask(case)
    approval = Approval.objects.get()
    Group.objects.get(name="controller").user_set.add(User.objects.get(username="ada"))
    before = money_rows()
    with pytest.raises(PaymentRefused, match="another person decides"):
        decisions.approve(approval.id, author=Author("staff:ada", "me too"))
    decisions.reject(approval.id, author=Author("staff:bea", "Ask the PSP once more."))
    case.refresh_from_db()
    assert (case.status, plain.lines()[0].status) == ("open", LineStatus.DEAD)
    assert money_rows() == before


def test_a_line_that_was_requeued_meanwhile_is_not_written_off(plain: Settling) -> None:
    case = in_suspense(plain, b"l1 surprise x_1 0 500")
    ask(case)
    assert requeue_lines() == 1
    before = money_rows()
    ended = decisions.approve(Approval.objects.get().id, author=Author("staff:bea", "ok"))
    assert (ended.status, "nothing in suspense" in ended.result) == ("refused", True)
    assert money_rows() == before


def test_an_approval_and_a_requeue_at_the_same_moment_have_one_effect(
    plain: Settling, run_together: Callable[..., list[Any]]
) -> None:
    case = in_suspense(plain, b"l1 surprise x_1 0 500")
    ask(case)
    approval_id = Approval.objects.get().id

    def approve() -> str:
        return decisions.approve(approval_id, author=Author("staff:bea", "ok")).status

    status, requeued = run_together(approve, requeue_lines)
    assert (status, requeued) in {("applied", 0), ("refused", 1)}
    assert booked(plain) in ({1110: -500, 5400: 500}, {1110: -500, 1990: 500})
    assert list(line_differences()) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"by": "shell:x"}, "no staff user"),
        ({"by": "staff:eve"}, "no active staff user"),
        ({"why": " "}, "say why"),
    ],
)
def test_a_request_without_a_person_or_a_reason_is_refused(
    plain: Settling, change: dict[str, str], why: str
) -> None:
    case = in_suspense(plain, b"l1 surprise x_1 0 500")
    with pytest.raises(CommandError, match=why):
        ask(case, **change)
    assert not Approval.objects.exists()


def test_a_case_about_no_line_in_suspense_is_refused(plain: Settling) -> None:
    plain.read(b"cut")
    [case] = Case.objects.all()
    with pytest.raises(NotToWriteOff, match="not about a settlement line"):
        request_write_off(case.id, author=staff("ada", "why not"))
    assert not Approval.objects.exists()
    assert AuditEntry.objects.get(act="case.write_off").result == "refused"


def test_from_psql_no_line_is_written_off(
    plain: Settling, application_cursor: psycopg.Cursor[Any]
) -> None:
    in_suspense(plain, b"l1 surprise x_1 0 500")
    with pytest.raises(psycopg.errors.CheckViolation, match="lines_are_written_off_by_two"):
        application_cursor.execute(
            "UPDATE reconciliation_settlement_line SET status = 'written_off', discrepancy = ''"
        )
    assert SettlementLine.objects.get().status == LineStatus.DEAD
