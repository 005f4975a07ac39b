"""Books what a capture or a sale took, by the rules of its charge."""

from __future__ import annotations

from payments.services.outcomes.adoption.locked_payment import LockedPayment
from payments.services.outcomes.change import Change


def book_capture(payment: LockedPayment, change: Change, *, reinstated: bool) -> None:
    """Book the operation's amount as captured.

    The fee is ours of now; of a reinstated capture it is the fee that it had. A duplicate charge
    pays none, nor does a charge that is given back at once.
    """
    amount = change.operation.amount
    if payment.is_duplicate:
        change.post(payment.rules.capture_memo, amount)
        change.post(payment.rules.captured, amount)
        return
    change.post_capture(amount, fee=not reinstated and not payment.quiet)
    fee = payment.books.last_reversed(change.operation, "platform_fee") if reinstated else None
    if fee is not None:
        change.post_again(fee.posting)
