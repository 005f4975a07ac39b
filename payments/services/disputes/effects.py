"""Derives from a PSP's statement on a dispute: postings, amounts, events, reminders, cases.

The result depends on the statement and the present books only. So the last statement alone leads
to the same state as all statements in any order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ledger import dispute_rules as rules
from ledger.money import Money
from ledger.posting_rules import Parties, Posting, Rule
from payments.models import Case, Dispute, LossPolicy, Merchant, Operation, PaymentIntent, books_of
from payments.services.cases.opening import case_about_intent
from payments.services.disputes.transitions import ENTER_STATUS, D
from payments.services.outbox.events import previous_attributes
from payments.states import (
    DISPUTE_INQUIRY,
    CaseKind,
    OperationStatus,
)
from psp_adapters.contract.disputes import PspDispute

_CHARGEBACKS: Final = frozenset({D.NEEDS_RESPONSE, D.UNDER_REVIEW, D.WON, D.LOST})
_GIVEN_BACK: Final = frozenset({D.WON, D.PREVENTED})
REMINDERS_BEFORE_DEADLINE: Final = (timedelta(hours=72), timedelta(hours=24))
"""A merchant gets one reminder each, so long before the deadline."""
OPEN_DISPUTE_SYNC_INTERVAL: Final = timedelta(hours=6)
"""Open disputes are synced this often without a notification, for notifications get lost."""
SYNC_AFTER_DEADLINE: Final = timedelta(minutes=5)
assert set(ENTER_STATUS) == set(D) - {D.WARNING_NEEDS_RESPONSE}, "every status has its way in"
assert D.WARNING_CLOSED in DISPUTE_INQUIRY, "an inquiry that is closed moved no money"


@dataclass(slots=True, kw_only=True)
class DisputeChange:
    """What one statement of a PSP does to locked rows, collected in memory."""

    merchant: Merchant
    psp_account_code: str
    intent: PaymentIntent
    charge: Operation
    dispute: Dispute
    statement: PspDispute
    is_new: bool
    status_before: str
    shown_before: dict[str, Any]
    """What the dispute showed before; empty for a new one."""
    charged_back_beside: Money
    """What other disputes of the same charge withdrew, and have not returned."""
    booked: frozenset[str]
    """The posting rules by which this dispute is booked already."""
    now: datetime
    postings: list[Posting] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    @property
    def newly_booked(self) -> frozenset[str]:
        return frozenset(posting.rule for posting in self.postings)


def apply_statement(change: DisputeChange) -> None:
    """Apply the statement; the dispute has its new status already."""
    due_by_before = change.dispute.evidence_due_by
    _note_details(change.dispute, change.statement)
    change.postings = _postings(change)
    _move_amounts(change)
    _schedule(change, due_by_before)


def event_drafts_of(
    change: DisputeChange, shown: dict[str, Any]
) -> list[tuple[str, dict[str, Any] | None]]:
    """The types of the events to emit, each with its `previous_attributes` if it has any."""
    dispute, newly_booked = change.dispute, change.newly_booked
    previous = previous_attributes(change.shown_before, shown) if change.shown_before else None
    closes = not dispute.is_open and (change.is_new or dispute.status != change.status_before)
    drafts: list[tuple[str, dict[str, Any] | None]] = []
    if change.is_new:
        drafts.append(("charge.dispute.created", None))
    elif previous and not closes:
        drafts.append(("charge.dispute.updated", previous))
    if "dispute_held" in newly_booked:
        drafts.append(("charge.dispute.funds_withdrawn", None))
    if closes:
        drafts.append(("charge.dispute.closed", previous))
    if "dispute_hold_released" in newly_booked:
        drafts.append(("charge.dispute.funds_reinstated", None))
    return drafts


def _note_details(dispute: Dispute, statement: PspDispute) -> None:
    dispute.reason = statement.reason[:64]
    dispute.network_reason_code = statement.network_reason_code[:32]
    dispute.evidence_due_by = statement.evidence_due_by
    dispute.is_charge_refundable = statement.charge_refundable
    dispute.fee_minor = statement.fee.minor
    dispute.fee_returned_minor = statement.fee_returned.minor
    dispute.submission_count = max(dispute.submission_count, len(statement.submissions))


def _postings(change: DisputeChange) -> list[Posting]:
    """What the statement requires in the books and is not there yet, in a fixed order."""
    dispute, statement, amount = change.dispute, change.statement, change.dispute.amount
    wanted: list[tuple[Rule, Money]] = []
    if statement.began_as_inquiry:
        wanted.append((rules.dispute_exposed, amount))
        if not (dispute.is_inquiry and dispute.is_open):
            wanted.append((rules.dispute_exposure_ended, amount))
    withdrawn = (
        statement.funds_withdrawn
        or dispute.status == D.LOST
        or "dispute_withdrawn" in change.booked
    )
    charged_back = withdrawn or dispute.status in _CHARGEBACKS or "dispute_held" in change.booked
    if charged_back:
        wanted.append((rules.dispute_held, amount))
    if withdrawn:
        wanted.append((rules.dispute_withdrawn, amount))
    wanted += _fees(change)
    if charged_back and dispute.status in _GIVEN_BACK:
        if withdrawn:
            wanted.append((rules.dispute_won, amount))
        wanted.append((rules.dispute_hold_released, amount))
    if dispute.status == D.LOST:
        wanted += [(rule, amount) for rule in _LOSS[LossPolicy(dispute.loss_policy)]]
    merchant = books_of(change.merchant.id, livemode=dispute.livemode)
    parties = Parties(psp_account=change.psp_account_code, merchant=merchant)
    postings = [rule(parties, amount) for rule, amount in wanted]
    return [posting for posting in postings if posting.rule not in change.booked]


_LOSS: Final[dict[LossPolicy, tuple[Rule, ...]]] = {
    LossPolicy.MERCHANT: (rules.dispute_lost_by_merchant,),
    LossPolicy.PLATFORM: (rules.dispute_lost_by_platform, rules.dispute_hold_released),
}


def _fees(change: DisputeChange) -> list[tuple[Rule, Money]]:
    """The PSP's fee and its return; the merchant bears them where it bears losses."""
    statement = change.statement
    fee_rules: list[Rule] = [rules.dispute_fee]
    return_rules: list[Rule] = [rules.dispute_fee_returned]
    if change.dispute.loss_policy == LossPolicy.MERCHANT:
        fee_rules.append(rules.dispute_fee_passed_on)
        return_rules.append(rules.dispute_fee_given_back)
    wanted = [(rule, statement.fee) for rule in fee_rules if statement.fee]
    return wanted + [
        (rule, statement.fee_returned) for rule in return_rules if statement.fee_returned
    ]


