"""Sends an operation to its PSP: builds the request, calls the adapter, checks the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ledger.database.statements import release_connection
from payments.models import Operation
from payments.public_ids import created_at_of
from payments.services.psp_gateway.accounts import (
    AccountIdentity,
    adapter_of,
    identity_of,
)
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.services.psp_gateway.references import mandate_reference, reference_of
from payments.services.psp_gateway.retries import TryAgain, call_with_retries
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import (
    LookUp,
    Outcome,
    PspRequest,
    PspResult,
    PurchaseDetails,
    PurchaseLine,
)
from psp_adapters.contract.operations import OperationKind as K
from psp_adapters.registry import BadCredentials

CALL_DEADLINE_SECONDS: Final = 12.0
"""One call, retries included. Less than the lease of an idempotency key, so that no call under way
loses its claim."""
LOOKUP_DEADLINE_SECONDS: Final = 5.0

_CALL_KINDS: Final = {
    K.AUTHORIZE: CallKind.CHARGE,
    K.INCREMENT: CallKind.MODIFY,
    K.CAPTURE: CallKind.MODIFY,
    K.VOID: CallKind.MODIFY,
    K.REFUND: CallKind.MODIFY,
}


def request_of(operation: Operation) -> PspRequest:
    """The request of an operation; always the same for the same operation."""
    return PspRequest(
        kind=K(operation.kind),
        psp_key=operation.psp_key,
        reference=reference_of(operation.id),
        amount=operation.amount,
        psp_payment_id="" if operation.is_charge else operation.psp_payment_id,
        payment_reference=reference_of(operation.charge_id) if operation.charge_id else "",
        payment_sent_at=created_at_of(operation.charge_id) if operation.charge_id else None,
        order_id=operation.order_id,
        token=operation.token,
        capture=operation.capture_now,
        challenge_allowed=operation.challenge_allowed,
        three_d_secure=operation.three_d_secure,
        return_url=operation.return_url,
        save_for=operation.save_for,
        off_session=operation.off_session,
        network_transaction_id=operation.network_transaction_id,
        mandate=mandate_reference(operation.mandate_id),
        final=operation.final,
        purchase=_purchase_of(operation),
    )


def _purchase_of(operation: Operation) -> PurchaseDetails | None:
    kept = operation.purchase_details
    if kept is None:
        return None
    return PurchaseDetails(
        **kept | {"lines": tuple(PurchaseLine(**each) for each in kept["lines"])}
    )


def lookup_of(operation: Operation) -> LookUp:
    """The look-up that finds out what became of an operation."""
    return LookUp(
        kind=K(operation.kind),
        reference="" if operation.is_external else reference_of(operation.id),
        psp_id=operation.psp_id,
        psp_payment_id=operation.psp_payment_id,
        # Stored before the first call: the PSP has it since then at the earliest.
        sent_at=None if operation.is_external else operation.created_at,
        payment_reference=reference_of(operation.charge_id) if operation.charge_id else "",
    )


def send(operation: Operation, *, retry_until: float | None = None) -> PspResult:
    """Send an operation to its PSP. Holds no pooled database connection meanwhile.

    Once, unless `retry_until` (a time of time.monotonic()) is given: then a call that certainly
    did nothing is made again until then, with the same key. Never raises for what the PSP or the
    network does. The result is NOT_SENT at once while the circuit is open, or too many calls are
    under way.
    """
    if operation.is_external:
        raise ValueError(f"{operation.public_id} began at the PSP: it is never sent")
    account = identity_of(operation.psp_account_id)
    try:
        adapter = adapter_of(account)
    except BadCredentials as reason:
        return _refused(str(reason))
    release_connection()
    deadline = time.monotonic() + CALL_DEADLINE_SECONDS
    if retry_until is None:
        result = _send_once(operation, account, adapter, deadline)
    else:
        result = call_with_retries(
            lambda: _send_once(operation, account, adapter, deadline),
            _verdict,
            account_code=account.code,
            kind=_CALL_KINDS[K(operation.kind)].value,
            until_monotonic=min(retry_until, deadline),
        )
    return unknown_if_amount_differs(operation, result)


def _send_once(
    operation: Operation, account: AccountIdentity, adapter: PspAdapter, deadline: float
) -> PspResult:
    kind = K(operation.kind)
    verb: Callable[..., PspResult] = {
        K.AUTHORIZE: adapter.authorize,
        K.INCREMENT: adapter.increment,
        K.CAPTURE: adapter.capture,
        K.VOID: adapter.void,
        K.REFUND: adapter.refund,
    }[kind]
    try:
        with guarded_call(account.code, _CALL_KINDS[kind]) as verdict:
            result = verb(request_of(operation), deadline_seconds=deadline - time.monotonic())
            verdict.healthy = _is_healthy(result)
            verdict.outcome = result.outcome.value
    except CallRefused as refusal:
        return _refused(refusal.reason, refusal.retry_after_seconds)
    return result


def _refused(detail: str, retry_after_seconds: float | None = None) -> PspResult:
    """Certainly not sent, since we did not try."""
    return PspResult(
        outcome=Outcome.NOT_SENT,
        detail=detail,
        retry_after_seconds=retry_after_seconds,
        refused_by_us=True,
    )


def _verdict(result: PspResult) -> TryAgain | None:
    """Only what certainly did nothing, and not what our own breaker refused."""
    if result.outcome is not Outcome.NOT_SENT or result.refused_by_us:
        return None
    return TryAgain(after_seconds=result.retry_after_seconds)


def _is_healthy(result: PspResult) -> bool:
    """A decline is an answer, and so is a rate limit; UNKNOWN or a refused connection is not."""
    if result.outcome is Outcome.NOT_SENT:
        return result.retry_after_seconds is not None
    return result.outcome is not Outcome.UNKNOWN


def unknown_if_amount_differs(operation: Operation, result: PspResult) -> PspResult:
    """The result, or UNKNOWN if its amount is not the operation's: an operator must look."""
    if result.outcome is not Outcome.SUCCEEDED or result.amount in (None, operation.amount):
        return result
    if operation.kind == K.VOID and _is_in(operation.currency, result):
        return result  # It releases whatever is held there, changes unknown to us included.
    return PspResult(
        outcome=Outcome.UNKNOWN,
        psp_id=result.psp_id,
        psp_payment_id=result.psp_payment_id,
        detail=f"asked for {operation.amount}, the answer says {result.amount}",
    )


def _is_in(currency: str, result: PspResult) -> bool:
    return result.amount is not None and result.amount.currency == currency
