"""Creates payment methods of a PSP, attaches them to customers, detaches them for good.

Lock order: idempotency key, customer, payment method. A token is described by its PSP before any
transaction begins. Card numbers never come here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from ledger.database.instances import new_instance
from ledger.database.row_ids import new_row_id
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import InvalidParameter
from payments.metadata import merged_metadata
from payments.models import Customer, PaymentMethod
from payments.objects.customer import customer_object
from payments.objects.payment_method import payment_method_object
from payments.public_ids import created_at_of
from payments.selectors.customers import customers, one_payment_method, payment_methods
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, refuse_missing
from payments.services.callers.caller import Caller, Prepared
from payments.services.commands.token_search import at_first_that_knows
from payments.services.idempotency.direct_requests import DirectTx, direct_command
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes.mandates import revoke_mandates
from payments.services.psp_gateway.accounts import capabilities_of
from payments.services.psp_gateway.stored_methods import kept_token_of, release_at_psp
from payments.services.psp_gateway.token_lookup import described_token
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import PaymentToken

_CHANGEABLE: Final = (
    "billing_details",
    "metadata",
    "allow_redisplay",
    "customer",
    "detached_at",
    "event_seq",
    "updated_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDetails:
    """What a merchant says about a method; None means not given, an empty value unsets."""

    billing_details: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    allow_redisplay: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMethod:
    """A method that a payment is to be charged with, and what the merchant says about it."""

    method_type: str
    token: str
    """Empty for a type that the PSP begins without one."""
    details: MethodDetails
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """Tokens of the same method at other PSP accounts, by the account's code."""


def resolve_payment_method(caller: Caller, reference: str) -> PaymentMethod:
    """The method that a merchant names: a saved one of ours, or a new unsaved one of a PSP's token.

    Asks the PSP about a token, so it is called outside transactions and gives this thread's
    database connection back. Raises ResourceMissing or PspUnavailable.
    """
    if public_ids.decode(public_ids.PAYMENT_METHOD, reference) is not None:
        return one_payment_method(caller.scope, reference)
    return method_of_token(caller, described_token(caller, reference, param="payment_method"))


def resolve_at_any_account(caller: Caller, reference: str) -> PaymentMethod:
    """As `resolve_payment_method`; a token may be of any account that the merchant may use."""
    if public_ids.decode(public_ids.PAYMENT_METHOD, reference) is not None:
        return one_payment_method(caller.scope, reference)
    return at_first_that_knows(caller, lambda at: resolve_payment_method(at, reference))


def named_payment_method(
    caller: Caller, *, payment_method: str | NewMethod = "", **_others: Any
) -> PaymentMethod | None:
    """The `prepare` step of commands that charge: the method named, None if none is."""
    if isinstance(payment_method, NewMethod):
        return _unsaved_method(caller, payment_method)
    return resolve_payment_method(caller, payment_method) if payment_method else None


def named_at_any_account(
    caller: Caller, *, payment_method: str | NewMethod = "", **_others: Any
) -> PaymentMethod | None:
    """As `named_payment_method`, of any account that the merchant may use."""
    if isinstance(payment_method, NewMethod):
        return at_first_that_knows(caller, lambda at: _unsaved_method(at, payment_method))
    return resolve_at_any_account(caller, payment_method) if payment_method else None


def _unsaved_method(caller: Caller, new: NewMethod) -> PaymentMethod:
    own_code = caller.psp_account.code
    described = _described(
        caller,
        method_type=new.method_type,
        token=new.alternatives.get(own_code, new.token),
        type_param="payment_method_data[type]",
        token_param=f"payment_method_data[{new.method_type}][token]",
    )
    method = method_of_token(caller, described)
    method.alternatives = {c: token for c, token in new.alternatives.items() if c != own_code}
    _apply(method, new.details)
    return method


def prepared_method(prepared: Prepared) -> PaymentMethod | None:
    """The method of the `prepare` step; a new one gets its id now, in the transaction."""
    method: PaymentMethod | None = prepared.get()
    if method is not None and method._state.adding:
        give_id(method)
    return method


