"""Brings a charge's hold in our books to what the PSP holds."""

from __future__ import annotations

from typing import Final

from ledger.money import Money
from ledger.posting_rules import Rule
from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import PspOperationKind

_HOLDS: Final = (OperationKind.AUTHORIZE, OperationKind.INCREMENT)
_NO_RESULT: Final = PspResult(outcome=Outcome.UNKNOWN)
_APPLIED: Final = (OperationStatus.SUCCEEDED, OperationStatus.EXCESS)


def balance_hold(payment: LockedPayment) -> None:
    """Post the difference between the PSP's hold and ours.

    A difference that a void or final capture of this snapshot explains is posted with that
    operation, any other with the charge.
    """
    _match_over_hold(payment)
    _empty_other_role(payment)
    difference_minor = payment.seen.held.minor - payment.vector.held_minor
    if not difference_minor:
        return
    change, rule = _explanation(payment, released=difference_minor < 0)
    change = change or _unexplained_change(payment)
    change.post(rule, Money(abs(difference_minor), payment.charge.currency))


def why_hold_cannot_count(payment: LockedPayment) -> str:
    """Why the PSP's hold is not booked; empty if it is.

    A merchant may change the currency of a payment after a charge failed. A hold that the PSP then
    shows for that charge, without its success, is in another currency than the payment's amounts.
    """
    held, charge, intent = payment.seen.held, payment.charge, payment.intent
    if not held or payment.is_duplicate or charge.currency == intent.currency:
        return ""
    return (
        f"the provider holds {held} of a charge that is {charge.status} here, and the payment is "
        f"in {intent.currency} by now"
    )


def _match_over_hold(payment: LockedPayment) -> None:
    """Book as authorized what the PSP holds or took beyond what it was asked to hold.

    Dr 9100 auth_held    excess
        Cr 9200 auth_contra  excess
    """
    asked_minor = sum(
        o.amount_minor
        for o in payment.operations
        if payment.charge.id in (o.id, o.charge_id) and o.kind in _HOLDS and o.status in _APPLIED
    )
    over_minor = max(0, payment.vector.captured_minor + payment.seen.held.minor - asked_minor)
    booked = payment.books.holds_beyond_request()
    in_role = all(each.posting.rule == payment.rules.incremented.name for each in booked)
    if in_role and over_minor == sum(each.posting.lines[0].amount.minor for each in booked):
        return
    unexplained = _unexplained_change(payment)
    for booking in booked:
        unexplained.reverse(booking)
    excess = Money(over_minor, payment.charge.currency)
    unexplained.post(payment.rules.incremented, excess)


def _empty_other_role(payment: LockedPayment) -> None:
    """Leave nothing held, or released, by the rules of a role that the charge had before.

    The hold is then booked by the rules of its present role alone.
    """
    left_minor = payment.held_in_other_role_minor
    if left_minor:
        before = payment.rules_of_other_role
        rule = before.released if left_minor > 0 else before.hold_reopened
        left = Money(abs(left_minor), payment.charge.currency)
        _unexplained_change(payment).post(rule, left)


def _explanation(payment: LockedPayment, *, released: bool) -> tuple[Change | None, Rule]:
    """The change that explains the difference, if one does, and the rule to post it by."""
    if not released:
        return None, payment.rules.hold_reopened
    succeeded = [c for c in payment.changes if c.result.outcome is Outcome.SUCCEEDED]
    for change in reversed(succeeded):
        if change.operation.kind == OperationKind.VOID:
            return change, payment.rules.voided
    for change in reversed(succeeded):
        if change.operation.kind == OperationKind.CAPTURE and change.operation.final:
            return change, payment.rules.released
    return None, payment.rules.expired if hold_expired(payment) else payment.rules.released


def hold_expired(payment: LockedPayment) -> bool:
    """True if the PSP says that the hold ran out, and holds nothing now."""
    listed = any(shown.kind is PspOperationKind.EXPIRE for shown in payment.seen.operations)
    return listed and not payment.seen.held


def _unexplained_change(payment: LockedPayment) -> Change:
    """The charge's change for what no operation explains; its postings have their own source."""
    source_type = payment.books.next_hold_source()
    for change in payment.changes:
        if change.source_type == source_type:
            return change
    return payment.change_of(payment.charge, _NO_RESULT, source_type=source_type)
