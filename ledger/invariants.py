"""Checks the invariants of the books, one function each.

A function returns a sentence per offender in a slice of the books, at most 100; an empty list means
that the invariant holds there. Without a slice it reads all the books. PostgreSQL refuses most
violations when they are written (`ledger/sql/`). Here they are looked for in what is stored, even
if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from ledger.chart import CHART, AccountRef, Direction
from ledger.database import statements
from ledger.dispute_rules import FINAL_RULES
from ledger.slices import EVERYTHING, Cut, Slice

OFFENDERS_MAX: Final = 100
_GUARDS: Final = (
    ("ledger_account", "ledger_append_only"),
    ("ledger_transaction", "ledger_append_only"),
    ("ledger_transaction", "ledger_check_transaction"),
    ("ledger_entry", "ledger_append_only"),
    ("ledger_entry", "ledger_check_entries"),
    ("ledger_balance_snapshot", "ledger_append_only"),
    ("ledger_balance_snapshot", "ledger_check_snapshots"),
    ("ledger_seal", "ledger_append_only"),
    ("ledger_seal", "ledger_check_seal"),
    ("ledger_period", "ledger_check_period"),
)
_ENTRIES: Final = "e.transaction_id > %s AND e.transaction_id <= %s"
_TRANSACTIONS: Final = "t.id > %s AND t.id <= %s"
_SIGNED: Final = "CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END"


def _offenders(sql: str, params: Sequence[Any] = ()) -> list[str]:
    rows = statements.execute(f"{sql} LIMIT {OFFENDERS_MAX}", params)
    return [" ".join(map(str, row)) for row in rows]


def transactions_sum_to_zero(part: Slice = EVERYTHING) -> list[str]:
    """Debits equal credits in every currency of every ledger transaction."""
    return _offenders(
        f"""
        SELECT 'ledger transaction', e.transaction_id, 'is off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e WHERE {_ENTRIES}
         GROUP BY e.transaction_id, e.currency HAVING sum({_SIGNED}) <> 0""",
        part.ids,
    )


def transactions_have_entries(part: Slice = EVERYTHING) -> list[str]:
    """A ledger transaction has two or more entries."""
    return _offenders(
        f"""
        SELECT 'ledger transaction', t.id, 'has', count(e.id), 'entries'
          FROM ledger_transaction t
          LEFT JOIN ledger_entry e ON e.transaction_id = t.id AND {_ENTRIES}
         WHERE {_TRANSACTIONS} GROUP BY t.id HAVING count(e.id) < 2""",
        part.ids * 2,
    )


def transactions_are_of_one_kind(part: Slice = EVERYTHING) -> list[str]:
    """A ledger transaction touches memo accounts or real ones, never both."""
    return _offenders(
        f"""
        SELECT 'ledger transaction', e.transaction_id, 'mixes memo and real accounts'
          FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         WHERE {_ENTRIES} GROUP BY e.transaction_id HAVING min(a.kind) <> max(a.kind)""",
        part.ids,
    )


def entries_match_their_account(part: Slice = EVERYTHING) -> list[str]:
    """An entry's account exists and has the entry's currency."""
    return _offenders(
        f"""
        SELECT 'entry', e.id, 'in', e.currency, 'is on account', e.account_id, 'in',
               coalesce(a.currency, 'no currency: it does not exist')
          FROM ledger_entry e LEFT JOIN ledger_account a ON a.id = e.account_id
         WHERE {_ENTRIES} AND a.currency IS DISTINCT FROM e.currency""",
        part.ids,
    )


def entries_match_their_transaction(part: Slice = EVERYTHING) -> list[str]:
    """An entry's ledger transaction exists and is about the same payment."""
    return _offenders(
        f"""
        SELECT 'entry', e.id, 'of payment', e.payment_id, 'is in ledger transaction',
               e.transaction_id, CASE WHEN t.id IS NULL THEN 'that does not exist'
                                      ELSE 'of another payment' END
          FROM ledger_entry e
          LEFT JOIN ledger_transaction t ON t.id = e.transaction_id AND {_TRANSACTIONS}
         WHERE {_ENTRIES} AND (t.id IS NULL OR t.payment_id IS DISTINCT FROM e.payment_id)""",
        part.ids * 2,
    )


def entries_are_not_late(part: Slice = EVERYTHING) -> list[str]:
    """An entry was written by the database transaction that wrote its ledger transaction."""
    return _offenders(
        f"""
        SELECT 'entry', e.id, 'was written by', e.xid, 'its ledger transaction', t.id, 'by', t.xid
          FROM ledger_entry e JOIN ledger_transaction t ON t.id = e.transaction_id
         WHERE {_ENTRIES} AND {_TRANSACTIONS} AND e.xid <> t.xid""",
        part.ids * 2,
    )


