"""Finds lines that can be matched, or must wait, without the PSP: many by one query. Reads only.

Can be matched: the operation is recorded just as its lines say. Must wait: whatever the PSP would
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
from psp_adapters.contract.settlement_reports import ACCOUNT_LINES, REFUND_LINES
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_bookings import LineToBook
from reconciliation.services.matching.line_groups import (
    APPLIED,
    SIGNS,
    WAITS_FOR_OTHERS,
    WAS_APPLIED,
    LineGroup,
    disagreement,
    discrepancy_of_group,
)
from reconciliation.services.matching.operation_lines import NO_PAYMENT
from reconciliation.states import LINE_GIVEN_UP, LineStatus


def _list(values: Collection[str]) -> str:
    return ", ".join(f"'{each}'" for each in sorted(values))


# Kinds of operations that move money, of which a line of each kind may be; see operation_lines.
_KINDS: Final = ", ".join(
    f"('{kind.value}', '{of.value}', {sign}, {-1 if of is K.REFUND else 1})"
    for kind, sign in sorted(SIGNS.items())
    for of in ([K.REFUND] if kind in REFUND_LINES else [K.AUTHORIZE, K.CAPTURE])
)
_SIGNS: Final = ", ".join(
    f"('{kind.value}', {sign}, {kind in REFUND_LINES})" for kind, sign in sorted(SIGNS.items())
)
_LINES: Final = table_of(SettlementLine)
_OPERATIONS: Final = table_of(Operation)
_ACCOUNTS: Final = table_of(PspAccount)
# Lines about the operation, but for those that were given up; see line_groups.
_GROUP: Final = (
    f"{_LINES} x JOIN (VALUES {_SIGNS}) AS g (kind, sign, is_refund) "
    "ON g.kind = x.kind AND g.sign = sign(x.paid_minor) "
    "WHERE x.psp_account_id = l.psp_account_id AND x.psp_id = l.psp_id "
    f"AND x.paid_currency = l.paid_currency AND x.status NOT IN ({_list(LINE_GIVEN_UP)}) "
    f"AND g.is_refund = (o.kind = '{K.REFUND}')"
)
_SUM: Final = f"(SELECT sum(x.paid_minor) FROM {_GROUP})"
_IS_ALONE: Final = (
    f"NOT EXISTS (SELECT FROM {_GROUP} AND x.id <> l.id "
    "AND (x.paid_minor = l.paid_minor OR sign(x.paid_minor) <> sign(l.paid_minor)))"
)
_WHOLE: Final = "k.whole * o.amount_minor"
_TO_BOOK: Final = (
    "l.id, l.kind, p.code, l.currency, l.gross_minor, l.fee_minor, l.markup_minor, "
    "l.interchange_minor, l.scheme_fee_minor, l.paid_minor, l.paid_currency, l.exchange_rate, "
    "(l.occurred_at AT TIME ZONE 'UTC')::date, "
    "coalesce(l.available_on, (l.occurred_at AT TIME ZONE 'UTC')::date)"
)
# Left to be handled one by one: lines that were given up once, and lines that software of ours
# failed to match, which would stop the others of their batch.
_MINE: Final = (
    f"l.id = ANY(%s) AND l.retrying_since <= l.stored_at "
    f"AND l.discrepancy <> '{Discrepancy.ATTEMPT_FAILED}'"
)
_WITH_OPERATION: Final = (
    f"{_LINES} l JOIN (VALUES {_KINDS}) AS k (line_kind, kind, sign, whole) "
    "ON k.line_kind = l.kind AND k.sign = sign(l.paid_minor) "
    f"JOIN {_OPERATIONS} o ON o.psp_account_id = l.psp_account_id AND o.kind = k.kind "
    "AND o.psp_id = l.psp_id AND o.psp_id <> '' "
    f"AND (o.kind <> '{K.AUTHORIZE}' OR o.capture_now) AND o.currency = l.paid_currency "
    f"AND NOT (o.kind = '{K.CAPTURE}' AND o.psp_id = o.psp_payment_id AND EXISTS ("
    f"SELECT FROM {_OPERATIONS} c WHERE c.intent_id = o.intent_id AND c.kind = '{K.CAPTURE}' "
    "AND c.charge_id = o.charge_id AND c.id <> o.id))"
)
"""But for lines that name a payment with several captures: see payment_lines."""
_KNOWN: Final = (
    f"SELECT {_TO_BOOK}, o.intent_id, o.id, l.paid_minor <> {_WHOLE} FROM {_WITH_OPERATION} "
    f"JOIN {_ACCOUNTS} p ON p.id = l.psp_account_id "
    f"WHERE {_MINE} AND l.fee_minor = l.markup_minor + l.interchange_minor + l.scheme_fee_minor "
    f"AND CASE WHEN o.status IN ({_list(APPLIED)}) "
    f"THEN {_SUM} = {_WHOLE} OR (l.paid_minor = {_WHOLE} AND {_IS_ALONE}) "
    f"WHEN o.status = '{OperationStatus.REVERSED}' THEN {_SUM} = 0 ELSE false END"
)
_OF_ACCOUNT: Final = (
    f"SELECT {_TO_BOOK}, NULL::uuid FROM {_LINES} l "
    f"JOIN {_ACCOUNTS} p ON p.id = l.psp_account_id "
    f"WHERE {_MINE} AND l.kind IN ({_list([kind.value for kind in ACCOUNT_LINES])})"
)
# A line given up as a part of the amount may come back with the others: that is done one by one.
_CONTRADICTED: Final = (
    "SELECT l.id, l.attempts, l.retrying_since, l.psp_account_id, l.occurred_at, l.paid_minor, "
    f"o.id, o.kind, o.status, o.amount_minor, o.currency, {_SUM} "
    f"FROM {_WITH_OPERATION} WHERE {_MINE} AND o.status IN ({_list(WAS_APPLIED)}) "
    f"AND {_SUM} NOT IN (0, {_WHOLE}) AND NOT EXISTS (SELECT FROM {_LINES} d "
    "WHERE d.psp_account_id = l.psp_account_id AND d.psp_id = l.psp_id "
    f"AND d.status = '{LineStatus.DEAD}' AND d.discrepancy IN ({_list(WAITS_FOR_OTHERS)}))"
)
_OF_NO_PAYMENT: Final = (
    "SELECT l.id, l.attempts, l.retrying_since, l.psp_account_id, l.occurred_at, l.reference "
    f"FROM {_LINES} l JOIN (VALUES {_SIGNS}) AS k (kind, sign, is_refund) ON k.kind = l.kind "
    f"WHERE {_MINE} AND l.psp_id <> '' AND sign(l.paid_minor) = k.sign "
    f"AND NOT EXISTS (SELECT FROM {_OPERATIONS} o WHERE o.psp_account_id = l.psp_account_id "
    f"AND o.kind IN ({_list([kind.value for kind in K])}) "
    "AND o.psp_id = l.psp_id AND o.psp_id <> '') "
    f"AND NOT EXISTS (SELECT FROM {_OPERATIONS} o WHERE o.psp_account_id = l.psp_account_id "
    f"AND o.kind = '{K.AUTHORIZE}' AND o.psp_payment_id IN (l.psp_payment_id, l.psp_id) "
    "AND o.psp_payment_id <> '')"
)
_WAKE: Final = (
    f"UPDATE {_LINES} x SET next_attempt_at = %s FROM {_LINES} l WHERE l.id = ANY (%s) "
    "AND x.psp_account_id = l.psp_account_id AND x.psp_id = l.psp_id "
    f"AND x.status = '{LineStatus.FAILING}' AND x.discrepancy IN ({_list(WAITS_FOR_OTHERS)}) "
    "AND x.next_attempt_at > %s"
)


class WaitingLine(NamedTuple):
    """A line that cannot be matched yet, and why."""

    id: int
    attempts: int
    """Before this one."""
    retrying_since: datetime
    psp_account_id: UUID
    occurred_at: datetime
    error: str
    discrepancy: Discrepancy


class KnownLine(NamedTuple):
    """A line that can be matched without the PSP."""

    line: LineToBook
    operation_id: UUID | None
    """None for a line of the account."""
    is_part: bool
    """It is not its operation's whole amount: lines that waited for it may match now."""