def _method_to_attach(caller: Caller, *, reference: str, **_others: Any) -> PaymentMethod:
    return resolve_at_any_account(caller, reference)


def _method_alone(caller: Caller, *, method_type: str, token: str, **_others: Any) -> PaymentMethod:
    return at_first_that_knows(
        caller,
        lambda at: method_of_token(
            at,
            _described(
                at,
                method_type=method_type,
                token=token,
                type_param="type",
                token_param=f"{method_type}[token]",
            ),
        ),
    )


def _described(
    caller: Caller, *, method_type: str, token: str, type_param: str, token_param: str
) -> PaymentToken:
    """What the PSP says of a token, or of a type that it begins without one.

    Raises ResourceMissing, PspUnavailable, and InvalidParameter for a type that the PSP does not
    charge, or not without a token.
    """
    can = capabilities_of(caller.psp_account.id)
    if method_type not in can.method_types:
        raise InvalidParameter(
            f"The payment provider of this account charges no payment method of type "
            f"{method_type}. Use one of type {' or '.join(can.method_types)}.",
            param=type_param,
        )
    sent = token or can.bare_method_types.get(method_type, "")
    if not sent:
        bare = " or ".join(can.bare_method_types) or "none"
        raise InvalidParameter(
            f"A payment by {method_type} needs a token: let the payment provider's own fields "
            f"collect the details, and pass the token that they return as {token_param}. Types "
            f"that need no token: {bare}.",
            param=type_param,
            code="parameter_missing",
        )
    described = described_token(caller, sent, param=token_param)
    if described.method_type != method_type:
        raise InvalidParameter(
            f"The token is for a payment method of type {described.method_type}, not "
            f"{method_type}.",
            param=type_param,
        )
    return described


@direct_command(prepare=_method_alone)
def create_payment_method(
    tx: DirectTx, *, method_type: str, token: str, details: MethodDetails
) -> PaymentMethod:
    """Keep a PSP's token, or a type that needs none, as a payment method, once per key.

    It belongs to the account that knows the token. Raises ResourceMissing (no such token) and
    InvalidParameter (a token of another type, or none).
    """
    method = prepared_method(tx.prepared)
    assert method is not None, "it was looked up before"
    _apply(method, details)
    tx.batch.insert(method)
    return method


@direct_command
def update_payment_method(
    tx: DirectTx, *, method_id: UUID, details: MethodDetails
) -> PaymentMethod:
    """Change billing details and metadata, both merged. Raises ResourceMissing."""
    method = _locked_method(tx.caller, method_id)
    before = payment_method_object(method)
    _apply(method, details)
    after = payment_method_object(method)
    previous = previous_attributes(before, after)
    if previous:
        _write(tx, method, EventDraft("payment_method.updated", after, previous))
    return method


@direct_command(prepare=_method_to_attach)
def attach_payment_method(tx: DirectTx, *, reference: str, customer_id: UUID) -> PaymentMethod:
    """Attach a method to a customer; `reference` may be a PSP's token as well.

    Attaching it again to the same customer changes nothing. Raises ResourceMissing, and
    InvalidParameter if it was detached before or belongs to another customer.
    """
    resolved = prepared_method(tx.prepared)
    assert resolved is not None, "it was looked up before"
    customer = locked_customer(tx.caller, customer_id, param="customer")
    return attach(tx, resolved, customer)


def attach(tx: DirectTx, resolved: PaymentMethod, customer: Customer) -> PaymentMethod:
    """Attach a method, new or saved, to a customer that is locked or new; returns the method."""
    is_new = resolved._state.adding
    method = resolved if is_new else _locked_method(tx.caller, resolved.id)
    if method.customer_id == customer.id:
        return method
    _require_attachable(method)
    before = payment_method_object(method)
    method.customer_id = customer.id
    after = payment_method_object(method)
    draft = EventDraft("payment_method.attached", after, previous_attributes(before, after))
    if is_new:
        tx.batch.insert(*events_of(method, [draft], tx.caller)).insert(method)
    else:
        _write(tx, method, draft)
    return method


