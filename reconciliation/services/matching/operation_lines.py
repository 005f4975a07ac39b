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
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.contract.settlement_reports import REFUND_LINES, LineKind, ReportLine
from reconciliation.discrepancies import Discrepancy
from reconciliation.services.matching.dispute_line_facts import (
    MALFORMED,
    LineConflict,
    of_amounts,
)
from reconciliation.services.matching.line_groups import (
    SIGNS,
    WAS_APPLIED,
    LineGroup,
    agrees,
    can_agree,
    disagreement,
    discrepancy_of_group,
)

NO_PAYMENT: Final = "it concerns no payment of ours at this account"
# A charge is a capture, or a sale at once: to authorize alone moves nothing.
_CHARGES: Final = Q(kind=K.CAPTURE.value) | Q(kind=K.AUTHORIZE.value, capture_now=True)
_REFUNDS: Final = Q(kind=K.REFUND.value)


def match_operation_line(
    *, account: PspAccount, line: ReportLine, group: LineGroup, actor: str
) -> Operation:
    """The operation that a line reports, once its status agrees with all its lines (`group`).

    Asks the PSP only if another status of our operation would agree, and holds no connection of a
    pool meanwhile. Raises Inconclusive, LineConflict, and Conflict (a case of its own is open).
    """
    reported = reported_amount(line)
    operation = operation_of(account, line)
    if operation is not None:
        if agrees(operation, line.paid, group):
            return operation
        _refuse_amount(operation, line, reported, group)
        if operation.status in WAS_APPLIED and not can_agree(operation, group):
            raise Inconclusive(disagreement(operation, group))
        sync_operation(operation.id, actor=actor)
    else:
        charge = newest_charge_of_psp_payment(account.id, line.psp_payment_id)
        if charge is None:
            raise Inconclusive(NO_PAYMENT)
        sync_payment(charge.id, actor=actor)
    operation = operation_of(account, line)
    if operation is None:
        raise Inconclusive("the provider does not show the operation that its report names")
    if not agrees(operation, line.paid, group):
        _refuse_amount(operation, line, reported, group)
        # Another line may come, or the PSP's look-up lags behind its report.
        raise Inconclusive(disagreement(operation, group))
    return operation


def reported_amount(line: ReportLine) -> Money:
    """What it moved; raises LineConflict for what no operation can have."""
    minor = line.paid.minor
    if (minor > 0) - (minor < 0) != SIGNS[line.kind]:
        raise LineConflict(f"a line of the kind {line.kind} about {line.gross}", code=MALFORMED)
    if not line.psp_id:
        raise LineConflict(
            f"a line of the kind {line.kind} that names no operation", code=MALFORMED
        )
    if line.fee_parts.total != line.fee:
        why = f"its fee is {line.fee}, the components of it are {line.fee_parts.total} together"
        raise LineConflict(why, code=MALFORMED)
    if line.gross.minor * minor < 0:
        why = f"a line about {line.gross} that was converted from {line.paid}"
        raise LineConflict(why, code=MALFORMED)
    return Money(abs(minor), line.paid.currency)


def operation_of(account: PspAccount, line: ReportLine) -> Operation | None:
    """By the PSP's id, or by our reference while we have no id (the answer was lost)."""
    which = _REFUNDS if line.kind in REFUND_LINES else _CHARGES
    rows = Operation.objects.filter(which, psp_account=account)
    found = rows.filter(psp_id=line.psp_id).exclude(psp_id="").first()
    identifier = references.operation_id_of(line.reference)
    if found is None and identifier is not None:
        found = rows.filter(pk=identifier, psp_id="").first()
    return found


def _refuse_amount(
    operation: Operation, line: ReportLine, reported: Money, group: LineGroup
) -> None:
    """Raise LineConflict for another currency, or more than the operation's amount."""
    if reported.currency == operation.currency:
        code = discrepancy_of_group(operation, line.paid.minor, group)
        if code is not Discrepancy.AMOUNT_MISMATCH or _may_be_one_of_two(operation, line):
            return
    why = f"the report says {reported}, {operation.public_id} is about {operation.amount}"
    if reported.minor < operation.amount_minor:
        why += f", and all lines about it say {Money(group.sum_minor, reported.currency)}"
    raise LineConflict(why, code=of_amounts(reported, operation.amount), intent=operation.intent)


def _may_be_one_of_two(operation: Operation, line: ReportLine) -> bool:
    """Whether it may be one of two: all that was authorized, and what of it was not captured."""
    of_two = (LineKind.CHARGE, LineKind.PARTIAL_CAPTURE_REVERSAL)
    if line.kind not in of_two or operation.kind != K.CAPTURE:
        return False
    return abs(line.paid.minor) <= operation.intent.amount_authorized_minor
