"""Renders what a command changed as the answer to its caller: status, body, expansion.

Commands call these inside their transaction; a replay gets the same bytes. Nothing here may write.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from payments.api.errors import INVALID_REQUEST, card_error_body, error_body
from payments.api.expansion import expand
from payments.clock import now_utc
from payments.models import (
    Customer,
    Operation,
    PaymentLink,
    PaymentMethod,
    SetupAttempt,
    WebhookEndpoint,
)
from payments.objects.charge import charge_object
from payments.objects.checkout_session import (
    checkout_session_object,
    link_lines_object,
    payment_link_object,
)
from payments.objects.customer import customer_object
from payments.objects.dispute import dispute_object
from payments.objects.event import webhook_endpoint_object
from payments.objects.parts import public_id
from payments.objects.payment_intent import payment_intent_object
from payments.objects.payment_method import charged_method_object, payment_method_object
from payments.objects.refund import refund_object
from payments.objects.setup_intent import (
    declined_method_object,
    setup_attempt_object,
    setup_intent_object,
)
from payments.public_ids import CHARGE
from payments.selectors.payments import charges
from payments.services.callers.caller import Answer, Caller, SetupSubject, Subject
from payments.services.checkout.sessions import session_of
from payments.services.merchant_webhooks.endpoints import sealed_for_answer
from payments.services.outcomes.payment_state import EXPIRED_CODE
from payments.states import OperationStatus, ResponseStatus, SetupAttemptStatus
from psp_adapters.contract.operations import REQUEST_REFUSED, OperationKind

_TO_CHARGE: Final = frozenset({"charge", "latest_charge"})
_DECLINED_BY_BANK: Final = frozenset({OperationKind.AUTHORIZE, OperationKind.INCREMENT})


def render_intent(subject: Subject, caller: Caller) -> Answer:
    """The intent; 402 if this request's charge was declined, 400 if its capture or void was."""
    operation = subject.operation
    if operation is not None and operation.status == OperationStatus.DECLINED:
        return _render_declined(subject, operation)
    shown = payment_intent_object(subject.intent)
    if caller.expand:
        known = _known(subject, caller)
        expand([shown], "payment_intent", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_charge(subject: Subject, caller: Caller) -> Answer:
    """The charge of the payment that was changed; 400 if its capture was refused."""
    intent, operation = subject.intent, subject.operation
    if operation is not None and operation.status == OperationStatus.DECLINED:
        return _render_declined(subject, operation)
    charge = _latest_charge(subject, caller)
    if charge is None:
        raise ValueError("a charge is rendered from a payment that has one")
    shown = charge_object(charge, intent)
    if caller.expand:
        payment = payment_intent_object(intent)
        expand([shown], "charge", caller.expand, caller.scope, known={payment["id"]: payment})
    return answer_of(200, shown)


def render_refund(subject: Subject, caller: Caller) -> Answer:
    """The refund, also a failed one: that is no error of the request."""
    refund = subject.refund
    if refund is None or (subject.operation is None and refund.operation_id is not None):
        raise ValueError("a refund is rendered from itself and its operation")
    shown = refund_object(refund, subject.intent, subject.operation)
    if caller.expand:
        known = _known(subject, caller)
        expand([shown], "refund", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_dispute(subject: Subject, caller: Caller) -> Answer:
    """The dispute; 400 if the PSP refused this request's response to it."""
    dispute, response = subject.dispute, subject.response
    if dispute is None:
        raise ValueError("a dispute is rendered from itself")
    if response is not None and response.status == ResponseStatus.DECLINED:
        code = response.code or "dispute_unexpected_state"
        message = response.message or "The payment provider refused the response to this dispute."
        return answer_of(400, error_body(INVALID_REQUEST, code, message))
    shown = dispute_object(dispute, now=now_utc())
    if caller.expand:
        intent = payment_intent_object(subject.intent)
        known = {intent["id"]: intent}
        expand([shown], "dispute", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_setup_intent(subject: SetupSubject, caller: Caller) -> Answer:
    """The setup intent; 402 if this request's attempt was declined, 400 if refused as invalid."""
    setup, attempt = subject.setup_intent, subject.attempt
    shown = setup_intent_object(setup)
    if attempt is not None and attempt.status == SetupAttemptStatus.DECLINED:
        return _render_declined_setup(attempt, shown)
    if caller.expand:
        known = {}
        if attempt is not None:
            tried = setup_attempt_object(attempt)
            known[tried["id"]] = tried
        expand([shown], "setup_intent", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def _render_declined_setup(attempt: SetupAttempt, shown: dict[str, Any]) -> Answer:
    if attempt.code == REQUEST_REFUSED:
        body = error_body(INVALID_REQUEST, attempt.code, attempt.message, setup_intent=shown)
        return answer_of(400, body)
    body = card_error_body(
        code=attempt.code,
        message=attempt.message,
        decline_code=attempt.decline_code,
        setup_intent=shown,
        payment_method=declined_method_object(attempt),
    )
    return answer_of(402, body)


def render_session(subject: Subject, caller: Caller) -> Answer:
    """The checkout session of the payment that was changed, as it now stands."""
    intent = subject.intent
    shown = checkout_session_object(session_of(intent), intent)
    if caller.expand:
        payment = payment_intent_object(intent)
        known = {payment["id"]: payment}
        expand([shown], "checkout.session", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_setup_session(subject: SetupSubject, caller: Caller) -> Answer:
    """The checkout session of the setup intent that was changed, as it now stands."""
    setup = subject.setup_intent
    shown = checkout_session_object(session_of(setup), setup)
    if caller.expand:
        kept = setup_intent_object(setup)
        known = {kept["id"]: kept}
        expand([shown], "checkout.session", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_payment_link(link: PaymentLink, caller: Caller) -> Answer:
    """The payment link."""
    shown = payment_link_object(link)
    if "line_items" in caller.expand:  # Its row may not be written yet.
        shown["line_items"] = link_lines_object(link)
    return answer_of(200, shown)


def render_customer(customer: Customer, caller: Caller) -> Answer:
    """The customer."""
    shown = customer_object(customer)
    if caller.expand:
        chosen = customer.default_payment_method
        known = {chosen.public_id: payment_method_object(chosen)} if chosen else {}
        expand([shown], "customer", caller.expand, caller.scope, known=known)
    return answer_of(200, shown)


def render_payment_method(method: PaymentMethod, caller: Caller) -> Answer:
    """The payment method."""
    shown = payment_method_object(method)
    if caller.expand:
        expand([shown], "payment_method", caller.expand, caller.scope)
    return answer_of(200, shown)


def render_new_webhook_endpoint(endpoint: WebhookEndpoint, caller: Caller) -> Answer:
    """The endpoint with its secret, which the stored answer holds encrypted."""
    shown = webhook_endpoint_object(endpoint, secret=sealed_for_answer(endpoint))
    return answer_of(200, shown)


def render_webhook_endpoint(endpoint: WebhookEndpoint, caller: Caller) -> Answer:
    """The endpoint, without its secret."""
    return answer_of(200, webhook_endpoint_object(endpoint))


def answer_of(status: int, body: dict[str, Any]) -> Answer:
    """An answer with its final bytes."""
    return Answer(status=status, body=orjson.dumps(body).decode())


def _known(subject: Subject, caller: Caller) -> dict[str, dict[str, Any]]:
    """The command's objects in memory: their rows may not be written yet."""
    intent, operation, refund = subject.intent, subject.operation, subject.refund
    shown = [payment_intent_object(intent)]
    if refund is not None:
        shown.append(refund_object(refund, intent, operation))
    charge = _charge_of(subject, caller)
    if charge is not None:
        shown.append(charge_object(charge, intent))
    return {row["id"]: row for row in shown}


def _charge_of(subject: Subject, caller: Caller) -> Operation | None:
    """The charge that the answer shows, with what this command changes of it."""
    operation = subject.operation
    if operation is None or operation.is_charge:
        return operation
    if not _TO_CHARGE & {path.split(".")[0] for path in caller.expand}:
        return None
    return _latest_charge(subject, caller)


def _latest_charge(subject: Subject, caller: Caller) -> Operation | None:
    """The payment's latest charge; its first capture may not be written to it yet."""
    charge_id = subject.intent.latest_charge_id
    if charge_id is None:
        return None
    charge = charges(caller.scope).get(pk=charge_id)
    capture = subject.operation
    if capture is not None and capture.kind == OperationKind.CAPTURE:
        charge.balance_transaction_id = (
            charge.balance_transaction_id or capture.balance_transaction_id
        )
    return charge


def _render_declined(subject: Subject, operation: Operation) -> Answer:
    """An error body with the intent, which can be confirmed again with another method."""
    shown = payment_intent_object(subject.intent)
    method = _method_of(subject, operation)
    if shown["last_payment_error"] and method is not None:
        shown["last_payment_error"].setdefault("payment_method", method)
    message = operation.message or "The payment provider refused this operation."
    by_bank = operation.kind in _DECLINED_BY_BANK
    if not by_bank or operation.code in (EXPIRED_CODE, REQUEST_REFUSED):
        code = operation.code or "payment_intent_unexpected_state"
        return answer_of(400, error_body(INVALID_REQUEST, code, message, payment_intent=shown))
    body = card_error_body(
        code=operation.code or "card_declined",
        message=message,
        decline_code=operation.decline_code,
        charge_id=public_id(CHARGE, operation.id) if operation.is_charge else "",
        payment_intent=shown,
    )
    if method is not None:
        body["error"]["payment_method"] = method
    return answer_of(402, body)


def _method_of(subject: Subject, operation: Operation) -> dict[str, Any] | None:
    snapshot = operation.payment_method_details
    if operation.payment_method_id is None or not snapshot:
        return None
    return charged_method_object(
        operation.payment_method_id,
        snapshot,
        customer_id=subject.intent.customer_id,
        livemode=operation.livemode,
    )
