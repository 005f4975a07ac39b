"""Matches a settlement line of a dispute to the ledger transactions that it reports.

Most are booked already. For one that is not, the PSP is asked about its dispute; where it cannot be
asked, the dispute is recorded from the line itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from ledger.money import Money
from ledger.selectors import BookedChange, changes_by_rule
from payments.models import Dispute, PspAccount
from payments.services import callers
from payments.services.disputes.recording import PaymentNotCaptured, record_dispute_under_lock
from payments.services.disputes.sync import charge_of_dispute, sync_dispute, sync_open_operations
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from psp_adapters.contract.settlement_reports import ReportLine
from reconciliation.services.matching.dispute_line_facts import (
    LineConflict,
    LineTooEarly,
    of_amounts,
    reported_changes,
    statement_of_line,
)

PSP_BALANCE: Final = 1110


@dataclass(frozen=True, slots=True)
class MatchedLine:
    """The ledger transactions that a line reports."""

    dispute_id: UUID
    transaction_ids: tuple[UUID, ...]
    """Together they changed 1110 by the net of the line."""


def match_dispute_line(*, account: PspAccount, line: ReportLine, actor: str) -> MatchedLine:
    """Find the transactions of a line in the books; sync its dispute first if they are missing.

    Holds no pooled connection during the call. Raises Inconclusive, LineConflict, and
    Conflict (a case of its own is open).
    """
    reported = reported_changes(line)
    found = _in_the_books(account, line, reported)
    if found is None:
        _sync_with_psp(account, line, actor)
        found = _in_the_books(account, line, reported)
    if found is None:
        raise Inconclusive("the provider's dispute does not show what its report says")
    dispute, booked = found
    differing = [rule for rule, change in reported.items() if booked[rule].change != change]
    if differing:
        rule = differing[0]
        ours = booked[rule].change
        why = f"{dispute.public_id}: the report says {reported[rule]}, our books {ours} ({rule})"
        code = of_amounts(reported[rule], ours)
        raise LineConflict(why, code=code, intent=dispute.intent)
    return MatchedLine(dispute.id, tuple(booked[rule].transaction_id for rule in reported))


def _in_the_books(
    account: PspAccount, line: ReportLine, reported: Mapping[str, Money]
) -> tuple[Dispute, dict[str, BookedChange]] | None:
    """The line's dispute and its changes of 1110; None unless every rule of the line is booked."""
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=line.psp_id)
    dispute = rows.first()
    if dispute is None:
        return None
    booked = changes_by_rule(code=PSP_BALANCE, source_type="dispute", source_id=dispute.id)
    return (dispute, booked) if booked.keys() >= reported.keys() else None


def _sync_with_psp(account: PspAccount, line: ReportLine, actor: str) -> None:
    if accounts.adapter_of(account).capabilities.disputes:
        sync_dispute(account=account, psp_dispute_id=line.psp_id, actor=actor)
        return
    charge = charge_of_dispute(
        account,
        psp_dispute_id=line.psp_id,
        payment_reference=line.reference,
        psp_payment_id=line.psp_payment_id,
    )
    sync_open_operations(charge, actor)
    try:
        recorded = record_dispute_under_lock(
            psp_dispute_id=line.psp_id,
            statement_on=partial(statement_of_line, line),
            charge=charge,
            caller=callers.for_operation(charge, actor),
        )
    except (PaymentNotCaptured, LineTooEarly) as reason:
        raise Inconclusive(str(reason)) from reason
    if recorded.contradiction:
        raise Conflict(f"dispute {line.psp_id}: {recorded.contradiction}")