def snapshots_equal_their_entries(part: Slice = EVERYTHING) -> list[str]:
    """Each snapshot is the one before it plus the entries between both horizons.

    So the newest snapshot plus tail is the full sum of every account's entries.
    """
    return _offenders(
        """
        SELECT 'account', s.account_id, 'from', coalesce(before.horizon, '0'), 'to', s.horizon,
               'has debits', added.debits, 'and credits', added.credits,
               'but its snapshots say', said.debits, 'and', said.credits
          FROM ledger_balance_snapshot s
          LEFT JOIN LATERAL (
               SELECT horizon, debits_minor, credits_minor FROM ledger_balance_snapshot
                WHERE account_id = s.account_id AND horizon < s.horizon
                ORDER BY horizon DESC LIMIT 1) before ON true
         CROSS JOIN LATERAL (
               SELECT s.debits_minor - coalesce(before.debits_minor, 0) AS debits,
                      s.credits_minor - coalesce(before.credits_minor, 0) AS credits) said
         CROSS JOIN LATERAL (
               SELECT coalesce(sum(amount_minor) FILTER (WHERE direction = 'D'), 0) AS debits,
                      coalesce(sum(amount_minor) FILTER (WHERE direction = 'C'), 0) AS credits
                 FROM ledger_entry e
                WHERE e.account_id = s.account_id AND e.xid < s.horizon
                  AND e.xid >= coalesce(before.horizon, '0')) AS added
         WHERE s.id > %s AND s.id <= %s AND (added.debits, added.credits) <> said""",
        part.row_numbers,
    )


def debits_equal_credits(part: Slice = EVERYTHING) -> list[str]:
    """Over all ledger transactions, debits equal credits in every currency."""
    return _offenders(
        f"""
        SELECT 'the books are off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e WHERE {_ENTRIES}
         GROUP BY e.currency HAVING sum({_SIGNED}) <> 0""",
        part.ids,
    )


def memo_accounts_sum_to_zero(part: Slice = EVERYTHING) -> list[str]:
    """Over all memo accounts, debits equal credits in every currency."""
    return _offenders(
        f"""
        SELECT 'memo accounts are off by', sum({_SIGNED}), e.currency
          FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
         WHERE {_ENTRIES} AND a.kind = 'memo'
         GROUP BY e.currency HAVING sum({_SIGNED}) <> 0""",
        part.ids,
    )


def open_items_are_not_negative(part: Slice = EVERYTHING) -> list[str]:
    """No payment has an open item on the wrong side: more captured than held, and the like.

    Settlement apart: a settled capture may be reversed before the PSP reports it, and so on.
    """
    open_lines = [line for line in CHART.values() if line.open_item]
    debit_codes = [line.code for line in open_lines if line.normal_side is Direction.DEBIT]
    normal = f"({_SIGNED}) * CASE WHEN a.code = ANY (%s::int[]) THEN 1 ELSE -1 END"
    return _offenders(
        f"""
        SELECT 'payment', t.payment_id, 'has', sum({normal}), e.currency, 'on open item', a.code
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id
         WHERE t.payment_id > %s AND t.payment_id <= %s AND a.code = ANY (%s::int[])
           AND e.entry_type <> 'settlement'
         GROUP BY t.payment_id, e.currency, a.code HAVING sum({normal}) < 0""",
        [debit_codes, *part.ids, [line.code for line in open_lines], debit_codes],
    )


def finished_disputes_leave_nothing_open(part: Slice = EVERYTHING) -> list[str]:
    """A dispute that was won or lost has no exposure, nothing held and nothing withdrawn left."""
    codes = [1300, 2300, 9300, 9400]
    return _offenders(
        f"""
        SELECT 'dispute', t.source_id, 'is over but has', sum({_SIGNED}), e.currency, 'on', a.code
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id AND a.code = ANY (%s::int[])
         WHERE t.source_type = 'dispute' AND t.source_id > %s AND t.source_id <= %s AND EXISTS (
               SELECT FROM ledger_transaction f WHERE f.source_type = 'dispute'
                  AND f.source_id = t.source_id AND f.rule = ANY (%s::text[]))
         GROUP BY t.source_id, e.currency, a.code HAVING sum({_SIGNED}) <> 0""",
        [codes, *part.ids, list(FINAL_RULES)],
    )


