"""Opens a case where no rule may decide, with advice per kind, and closes it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.database.statements import insert_if_absent
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.models import Case, Operation, PaymentIntent, PspAccount
from payments.public_ids import created_at_of
from payments.selectors.disputes import ChargedBack
from payments.states import CaseKind, CaseStatus
from psp_adapters.contract.stored_text import clean_text

ADVICE: Final[dict[CaseKind, str]] = {
    CaseKind.OUTCOME_UNKNOWN: (
        "Look the operation up in the PSP's dashboard by our reference; ask the PSP's support if "
        "it is not there. Recovery keeps trying; the case can be closed once the operation is."
    ),
    CaseKind.LATE_SUCCESS: (
        "The PSP took or held money for a payment that we had closed. By the merchant's policy it "
        "was reversed, or kept: check that the reversal went through, or tell the merchant."
    ),
    CaseKind.OUTCOME_REVERSED: (
        "The PSP reversed something that had succeeded. The books follow; tell the merchant, who "
        "may have shipped."
    ),
    CaseKind.EXTERNAL_OPERATION: (
        "Money was moved in the PSP's own dashboard: more than was held or left, or for a payment "
        "that was closed. It is booked; find out who did it and why, tell the merchant, and settle "
        "the excess."
    ),
    CaseKind.NOT_CARRIED_OUT: (
        "The merchant was told that it is being processed, and the PSP never got it; the merchant "
        "has an event. Nothing is sent any more: agree with the merchant whether to begin it again."
    ),
    CaseKind.CONTRADICTION: (
        "The PSP contradicts what we recorded, so nothing was booked. Compare both in the PSP's "
        "dashboard. Once the PSP has cleared it up, replay the notification "
        "(replay_notifications), or reprocess the line or file of the settlement report "
        "(settlement_reports)."
    ),
    CaseKind.DISPUTED_AND_REFUNDED: (
        "The customer may get the money twice. Hand in the refund as evidence before the deadline, "
        "or, if the refund is still pending, have the PSP stop it."
    ),
    CaseKind.DISPUTED_TOO_MUCH: (
        "Banks charged back more than this charge brought. Ask the PSP which of the disputes "
        "belong to it."
    ),
    CaseKind.NOT_SETTLED: (
        "Look it up in the PSP's dashboard: was it settled, and in which report? If that report is "
        "here, ask the PSP why the operation is not in it; if not, fetch or import it "
        "(settlement_reports). The case closes by itself when its line comes."
    ),
    CaseKind.BANK_DIFFERS: (
        "The summary begins with a code that docs/bank-statements.md explains. Compare the bank's "
        "statement with the PSP's payouts in its dashboard. Import a statement that is missing, or "
        "requeue the line (bank_statements)."
    ),
    CaseKind.BOOKS_DIFFER: (
        "A payment does not follow from the books, or the books contradict themselves: a defect, "
        "or a hand in the database. Stop the merchant's payouts until it is explained, and correct "
        "by a posting, never by a change of rows."
    ),
}
"""What to do about a case of each kind."""


def case_about_operation(
    kind: CaseKind, operation: Operation, summary: str, *, amount: Money | None = None
) -> Case:
    """An unsaved case about an operation; what is at stake is its amount, unless said otherwise."""
    at_stake = operation.amount if amount is None else amount
    case = _new_case(
        kind, subject=operation.public_id, summary=summary, livemode=operation.livemode
    )
    case.merchant_id, case.psp_account_id = operation.merchant_id, operation.psp_account_id
    case.intent_id, case.operation_id = operation.intent_id, operation.id
    case.amount_minor, case.currency = at_stake.minor, at_stake.currency
    return case


def case_about_intent(
    kind: CaseKind, intent: PaymentIntent, summary: str, *, subject: str = "", amount: Money
) -> Case:
    """An unsaved case about a payment, or about something of it that `subject` names."""
    case = _new_case(
        kind, subject=subject or intent.public_id, summary=summary, livemode=intent.livemode
    )
    case.merchant_id, case.psp_account_id = intent.merchant_id, intent.psp_account_id
    case.intent_id = intent.id
    case.amount_minor, case.currency = amount.minor, amount.currency
    return case


def case_about_books(subject: str, summary: str) -> Case:
    """An unsaved case about the books themselves: of no merchant, and of both modes."""
    return _new_case(CaseKind.BOOKS_DIFFER, subject=subject, summary=summary, livemode=True)


def case_about_account(
    kind: CaseKind, account: PspAccount, summary: str, *, subject: str, discrepancy: str = ""
) -> Case:
    """An unsaved case about something at a PSP account that no payment of ours explains.

    `discrepancy`: what reconciliation found, as a code of its closed list.
    """
    case = _new_case(kind, subject=subject, summary=summary, livemode=account.livemode)
    case.discrepancy = discrepancy
    case.psp_account_id = account.id
    return case


def case_about_bank(
    subject: str,
    summary: str,
    *,
    discrepancy: str,
    livemode: bool,
    psp_account_id: UUID | None = None,
    amount: Money | None = None,
) -> Case:
    """An unsaved case about a bank account, its statements, or a payout to it."""
    case = _new_case(CaseKind.BANK_DIFFERS, subject=subject, summary=summary, livemode=livemode)
    case.discrepancy, case.psp_account_id = discrepancy, psp_account_id
    if amount is not None:
        case.amount_minor, case.currency = amount.minor, amount.currency
    return case


def case_of_disputed_refund(intent: PaymentIntent, charged_back: ChargedBack, summary: str) -> Case:
    """An unsaved case about a refund of what a bank has charged back, ours or external."""
    if charged_back.dispute_id is None:
        raise ValueError("what is charged back has a dispute")
    return case_about_intent(
        CaseKind.DISPUTED_AND_REFUNDED,
        intent,
        summary,
        subject=public_ids.encode(public_ids.DISPUTE, charged_back.dispute_id),
        amount=charged_back.amount,
    )


def open_case(case: Case) -> bool:
    """Write a case in the caller's transaction; False if one of its kind and subject is open."""
    return insert_if_absent(case, conflict="(kind, subject) WHERE status = 'open'")


def close_open_case(kind: CaseKind, subject: str, *, actor: str, resolution: str) -> bool:
    """Close the open case of this kind and subject in the caller's transaction, if there is one.

    For what the platform finds to be over; returns whether it has closed one.
    """
    found = Case.objects.select_for_update().filter(
        kind=kind.value, subject=subject, status=CaseStatus.OPEN
    )
    case = found.first()
    if case is not None:
        close_locked_case(case, actor=actor, resolution=resolution)
    return case is not None


def close_locked_case(case: Case, *, actor: str, resolution: str) -> None:
    """Close an open case that is locked, in the caller's transaction."""
    case.close()
    case.closed_at, case.closed_by = now_utc(), actor
    case.resolution = clean_text(resolution, most=1000)
    case.save(update_fields=["status", "closed_at", "closed_by", "resolution"])


def _new_case(kind: CaseKind, *, subject: str, summary: str, livemode: bool) -> Case:
    identifier = public_ids.new_id()
    return Case(
        id=identifier,
        kind=kind.value,
        subject=subject,
        livemode=livemode,
        summary=clean_text(summary, most=500),
        opened_at=created_at_of(identifier),
    )
