"""Checks the invariants of the books, one function each.

A function returns a sentence per offender, at most 100; an empty list means that the invariant
holds. PostgreSQL refuses most violations when they are written (`ledger/sql/`). Here they are
looked for in what is stored, even if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from ledger.chart import CHART, AccountRef, Direction
from ledger.database import statements
from ledger.dispute_rules import FINAL_RULES

OFFENDERS_MAX: Final = 100
_ACCOUNTS_PER_BATCH: Final = 1_000
_GUARDS: Final = (
    ("ledger_account", "ledger_append_only"),
    ("ledger_transaction", "ledger_append_only"),
    ("ledger_transaction", "ledger_check_transaction"),
    ("ledger_entry", "ledger_append_only"),
    ("ledger_entry", "ledger_check_entries"),
    ("ledger_balance_snapshot", "ledger_append_only"),
    ("ledger_balance_snapshot", "ledger_check_snapshots"),
)
_SIGNED: Final = "CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END"


def _offenders(sql: str, params: Sequence[Any] = ()) -> list[str]:
    rows = statements.execute(f"{sql} LIMIT {OFFENDERS_MAX}", params)
    return [" ".join(map(str, row)) for row in rows]


def transactions_sum_to_zero() -> list[str]:
    """Debits equal credits in every currency of every ledger transaction."""
    return _offenders(f"""
        SELECT 'ledger transaction', e.transaction_id, 'is off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e GROUP BY e.transaction_id, e.currency HAVING sum({_SIGNED}) <> 0""")


def transactions_have_entries() -> list[str]:
    """A ledger transaction has two or more entries."""
    return _offenders("""
        SELECT 'ledger transaction', t.id, 'has', count(e.id), 'entries'
          FROM ledger_transaction t LEFT JOIN ledger_entry e ON e.transaction_id = t.id
         GROUP BY t.id HAVING count(e.id) < 2""")


def transactions_are_of_one_kind() -> list[str]:
    """A ledger transaction touches memo accounts or real ones, never both."""
    return _offenders("""
        SELECT 'ledger transaction', e.transaction_id, 'mixes memo and real accounts'
          FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         GROUP BY e.transaction_id HAVING min(a.kind) <> max(a.kind)""")


def entries_match_their_account() -> list[str]:
    """An entry's account exists and has the entry's currency."""
    return _offenders("""
        SELECT 'entry', e.id, 'in', e.currency, 'is on account', e.account_id, 'in',
               coalesce(a.currency, 'no currency: it does not exist')
          FROM ledger_entry e LEFT JOIN ledger_account a ON a.id = e.account_id
         WHERE a.currency IS DISTINCT FROM e.currency""")


def entries_match_their_transaction() -> list[str]:
    """An entry's ledger transaction exists and is about the same payment."""
    return _offenders("""
        SELECT 'entry', e.id, 'of payment', e.payment_id, 'is in ledger transaction',
               e.transaction_id, CASE WHEN t.id IS NULL THEN 'that does not exist'
                                      ELSE 'of another payment' END
          FROM ledger_entry e LEFT JOIN ledger_transaction t ON t.id = e.transaction_id
         WHERE t.id IS NULL OR t.payment_id IS DISTINCT FROM e.payment_id""")


def entries_are_not_late() -> list[str]:
    """An entry was written by the database transaction that wrote its ledger transaction."""
    return _offenders("""
        SELECT 'entry', e.id, 'was written by', e.xid, 'its ledger transaction', t.id, 'by', t.xid
          FROM ledger_entry e JOIN ledger_transaction t ON t.id = e.transaction_id
         WHERE e.xid <> t.xid""")


def snapshots_equal_their_entries() -> list[str]:
    """Newest snapshot plus tail is the full sum of every account's entries."""
    return _offenders("""
        SELECT 'account', s.account_id, 'below', s.horizon, 'has debits', f.debits, 'and credits',
               f.credits, 'but its snapshot says', s.debits_minor, 'and', s.credits_minor
          FROM (SELECT DISTINCT ON (account_id) account_id, horizon, debits_minor, credits_minor
                  FROM ledger_balance_snapshot ORDER BY account_id, horizon DESC) s
         CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debits,
                      coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credits
                 FROM ledger_entry e WHERE e.account_id = s.account_id AND e.xid < s.horizon) f
         WHERE (f.debits, f.credits) <> (s.debits_minor, s.credits_minor)""")


def debits_equal_credits() -> list[str]:
    """Over all the books, debits equal credits in every currency."""
    return _offenders(f"""
        SELECT 'the books are off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e GROUP BY e.currency HAVING sum({_SIGNED}) <> 0""")


def memo_accounts_sum_to_zero() -> list[str]:
    """Over all memo accounts, debits equal credits in every currency."""
    return _offenders(f"""
        SELECT 'memo accounts are off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         WHERE a.kind = 'memo' GROUP BY e.currency HAVING sum({_SIGNED}) <> 0""")


def open_items_are_not_negative() -> list[str]:
    """No payment has an open item on the wrong side: more captured than held, and the like."""
    open_lines = [line for line in CHART.values() if line.open_item]
    debit_codes = [line.code for line in open_lines if line.normal_side is Direction.DEBIT]
    normal = f"({_SIGNED}) * CASE WHEN a.code = ANY (%s::int[]) THEN 1 ELSE -1 END"
    return _offenders(
        f"""
        SELECT 'payment', e.payment_id, 'has', sum({normal}), e.currency, 'on open item', a.code
          FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         WHERE a.code = ANY (%s::int[]) AND e.payment_id IS NOT NULL
         GROUP BY e.payment_id, e.currency, a.code HAVING sum({normal}) < 0""",
        [debit_codes, [line.code for line in open_lines], debit_codes],
    )


