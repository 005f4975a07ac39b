"""Closing the books: what is open stops it, and a late fact counts for the next day."""

from __future__ import annotations

from datetime import date, timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError

from ledger.models import LedgerTransaction, Period
from ledger.periods import closed_through
from payments.clock import now_utc
from payments.exceptions import PaymentRefused
from payments.models import Approval, ApprovalCommand, AuditEntry
from payments.services.approvals import decisions
from payments.services.approvals.rights import set_limit
from payments.services.audit.authors import Author, UnknownAuthor
from payments.services.verification.rebuild import one_snapshot
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.shop import Shop, body_of
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.models import BooksClose
from reconciliation.services.closing.books import CloseRefused, close_books, close_differences
from reconciliation.services.matching.sweep import match_due_lines
from reconciliation.tests.support.settling import Settling, speak_plainly


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """The PSP's reports are plain lines, and are imported by hand."""
    speak_plainly(shop, monkeypatch)
    return Settling(shop)


def today() -> date:
    return now_utc().date()


def close(*arguments: str) -> str:
    out = StringIO()
    call_command("close_books", *arguments, stdout=out)
    return out.getvalue()


def test_a_refund_of_a_payment_of_a_closed_day_counts_for_the_next(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    row = close_books(today(), author=staff("ada", "the day"), before_its_end=True)
    assert row is not None
    assert set(row.psp_accounts) >= {"", shop.account.code}
    shop.refund(intent_id, 2_000)
    refund = LedgerTransaction.objects.get(rule="refund_requested")
    assert (refund.effective_date, refund.value_date) == (today() + timedelta(days=1), today())
    with one_snapshot():
        assert list(close_differences()) == []
    act = AuditEntry.objects.get(act="books.close")
    assert (act.actor, act.reason, act.result) == ("staff:ada", "the day", "done")
    assert close_books(today(), author=staff("ada"), before_its_end=True) is None
    assert BooksClose.objects.count() == 1


def test_what_is_open_stops_the_close_unless_the_author_says_why(plain: Settling) -> None:
    staff("ada")
    plain.read(b"l1 charge cap_stranger 100 0\nl2 surprise x_1 0 5")
    match_due_lines()
    through = today().isoformat()
    given = ("--through", through, "--by", "staff:ada", "--before-its-end")
    with pytest.raises(CommandError, match=r"1 settlement lines wait; .*1 .* are in suspense"):
        close(*given)
    assert not Period.objects.exists()
    with pytest.raises(CommandError, match="needs --why"):
        close(*given, "--despite-open")
    told = close(*given, "--despite-open", "--why", "The PSP answers on Monday.")
    assert f"closed through {through}: the bank, " in told
    points = BooksClose.objects.get().open_points
    assert any("1 settlement lines wait" in each for each in points)
    assert "is closed already" in close(*given, "--despite-open", "--why", "again")
    assert "closed days are what they were" in close("--check")


def test_a_day_that_is_not_over_an_unknown_account_and_a_login_of_the_server_are_refused(
    shop: Shop,
) -> None:
    with pytest.raises(CloseRefused, match="is not over"):
        close_books(today(), author=staff("ada"))
    with pytest.raises(CloseRefused, match="has not begun"):
        close_books(today() + timedelta(days=1), author=staff("ada"), before_its_end=True)
    yesterday = today() - timedelta(days=1)
    with pytest.raises(CloseRefused, match="no PSP account nowhere"):
        close_books(yesterday, author=staff("ada"), codes=["nowhere"])
    with pytest.raises(UnknownAuthor, match="say who does it"):
        close_books(yesterday, author=Author("shell:root@host"))
    assert not Period.objects.exists()
    assert not BooksClose.objects.exists()
    results = set(AuditEntry.objects.filter(act="books.close").values_list("result", flat=True))
    assert results == {"refused"}


def test_a_closed_day_that_was_changed_by_hand_is_named(shop: Shop, owner_cursor: object) -> None:
    shop.create(10_000)
    close_books(today(), author=staff("ada"), before_its_end=True)
    with triggers_off(owner_cursor, "ledger_transaction"):  # type: ignore[arg-type]
        owner_cursor.execute(  # type: ignore[attr-defined]
            "UPDATE ledger_transaction SET effective_date = effective_date + 1 "
            "WHERE rule = 'captured'"
        )
    with one_snapshot():
        [sentence] = close_differences()
    assert "staff:ada closed them" in sentence
    with pytest.raises(SystemExit):
        close("--check")


def test_days_are_opened_again_by_two_people_only(
    shop: Shop, application_cursor: psycopg.Cursor[Any]
) -> None:
    close_books(today(), author=staff("ada"), before_its_end=True)
    before = today() - timedelta(days=1)
    told = close("--reopen-after", before.isoformat(), "--by", "staff:ada", "--why", "A typo.")
    assert "waits for a second person" in told
    approval = Approval.objects.get()
    controller = lead_of_books("bea")
    with pytest.raises(psycopg.errors.CheckViolation, match="days_are_reopened_by_two"):
        application_cursor.execute(
            "UPDATE ledger_period SET closing_through = %s, closed_through = %s, "
            "reopened_under = %s",
            [before, before, approval.id],
        )
    controller.groups.first().user_set.add(User.objects.get(username="ada"))
    with pytest.raises(PaymentRefused, match="another person decides"):
        decisions.approve(approval.id, author=staff("ada", "me too"))
    assert closed_through(shop.account.code) == today()

    ended = decisions.approve(approval.id, author=staff("bea", "Seen."))
    assert (ended.status, closed_through(shop.account.code)) == ("applied", before)
    act = AuditEntry.objects.get(act="books.reopen")
    assert (act.actor, act.approval_id, act.reason) == ("staff:bea", approval.id, "Seen.")
    shop.create(10_000)
    days = set(LedgerTransaction.objects.values_list("effective_date", flat=True))
    assert days == {today()}
    with one_snapshot():
        assert list(close_differences()) == []
    with pytest.raises(CommandError, match="no day after"):
        close("--reopen-after", before.isoformat(), "--by", "staff:ada", "--why", "Again.")


def lead_of_books(username: str) -> User:
    """A login of a role that may open closed days."""
    group, _ = Group.objects.get_or_create(name="controller")
    command = ApprovalCommand.REOPEN_PERIOD
    set_limit(group, author=TESTS, command=command, currency="", amount_max=None)
    user = User.objects.create_user(username, is_staff=True)
    user.groups.add(group)
    return user
