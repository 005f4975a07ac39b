"""Reads Mollie's payments with their captures and refunds: the result of one operation, or all.

Mollie has no object for a release of a hold. It shows as the status `canceled`, or as `paid` with
less captured than was authorized; a note in the payment's metadata says that it was ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from ledger.money import Money
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest, PspResult
from psp_adapters.contract.payments import (
    PspOperation,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
)
from psp_adapters.mollie import vocabulary
from psp_adapters.mollie.mapping import (
    FINAL,
    VOID,
    Contradiction,
    Json,
    metadata_of,
    moment_of,
    money_of,
    reference_of,
    sentence_of,
    text,
)

K = OperationKind
_ENDED = frozenset({"canceled", "expired", "failed"})


class Payment:
    """A payment as Mollie shows it, with its captures and refunds embedded.

    Raises one of UNREADABLE where something that is needed is missing.
    """

    def __init__(self, view: Json) -> None:
        self.view = view
        self.id = text(view["id"])
        self.status = text(view["status"])
        self.outcome_by_status = vocabulary.PAYMENT_OUTCOMES[self.status]
        self.total = money_of(view["amount"])
        self.reference = reference_of(view)
        self.created_at = moment_of(view["createdAt"])
        self.is_held_first = view.get("captureMode") == "manual"
        """Whether it is authorized first and captured later."""
        self.captures = _oldest_first(view, "captures") if self.is_held_first else []
        self.refunds = _oldest_first(view, "refunds")

    @property
    def was_authorized(self) -> bool:
        """Whether the customer's bank ever agreed to it."""
        return self.status in ("authorized", "paid") or bool(self.view.get("authorizedAt"))

    @property
    def captured(self) -> Money:
        """What was captured for certain."""
        if not self.is_held_first:
            return self.total if self.status == "paid" else self._zero
        return self._sum(each for each in self.captures if each["status"] == "succeeded")

    @property
    def held(self) -> Money:
        """What can still be captured; nothing after our last capture, see `release_of_rest`."""
        if self.status != "authorized" or self._was_finally_captured:
            return self._zero
        return self.total - self.captured

    @property
    def rest(self) -> Money:
        """What Mollie still holds and no capture, even one under way, takes."""
        if self.status != "authorized":
            return self._zero
        return self.total - self._sum(each for each in self.captures if each["status"] != "failed")

    @property
    def has_pending_captures(self) -> bool:
        return any(each["status"] == "pending" for each in self.captures)

    @property
    def _was_finally_captured(self) -> bool:
        return any(_is_final(each) and each["status"] == "succeeded" for each in self.captures)

    @property
    def void_reference(self) -> str:
        """Our reference of the void that was begun, if one was."""
        found = metadata_of(self.view).get(VOID)
        return found if isinstance(found, str) else ""

    @property
    def is_cancelable(self) -> bool:
        return self.view.get("isCancelable") is True

    @property
    def is_over(self) -> bool:
        """Whether nothing is held or expected any more, and it was not captured in full."""
        return self.status in _ENDED or self._rest_was_released

    @property
    def _rest_was_released(self) -> bool:
        """Whether a part was captured and the rest released, without a last capture of ours."""
        is_partial = self.status == "paid" and self.is_held_first and self.captured < self.total
        return is_partial and not self.has_pending_captures and not self._was_finally_captured

    @property
    def released(self) -> Money:
        """What was released as the payment ended."""
        return self.total - self.captured if self.is_over and self.was_authorized else self._zero

    @property
    def has_expired(self) -> bool:
        """Whether a hold ran out: it ended without a void of ours, and was not canceled."""
        ended = self.status == "expired" or self._rest_was_released
        return ended and self.was_authorized and not self.void_reference

    @property
    def ended_at(self) -> datetime:
        """When the payment ended, after everything that was captured."""
        names = ("canceledAt", "expiredAt", "failedAt", "paidAt")
        said = [moment_of(self.view[name]) for name in names if self.view.get(name)]
        captured = [moment_of(each["createdAt"]) for each in self.captures[-1:]]
        return max([self.created_at, *said, *captured])

    @property
    def expires_at(self) -> datetime | None:
        """Until when it can be captured, if Mollie says."""
        until = self.view.get("captureBefore")
        return moment_of(until) if until else None

    @property
    def open_until(self) -> datetime | None:
        """Until when the customer may pay, if Mollie says."""
        until = self.view.get("expiresAt")
        return moment_of(until) if until else None

    @property
    def checkout_url(self) -> str:
        """Where the customer must go; empty if nowhere."""
        link = (self.view.get("_links") or {}).get("checkout") or {}
        found = link.get("href") or ""
        if not isinstance(found, str):
            raise Contradiction("no address of the checkout")
        return found

    @property
    def outcome(self) -> Outcome:
        """Of the AUTHORIZE operation."""
        if self.is_held_first and self.was_authorized:
            return Outcome.SUCCEEDED
        if self.status == "open" and not self.checkout_url:
            return Outcome.PENDING
        return self.outcome_by_status

    @property
    def decline(self) -> tuple[str, str, str]:
        details = self.view.get("details") or {}
        reason, message = details.get("failureReason") or "", details.get("failureMessage") or ""
        return vocabulary.decline_of(str(reason), self.status, sentence_of(str(message)))

    @property
    def payment_status(self) -> PspPaymentStatus:
        if not (self.is_held_first and self.was_authorized):
            return vocabulary.PAYMENT_STATUSES[self.status]
        if self.status == "authorized" and not self._was_finally_captured:
            return PspPaymentStatus.HELD
        if self.captured or self.status == "paid":
            return PspPaymentStatus.CAPTURED
        return PspPaymentStatus.EXPIRED if self.has_expired else PspPaymentStatus.RELEASED

    @property
    def _zero(self) -> Money:
        return Money.zero(self.total.currency)

    def _sum(self, views: Iterable[Json]) -> Money:
        amounts = (money_of(each["amount"]) for each in views)
        return sum(amounts, self._zero)