def known_lines(line_ids: Sequence[int]) -> list[KnownLine]:
    """Those of these lines that need no PSP to be matched.

    Of a charge or refund: its one operation has just the amount and the status that its lines say.
    Of the account as a whole: always.
    """
    rows = execute(_KNOWN, [list(line_ids)])
    found = [KnownLine(LineToBook(*row), key, part) for *row, key, part in rows]
    count = Counter(each.line.id for each in found)
    of_account = [LineToBook(*row) for row in execute(_OF_ACCOUNT, [list(line_ids)])]
    return [
        *(each for each in found if count[each.line.id] == 1),
        *(KnownLine(line, None, False) for line in of_account),
    ]


def wake_other_parts(line_ids: Collection[int], now: datetime) -> None:
    """Have lines attempted at once that waited for these, which were matched now."""
    if line_ids:
        execute(_WAKE, [now, list(line_ids), now])


def waiting_lines(line_ids: Sequence[int]) -> list[WaitingLine]:
    """Those of these lines for which `match_operation_line` finds nothing that the PSP could tell.

    Of no payment that we know; or lines that say another amount of their operation than it has, but
    for those that contradict it.
    """
    waiting = []
    for *named, gross, key, kind, status, amount, currency, total in execute(
        _CONTRADICTED, [list(line_ids)]
    ):
        operation = Operation(
            id=key, kind=kind, status=status, amount_minor=amount, currency=currency
        )
        group = LineGroup(int(total), is_alone=False)
        code = discrepancy_of_group(operation, gross, group)
        if code is not Discrepancy.AMOUNT_MISMATCH:
            waiting.append(WaitingLine._make([*named, disagreement(operation, group), code]))
    of_no_payment = [
        WaitingLine._make([*named, NO_PAYMENT, Discrepancy.MISSING_INTERNAL])
        for *named, reference in execute(_OF_NO_PAYMENT, [list(line_ids)])
        if references.operation_id_of(reference) is None
    ]
    return waiting + of_no_payment


def operations_named(*, accounts: Collection[UUID], ids: Collection[str]) -> QuerySet[Operation]:
    """Operations that move money, by the PSP's ids; more than wanted if there are two accounts."""
    rows = Operation.objects.filter(
        psp_account_id__in=accounts,
        kind__in=[K.AUTHORIZE.value, K.CAPTURE.value, K.REFUND.value],
        psp_id__in=ids,
    )
    # Said outright: of more than 100 ids PostgreSQL does not see it, nor that its index fits.
    return rows.exclude(psp_id="")
