"""The results of operations in Mollie's payments: of one operation, or of all of a payment. No I/O.

Mollie has no object for a release of a hold. It shows as the status `canceled`, or as `paid` with
less captured than was authorized; a note in the payment's metadata says that it was ours.
"""

from __future__ import annotations

from dataclasses import replace

from ledger.money import Money
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest, PspResult
from psp_adapters.contract.payments import PspOperation, PspOperationKind, PspPayment
from psp_adapters.mollie import vocabulary
from psp_adapters.mollie.mapping import Json, moment_of, money_of, reference_of
from psp_adapters.mollie.payments import Payment, is_final

K = OperationKind


def authorization_of(payment: Payment) -> PspResult:
    """The result of the AUTHORIZE operation."""
    outcome = payment.outcome
    code, decline_code, message = payment.decline if outcome is Outcome.DECLINED else ("", "", "")
    return PspResult(
        outcome=outcome,
        psp_id=payment.id,
        psp_payment_id=payment.id,
        amount=payment.total,
        code=code,
        decline_code=decline_code,
        message=message,
        redirect_url=payment.checkout_url if outcome is Outcome.REQUIRES_ACTION else "",
        expires_at=payment.expires_at,
        held=payment.held if payment.shows_changes else None,
        stored_token=payment.kept_token,
        mandate_reference=payment.mandate_id,
    )


def change_of(
    payment: Payment, *, kind: OperationKind, reference: str, psp_id: str = ""
) -> PspResult | None:
    """The result of a capture, void or refund; None if the payment shows none of it.

    By our reference, or without one by Mollie's id. Of several with one reference the first was
    made for us; the others are `also_found`.
    """
    payment.require_changes()
    if kind is K.VOID:
        return void_of(payment, reference)
    views = payment.captures if kind is K.CAPTURE else payment.refunds
    result_of = capture_of if kind is K.CAPTURE else refund_of
    found = [
        result_of(each)
        for each in views
        if (reference_of(each) == reference if reference else each["id"] == psp_id)
    ]
    if not found:
        return None
    first, *others = (replace(each, held=payment.held) for each in found)
    if not others:
        return first
    detail = f"{len(found)} operations carry this reference"
    return replace(first, also_found=tuple(others), detail=detail)


def void_of(payment: Payment, reference: str) -> PspResult | None:
    """The result of a void; None while the payment is not over, or if its hold ran out."""
    if not payment.is_over or payment.has_expired:
        return None
    if payment.void_reference and reference and payment.void_reference != reference:
        return None
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_id=payment.id,
        psp_payment_id=payment.id,
        amount=payment.released,
        held=payment.held,
    )


def voided_already(payment: Payment, request: PspRequest) -> PspResult:
    """The result of a void of a payment that is over: what it released, or that nothing is held."""
    shown = void_of(payment, request.reference)
    if shown is not None and payment.void_reference == request.reference:
        return shown
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_id=payment.id,
        psp_payment_id=payment.id,
        amount=Money.zero(payment.total.currency),
        detail=f"nothing was held: the payment was {payment.status}",
    )


def release_accepted(request: PspRequest) -> PspResult:
    """The result of a void that Mollie accepted, and that the payment does not show yet."""
    return PspResult(
        outcome=Outcome.PENDING,
        psp_id=request.psp_payment_id,
        psp_payment_id=request.psp_payment_id,
        detail="accepted, and the hold is not released yet",
    )


def not_voidable(payment: Payment) -> PspResult:
    """The result of a void of a payment that Mollie would not cancel: nothing is sent."""
    until = payment.open_until
    message = "The payment service provider cannot cancel this payment any more."
    if payment.status != "paid" and until is not None:
        message = (
            "The payment service provider cannot cancel this payment while the customer may pay. "
            f"It ends by itself at {until.isoformat()}."
        )
    return PspResult(
        outcome=Outcome.DECLINED,
        psp_payment_id=payment.id,
        code="processing_error",
        message=message,
        detail=f"not sent: the payment is {payment.status}, and cannot be canceled",
    )


def capture_of(view: Json, *, reference: str = "") -> PspResult:
    """The result of a capture. An empty reference skips the check of it."""
    return _result_of(view, vocabulary.CAPTURE_OUTCOMES[view["status"]], reference, "capture")


def refund_of(view: Json, *, reference: str = "") -> PspResult:
    """The result of a refund. An empty reference skips the check of it."""
    return _result_of(view, vocabulary.REFUND_OUTCOMES[view["status"]], reference, "refund")


def _result_of(view: Json, outcome: Outcome, reference: str, what: str) -> PspResult:
    if reference and reference_of(view) != reference:
        raise Contradiction("another reference")
    is_declined = outcome is Outcome.DECLINED
    return PspResult(
        outcome=outcome,
        psp_id=text(view["id"]),
        psp_payment_id=text(view["paymentId"]),
        amount=money_of(view["amount"]),
        code="processing_error" if is_declined else "",
        message=f"The {what} failed at the payment service provider." if is_declined else "",
    )


def payment_of(view: Json, *, psp_payment_id: str) -> PspPayment:
    """Read a whole payment. Raises as `Payment`, and Contradiction if it is another payment."""
    payment = Payment(view)
    if payment.id != psp_payment_id:
        raise Contradiction("another payment")
    payment.require_changes()
    captures = [
        _operation(PspOperationKind.CAPTURE, each, capture_of(each), final=_is_last(payment, each))
        for each in payment.captures
    ]
    refunds = [
        _operation(PspOperationKind.REFUND, each, refund_of(each)) for each in payment.refunds
    ]
    later = sorted([*captures, *_release(payment), *refunds], key=lambda each: each.at)
    return PspPayment(
        psp_payment_id=payment.id,
        status=payment.payment_status,
        held=payment.held,
        expires_at=payment.expires_at,
        operations=(_first(payment), *later),
    )


def _first(payment: Payment) -> PspOperation:
    result = authorization_of(payment)
    return PspOperation(
        kind=PspOperationKind.AUTHORIZE,
        psp_id=payment.id,
        reference=payment.reference,
        amount=payment.total,
        outcome=result.outcome,
        at=payment.created_at,
        code=result.code,
        decline_code=result.decline_code,
        message=result.message,
        stored_token=result.stored_token,
        mandate_reference=result.mandate_reference,
    )


def _is_last(payment: Payment, capture: Json) -> bool:
    takes_the_rest = capture is payment.captures[-1] and payment.captured == payment.total
    return is_final(capture) or takes_the_rest


def _operation(
    kind: PspOperationKind, view: Json, result: PspResult, *, final: bool = True
) -> PspOperation:
    assert result.amount is not None
    return PspOperation(
        kind=kind,
        psp_id=result.psp_id,
        reference=reference_of(view),
        amount=result.amount,
        outcome=result.outcome,
        at=moment_of(view["createdAt"]),
        final=final,
        code=result.code,
        message=result.message,
    )


def _release(payment: Payment) -> list[PspOperation]:
    """How what was left of a hold was released, if it was: by a void, or because it ran out."""
    if not (payment.is_over and payment.was_authorized):
        return []
    kind = PspOperationKind.EXPIRE if payment.has_expired else PspOperationKind.VOID
    return [
        PspOperation(
            kind=kind,
            psp_id=payment.id,
            reference=payment.void_reference,
            amount=payment.released,
            outcome=Outcome.SUCCEEDED,
            at=payment.ended_at,
        )
    ]