def _release_at_psp(caller: Caller, *, method_id: UUID) -> str:
    """Have the PSP release what it keeps of an attached method; what that was."""
    method = payment_methods(caller.scope).filter(pk=method_id, customer__isnull=False).first()
    kept = "" if method is None else kept_token_of(method)
    if method is not None and kept:
        release_at_psp(method, kept)
    return kept


@direct_command(prepare=_release_at_psp)
def detach_payment_method(tx: DirectTx, *, method_id: UUID) -> PaymentMethod:
    """Detach a method from its customer, for good: it cannot be attached or charged again.

    If it was the customer's default, the customer has none afterwards. What a PSP keeps is released
    there first: if that is not certain, nothing is detached here, and the request is repeated.

    Raises ResourceMissing, InvalidParameter if it is not attached, and PspUnavailable.
    """
    released = tx.prepared.get()
    owner_id = payment_methods(tx.caller.scope).filter(pk=method_id).values("customer_id")[:1]
    customers_of = customers(tx.caller.scope).select_for_update().filter(pk__in=owner_id)
    customer = customers_of.first()
    method = _locked_method(tx.caller, method_id)
    if customer is None or method.customer_id is None:
        raise InvalidParameter(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            param="payment_method",
            code="payment_method_unexpected_state",
        )
    if kept_token_of(method) not in ("", released):
        raise PspUnavailable("the provider has kept it meanwhile, and must release that first")
    before = payment_method_object(method)
    method.customer_id = None
    method.detached_at = now_utc()
    after = payment_method_object(method)
    draft = EventDraft("payment_method.detached", after, previous_attributes(before, after))
    _write(tx, method, draft)
    revoke_mandates(tx.batch, method, tx.caller)
    if customer.default_payment_method_id == method.id:
        _clear_default(tx, customer)
    return method


def _clear_default(tx: DirectTx, customer: Customer) -> None:
    before = customer_object(customer)
    customer.default_payment_method = None
    customer.updated_at = now_utc()
    after = customer_object(customer)
    draft = EventDraft("customer.updated", after, previous_attributes(before, after))
    tx.batch.insert(*events_of(customer, [draft], tx.caller))
    tx.batch.update(customer, ("default_payment_method", "event_seq", "updated_at"))


def locked_customer(caller: Caller, customer_id: UUID, *, param: str) -> Customer:
    """The caller's customer, locked until the transaction ends; raises ResourceMissing."""
    customer = customers(caller.scope).select_for_update().filter(pk=customer_id).first()
    if customer is None:
        public_id = public_ids.encode(public_ids.CUSTOMER, customer_id)
        refuse_missing(CUSTOMER, public_id, param=param)
    return customer


def method_of_token(caller: Caller, described: PaymentToken) -> PaymentMethod:
    """The unsaved method of a token that the caller's PSP account knows; it has no id yet."""
    return new_instance(
        PaymentMethod,
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
    )


def give_id(method: PaymentMethod) -> None:
    """Give a new method its id and times, inside the transaction that writes it."""
    method.id = new_row_id()
    method.created_at = method.updated_at = created_at_of(method.id)


def _locked_method(caller: Caller, method_id: UUID) -> PaymentMethod:
    rows = payment_methods(caller.scope).select_for_update()
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


def _apply(method: PaymentMethod, details: MethodDetails) -> None:
    if details.billing_details is not None:
        method.billing_details = {**method.billing_details, **details.billing_details}
    if details.metadata is not None:
        method.metadata = merged_metadata(method.metadata, details.metadata)
    if details.allow_redisplay is not None:
        method.allow_redisplay = details.allow_redisplay


def _write(tx: DirectTx, method: PaymentMethod, draft: EventDraft) -> None:
    """Write a changed method with its event."""
    method.updated_at = now_utc()
    events = events_of(method, [draft], tx.caller)
    tx.batch.update(method, _CHANGEABLE).insert(*events)