def finished_disputes_leave_nothing_open() -> list[str]:
    """A dispute that was won or lost has no exposure, nothing held and nothing withdrawn left."""
    codes = [1300, 2300, 9300, 9400]
    return _offenders(
        f"""
        SELECT 'dispute', t.source_id, 'is over but has', sum({_SIGNED}), e.currency, 'on', a.code
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id AND a.code = ANY (%s::int[])
         WHERE t.source_type = 'dispute' AND EXISTS (
               SELECT FROM ledger_transaction f WHERE f.source_type = 'dispute'
                  AND f.source_id = t.source_id AND f.rule = ANY (%s::text[]))
         GROUP BY t.source_id, e.currency, a.code HAVING sum({_SIGNED}) <> 0""",
        [codes, list(FINAL_RULES)],
    )


def reversals_mirror_their_original() -> list[str]:
    """A reversal swaps the sides of one transaction exactly, and is the only one that does."""
    swapped = "CASE o.direction WHEN 'D' THEN 'C' ELSE 'D' END"
    differing = _offenders(f"""
        SELECT DISTINCT 'ledger transaction', x.id, 'is not the mirror of', x.reverses_id FROM (
            (SELECT t.id, t.reverses_id, o.account_id, {swapped}, o.amount_minor, o.entry_type
               FROM ledger_transaction t
               LEFT JOIN ledger_entry o ON o.transaction_id = t.reverses_id
              WHERE t.reverses_id IS NOT NULL
             EXCEPT ALL
             SELECT t.id, t.reverses_id, e.account_id, e.direction, e.amount_minor, e.entry_type
               FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
              WHERE t.reverses_id IS NOT NULL)
            UNION ALL
            (SELECT t.id, t.reverses_id, e.account_id, e.direction, e.amount_minor, e.entry_type
               FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
              WHERE t.reverses_id IS NOT NULL
             EXCEPT ALL
             SELECT t.id, t.reverses_id, o.account_id, {swapped}, o.amount_minor, o.entry_type
               FROM ledger_transaction t JOIN ledger_entry o ON o.transaction_id = t.reverses_id
              WHERE t.reverses_id IS NOT NULL)
        ) AS x""")
    repeated = _offenders("""
        SELECT 'ledger transaction', reverses_id, 'was reversed', count(*), 'times'
          FROM ledger_transaction WHERE reverses_id IS NOT NULL
         GROUP BY reverses_id HAVING count(*) > 1""")
    return (differing + repeated)[:OFFENDERS_MAX]


def transaction_ids_are_of_the_past() -> list[str]:
    """No row was written by a database transaction that is yet to come.

    After a logical restore into a new cluster the counter starts again below the ids in the rows:
    snapshots would then swallow new entries. The cure is in docs/ledger.md.
    """
    ahead = """
        xid >= pg_snapshot_xmax(pg_current_snapshot())
        AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()"""
    return _offenders(f"""
        SELECT kind, id, 'belongs to database transaction', xid, 'that is yet to come' FROM (
            SELECT 'entry' AS kind, id::text, xid FROM ledger_entry
            UNION ALL SELECT 'ledger transaction', id::text, xid FROM ledger_transaction
            UNION ALL SELECT 'snapshot', id::text, horizon FROM ledger_balance_snapshot
             WHERE horizon > pg_snapshot_xmax(pg_current_snapshot())
        ) AS rows WHERE {ahead}""")


def accounts_are_of_the_chart() -> list[str]:
    """An account's id and kind follow from its code, dimension and currency."""
    offenders: list[str] = []
    last = UUID(int=0)
    while len(offenders) < OFFENDERS_MAX:
        rows = statements.execute(
            "SELECT id, code, dimension, currency, kind FROM ledger_account WHERE id > %s "
            "ORDER BY id LIMIT %s",
            [last, _ACCOUNTS_PER_BATCH],
        )
        if not rows:
            break
        last = rows[-1][0]
        offenders += [
            f"account {row[0]} is not of the chart" for row in rows if not _of_chart(*row)
        ]
    return offenders[:OFFENDERS_MAX]


def _of_chart(id: UUID, code: int, dimension: str, currency: str, kind: str) -> bool:
    line = CHART.get(code)
    if line is None or line.kind != kind:
        return False
    return AccountRef(code, dimension, currency).id == id


def guards_are_on() -> list[str]:
    """Every trigger of `ledger/sql/` is in place and cannot be silenced by a session."""
    return _offenders(
        """
        SELECT 'trigger', wanted.name, 'of', wanted.tbl,
               CASE WHEN t.oid IS NULL THEN 'is missing' ELSE 'is not enabled always' END
          FROM unnest(%s::text[], %s::text[]) AS wanted (tbl, name)
          LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(wanted.tbl) AND t.tgname = wanted.name
         WHERE t.tgenabled IS DISTINCT FROM 'A'""",
        [[table for table, _ in _GUARDS], [name for _, name in _GUARDS]],
    )


ALL_INVARIANTS: Final[tuple[Callable[[], list[str]], ...]] = (
    transactions_sum_to_zero,
    transactions_have_entries,
    transactions_are_of_one_kind,
    entries_match_their_account,
    entries_match_their_transaction,
    entries_are_not_late,
    snapshots_equal_their_entries,
    debits_equal_credits,
    memo_accounts_sum_to_zero,
    open_items_are_not_negative,
    finished_disputes_leave_nothing_open,
    reversals_mirror_their_original,
    transaction_ids_are_of_the_past,
    accounts_are_of_the_chart,
    guards_are_on,
)
