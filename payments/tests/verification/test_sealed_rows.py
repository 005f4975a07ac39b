"""Ledger, events and audit trail are sealed; a change by a superuser is named, row by row."""

from __future__ import annotations

import json
import re
import time
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ledger.models import LedgerEntry, LedgerTransaction, Seal
from ledger.seal_verification import seal_differences
from ledger.seals import seal_rows
from payments.models import AuditEntry, BooksCheck, Case, Event
from payments.services.commands.operators.merchants import change_merchant
from payments.services.verification.daily import verify_books
from payments.services.verification.sealed_rows import PART, check_seals_daily
from payments.tests.support.factories import staff
from payments.tests.support.shop import Shop, body_of
from payments.tests.verification.test_every_column import triggers_off

Cursor = psycopg.Cursor[Any]


def seal_all() -> None:
    """Seal what has committed; ids of the present millisecond are not complete yet."""
    time.sleep(0.005)
    seal_rows()


@pytest.fixture
def sealed(shop: Shop) -> Shop:
    """A payment, a refund and an act, all sealed."""
    shop.refund(body_of(shop.create(10_000))["id"], 2_000)
    change_merchant(shop.merchant, author=staff("ada"), platform_fee_basis_points=150)
    seal_all()
    assert list(seal_differences()) == []
    return shop


def test_every_row_is_sealed_once(sealed: Shop) -> None:
    rows = LedgerTransaction.objects.count() + LedgerEntry.objects.count()
    rows += Event.objects.count() + AuditEntry.objects.count()
    assert sum(Seal.objects.values_list("rows", flat=True)) == rows
    assert set(Seal.objects.values_list("source", flat=True)) == {"ledger", "events", "audit"}
    assert seal_rows() == 0


TAMPERING = {
    "an amount": (
        "ledger_entry",
        "UPDATE ledger_entry SET amount_minor = amount_minor + 1 "
        "WHERE id = (SELECT min(id) FROM ledger_entry)",
        r"block \d+ \(ledger\): ledger entry \d+ was changed",
    ),
    "the day of a posting": (
        "ledger_transaction",
        "UPDATE ledger_transaction SET effective_date = '2020-01-01' WHERE rule = 'captured'",
        r"block \d+ \(ledger\): ledger transaction [0-9a-f-]{36} was changed",
    ),
    "whose account it is": (
        "ledger_account",
        "UPDATE ledger_account SET dimension = 'mine' WHERE code = 2100",
        r"block \d+ \(ledger\): ledger entry \d+ was changed",
    ),
    "what an event said": (
        "payments_event",
        "UPDATE payments_event SET payload = '{}' WHERE type = 'payment_intent.succeeded'",
        r"block \d+ \(events\): event evt_\w+ was changed",
    ),
    "an event": (
        "payments_event",
        "DELETE FROM payments_event WHERE type = 'refund.created'",
        r"block \d+ \(events\): event evt_\w+ was deleted",
    ),
    "who did it": (
        "payments_audit_entry",
        "UPDATE payments_audit_entry SET reason = 'told to' WHERE act = 'merchant.change'",
        r"block \d+ \(audit\): audit entry [0-9a-f-]{36} was changed",
    ),
    "a forged act": (
        "payments_audit_entry",
        "INSERT INTO payments_audit_entry SELECT (jsonb_populate_record(a, jsonb_build_object("
        "'id', '00000000-0000-7000-8000-000000000001'))).* FROM payments_audit_entry a LIMIT 1",
        r"block \d+ \(audit\): audit entry 00000000-\S+ was added after it was sealed",
    ),
}


def test_what_a_superuser_changed_with_all_triggers_off_is_named(
    sealed: Shop, owner_cursor: Cursor
) -> None:
    for table, statement, _ in TAMPERING.values():
        with triggers_off(owner_cursor, table):
            owner_cursor.execute(statement)  # type: ignore[arg-type]
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_ledger", stdout=out, stderr=StringIO())
    found = [each for each in out.getvalue().splitlines() if each.startswith("seals: ")]
    for what, (_, _, said) in TAMPERING.items():
        assert any(re.search(said, line) for line in found), (what, found)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger_seal SET content_sha256 = sha256('x') WHERE number = 1", "block 1 was"),
        ("DELETE FROM ledger_seal WHERE number = 1", "blocks 1 to 1 are missing"),
        ("UPDATE ledger_seal SET sha256 = sha256('x') WHERE number = 1", "block 2 does not follow"),
    ],
)
def test_a_block_that_was_changed_or_deleted_is_named(
    sealed: Shop, owner_cursor: Cursor, statement: str, said: str
) -> None:
    with triggers_off(owner_cursor, "ledger_seal"):
        owner_cursor.execute(statement)  # type: ignore[arg-type]
    assert said in " ".join(seal_differences())


