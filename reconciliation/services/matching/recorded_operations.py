"""Finds lines that can be matched, or must wait, without the PSP: many by one query. Reads only.

Can be matched: the operation is recorded just as the line says. Must wait: whatever the PSP would
answer, another line or another payment must come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from ledger.database.statements import execute, table_of
from payments.models import Operation, PspAccount
from payments.services.psp_gateway import references
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import ACCOUNT_LINES, LineKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_bookings import LineToBook
from reconciliation.services.matching.operation_lines import (
    APPLIED,
    EFFECTS,
    NO_PAYMENT,
    SIGNS,
    WAS_APPLIED,
    disagreement,
    of_balance,
)
from reconciliation.states import LineStatus

_REFUNDS: Final = frozenset({LineKind.REFUND, LineKind.REFUND_FAILURE})


def _list(values: Collection[str]) -> str:
    return ", ".join(f"'{each}'" for each in sorted(values))


# Kinds of operations that move money, of which a line of each kind may be; see operation_lines.
_KINDS: Final = ", ".join(
    f"('{kind.value}', '{of.value}', {SIGNS[kind]})"
    for kind in sorted(SIGNS)
    for of in ([K.REFUND] if kind in _REFUNDS else [K.AUTHORIZE, K.CAPTURE])
)
_SIGNS: Final = ", ".join(f"('{kind.value}', {sign})" for kind, sign in sorted(SIGNS.items()))
_EFFECTS: Final = ", ".join(
    f"('{kind.value}', {effect}, {kind in _REFUNDS})" for kind, effect in sorted(EFFECTS.items())
)
_LINES: Final = table_of(SettlementLine)
_OPERATIONS: Final = table_of(Operation)
_ACCOUNTS: Final = table_of(PspAccount)
_BALANCE: Final = (
    f"(SELECT sum(e.effect) FROM {_LINES} x "
    f"JOIN (VALUES {_EFFECTS}) AS e (kind, effect, is_refund) ON e.kind = x.kind "
    "WHERE x.psp_account_id = l.psp_account_id AND x.psp_id = l.psp_id "
    f"AND x.status <> '{LineStatus.DEAD}' AND e.is_refund = (o.kind = '{K.REFUND}'))"
)
"""Lines that apply the operation minus lines that reverse it, but for those that were given up."""
_TO_BOOK: Final = (
    "l.id, l.kind, p.code, l.currency, l.gross_minor, l.fee_minor, l.markup_minor, "
    "l.interchange_minor, l.scheme_fee_minor, (l.occurred_at AT TIME ZONE 'UTC')::date"
)
# Left to be handled one by one: lines that were given up once, and lines that software of ours
# failed to match, which would stop the others of their batch.
_MINE: Final = (
    f"l.id = ANY(%s) AND l.retrying_since <= l.stored_at "
    f"AND l.discrepancy <> '{Discrepancy.ATTEMPT_FAILED}'"
)
_WITH_OPERATION: Final = (
    f"{_LINES} l JOIN (VALUES {_KINDS}) AS k (line_kind, kind, sign) ON k.line_kind = l.kind "
    f"JOIN {_OPERATIONS} o ON o.psp_account_id = l.psp_account_id AND o.kind = k.kind "
    "AND o.psp_id = l.psp_id AND o.psp_id <> '' "
    f"AND (o.kind <> '{K.AUTHORIZE}' OR o.capture_now) "
    "AND o.amount_minor = k.sign * l.gross_minor AND o.currency = l.currency"
)
_KNOWN: Final = (
    f"SELECT {_TO_BOOK}, o.intent_id, o.id FROM {_WITH_OPERATION} "
    f"JOIN {_ACCOUNTS} p ON p.id = l.psp_account_id "
    f"WHERE {_MINE} AND l.fee_minor = l.markup_minor + l.interchange_minor + l.scheme_fee_minor "
    f"AND CASE WHEN o.status IN ({_list(APPLIED)}) THEN {_BALANCE} = 1 "
    f"WHEN o.status = '{OperationStatus.REVERSED}' THEN {_BALANCE} = 0 ELSE false END"
)
_OF_ACCOUNT: Final = (
    f"SELECT {_TO_BOOK}, NULL::uuid FROM {_LINES} l "
    f"JOIN {_ACCOUNTS} p ON p.id = l.psp_account_id "
    f"WHERE {_MINE} AND l.kind IN ({_list([kind.value for kind in ACCOUNT_LINES])})"
)
_CONTRADICTED: Final = (
    f"SELECT l.id, l.attempts, l.retrying_since, o.id, o.kind, o.status, {_BALANCE} "
    f"FROM {_WITH_OPERATION} WHERE {_MINE} AND o.status IN ({_list(WAS_APPLIED)}) "
    f"AND {_BALANCE} NOT IN (0, 1)"
)
_OF_NO_PAYMENT: Final = (
    f"SELECT l.id, l.attempts, l.retrying_since, l.reference FROM {_LINES} l "
    f"JOIN (VALUES {_SIGNS}) AS k (kind, sign) ON k.kind = l.kind "
    f"WHERE {_MINE} AND l.psp_id <> '' AND sign(l.gross_minor) = k.sign "
    f"AND NOT EXISTS (SELECT FROM {_OPERATIONS} o WHERE o.psp_account_id = l.psp_account_id "
    f"AND o.kind IN ({_list([kind.value for kind in K])}) "
    "AND o.psp_id = l.psp_id AND o.psp_id <> '') "
    f"AND NOT EXISTS (SELECT FROM {_OPERATIONS} o WHERE o.psp_account_id = l.psp_account_id "
    f"AND o.kind = '{K.AUTHORIZE}' AND o.psp_payment_id = l.psp_payment_id "
    "AND o.psp_payment_id <> '')"
)


class WaitingLine(NamedTuple):
    """A line that cannot be matched yet, and why."""

    id: int
    attempts: int
    """Before this one."""
    retrying_since: datetime
    error: str
    discrepancy: Discrepancy


def known_lines(line_ids: Sequence[int]) -> list[tuple[LineToBook, UUID | None]]:
    """Those of these lines that need no PSP to be matched, each with its operation, if it has one.

    Of a charge or refund: its one operation has just the amount and the status that its lines say.
    Of the account as a whole: always.
    """
    found = [(LineToBook(*row[:-1]), row[-1]) for row in execute(_KNOWN, [list(line_ids)])]
    count = Counter(line.id for line, _ in found)
    of_account = [LineToBook(*row) for row in execute(_OF_ACCOUNT, [list(line_ids)])]
    return [
        *((line, operation_id) for line, operation_id in found if count[line.id] == 1),
        *((line, None) for line in of_account),
    ]


def waiting_lines(line_ids: Sequence[int]) -> list[WaitingLine]:
    """Those of these lines for which `match_operation_line` finds nothing that the PSP could tell.

    Of no payment that we know; or more of them than one movement of their operation, or fewer than
    none.
    """
    contradicted = [
        WaitingLine(
            line_id,
            attempts,
            since,
            disagreement(Operation(id=operation_id, kind=kind, status=status), int(balance)),
            of_balance(int(balance)),
        )
        for line_id, attempts, since, operation_id, kind, status, balance in execute(
            _CONTRADICTED, [list(line_ids)]
        )
    ]
    of_no_payment = [
        WaitingLine(line_id, attempts, since, NO_PAYMENT, Discrepancy.MISSING_INTERNAL)
        for line_id, attempts, since, reference in execute(_OF_NO_PAYMENT, [list(line_ids)])
        if references.operation_id_of(reference) is None
    ]
    return contradicted + of_no_payment


def balance_of(line: SettlementLine) -> int:
    """Report lines that apply the line's operation minus lines that reverse it; see EFFECTS."""
    is_refund = line.kind in _REFUNDS
    rows = SettlementLine.objects.filter(
        psp_account_id=line.psp_account_id,
        psp_id=line.psp_id,
        kind__in=[kind.value for kind in EFFECTS if (kind in _REFUNDS) == is_refund],
    )
    return sum(
        EFFECTS[LineKind(kind)]
        for key, kind, status in rows.values_list("pk", "kind", "status")
        if key == line.pk or status != LineStatus.DEAD
    )


def operations_named(*, accounts: Collection[UUID], ids: Collection[str]) -> QuerySet[Operation]:
    """Operations that move money, by the PSP's ids; more than wanted if there are two accounts."""
    rows = Operation.objects.filter(
        psp_account_id__in=accounts,
        kind__in=[K.AUTHORIZE.value, K.CAPTURE.value, K.REFUND.value],
        psp_id__in=ids,
    )
    # Said outright: of more than 100 ids PostgreSQL does not see it, nor that its index fits.
    return rows.exclude(psp_id="")
