"""Account for a settlement line of a dispute: find what it moved in our books, or bring it there.

Most lines tell what is booked already. One that does not is a reason to ask the PSP about its
dispute; where the PSP cannot be asked, the line itself is the word. What may not live here: where
lines come from and when they are tried again (reconciliation), what a word causes.
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
from payments.services.recovery.operation_sync import Conflict
from psp_adapters.contract.settlement_reports import ReportLine
from reconciliation.services.matching.dispute_line_facts import (
    LineComesTooEarly,
    LineContradicted,
    changes_told_by,
    word_of_line,
)

PSP_BALANCE: Final = 1110


@dataclass(frozen=True, slots=True)
class AccountedLine:
    """What in our books a line is."""

    dispute_id: UUID
    transaction_ids: tuple[UUID, ...]
    """Of the books; together they changed 1110 by the net of the line."""


def account_for_dispute_line(*, account: PspAccount, line: ReportLine, actor: str) -> AccountedLine:
    """Bring the dispute of a line to where the line says its money is, and find it in the books.

    Asks the PSP only if the books do not show it yet, and holds no connection of a pool meanwhile.
    Raises Inconclusive, LineContradicted, and Conflict (a case of its own is open); a line that
    is in the books already is fine.
    """
    told = changes_told_by(line)
    found = _in_the_books(account, line, told)
    if found is None:
        _bring_there(account, line, actor)
        found = _in_the_books(account, line, told)
    if found is None:
        raise Inconclusive("the provider's word on the dispute does not show what its report says")
    dispute, booked = found
    differing = [rule for rule, change in told.items() if booked[rule].change != change]
    if differing:
        rule = differing[0]
        why = f"the report says {told[rule]}, our books {booked[rule].change} ({rule})"
        raise LineContradicted(f"{dispute.public_id}: {why}", intent=dispute.intent)
    return AccountedLine(dispute.id, tuple(booked[rule].transaction_id for rule in told))


def _in_the_books(
    account: PspAccount, line: ReportLine, told: Mapping[str, Money]
) -> tuple[Dispute, dict[str, BookedChange]] | None:
    """The line's dispute and what it did to 1110, once every rule of the line is among it."""
    rows = Dispute.objects.filter(psp_account=account, psp_dispute_id=line.psp_id)
    dispute = rows.first()
    if dispute is None:
        return None
    booked = changes_by_rule(code=PSP_BALANCE, source_type="dispute", source_id=dispute.id)
    return (dispute, booked) if booked.keys() >= told.keys() else None


def _bring_there(account: PspAccount, line: ReportLine, actor: str) -> None:
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
            statement_on=partial(word_of_line, line),
            charge=charge,
            caller=callers.for_operation(charge, actor),
        )
    except (PaymentNotCaptured, LineComesTooEarly) as reason:
        raise Inconclusive(str(reason)) from reason
    if recorded.contradiction:
        raise Conflict(f"dispute {line.psp_id}: {recorded.contradiction}")