def reversals_mirror_their_original(part: Slice = EVERYTHING) -> list[str]:
    """A reversal swaps the sides of one transaction exactly, and is the only one that does."""
    swapped = "CASE o.direction WHEN 'D' THEN 'C' ELSE 'D' END"
    reversals = f"t.reverses_id IS NOT NULL AND {_TRANSACTIONS}"
    original = f"""
        SELECT t.id, t.reverses_id, o.account_id, {swapped}, o.amount_minor, o.entry_type
          FROM ledger_transaction t LEFT JOIN ledger_entry o ON o.transaction_id = t.reverses_id
         WHERE {reversals}"""
    reversal = f"""
        SELECT t.id, t.reverses_id, e.account_id, e.direction, e.amount_minor, e.entry_type
          FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
         WHERE {reversals}"""
    differing = _offenders(
        f"""
        SELECT DISTINCT 'ledger transaction', x.id, 'is not the mirror of', x.reverses_id FROM (
            ({original} EXCEPT ALL {reversal}) UNION ALL ({reversal} EXCEPT ALL {original})) x""",
        part.ids * 4,
    )
    repeated = _offenders(
        """
        SELECT 'ledger transaction', reverses_id, 'was reversed', count(*), 'times'
          FROM ledger_transaction WHERE reverses_id > %s AND reverses_id <= %s
         GROUP BY reverses_id HAVING count(*) > 1""",
        part.ids,
    )
    return (differing + repeated)[:OFFENDERS_MAX]


def transaction_ids_are_of_the_past(part: Slice = EVERYTHING) -> list[str]:
    """No row was written by a database transaction that is yet to come.

    After a logical restore into a new cluster the counter starts again below the ids in the rows:
    snapshots would then swallow new entries. The cure is in docs/ledger.md.
    """
    ahead = """
        xid >= pg_snapshot_xmax(pg_current_snapshot())
        AND xid IS DISTINCT FROM pg_current_xact_id_if_assigned()"""
    return _offenders(
        f"""
        SELECT kind, id, 'belongs to database transaction', xid, 'that is yet to come' FROM (
            SELECT 'entry' AS kind, e.id::text, e.xid FROM ledger_entry e WHERE {_ENTRIES}
            UNION ALL
            SELECT 'ledger transaction', t.id::text, t.xid FROM ledger_transaction t
             WHERE {_TRANSACTIONS}
        ) AS rows WHERE {ahead}""",
        part.ids * 2,
    )


def horizons_are_of_the_past(part: Slice = EVERYTHING) -> list[str]:
    """The same for snapshots: none has a horizon that is yet to come."""
    return _offenders(
        """
        SELECT 'snapshot', id, 'belongs to database transaction', horizon, 'that is yet to come'
          FROM ledger_balance_snapshot
         WHERE id > %s AND id <= %s AND horizon > pg_snapshot_xmax(pg_current_snapshot())""",
        part.row_numbers,
    )


def accounts_are_of_the_chart(part: Slice = EVERYTHING) -> list[str]:
    """An account's id and kind follow from its code, dimension and currency."""
    rows = statements.execute(
        "SELECT id, code, dimension, currency, kind FROM ledger_account "
        "WHERE id > %s AND id <= %s ORDER BY id",
        part.ids,
    )
    offenders = [f"account {row[0]} is not of the chart" for row in rows if not _of_chart(*row)]
    return offenders[:OFFENDERS_MAX]


def _of_chart(id: UUID, code: int, dimension: str, currency: str, kind: str) -> bool:
    line = CHART.get(code)
    if line is None or line.kind != kind:
        return False
    return AccountRef(code, dimension, currency).id == id


def guards_are_on(_part: Slice = EVERYTHING) -> list[str]:
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


ALL_INVARIANTS: Final[Mapping[Callable[[Slice], list[str]], Cut]] = {
    transactions_sum_to_zero: Cut.TRANSACTIONS,
    transactions_have_entries: Cut.TRANSACTIONS,
    transactions_are_of_one_kind: Cut.TRANSACTIONS,
    entries_match_their_account: Cut.TRANSACTIONS,
    entries_match_their_transaction: Cut.TRANSACTIONS,
    entries_are_not_late: Cut.TRANSACTIONS,
    snapshots_equal_their_entries: Cut.SNAPSHOTS,
    debits_equal_credits: Cut.TRANSACTIONS,
    memo_accounts_sum_to_zero: Cut.TRANSACTIONS,
    open_items_are_not_negative: Cut.PAYMENTS,
    finished_disputes_leave_nothing_open: Cut.DISPUTES,
    reversals_mirror_their_original: Cut.TRANSACTIONS,
    transaction_ids_are_of_the_past: Cut.TRANSACTIONS,
    horizons_are_of_the_past: Cut.SNAPSHOTS,
    accounts_are_of_the_chart: Cut.ACCOUNTS,
    guards_are_on: Cut.NOTHING,
}
"""Each with what it is cut by: in every slice it holds for itself."""