def test_the_daily_check_opens_a_case_for_tampering(sealed: Shop, owner_cursor: Cursor) -> None:
    with triggers_off(owner_cursor, "payments_event"):
        owner_cursor.execute("UPDATE payments_event SET actor = 'staff:eve'")
    step = check_seals_daily(UUID(int=0))
    assert step.last is None
    assert {finding.subject for finding in step.findings} == {PART}
    assert len(step.findings) == Event.objects.count()
    while verify_books() == 0 and BooksCheck.objects.get(name="everything").part:
        pass
    assert Case.objects.filter(kind="books_differ", subject=PART).exists()


def test_a_chain_that_was_made_anew_differs_from_the_head_that_was_exported(
    sealed: Shop, owner_cursor: Cursor, tmp_path: Path
) -> None:
    private, public, head = (tmp_path / name for name in ("key.pem", "public.pem", "head.json"))
    call_command("ledger_head", "new-key", str(private), str(public), stdout=StringIO())
    assert private.stat().st_mode & 0o777 == 0o600
    out = StringIO()
    call_command("ledger_head", "export", "--key", str(private), stdout=out)
    head.write_text(out.getvalue())
    check = ("ledger_head", "check", str(head), "--public-key", str(public))
    call_command(*check, stdout=StringIO())

    forged = json.loads(out.getvalue()) | {"number": 1}
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    with pytest.raises(CommandError, match="not signed with this key, or was changed"):
        call_command("ledger_head", "check", str(tmp_path / "forged.json"), *check[3:])

    for table in ("payments_event", "ledger_seal"):
        with triggers_off(owner_cursor, table):
            owner_cursor.execute(
                "UPDATE payments_event SET actor = 'staff:eve'"
                if table == "payments_event"
                else "DELETE FROM ledger_seal"
            )
    seal_all()
    assert list(seal_differences()) == []
    with pytest.raises(CommandError, match=r"the chain was made anew|is gone"):
        call_command(*check)


def test_rows_that_commit_late_are_sealed_too(shop: Shop, run_together: Any) -> None:
    def pay() -> None:
        for _ in range(3):
            shop.create(1_000, order_id="")

    def seal() -> None:
        for _ in range(30):
            seal_rows()

    assert run_together(pay, pay, pay, seal) == [None] * 4
    seal_all()
    sealed = sum(Seal.objects.filter(source="events").values_list("rows", flat=True))
    assert sealed == Event.objects.count() > 9
    assert list(seal_differences()) == []


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ("number = number + 2", "ledger_seal_chain"),
        ("number = number + 1", "ledger_seal_chain"),
        ("number = number + 1, previous_sha256 = sha256", "ledger_seal_gap"),
        (
            "number = number + 1, previous_sha256 = sha256, first_id = until_id, "
            "until_id = 'ffffffff-ffff-7fff-8fff-ffffffffffff'",
            "ledger_seal_hash",
        ),
    ],
)
def test_a_block_that_does_not_follow_is_refused(
    sealed: Shop, application_cursor: Cursor, changes: str, refusal: str
) -> None:
    before = Seal.objects.count()
    head = "(SELECT * FROM ledger_seal ORDER BY number DESC LIMIT 1)"
    assigned = dict(each.split(" = ", 1) for each in changes.split(", "))
    columns = [field.column for field in Seal._meta.concrete_fields]
    values = ", ".join(assigned.get(column, column) for column in columns)
    with pytest.raises(psycopg.errors.CheckViolation, match=refusal):
        application_cursor.execute(
            f"INSERT INTO ledger_seal ({', '.join(columns)}) SELECT {values} FROM {head} h"  # type: ignore[arg-type]
        )
    assert Seal.objects.count() == before
