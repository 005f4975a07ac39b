"""Finds the operations that settlement lines report: many lines by a few queries. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from payments.models import Operation
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import OPERATION_LINES, LineKind
from reconciliation.models import SettlementLine
from reconciliation.services.matching.operation_lines import EFFECTS, SIGNS, is_recorded
from reconciliation.states import LineStatus

_REFUNDS: Final = frozenset({LineKind.REFUND, LineKind.REFUND_FAILURE})
_NEEDED: Final = (
    *("intent", "psp_account", "psp_id", "kind", "capture_now", "status"),
    *("amount_minor", "currency"),
)
"""Of an operation, to compare it and to book its line: a small part of its row."""
_Name = tuple[UUID, str]
"""A PSP account, and the id of an operation there."""


def known_operations(lines: Sequence[SettlementLine]) -> dict[int, Operation]:
    """By line: the operation that it reports, if its amount and status are just as reported.

    Lines that are missing here are of disputes, or something of them must be found out.
    """
    named = [each for each in lines if each.kind in OPERATION_LINES and each.psp_id]
    operations, balances = _operations_of(named), _balances_of(named)
    known: dict[int, Operation] = {}
    for line in named:
        is_refund = line.kind in _REFUNDS
        operation = operations.get((_name_of(line), is_refund))
        sign = SIGNS[LineKind(line.kind)]
        if operation is None or sign * line.gross_minor != operation.amount_minor:
            continue
        balance = balances[_name_of(line), is_refund]
        if line.currency == operation.currency and is_recorded(operation, balance):
            known[line.pk] = operation
    return known


def balance_of(line: SettlementLine) -> int:
    """Report lines that apply the line's operation minus lines that reverse it; see EFFECTS."""
    return _balances_of([line])[_name_of(line), line.kind in _REFUNDS]


def _name_of(line: SettlementLine) -> _Name:
    return line.psp_account_id, line.psp_id


def _operations_of(lines: Sequence[SettlementLine]) -> dict[tuple[_Name, bool], Operation]:
    """By name, and whether it is a refund; else a capture, or a sale at once."""
    rows = operations_named(
        accounts={line.psp_account_id for line in lines}, ids={line.psp_id for line in lines}
    )
    rows = rows.only(*_NEEDED)
    moved = [row for row in rows if row.kind != K.AUTHORIZE or row.capture_now]
    return {((row.psp_account_id, row.psp_id), row.kind == K.REFUND): row for row in moved}


def operations_named(*, accounts: Collection[UUID], ids: Collection[str]) -> QuerySet[Operation]:
    """Operations that move money, by the PSP's ids; more than wanted if there are two accounts."""
    rows = Operation.objects.filter(
        psp_account_id__in=accounts,
        kind__in=[K.AUTHORIZE.value, K.CAPTURE.value, K.REFUND.value],
        psp_id__in=ids,
    )
    # Said outright: of more than 100 ids PostgreSQL does not see it, nor that its index fits.
    return rows.exclude(psp_id="")


def _balances_of(lines: Sequence[SettlementLine]) -> dict[tuple[_Name, bool], int]:
    """The same names; every line about them counts, but those that were given up."""
    balances: dict[tuple[_Name, bool], int] = defaultdict(int)
    asked = {line.pk for line in lines}
    rows = SettlementLine.objects.filter(
        psp_account_id__in={line.psp_account_id for line in lines},
        psp_id__in={line.psp_id for line in lines},
        kind__in=[kind.value for kind in EFFECTS],
    )
    names = ("pk", "psp_account_id", "psp_id", "kind", "status")
    for key, account_id, psp_id, kind, status in rows.values_list(*names):
        if key in asked or status != LineStatus.DEAD:
            balances[(account_id, psp_id), kind in _REFUNDS] += EFFECTS[kind]
    return balances
