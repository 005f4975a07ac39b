"""Matches a settlement line of a charge or refund to the operation that it reports.

Where ours differs, the PSP is asked: a refund that failed late, a reversed capture or an operation
in a dashboard may never have been notified.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Q

from ledger.money import Money
from payments.models import Operation, PspAccount
from payments.selectors.payments import newest_charge_of_psp_payment
from payments.services.psp_gateway import references
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import sync_operation, sync_payment
from payments.states import OPERATION_OPEN
from payments.states import OperationStatus as S
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import OPERATION_LINES, LineKind, ReportLine
from reconciliation.discrepancies import Discrepancy
from reconciliation.services.matching.dispute_line_facts import (
    MALFORMED,
    LineConflict,
    of_amounts,
)

APPLIED: Final = frozenset({S.SUCCEEDED, S.EXCESS})
"""The operation has moved its money, and was not reversed."""
WAS_APPLIED: Final = APPLIED | {S.REVERSED}
NO_PAYMENT: Final = "it concerns no payment of ours at this account"
SIGNS: Final = {
    LineKind.CHARGE: 1,
    LineKind.CHARGE_FAILURE: -1,
    LineKind.REFUND: -1,
    LineKind.REFUND_FAILURE: 1,
}
"""The sign of a line of each kind, in what the PSP holds for us."""
EFFECTS: Final = {
    LineKind.CHARGE: 1,
    LineKind.CHARGE_FAILURE: -1,
    LineKind.REFUND: 1,
    LineKind.REFUND_FAILURE: -1,
}
"""1: the line applies its operation; -1: it reverses it."""
# A charge is a capture, or a sale at once: to authorize alone moves nothing.
_CHARGES: Final = Q(kind=K.CAPTURE.value) | Q(kind=K.AUTHORIZE.value, capture_now=True)
_REFUNDS: Final = Q(kind=K.REFUND.value)
OPERATIONS: Final = {
    LineKind.CHARGE: _CHARGES,
    LineKind.CHARGE_FAILURE: _CHARGES,
    LineKind.REFUND: _REFUNDS,
    LineKind.REFUND_FAILURE: _REFUNDS,
}

assert set(SIGNS) == set(EFFECTS) == set(OPERATIONS) == OPERATION_LINES


def match_operation_line(
    *, account: PspAccount, line: ReportLine, balance: int, actor: str
) -> Operation:
    """The operation that a line reports, once its status agrees with all its lines.

    `balance`: report lines that apply the operation minus lines that reverse it, this one included;
    1 is applied, 0 reversed; no answer of the PSP agrees with another one. Asks the PSP only if our
    operation differs from that, and holds no connection of a pool meanwhile. Raises Inconclusive,
    LineConflict, and Conflict (a case of its own is open).
    """
    reported = _reported_amount(line)
    operation = operation_of(account, line)
    if operation is not None:
        _require_amount(operation, reported)
        if is_recorded(operation, balance):
            return operation
        if operation.status in WAS_APPLIED and balance not in (0, 1):
            raise Inconclusive(disagreement(operation, balance))
        sync_operation(operation.id, actor=actor)
    else:
        charge = newest_charge_of_psp_payment(account.id, line.psp_payment_id)
        if charge is None:
            raise Inconclusive(NO_PAYMENT)
        sync_payment(charge.id, actor=actor)
    operation = operation_of(account, line)
    if operation is None:
        raise Inconclusive("the provider does not show the operation that its report names")
    _require_amount(operation, reported)
    if operation.status in OPERATION_OPEN or _is_applied(operation) != balance:
        # Another line may come, or the PSP's look-up lags behind its report.
        raise Inconclusive(disagreement(operation, balance))
    return operation


def disagreement(operation: Operation, balance: int) -> str:
    """Why lines with this balance do not match their operation."""
    status = f"{operation.public_id} is {operation.status}"
    return f"{status}, and by the reports its money moved {balance} times"


def of_balance(balance: int) -> Discrepancy:
    """The code of lines that do not agree with their operation, by their balance."""
    return Discrepancy.DUPLICATE_AT_PSP if balance > 1 else Discrepancy.STATUS_MISMATCH


def _reported_amount(line: ReportLine) -> Money:
    """The amount of its operation; raises LineConflict for what no operation can have."""
    minor = line.gross.minor
    if (minor > 0) - (minor < 0) != SIGNS[line.kind]:
        raise LineConflict(f"a line of the kind {line.kind} about {line.gross}", code=MALFORMED)
    if not line.psp_id:
        raise LineConflict(
            f"a line of the kind {line.kind} that names no operation", code=MALFORMED
        )
    if line.fee_parts.total != line.fee:
        why = f"its fee is {line.fee}, the components of it are {line.fee_parts.total} together"
        raise LineConflict(why, code=MALFORMED)
    return Money(abs(minor), line.gross.currency)


def operation_of(account: PspAccount, line: ReportLine) -> Operation | None:
    """By the PSP's id, or by our reference while we have no id (the answer was lost)."""
    rows = Operation.objects.filter(OPERATIONS[line.kind], psp_account=account)
    found = rows.filter(psp_id=line.psp_id).exclude(psp_id="").first()
    identifier = references.operation_id_of(line.reference)
    if found is None and identifier is not None:
        found = rows.filter(pk=identifier, psp_id="").first()
    return found


def is_recorded(operation: Operation, balance: int) -> bool:
    """Does the operation's final status agree with all lines about it?"""
    return operation.status in WAS_APPLIED and _is_applied(operation) == balance


def _is_applied(operation: Operation) -> bool:
    return operation.status in APPLIED


def _require_amount(operation: Operation, reported: Money) -> None:
    if reported != operation.amount:
        why = f"the report says {reported}, {operation.public_id} is about {operation.amount}"
        raise LineConflict(
            why, code=of_amounts(reported, operation.amount), intent=operation.intent
        )
