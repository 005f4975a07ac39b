"""Account for a settlement line of a charge or refund: find the operation whose money it tells of.

Most lines tell what we know. One that does not is a reason to ask the PSP: a refund that failed
late, a capture that was taken back, an act in a dashboard may never have been notified. Nothing is
booked for the settlement itself, and a fee is not looked at. What may not live here: where lines
come from and when they are tried again (reconciliation), what a word causes.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db.models import Q

from ledger.money import Money
from payments.models import Operation, PspAccount
from payments.selectors.payments import newest_charge_of_psp_payment
from payments.services.psp_gateway import references
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.operation_sync import sync_operation
from payments.services.recovery.payment_sync import sync_payment
from payments.states import OPERATION_OPEN
from payments.states import OperationStatus as S
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import OPERATION_LINES, LineKind, ReportLine
from reconciliation.services.matching.dispute_line_facts import LineContradicted

_STANDS: Final = frozenset({S.SUCCEEDED, S.EXCESS})
"""The money of the operation is where it was to go."""
_TOOK_EFFECT: Final = _STANDS | {S.TAKEN_BACK}
SIGNS: Final = {
    LineKind.CHARGE: 1,
    LineKind.CHARGE_FAILURE: -1,
    LineKind.REFUND: -1,
    LineKind.REFUND_FAILURE: 1,
}
"""What a line of each kind does to what the PSP holds for us."""
EFFECTS: Final = {
    LineKind.CHARGE: 1,
    LineKind.CHARGE_FAILURE: -1,
    LineKind.REFUND: 1,
    LineKind.REFUND_FAILURE: -1,
}
"""An operation takes effect, or its effect is undone."""
# A charge is a capture, or a sale at once: to authorize alone moves nothing.
_CHARGES: Final = Q(kind=K.CAPTURE.value) | Q(kind=K.AUTHORIZE.value, capture_now=True)
_REFUNDS: Final = Q(kind=K.REFUND.value)
_OPERATIONS: Final = {
    LineKind.CHARGE: _CHARGES,
    LineKind.CHARGE_FAILURE: _CHARGES,
    LineKind.REFUND: _REFUNDS,
    LineKind.REFUND_FAILURE: _REFUNDS,
}

assert set(SIGNS) == set(EFFECTS) == set(_OPERATIONS) == OPERATION_LINES


def account_for_operation_line(
    *, account: PspAccount, line: ReportLine, balance: int, actor: str
) -> UUID:
    """The operation that a line tells of, once it stands where all its lines say; its id.

    `balance` is how often the reports let that operation take effect, minus how often they undo it,
    this line included: 1 if its money is where it was to go, 0 if it came back. Asks the PSP only
    if ours does not stand there, and holds no connection of a pool meanwhile. Raises Inconclusive,
    LineContradicted, and Conflict (a case of its own is open).
    """
    told = _told_by(line)
    operation = _operation_of(account, line)
    if operation is not None:
        _require_amount(operation, told)
        if operation.status in _TOOK_EFFECT and _stands(operation) == balance:
            return operation.id
        sync_operation(operation.id, actor=actor)
    else:
        charge = newest_charge_of_psp_payment(account.id, line.psp_payment_id)
        if charge is None:
            raise Inconclusive("it concerns no payment of ours at this account")
        sync_payment(charge.id, actor=actor)
    operation = _operation_of(account, line)
    if operation is None:
        raise Inconclusive("the provider does not show the act of which its report tells")
    _require_amount(operation, told)
    if operation.status in OPERATION_OPEN or _stands(operation) != balance:
        # Another line may be still to come, or the PSP's word lags behind its report.
        raise Inconclusive(
            f"{operation.public_id} is {operation.status}, "
            f"and by the reports its money moved {balance} times"
        )
    return operation.id


def _told_by(line: ReportLine) -> Money:
    """How much it is about; raises LineContradicted for what no operation could have."""
    minor = line.gross.minor
    if (minor > 0) - (minor < 0) != SIGNS[line.kind]:
        raise LineContradicted(f"a line of the kind {line.kind} about {line.gross}")
    if not line.psp_id:
        raise LineContradicted(f"a line of the kind {line.kind} that names no act")
    return Money(abs(minor), line.gross.currency)


def _operation_of(account: PspAccount, line: ReportLine) -> Operation | None:
    """By the PSP's id, or while we have none yet (its answer was lost) by our reference."""
    rows = Operation.objects.filter(_OPERATIONS[line.kind], psp_account=account)
    found = rows.filter(psp_id=line.psp_id).exclude(psp_id="").first()
    identifier = references.operation_id_of(line.reference)
    if found is None and identifier is not None:
        found = rows.filter(pk=identifier, psp_id="").first()
    return found


def _stands(operation: Operation) -> bool:
    return operation.status in _STANDS


def _require_amount(operation: Operation, told: Money) -> None:
    if told != operation.amount:
        why = f"the report says {told}, {operation.public_id} is about {operation.amount}"
        raise LineContradicted(why, intent=operation.intent)
