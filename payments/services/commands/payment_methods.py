"""Payment methods: made from a PSP's token, attached to a customer, detached for good.

Lock order: idempotency key, customer, payment method. A token is described by its PSP before any
transaction begins. What may not live here: card numbers, charging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import InvalidParameter, PaymentRefused
from payments.metadata import merged_metadata
from payments.models import PaymentMethod
from payments.objects.payment_method import payment_method_object
from payments.public_ids import created_at_of
from payments.selectors.customers import one_payment_method, payment_methods
from payments.selectors.scope import PAYMENT_METHOD, Scope, refuse_missing
from payments.services.callers.caller import Answer, Caller
from payments.services.commands.customers import locked_customer
from payments.services.idempotency.direct_requests import DirectRenderer, answer_once
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.psp_gateway.token_lookup import described_token
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.tokens import PaymentToken

T = TypeVar("T")

_CHANGEABLE: Final = (
    "billing_details",
    "metadata",
    "customer",
    "detached_at",
    "event_seq",
    "updated_at",
)

MethodRenderer = DirectRenderer[PaymentMethod]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDetails:
    """What a merchant says about a method; None means not given, an empty value unsets."""

    billing_details: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None


def resolve_payment_method(caller: Caller, reference: str) -> PaymentMethod:
    """The method that a merchant names: a saved one of ours, or a new unsaved one of a PSP's token.

    Asks the PSP about a token, so it is called outside transactions and gives this thread's
    database connection back. Refuses with ResourceMissing; raises PspUnavailable.
    """
    if public_ids.decode(public_ids.PAYMENT_METHOD, reference) is not None:
        return one_payment_method(_scope(caller), reference)
    return _new_method(caller, described_token(caller, reference, param="payment_method"))


def find_payment_method(caller: Caller, reference: str) -> Callable[[], PaymentMethod | None]:
    """Resolve a method before transaction 1, and refuse only inside it.

    A repeat whose key has an answer gets that answer, even if the PSP cannot be asked any more. An
    empty reference finds None.
    """
    if not reference:
        return lambda: None
    return found_or_refused(lambda: resolve_payment_method(caller, reference))


def found_or_refused(ask: Callable[[], T]) -> Callable[[], T]:
    """Ask now; hand the answer, or the refusal, to whoever calls later."""
    try:
        found = ask()
    except (PaymentRefused, PspUnavailable) as error:
        refusal = error

        def refuse() -> T:
            raise refusal

        return refuse
    return lambda: found


def create_payment_method(
    *,
    caller: Caller,
    renderer: MethodRenderer,
    method_type: str,
    token: str,
    details: MethodDetails,
) -> Answer:
    """Keep a PSP's token as a payment method, once per idempotency key.

    Refuses with ResourceMissing (no such token) and InvalidParameter (a token of another type).
    """
    param = f"{method_type}[token]"
    describe = found_or_refused(lambda: described_token(caller, token, param=param))

    def work(batch: Batch) -> Answer:
        described = describe()
        if described.method_type != method_type:
            raise InvalidParameter(
                f"The token is for a payment method of type {described.method_type}, not "
                f"{method_type}.",
                param="type",
            )
        method = _new_method(caller, described)
        _put(method, details)
        batch.insert(method)
        return renderer(method, caller)

    return answer_once(caller, work)


def update_payment_method(
    *, caller: Caller, renderer: MethodRenderer, method_id: UUID, details: MethodDetails
) -> Answer:
    """Change billing details and metadata, both merged. Refuses with ResourceMissing."""

    def work(batch: Batch) -> Answer:
        method = _locked_method(caller, method_id)
        before = payment_method_object(method)
        _put(method, details)
        after = payment_method_object(method)
        previous = previous_attributes(before, after)
        if previous:
            _tell(batch, method, EventDraft("payment_method.updated", after, previous), caller)
        return renderer(method, caller)

    return answer_once(caller, work)


def attach_payment_method(
    *, caller: Caller, renderer: MethodRenderer, reference: str, customer_id: UUID
) -> Answer:
    """Attach a method to a customer; `reference` may be a PSP's token as well.

    Attaching it again to the same customer changes nothing. Refuses with ResourceMissing, and with
    InvalidParameter what was detached before or belongs to somebody else.
    """
    resolve = found_or_refused(lambda: resolve_payment_method(caller, reference))

    def work(batch: Batch) -> Answer:
        resolved = resolve()
        customer = locked_customer(caller, customer_id, param="customer")
        is_new = resolved._state.adding
        method = resolved if is_new else _locked_method(caller, resolved.id)
        if method.customer_id == customer.id:
            return renderer(method, caller)
        _require_attachable(method)
        before = payment_method_object(method)
        method.customer_id = customer.id
        after = payment_method_object(method)
        fact = EventDraft("payment_method.attached", after, previous_attributes(before, after))
        if is_new:
            batch.insert(*events_of(method, [fact], caller)).insert(method)
        else:
            _tell(batch, method, fact, caller)
        return renderer(method, caller)

    return answer_once(caller, work)


def detach_payment_method(*, caller: Caller, renderer: MethodRenderer, method_id: UUID) -> Answer:
    """Detach a method from its customer, for good: it cannot be attached or charged again.

    Refuses with ResourceMissing, and with InvalidParameter what is not attached.
    """

    def work(batch: Batch) -> Answer:
        method = _locked_method(caller, method_id)
        if method.customer_id is None:
            raise InvalidParameter(
                "The payment method you provided is not attached to a customer so detachment is "
                "impossible.",
                param="payment_method",
                code="payment_method_unexpected_state",
            )
        before = payment_method_object(method)
        method.customer_id = None
        method.detached_at = now_utc()
        after = payment_method_object(method)
        fact = EventDraft("payment_method.detached", after, previous_attributes(before, after))
        _tell(batch, method, fact, caller)
        return renderer(method, caller)

    return answer_once(caller, work)


def _scope(caller: Caller) -> Scope:
    return Scope(caller.merchant.id, caller.livemode)


def _new_method(caller: Caller, described: PaymentToken) -> PaymentMethod:
    identifier = public_ids.new_id()
    created_at = created_at_of(identifier)
    return PaymentMethod(
        id=identifier,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        psp_account_id=caller.psp_account.id,
        token=described.token,
        method_type=described.method_type,
        brand=described.brand,
        funding=described.funding,
        last4=described.last4,
        expiry_month=described.expiry_month,
        expiry_year=described.expiry_year,
        country=described.country,
        fingerprint=described.fingerprint,
        created_at=created_at,
        updated_at=created_at,
    )


def _locked_method(caller: Caller, method_id: UUID) -> PaymentMethod:
    rows = payment_methods(_scope(caller)).select_for_update()
    method = rows.filter(pk=method_id).first()
    if method is None:
        refuse_missing(PAYMENT_METHOD, public_ids.encode(public_ids.PAYMENT_METHOD, method_id))
    return method


def _require_attachable(method: PaymentMethod) -> None:
    if method.detached_at is not None:
        raise InvalidParameter(
            "This PaymentMethod was detached from a Customer, and may not be used again. Create a "
            "new one from a new token.",
            param="payment_method",
            code="payment_method_unexpected_state",
        )
    if method.customer_id is not None:
        raise InvalidParameter(
            "The payment method you provided has already been attached to another customer.",
            param="payment_method",
            code="payment_method_unexpected_state",
        )


def _put(method: PaymentMethod, details: MethodDetails) -> None:
    if details.billing_details is not None:
        method.billing_details = {**method.billing_details, **details.billing_details}
    if details.metadata is not None:
        method.metadata = merged_metadata(method.metadata, details.metadata)


def _tell(batch: Batch, method: PaymentMethod, fact: EventDraft, caller: Caller) -> None:
    """Write a changed method with its event."""
    method.updated_at = now_utc()
    events = events_of(method, [fact], caller)
    batch.update(method, _CHANGEABLE).insert(*events)
