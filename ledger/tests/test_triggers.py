"""PostgreSQL enforces the ledger's rules: raw SQL of the application's role cannot break them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from uuid_utils.compat import uuid7

from ledger import chart
from ledger.chart import CHART, AccountKind
from ledger.money import Money
from ledger.tests.books import MERCHANT, PSP, TABLES, book, sale, settle_and_snapshot, usd

Cursor = psycopg.Cursor[Any]

RECEIVABLE = chart.PSP_RECEIVABLE.of(PSP, "USD").id
PAYABLE = chart.MERCHANT_PAYABLE.of(str(MERCHANT), "USD").id
HELD = chart.AUTH_HELD.of(PSP, "USD").id
CONTRA = chart.AUTH_CONTRA.of(PSP, "USD").id
YEN = chart.PSP_RECEIVABLE.of(PSP, "JPY").id


@pytest.fixture(autouse=True)
def _books(database: None) -> None:
    book(*sale(usd(1000)), payment_id=uuid7())
    settle_and_snapshot()


@pytest.fixture
def cursor(application_cursor: Cursor) -> Cursor:
    return application_cursor


def insert_transaction(cursor: Cursor, *, payment_id: UUID | None = None, xid: str = "") -> UUID:
    id = uuid7()
    cursor.execute(
        "INSERT INTO ledger_transaction (id, rule, source_type, source_id, payment_id, psp_account,"
        f" effective_date, posted_at{', xid' if xid else ''}) VALUES"
        f" (%s, 'captured', 'raw', %s, %s, '', current_date, now(){', %s' if xid else ''})",
        [id, id, payment_id, *([xid] if xid else [])],
    )
    return id


def insert_entries(cursor: Cursor, transaction_id: UUID, *lines: tuple[Any, ...]) -> None:
    """Each line is account, direction, amount_minor and optionally currency, payment, xid."""
    rows, params = [], []
    for line in lines:
        account, direction, minor, currency, payment_id, xid = (
            *line,
            *("USD", None, "")[len(line) - 3 :],
        )
        rows.append(
            "(%s, %s, %s, %s, %s, %s, 'capture', " + ("%s)" if xid else "pg_current_xact_id())")
        )
        params += [transaction_id, account, direction, minor, currency, payment_id]
        params += [xid] if xid else []
    cursor.execute(
        "INSERT INTO ledger_entry (transaction_id, account_id, direction, amount_minor, currency,"
        f" payment_id, entry_type, xid) VALUES {', '.join(rows)}",
        params,
    )


def counts(cursor: Cursor) -> list[int]:
    return [cursor.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES]  # type: ignore[index]


class Refused:
    """The block is refused by that name, as a violated check, and leaves no row behind."""

    def __init__(self, cursor: Cursor, name: str, error: type[psycopg.Error] | None = None) -> None:
        self.cursor = cursor
        self.raises = pytest.raises(error or errors.CheckViolation, match=name)
        self.transaction = cursor.connection.transaction()

    def __enter__(self) -> None:
        self.before = counts(self.cursor)
        self.raises.__enter__()
        self.transaction.__enter__()

    def __exit__(self, *raised: Any) -> bool:
        # Leaving the transaction without an error commits, which is when deferred checks speak.
        try:
            self.transaction.__exit__(*raised)
        except psycopg.Error as error:
            raised = (type(error), error, error.__traceback__)
        swallowed = bool(self.raises.__exit__(*raised))
        assert counts(self.cursor) == self.before
        return swallowed


def test_what_balances_is_written(cursor: Cursor) -> None:
    before = counts(cursor)
    with cursor.connection.transaction():
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 3), (PAYABLE, "C", 2))
    assert counts(cursor) == [before[0], before[1] + 1, before[2] + 3, before[3]]


def test_an_unbalanced_transaction(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unbalanced"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 4))


def test_an_unbalanced_transaction_beside_a_balanced_one(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unbalanced"):
        good, bad = insert_transaction(cursor), insert_transaction(cursor)
        cursor.execute(
            "INSERT INTO ledger_entry (transaction_id, account_id, direction, amount_minor,"
            " currency, entry_type) VALUES (%(good)s, %(a)s, 'D', 5, 'USD', 'capture'),"
            " (%(good)s, %(b)s, 'C', 5, 'USD', 'capture'), (%(bad)s, %(a)s, 'D', 5, 'USD', 'fee'),"
            " (%(bad)s, %(b)s, 'C', 6, 'USD', 'fee')",
            {"good": good, "bad": bad, "a": RECEIVABLE, "b": PAYABLE},
        )


def test_two_currencies_that_sum_to_zero_together(cursor: Cursor) -> None:
    book(*sale(Money(100, "JPY")))
    with Refused(cursor, "ledger_unbalanced"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (YEN, "D", 5, "JPY"), (PAYABLE, "C", 5))


def test_a_single_entry(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unbalanced"):
        insert_entries(cursor, insert_transaction(cursor), (RECEIVABLE, "D", 5))


def test_a_transaction_without_entries(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_empty"):
        insert_transaction(cursor)


def test_an_entry_without_a_transaction(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unknown_transaction"):
        insert_entries(cursor, uuid7(), (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))


def test_entries_added_by_a_later_database_transaction(cursor: Cursor) -> None:
    [(id,)] = cursor.execute("SELECT id FROM ledger_transaction WHERE rule = 'captured'").fetchall()
    with Refused(cursor, "ledger_late_entry"):
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))


def test_entries_added_by_a_later_statement(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_late_entry"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))
        insert_entries(cursor, id, (RECEIVABLE, "D", 7), (PAYABLE, "C", 7))


def test_an_early_check_does_not_open_a_window(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_late_entry|ledger_unbalanced"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        insert_entries(cursor, id, (RECEIVABLE, "D", 7))


def test_memo_and_real_in_one_transaction(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_mixed_kinds"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (HELD, "D", 5), (PAYABLE, "C", 5))
    with Refused(cursor, "ledger_mixed_kinds"):
        id = insert_transaction(cursor)
        insert_entries(
            cursor, id, (HELD, "D", 5), (CONTRA, "C", 5), (RECEIVABLE, "D", 7), (PAYABLE, "C", 7)
        )


def test_memo_in_one_currency_and_real_in_another(cursor: Cursor) -> None:
    book(*sale(Money(100, "JPY")))
    yen_payable = chart.MERCHANT_PAYABLE.of(str(MERCHANT), "JPY").id
    with Refused(cursor, "ledger_mixed_kinds"):
        id = insert_transaction(cursor)
        insert_entries(
            cursor,
            id,
            (HELD, "D", 5),
            (CONTRA, "C", 5),
            (YEN, "D", 7, "JPY"),
            (yen_payable, "C", 7, "JPY"),
        )


def test_an_account_that_does_not_exist(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unknown_account"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (uuid7(), "C", 5))


def test_a_currency_that_is_not_the_accounts(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_wrong_currency"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5, "EUR"), (PAYABLE, "C", 5, "EUR"))


def test_a_payment_that_is_not_the_transactions(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_wrong_payment"):
        id = insert_transaction(cursor, payment_id=uuid7())
        insert_entries(
            cursor, id, (RECEIVABLE, "D", 5, "USD", uuid7()), (PAYABLE, "C", 5, "USD", uuid7())
        )
    with Refused(cursor, "ledger_wrong_payment"):
        id = insert_transaction(cursor, payment_id=uuid7())
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))


@pytest.mark.parametrize("xid", ["3", "9000000000"])
def test_a_forged_database_transaction_id(cursor: Cursor, xid: str) -> None:
    with Refused(cursor, "ledger_forged_xid"):
        id = insert_transaction(cursor)
        forged = ("USD", None, xid)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5, *forged), (PAYABLE, "C", 5, *forged))
    with Refused(cursor, "ledger_forged_xid"):
        insert_transaction(cursor, xid=xid)
    with Refused(cursor, "ledger_late_entry"):
        id = insert_transaction(cursor, xid=xid)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (PAYABLE, "C", 5))


@pytest.mark.parametrize("minor", [0, -5])
def test_an_amount_that_is_not_positive(cursor: Cursor, minor: int) -> None:
    with Refused(cursor, "ledger_entry_amount_positive"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", minor), (PAYABLE, "C", minor))


def test_a_third_side(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_entry_direction"):
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "X", 5), (PAYABLE, "C", 5))


def test_a_snapshot_of_entries_that_may_still_change(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_snapshot_ahead"):
        cursor.execute(
            "INSERT INTO ledger_balance_snapshot (account_id, horizon, debits_minor, credits_minor,"
            " taken_at) VALUES (%s, '9000000000', 0, 0, now())",
            [RECEIVABLE],
        )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET id = id",
        "DELETE FROM {table}",
        "DELETE FROM {table} WHERE false",
        "TRUNCATE {table}",
        "SELECT id FROM {table} FOR UPDATE",
    ],
)
def test_the_application_may_only_read_and_insert(
    cursor: Cursor, table: str, statement: str
) -> None:
    with Refused(cursor, "permission denied", errors.InsufficientPrivilege):
        cursor.execute(statement.format(table=table))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_check_entries",
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_check_entries ON ledger_entry",
        "DROP FUNCTION ledger_check_entries CASCADE",
        "ALTER FUNCTION ledger_check_entries RESET ALL",
        "SET session_replication_role = replica",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_application_cannot_reach_the_guards(cursor: Cursor, statement: str) -> None:
    with Refused(cursor, "must be owner|permission denied", errors.InsufficientPrivilege):
        cursor.execute(statement)  # type: ignore[arg-type]


def test_the_ignore_setting_of_pgtrigger_changes_nothing(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_unbalanced"):
        cursor.execute("SELECT set_config('pgtrigger.ignore', '{ledger_check_entries,*}', true)")
        insert_entries(cursor, insert_transaction(cursor), (RECEIVABLE, "D", 5))


def test_a_temporary_table_of_the_same_name_does_not_deceive_the_guards(cursor: Cursor) -> None:
    forged = uuid7()
    with Refused(cursor, "ledger_unknown_account"):
        cursor.execute("CREATE TEMP TABLE ledger_account AS TABLE public.ledger_account")
        cursor.execute(
            "INSERT INTO pg_temp.ledger_account VALUES (%s, 1100, 'x', 'USD', 'real')", [forged]
        )
        id = insert_transaction(cursor)
        insert_entries(cursor, id, (RECEIVABLE, "D", 5), (forged, "C", 5))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {table} SET id = id", "DELETE FROM {table}", "DELETE FROM {table} WHERE false"],
)
def test_not_even_the_owner_changes_a_row(owner_cursor: Cursor, table: str, statement: str) -> None:
    with Refused(owner_cursor, "ledger_append_only"):
        owner_cursor.execute(statement.format(table=table))  # type: ignore[arg-type]


def test_every_guard_is_enabled_always_with_a_fixed_search_path(owner_cursor: Cursor) -> None:
    owner_cursor.execute(
        "SELECT tgrelid::regclass::text, tgname, tgenabled::text, array_to_string(proconfig, ' ')"
        " FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
        " WHERE tgrelid::regclass::text = ANY (%s) AND NOT tgisinternal",
        [list(TABLES)],
    )
    rows = owner_cursor.fetchall()
    assert {(table, name) for table, name, _, _ in rows} == {
        *((table, "ledger_append_only") for table in TABLES),
        ("ledger_transaction", "ledger_check_transaction"),
        ("ledger_entry", "ledger_check_entries"),
        ("ledger_balance_snapshot", "ledger_check_snapshots"),
    }
    for _, _, enabled, configuration in rows:
        assert enabled == "A"
        assert "search_path=pg_catalog, public, pg_temp" in configuration


def test_postgresql_knows_the_same_chart(owner_cursor: Cursor) -> None:
    accepted = set()
    for code in range(1, 10_000):
        if code % 50 and code not in CHART:
            continue
        for kind in AccountKind:
            try:
                with owner_cursor.connection.transaction(force_rollback=True):
                    owner_cursor.execute(
                        "INSERT INTO ledger_account VALUES (gen_random_uuid(), %s, 'x', 'USD', %s)",
                        [code, kind.value],
                    )
            except errors.CheckViolation:
                continue
            accepted.add((code, kind))
    assert accepted == {(line.code, line.kind) for line in CHART.values()}


@pytest.mark.parametrize("currency", ["usd", "US", "U5D"])
def test_an_account_in_no_currency(cursor: Cursor, currency: str) -> None:
    with Refused(cursor, "ledger_account_currency"):
        cursor.execute(
            "INSERT INTO ledger_account VALUES (gen_random_uuid(), 1100, 'x', %s, 'real')",
            [currency],
        )


def test_an_account_exists_once(cursor: Cursor) -> None:
    with Refused(cursor, "ledger_account_once", errors.UniqueViolation):
        cursor.execute(
            "INSERT INTO ledger_account SELECT gen_random_uuid(), code, dimension, currency, kind"
            " FROM ledger_account LIMIT 1"
        )
