"""Account for a settlement line of a charge or refund: find the operation whose money it tells of.

Most lines tell what we know. One that does not is a reason to ask the PSP: a refund that failed
late, a capture that was taken back, an act in a dashboard may never have been notified. Nothing is
booked for the settlement itself. What may not live here: where lines come from and when they are
tried again (reconciliation), what a word causes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.money import Money
from payments.models import Operation, PspAccount
from payments.services import psp
from payments.services.cases import case_about_operation, open_case
from payments.services.events import now_utc
from payments.services.looks import Contradicted, NotYetKnown, look_at_operation
from payments.services.payment_looks import look_at_payment
from payments.states import CaseKind
from payments.states import OperationStatus as S
from psp_adapters.contract import OperationKind as K
from psp_adapters.report_contract import OPERATION_LINES, LineKind, ReportLine

_TOOK: Final = frozenset({S.SUCCEEDED, S.EXCESS, S.TAKEN_BACK})
_STANDS: Final = {
    LineKind.CHARGE: _TOOK,
    LineKind.CHARGE_FAILURE: frozenset({S.TAKEN_BACK}),
    LineKind.REFUND: _TOOK,
    LineKind.REFUND_FAILURE: frozenset({S.TAKEN_BACK}),
}
"""Where an operation may stand if a line of this kind is true."""
_FAILURES: Final = frozenset({LineKind.CHARGE_FAILURE, LineKind.REFUND_FAILURE})
_KINDS: Final = {
    LineKind.CHARGE: (K.CAPTURE, K.AUTHORIZE),
    LineKind.CHARGE_FAILURE: (K.CAPTURE, K.AUTHORIZE),
    LineKind.REFUND: (K.REFUND,),
    LineKind.REFUND_FAILURE: (K.REFUND,),
}

assert set(_STANDS) == set(_KINDS) == OPERATION_LINES, "every kind of line has its operations"


def account_for_operation_line(
    *, account: PspAccount, line: ReportLine, named: str, actor: str
) -> UUID:
    """The operation that a line tells of, once it stands where the line says; its id.

    `named` is how people find the line. Asks the PSP only if ours does not stand there yet, and
    holds no connection of a pool meanwhile. Raises NotYetKnown, or Contradicted (a case is open).
    """
    operation = _operation_of(account, line)
    if operation is not None and operation.status in _STANDS[line.kind]:
        return _of_this_amount(operation, line, named).id
    asked_at = now_utc()
    if operation is not None:
        look_at_operation(operation.id, actor=actor)
    else:
        look_at_payment(_charge_of(account, line), actor=actor)
    operation = _operation_of(account, line)
    if operation is None:
        raise NotYetKnown("the provider does not show the act of which its report tells")
    if operation.status in _STANDS[line.kind]:
        return _of_this_amount(operation, line, named).id
    if line.kind in _FAILURES and operation.status in _TOOK:
        # It failed and succeeded again, unless the PSP's answers lag behind its report.
        lag = psp.adapter_of(account).capabilities.consistency_lag_seconds
        if asked_at - line.occurred_at > timedelta(seconds=lag):
            return _of_this_amount(operation, line, named).id
    raise NotYetKnown(f"the provider's word leaves {operation.public_id} at {operation.status}")


def _operation_of(account: PspAccount, line: ReportLine) -> Operation | None:
    """By the PSP's id, or while we have none yet (its answer was lost) by our reference."""
    kinds = [kind.value for kind in _KINDS[line.kind]]
    rows = Operation.objects.filter(psp_account=account, kind__in=kinds)
    found = rows.filter(psp_id=line.psp_id).first() if line.psp_id else None
    identifier = psp.operation_id_of(line.reference)
    if found is None and identifier is not None:
        found = rows.filter(pk=identifier, psp_id__in=("", line.psp_id)).first()
    return found


def _charge_of(account: PspAccount, line: ReportLine) -> UUID:
    charges = Operation.objects.filter(psp_account=account, kind=K.AUTHORIZE.value)
    of_payment = charges.filter(psp_payment_id=line.psp_payment_id).exclude(psp_payment_id="")
    newest = of_payment.order_by("-id").first()
    if newest is None:
        raise NotYetKnown("it concerns no payment of ours at this account")
    return newest.id


def _of_this_amount(operation: Operation, line: ReportLine, named: str) -> Operation:
    """The operation, if the line is about as much; else a case is opened, and Contradicted raised.

    A whole authorization that fails takes back whatever its captures took.
    """
    takes_all_back = operation.kind == K.AUTHORIZE and not operation.capture_now
    told = Money(abs(line.gross.minor), line.gross.currency)
    if told == operation.amount or takes_all_back:
        return operation
    why = f"the report says {told}, we say {operation.amount}"
    with transaction.atomic(durable=True):
        case = case_about_operation(CaseKind.CONTRADICTION, operation, f"{named}: {why}.")
        case.subject = named
        open_case(case)
    raise Contradicted(f"{named}: {why}")
