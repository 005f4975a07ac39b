"""What PostgreSQL refuses the application in the tables of reconciliation, by name."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, transaction

from ledger.selectors import changes_by_rule
from payments.clock import now_utc
from payments.models import Operation
from payments.tests.support.shop import body_of
from reconciliation.models import SettlementLine, SettlementMatch
from reconciliation.services.matching.line_bookings import book_lines, to_book
from reconciliation.services.reports import reading
from reconciliation.states import LineStatus
from reconciliation.tests.support.banking import Banking, camt
from reconciliation.tests.support.settling import Settling, money_rows

SETTLED = ["status", "accounted_at", "next_attempt_at"]


@pytest.fixture
def settled(settling: Settling) -> Settling:
    settling.disputed()
    settling.close()
    settling.take_in()
    banking = Banking(settling)
    banking.open()
    banking.import_(camt(("10.00", "from an unknown sender"), closing="10.00"))
    assert {line.status for line in settling.lines(kind="dispute")} == {LineStatus.MATCHED}
    return settling


REFUSED = [
    ("UPDATE reconciliation_settlement_line SET gross_minor = 1", "permanent_column"),
    ("UPDATE reconciliation_settlement_line SET identity = 'x'", "permanent_column"),
    ("UPDATE reconciliation_settlement_line SET status = 'open'", "illegal_status"),
    ("UPDATE reconciliation_settlement_line SET accounted_at = NULL", "line_waits_or_is_done"),
    ("UPDATE reconciliation_settlement_line SET kind = 'charge'", "permanent_column"),
    ("UPDATE reconciliation_settlement_report SET body_sha256 = ''", "permanent_column"),
    ("UPDATE reconciliation_bank_line SET amount_minor = 1", "permanent_column"),
    ("UPDATE reconciliation_bank_line SET text = 'x'", "permanent_column"),
    ("UPDATE reconciliation_bank_line SET status = 'dead'", "bank_line_differs_from_books"),
    ("UPDATE reconciliation_bank_account SET number = 'x'", "permanent_column"),
    ("UPDATE reconciliation_bank_statement SET closing_minor = 1", "permission denied"),
    ("UPDATE reconciliation_bank_statement_file SET body = ''", "permission denied"),
    ("DELETE FROM reconciliation_bank_line", "permission denied"),
    ("UPDATE reconciliation_report_chunk SET body = ''", "permission denied"),
    ("DELETE FROM reconciliation_report_chunk", "permission denied"),
    ("UPDATE reconciliation_staged_line SET gross_minor = 1", "permission denied"),
    ("UPDATE reconciliation_report_fetch SET name = 'x'", "permanent_column"),
    ("DELETE FROM reconciliation_report_fetch", "permission denied"),
    ("UPDATE reconciliation_settlement_report SET status = 'stored'", "illegal_status"),
    ("UPDATE reconciliation_settlement_match SET line_id = 0", "permission denied"),
    ("DELETE FROM reconciliation_settlement_match", "permission denied"),
    ("DELETE FROM reconciliation_settlement_line", "permission denied"),
    ("DELETE FROM reconciliation_settlement_report", "permission denied"),
    ("TRUNCATE reconciliation_settlement_line", "permission denied"),
]


def test_the_application_role_is_refused_by_name(
    settled: Settling,
    application_cursor: psycopg.Cursor[Any],
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    """Of permanent columns it has no right at all; a trigger keeps even the owner from them."""
    for statement, refusal in REFUSED:
        cursor = owner_cursor if refusal == "permanent_column" else application_cursor
        with pytest.raises(psycopg.Error, match=refusal):
            cursor.execute(statement)
            pytest.fail(f"not refused: {statement}")


def test_even_the_owner_changes_no_match(
    settled: Settling, owner_cursor: psycopg.Cursor[Any]
) -> None:
    with pytest.raises(psycopg.Error, match="append_only"):
        owner_cursor.execute("UPDATE reconciliation_settlement_match SET line_id = 0")


def unmatched(settled: Settling) -> dict[str, SettlementLine]:
    """By kind, lines of one more disputed payment, not matched yet."""
    settled.disputed()
    settled.close()
    settled.fetch()
    reading.read_due_reports()
    return {line.kind: line for line in settled.lines(status=LineStatus.OPEN)}


def test_no_line_is_matched_to_a_transaction_of_another_amount(settled: Settling) -> None:
    line = unmatched(settled)["dispute"]
    line.dispute_id = settled.lines(kind="dispute")[0].dispute_id
    before = money_rows()
    for transaction_ids in ([], [uuid.uuid4()]):
        with pytest.raises(IntegrityError, match="line_differs_from_books"), transaction.atomic():
            for each in transaction_ids:
                SettlementMatch.objects.create(line=line, transaction_id=each, matched_at=now_utc())
            line.match()
            line.accounted_at, line.next_attempt_at = now_utc(), None
            line.save(update_fields=[*SETTLED, "dispute_id"])
        line = SettlementLine.objects.get(pk=line.pk)
        line.dispute_id = settled.lines(kind="dispute")[0].dispute_id
    assert money_rows() == before


def test_no_line_is_matched_to_a_transaction_of_another_dispute(settled: Settling) -> None:
    line = unmatched(settled)["dispute"]
    settled.desk.sync(line.psp_id)
    theirs = settled.lines(kind="dispute")[0]
    line.dispute_id = theirs.dispute_id
    dispute = settled.desk.dispute(line.psp_id)
    booked = changes_by_rule(code=1110, source_type="dispute", source_id=dispute.id)
    with pytest.raises(IntegrityError, match="line_differs_from_books"), transaction.atomic():
        SettlementMatch.objects.create(
            line=line,
            transaction_id=booked["dispute_withdrawn"].transaction_id,
            matched_at=now_utc(),
        )
        line.match()
        line.accounted_at, line.next_attempt_at = now_utc(), None
        line.save(update_fields=[*SETTLED, "dispute_id"])


@pytest.mark.parametrize("odd", ["another amount", "another sign", "only a hold"])
def test_no_line_is_matched_to_an_operation_of_another_movement(
    settled: Settling, odd: str
) -> None:
    amount_minor = 1_234 if odd == "another amount" else 25_000
    settled.shop.order_id = f"{settled.shop.order_id}-other"
    intent_id = body_of(settled.shop.create(amount_minor, manual=odd == "only a hold"))["id"]
    if odd == "another sign":
        settled.shop.refund(intent_id)
    [operation] = [o for o in settled.shop.operations(intent_id) if o.kind != "authorize"] or (
        settled.shop.operations(intent_id)
    )
    line = unmatched(settled)["charge"]
    assert (line.kind, line.gross_minor) == ("charge", 25_000)
    with pytest.raises(IntegrityError, match="line_differs_from_operation"), transaction.atomic():
        line.match()
        line.operation_id = operation.id
        line.accounted_at, line.next_attempt_at = now_utc(), None
        line.save(update_fields=[*SETTLED, "operation_id"])
    line = SettlementLine.objects.get(pk=line.pk)
    assert (line.status, line.operation_id) == (LineStatus.OPEN, None)


def test_one_line_of_another_operation_refuses_all_lines_of_its_update(
    settled: Settling, application_cursor: psycopg.Cursor[Any]
) -> None:
    """What is checked together; the lines are booked as they say, and one names the other's."""
    unmatched(settled)
    lines = unmatched(settled)["charge"], settled.lines(kind="charge", status=LineStatus.OPEN)[0]
    operations = [Operation.objects.get(psp_id=line.psp_id) for line in lines]
    with transaction.atomic():
        book_lines(
            to_book(line, payment_id=operation.intent_id)
            for line, operation in zip(lines, operations, strict=True)
        )
    update = (
        "UPDATE reconciliation_settlement_line l SET status = 'matched', next_attempt_at = NULL, "
        "accounted_at = now(), operation_id = g.operation FROM unnest(%s::bigint[], %s::uuid[]) "
        "AS g (id, operation) WHERE l.id = g.id"
    )
    ids, (first, second) = [line.pk for line in lines], [each.id for each in operations]
    for wrong in ([first, first], [second, second], [first, uuid.uuid4()]):
        with pytest.raises(psycopg.Error, match=r"line_differs_from_(operation|books)"):
            application_cursor.execute(update, [ids, wrong])
        assert {line.status for line in settled.lines(pk__in=ids)} == {LineStatus.OPEN}
    application_cursor.execute(update, [ids, [first, second]])
    assert {line.status for line in settled.lines(pk__in=ids)} == {LineStatus.MATCHED}


def test_no_transaction_matches_two_lines_and_no_matched_line_gets_another(
    settled: Settling,
) -> None:
    charge = unmatched(settled)["charge"]
    match = SettlementMatch.objects.first()
    assert match is not None
    before = money_rows()
    with pytest.raises(IntegrityError, match="transaction_id"), transaction.atomic():
        SettlementMatch.objects.create(
            line=charge, transaction_id=match.transaction_id, matched_at=now_utc()
        )
    with pytest.raises(IntegrityError, match="lone_match"), transaction.atomic():
        SettlementMatch.objects.create(
            line=charge, transaction_id=uuid.uuid4(), matched_at=now_utc()
        )
    with pytest.raises(IntegrityError, match="late_match"), transaction.atomic():
        SettlementMatch.objects.create(
            line=match.line, transaction_id=uuid.uuid4(), matched_at=now_utc()
        )
    assert money_rows() == before
