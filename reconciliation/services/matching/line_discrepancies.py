"""Which code of the closed list says why a settlement line is not matched (yet). Reads only."""

from __future__ import annotations

from payments.models import Dispute, Operation
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from psp_adapters.contract.settlement_reports import DISPUTE_LINES, OPERATION_LINES
from psp_adapters.registry import BadCredentials
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine
from reconciliation.services.matching.dispute_line_facts import LineConflict
from reconciliation.services.matching.line_groups import discrepancy_of_group, group_of
from reconciliation.services.matching.operation_lines import operation_of
from reconciliation.services.matching.payment_lines import LineWaits


def discrepancy_of(line: SettlementLine, reason: Exception) -> Discrepancy:
    """The code of the reason why an attempt to match the line failed.

    Of a PSP that does not confirm its line, our books decide: do they know what it is about?
    """
    if isinstance(reason, LineConflict):
        return reason.code
    if isinstance(reason, Conflict):
        return Discrepancy.STATUS_MISMATCH
    if isinstance(reason, LineWaits):
        return reason.code
    if not isinstance(reason, Inconclusive):
        return Discrepancy.ATTEMPT_FAILED
    if reason.is_unanswered or isinstance(reason.__cause__, BadCredentials):
        return Discrepancy.PSP_UNANSWERED
    if line.kind in DISPUTE_LINES:
        return _of_dispute(line)
    if line.kind in OPERATION_LINES:
        return _of_operation(line)
    return Discrepancy.ATTEMPT_FAILED


def _of_dispute(line: SettlementLine) -> Discrepancy:
    disputes = Dispute.objects.filter(psp_account_id=line.psp_account_id)
    is_known = disputes.filter(psp_dispute_id=line.psp_id).exists()
    return Discrepancy.STATUS_MISMATCH if is_known else Discrepancy.MISSING_INTERNAL


def _of_operation(line: SettlementLine) -> Discrepancy:
    operation = operation_of(line.psp_account, line.reported)
    if operation is not None:
        return discrepancy_of_group(operation, line.paid_minor, group_of(line))
    others = Operation.objects.filter(psp_account_id=line.psp_account_id, psp_id=line.psp_id)
    is_of_another_kind = others.exclude(psp_id="").exists()
    return Discrepancy.TYPE_MISMATCH if is_of_another_kind else Discrepancy.MISSING_INTERNAL
