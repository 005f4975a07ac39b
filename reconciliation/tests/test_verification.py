"""The daily verification of the books compares settlement lines with what they booked."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import BooksCheck, Case
from payments.services.verification import daily
from payments.tests.verification.test_every_column import triggers_off
from reconciliation.services import verification
from reconciliation.services.verification import BOOKINGS, LINES, line_differences
from reconciliation.tests.support.settling import Settling


@pytest.fixture
def settled(settling: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """Three payments that are settled; a pass of the verification has time, and small slices."""
    monkeypatch.setattr(daily, "SWEEP_SECONDS", 600.0)
    monkeypatch.setattr(verification, "LINES_AT_ONCE", 2)
    for amount_minor in (1_000, 2_000, 3_000):
        settling.desk.pay(amount_minor, order_id=f"order-{amount_minor}")
    settling.close()
    settling.take_in()
    return settling


def test_lines_and_their_bookings_are_parts_of_the_daily_pass(settled: Settling) -> None:
    assert daily.parts()[-4:-2] == (LINES, BOOKINGS)
    assert daily.verify_books() == 0
    assert BooksCheck.objects.get().finished_at is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE ledger_entry SET amount_minor = 1 WHERE entry_type = 'settlement' "
            "AND amount_minor = 3000",
            "should have booked 30.00 USD on 1110, it has booked 0.01 USD",
        ),
        (
            "UPDATE ledger_transaction SET source_id = gen_random_uuid() "
            "WHERE rule = 'charge_settled' AND id = (SELECT max(transaction_id::text)::uuid "
            "FROM ledger_entry WHERE entry_type = 'settlement')",
            "is of no settlement line",
        ),
    ],
)
def test_what_was_changed_by_hand_is_a_case(
    settled: Settling, owner_cursor: Any, change: str, told: str
) -> None:
    with triggers_off(owner_cursor, change.split()[1]):
        owner_cursor.execute(change)
    said = list(line_differences())
    assert any(told in each for each in said)
    assert daily.verify_books() >= len(said)
    summaries = Case.objects.filter(kind="books_differ").values_list("summary", flat=True)
    assert any(told in each for each in summaries)
    found = Case.objects.count()
    BooksCheck.objects.update(began_at=None)
    daily.verify_books()
    assert Case.objects.count() == found