def _oldest_first(view: Json, name: str) -> list[Json]:
    found = (view.get("_embedded") or {}).get(name) or []
    return sorted(found, key=lambda each: moment_of(each["createdAt"]))


def _is_final(capture: Json) -> bool:
    return metadata_of(capture).get(FINAL) is True


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
        held=payment.held,
    )


def change_of(
    payment: Payment, *, kind: OperationKind, reference: str, psp_id: str = ""
) -> PspResult | None:
    """The result of a capture, void or refund; None if the payment shows none of it.

    By our reference, or without one by Mollie's id. Of several with one reference the first was
    made for us; the others are `also_found`.
    """
    if kind is K.VOID:
        return _void_of(payment, reference)
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


def _void_of(payment: Payment, reference: str) -> PspResult | None:
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
    shown = _void_of(payment, request.reference)
    if shown is not None and payment.void_reference == request.reference:
        return shown
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_id=payment.id,
        psp_payment_id=payment.id,
        amount=Money.zero(payment.total.currency),
        detail=f"nothing was held: the payment was {payment.status}",
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


def require_request(result: PspResult, request: PspRequest) -> PspResult:
    """The same result, once it is certain that it is about this request; raises Contradiction."""
    if request.psp_payment_id and result.psp_payment_id != request.psp_payment_id:
        raise Contradiction("another payment")
    if result.amount is None or result.amount.currency != request.amount.currency:
        raise Contradiction("another currency")
    # A void sends no amount: the caller compares what the PSP says it released.
    if request.kind is not K.VOID and result.amount != request.amount:
        raise Contradiction("another amount")
    return result


def payment_of(view: Json, *, psp_payment_id: str) -> PspPayment:
    """Read a whole payment. Raises as `Payment`, and Contradiction if it is another payment."""
    payment = Payment(view)
    if payment.id != psp_payment_id:
        raise Contradiction("another payment")
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
    )


def _is_last(payment: Payment, capture: Json) -> bool:
    takes_the_rest = capture is payment.captures[-1] and payment.captured == payment.total
    return _is_final(capture) or takes_the_rest


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
