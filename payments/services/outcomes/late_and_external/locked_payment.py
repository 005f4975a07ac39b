"""Holds the locked rows of one payment while a snapshot is adopted, and the changes made so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ledger import posting_rules as rules
from ledger.money import Money
from ledger.posting_rules import Rule
from payments.models import Merchant, Operation, PaymentIntent, Refund
from payments.services.cases.opening import case_about_operation
from payments.services.outcomes import bookings
from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks, ChargeVector
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import PspPayment


@dataclass(frozen=True, slots=True)
class ChargeRules:
    """The posting rules of the payment's own charge, or of a duplicate, which is booked apart."""

    authorized: Rule
    incremented: Rule
    capture_memo: Rule
    captured: Rule
    released: Rule
    voided: Rule
    expired: Rule
    hold_reopened: Rule
    refund_requested: Rule
    refund_failed: Rule


OWN: Final = ChargeRules(
    authorized=rules.authorized,
    incremented=rules.authorization_incremented,
    capture_memo=rules.capture_memo,
    captured=rules.captured,
    released=rules.released,
    voided=rules.voided,
    expired=rules.expired,
    hold_reopened=rules.hold_reopened,
    refund_requested=rules.refund_requested,
    refund_failed=rules.refund_failed,
)
DUPLICATE: Final = ChargeRules(
    authorized=rules.excess_authorized,
    incremented=rules.excess_authorized,
    capture_memo=rules.excess_capture_memo,
    captured=rules.excess_captured,
    released=rules.excess_released,
    voided=rules.excess_released,
    expired=rules.excess_released,
    hold_reopened=rules.excess_hold_reopened,
    refund_requested=rules.excess_refund_requested,
    refund_failed=rules.excess_refund_failed,
)


@dataclass(slots=True, kw_only=True)
class LockedPayment:
    """One payment under its lock: its rows, its books, and one change for each difference."""

    merchant: Merchant
    intent: PaymentIntent
    charge: Operation
    operations: list[Operation]
    """Every operation of the payment, external ones that were just written included."""
    seen: PspPayment
    books: ChargeBooks
    is_duplicate: bool
    """True for a duplicate charge, also after the PSP reversed it."""
    changes: list[Change] = field(default_factory=list)
    quiet: bool = False
    """True if the intent emits no event of a success: the money goes back at once."""
    excess: Money | None = None
    """What the PSP moved beyond what there was, by this adoption."""
    remarks: list[str] = field(default_factory=list)
    """Sentences for an operator, added to the first case of this adoption."""

    @property
    def counting_charge(self) -> Operation | None:
        """The one charge whose amounts are the payment's, if there is one."""
        charges = (o for o in self.operations if o.is_charge)
        return next((o for o in charges if o.status == OperationStatus.SUCCEEDED), None)

    @property
    def rules(self) -> ChargeRules:
        return DUPLICATE if self.is_duplicate else OWN

    @property
    def rules_of_other_role(self) -> ChargeRules:
        return OWN if self.is_duplicate else DUPLICATE

    @property
    def held_in_other_role_minor(self) -> int:
        """What the books still hold of the charge by the rules that are not its own any more."""
        effects = bookings.OWN if self.is_duplicate else bookings.EXCESS
        vector = self.books.vector(effects)
        for change in self.changes:
            vector.add(change.postings, effects)
        return vector.held_minor

    @property
    def vector(self) -> ChargeVector:
        """What the charge's books add up to, with every posting collected so far."""
        vector = self.books.vector()
        for change in self.changes:
            vector.add(change.postings)
        return vector

    def refund_of(self, operation: Operation) -> Refund | None:
        """The locked refund of an operation; None if it is no refund, or was replaced."""
        if operation.kind != OperationKind.REFUND:
            return None
        return Refund.objects.select_for_update().filter(operation_id=operation.id).first()

    def was_replaced(self, operation: Operation) -> bool:
        """Was another operation sent in its place, since it never reached the PSP?"""
        return any(each.replaces_id == operation.id for each in self.operations)

    def change_of(
        self,
        operation: Operation,
        result: PspResult,
        *,
        refund: Refund | None = None,
        source_type: str = "",
    ) -> Change:
        """An empty change of one operation, collected with the others."""
        change = Change.of(
            merchant=self.merchant,
            intent=self.intent,
            operation=operation,
            charge=self.charge,
            refund=refund,
            result=result,
            answered=True,
        )
        change.source_type = source_type
        if self.changes and "charge" in self.changes[0].shown_before:
            # Every event tells what differs from before the whole adoption.
            change.shown_before["charge"] = self.changes[0].shown_before["charge"]
        self.changes.append(change)
        return change

    def change_before_others(self, operation: Operation, *, refund: Refund | None) -> Change:
        """An empty change of an operation whose status stays, written before the others."""
        change = self.change_of(operation, PspResult(outcome=Outcome.UNKNOWN), refund=refund)
        change.books_anew = True
        self.changes.insert(0, self.changes.pop())
        return change

    def book_capture(self, change: Change, *, reinstated: bool) -> None:
        """Book the operation's amount as captured, and our fee of it.

        A reinstated capture gets the fee back that it had, any other the present one. A duplicate
        charge pays none, nor does a charge that is given back at once.
        """
        amount = change.operation.amount
        if self.is_duplicate:
            change.operation.platform_fee_minor = 0
            change.post(self.rules.capture_memo, amount)
            change.post(self.rules.captured, amount)
            return
        change.post_capture(amount, fee=not reinstated and not self.quiet)
        fee = self.books.last_reversed(change.operation, "platform_fee") if reinstated else None
        if fee is not None:
            change.operation.platform_fee_minor = fee.posting.lines[0].amount.minor
            change.post_again(fee.posting)

    def open_case(
        self, change: Change, kind: CaseKind, summary: str, *, amount: Money | None = None
    ) -> None:
        """Open a case about the operation of a change, for an operator."""
        change.cases.append(case_about_operation(kind, change.operation, summary, amount=amount))