def _is_charged_back(booked: frozenset[str]) -> bool:
    """True if, by these rules, the amount is charged back and open, or lost."""
    given_back = "dispute_hold_released" in booked and "dispute_lost_by_platform" not in booked
    return "dispute_held" in booked and not given_back


def _move_amounts(change: DisputeChange) -> None:
    intent, dispute, new = change.intent, change.dispute, change.newly_booked
    delta = _is_charged_back(change.booked | new) - _is_charged_back(change.booked)
    if dispute.currency == intent.currency:  # A duplicate charge may be in another one.
        intent.amount_disputed_minor += delta * dispute.amount_minor
    if "dispute_withdrawn" in new:
        dispute.funds_withdrawn_at = change.now
    if "dispute_won" in new:
        dispute.funds_reinstated_at = change.now
    if "dispute_held" in new:
        _open_cases(change)


def _open_cases(change: DisputeChange) -> None:
    intent, dispute = change.intent, change.dispute
    charge = change.charge
    refunded = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    if charge.status == OperationStatus.EXCESS or charge.currency != intent.currency:
        refunded = charge.excess_returned_minor
    if refunded:
        summary = (
            f"{dispute.public_id} charges back {dispute.amount} of a payment of which "
            f"{Money(refunded, charge.currency)} was refunded or is on its way back."
        )
        _open_case(change, CaseKind.DISPUTED_AND_REFUNDED, summary)
    disputed = change.charged_back_beside + dispute.amount
    brought = _captured_by_charge(change)
    if disputed > brought:
        summary = f"{disputed} is disputed of a charge that brought {brought}."
        _open_case(change, CaseKind.DISPUTED_TOO_MUCH, summary)


def _captured_by_charge(change: DisputeChange) -> Money:
    """What the charge brought at most; nothing if the PSP reversed it."""
    intent, charge = change.intent, change.charge
    if charge.status == OperationStatus.EXCESS:
        return charge.amount
    own = charge.id == intent.latest_charge_id and charge.currency == intent.currency
    return Money(intent.amount_captured_minor if own else 0, charge.currency)


def _open_case(change: DisputeChange, kind: CaseKind, summary: str) -> None:
    dispute = change.dispute
    change.cases.append(
        case_about_intent(
            kind, change.intent, summary, subject=dispute.public_id, amount=dispute.amount
        )
    )


def _schedule(change: DisputeChange, due_by_before: datetime | None) -> None:
    """Schedule the next sync and reminder; each stage or deadline has reminders of its own."""
    dispute = change.dispute
    dispute.next_sync_at = next_sync(dispute, change.now)
    if dispute.slot_is_spent:
        dispute.next_reminder_at = None
    elif change.is_new or dispute.status != change.status_before:
        dispute.next_reminder_at = next_reminder(dispute, change.now)
    elif dispute.evidence_due_by != due_by_before:
        dispute.next_reminder_at = _moved_reminder(dispute, due_by_before, change.now)


def _moved_reminder(
    dispute: Dispute, due_by_before: datetime | None, now: datetime
) -> datetime | None:
    """Move the pending reminder with the deadline; it is due at once if its time has passed."""
    anew = next_reminder(dispute, now)
    waiting, due_by = dispute.next_reminder_at, dispute.evidence_due_by
    if waiting is None or due_by_before is None or due_by is None:
        return anew
    moved = waiting + (due_by - due_by_before)
    return moved if anew is None else min(moved, anew)


def next_sync(dispute: Dispute, now: datetime) -> datetime | None:
    """When to sync an open dispute next: soon after its deadline, or every few hours."""
    if not dispute.is_open:
        return None
    usual = now + OPEN_DISPUTE_SYNC_INTERVAL * random.uniform(0.9, 1.1)
    if dispute.evidence_due_by is None or dispute.evidence_due_by < now:
        return usual
    return min(usual, dispute.evidence_due_by + SYNC_AFTER_DEADLINE)


def next_reminder(dispute: Dispute, now: datetime) -> datetime | None:
    """The next reminder still to come; None if the merchant need not or cannot respond."""
    if dispute.slot_is_spent or dispute.evidence_due_by is None:
        return None
    moments = (dispute.evidence_due_by - before for before in REMINDERS_BEFORE_DEADLINE)
    return min((moment for moment in moments if moment > now), default=None)
