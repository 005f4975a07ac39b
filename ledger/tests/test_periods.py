"""A closed day takes no posting; what is posted late for it counts for the first open day."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from ledger import periods, services, settlement_rules
from ledger.models import LedgerTransaction, Period
from ledger.periods import DayNotOver, close_days, closed_through
from ledger.services import Series, Sourced
from ledger.tests.books import PARTIES, PSP, book, sale, usd

pytestmark = pytest.mark.usefixtures("database")

Cursor = psycopg.Cursor[Any]


def today() -> date:
    return datetime.now(UTC).date()


def days() -> set[tuple[date, date | None]]:
    return set(LedgerTransaction.objects.values_list("effective_date", "value_date"))


def test_what_is_posted_for_a_closed_day_counts_for_the_next_and_keeps_its_own() -> None:
    book(*sale(usd(1_000)))
    assert days() == {(today(), None)}
    assert close_days(PSP, today())
    assert closed_through(PSP) == today()
    source = uuid7()
    book(*sale(usd(500)), source_id=source)
    of_late = LedgerTransaction.objects.filter(source_id=source)
    late = set(of_late.values_list("effective_date", "value_date"))
    assert late == {(today() + timedelta(days=1), today())}


def test_a_series_for_a_closed_day_counts_for_the_next_too() -> None:
    close_days(PSP, date(2026, 11, 27))
    sources = [Sourced(uuid7(), None, date(2026, 11, 20 + each), 100) for each in range(10)]
    series = Series(
        rule=settlement_rules.account_fee,
        parties=PARTIES,
        currency="USD",
        source_type="settlement_line",
        sources=sources,
    )
    with transaction.atomic():
        services.post_series([series])
    assert days() == {
        *((date(2026, 11, 28), date(2026, 11, 20 + each)) for each in range(8)),
        (date(2026, 11, 28), None),
        (date(2026, 11, 29), None),
    }


def test_other_psp_accounts_stay_open() -> None:
    close_days("another", today())
    book(*sale(usd(1_000)))
    assert days() == {(today(), None)}


def test_closing_twice_changes_nothing_and_earlier_days_are_closed_with_later_ones() -> None:
    assert close_days(PSP, date(2026, 11, 27))
    assert not close_days(PSP, date(2026, 11, 27))
    assert not close_days(PSP, date(2026, 11, 20))
    assert close_days(PSP, date(2026, 11, 28))
    assert closed_through(PSP) == date(2026, 11, 28)


def test_a_close_that_was_cut_off_between_its_steps_is_finished_by_the_next() -> None:
    Period.objects.create(psp_account=PSP, closing_through=date(2026, 11, 27))
    assert closed_through(PSP) is None
    assert close_days(PSP, date(2026, 11, 27))
    assert closed_through(PSP) == date(2026, 11, 27)


def test_a_posting_that_began_before_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periods, "WAIT_SECONDS", 0.5)
    posted, may_commit, done = threading.Event(), threading.Event(), threading.Event()

    def post_slowly() -> None:
        with transaction.atomic():
            services.post(
                sale(usd(1_000)),
                source_type="operation",
                source_id=uuid7(),
                payment_id=None,
                merchant_id=None,
                psp_account=PSP,
            )
            posted.set()
            may_commit.wait(20)
        done.set()
        connection.close()

    thread = threading.Thread(target=post_slowly)
    thread.start()
    assert posted.wait(20)
    with pytest.raises(DayNotOver, match="has not ended"):
        close_days(PSP, today())
    assert closed_through(PSP) is None
    may_commit.set()
    thread.join(20)
    assert done.is_set(), "the posting committed"
    assert close_days(PSP, today())
    assert days() == {(today(), None)}


def test_postings_and_a_close_at_the_same_moment_agree(
    run_together: Callable[..., list[Any]],
) -> None:
    def post() -> None:
        for _ in range(15):
            book(*sale(usd(100)))

    def close() -> bool:
        return close_days(PSP, today())

    assert run_together(post, post, close, post) == [None, None, True, None]
    tomorrow = today() + timedelta(days=1)
    assert days() <= {(today(), None), (tomorrow, today())}
    assert LedgerTransaction.objects.count() == 3 * 45


REFUSALS = {
    "ledger_period_ahead": [
        "INSERT INTO ledger_period VALUES ('new', (now() AT TIME ZONE 'UTC')::date + 2)",
        "UPDATE ledger_period SET closing_through = (now() AT TIME ZONE 'UTC')::date + 2",
    ],
    "ledger_period_at_once": [
        "INSERT INTO ledger_period VALUES ('new', '2026-11-27', '2026-11-27')",
        "UPDATE ledger_period SET closing_through = '2026-11-29', closed_through = '2026-11-29'",
    ],
    "ledger_period_reopened": [
        "UPDATE ledger_period SET closing_through = '2026-11-26'",
        "UPDATE ledger_period SET closed_through = '2026-11-26'",
        "UPDATE ledger_period SET closed_through = NULL",
    ],
}


@pytest.mark.parametrize(
    ("name", "statement"), [(name, each) for name, group in REFUSALS.items() for each in group]
)
def test_the_application_cannot_open_a_day_again_or_close_one_at_once(
    application_cursor: Cursor, name: str, statement: str
) -> None:
    close_days(PSP, date(2026, 11, 27))
    with pytest.raises(psycopg.errors.CheckViolation, match=name):
        application_cursor.execute(statement)  # type: ignore[arg-type]
    assert list(Period.objects.values_list("closed_through")) == [(date(2026, 11, 27),)]


def test_from_psql_a_posting_into_a_closed_day_is_refused_by_name(
    application_cursor: Cursor,
) -> None:
    [transaction_id, *_] = book(*sale(usd(1_000)))
    close_days(PSP, today())
    before = LedgerTransaction.objects.count()
    with pytest.raises(psycopg.errors.CheckViolation, match="ledger_period_closed"):
        application_cursor.execute(
            """
            WITH copied AS (
                INSERT INTO ledger_transaction (id, rule, source_type, source_id, psp_account,
                                                effective_date, posted_at)
                SELECT gen_random_uuid(), rule, source_type, gen_random_uuid(), psp_account,
                       effective_date, posted_at
                  FROM ledger_transaction WHERE id = %s RETURNING id)
            INSERT INTO ledger_entry (transaction_id, account_id, direction, amount_minor, currency,
                                      entry_type)
            SELECT copied.id, account_id, direction, amount_minor, currency, entry_type
              FROM copied CROSS JOIN ledger_entry WHERE transaction_id = %s""",
            [transaction_id, transaction_id],
        )
    assert LedgerTransaction.objects.count() == before
