"""Creates, changes and deletes customers.

Lock order: idempotency key, customer, payment methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.exceptions import InvalidParameter
from payments.metadata import merged_metadata
from payments.models import Customer, PaymentMethod
from payments.objects.customer import customer_object, deleted_customer_object
from payments.objects.payment_method import payment_method_object
from payments.public_ids import created_at_of
from payments.selectors.customers import one_payment_method, payment_methods
from payments.services.callers.caller import Caller
from payments.services.commands.payment_methods import (
    attach,
    locked_customer,
    prepared_method,
    resolve_at_any_account,
)
from payments.services.idempotency.direct_requests import DirectTx, direct_command
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes.mandates import revoke_mandates
from payments.services.psp_gateway.stored_methods import kept_tokens_of, release_at_psp
from psp_adapters.contract.operations import PspUnavailable

_TEXTS: Final = ("name", "email", "phone", "description")
_CHANGEABLE: Final = (
    *(*_TEXTS, "address", "shipping", "metadata", "preferred_locales", "tax_exempt"),
    *("default_payment_method", "event_seq", "updated_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDetails:
    """What a merchant says about a customer; None means not given, an empty value unsets."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str | None = None
    address: dict[str, Any] | None = None
    shipping: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    preferred_locales: list[str] | None = None
    tax_exempt: str | None = None
    invoice_settings: dict[str, str] | None = None
    """Holds `default_payment_method`: one of the customer."""


def _method_to_attach(
    caller: Caller, *, payment_method: str = "", **_others: Any
) -> PaymentMethod | None:
    return resolve_at_any_account(caller, payment_method) if payment_method else None


@direct_command(prepare=_method_to_attach)
def create_customer(
    tx: DirectTx, *, details: CustomerDetails, payment_method: str = ""
) -> Customer:
    """Create a customer, once per idempotency key, and attach the payment method that is given.

    Raises ResourceMissing and InvalidParameter about the payment methods named.
    """
    method = prepared_method(tx.prepared)
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    customer = Customer(
        id=identifier,
        merchant_id=tx.caller.merchant.id,
        livemode=tx.caller.livemode,
        created_at=created_at,
        updated_at=created_at,
    )
    _apply(customer, details)
    if method is not None:
        method = attach(tx, method, customer)
    default = (details.invoice_settings or {}).get("default_payment_method", "")
    if method is not None and default in (payment_method, method.public_id):
        customer.default_payment_method = method
    else:
        _apply_default(tx, customer, details)
    created = EventDraft("customer.created", customer_object(customer))
    events = events_of(customer, [created], tx.caller)
    tx.batch.insert(customer).insert(*events)
    return customer


@direct_command
def update_customer(tx: DirectTx, *, customer_id: UUID, details: CustomerDetails) -> Customer:
    """Change a customer; metadata is merged. Raises ResourceMissing, for deleted ones too."""
    customer = locked_customer(tx.caller, customer_id, param="id")
    before = customer_object(customer)
    _apply(customer, details)
    _apply_default(tx, customer, details)
    after = customer_object(customer)
    previous = previous_attributes(before, after)
    if previous:
        customer.updated_at = now_utc()
        events = events_of(customer, [EventDraft("customer.updated", after, previous)], tx.caller)
        tx.batch.update(customer, _CHANGEABLE).insert(*events)
    return customer


def delete_customer(*, caller: Caller, customer_id: UUID) -> dict[str, Any]:
    """Delete a customer and detach its payment methods; payments keep naming it.

    What PSPs keep of the methods is released there first: if that is not certain, nothing is
    deleted here, and the request is repeated. Returns the stub that is left. Personal data is
    erased from the row; events and charges stay as they were. Raises ResourceMissing, also the
    second time, and PspUnavailable.
    """
    released = _release_all_at_psps(caller, customer_id)
    with transaction.atomic(durable=True):
        customer = locked_customer(caller, customer_id, param="id")
        last_seen = customer_object(customer)
        now = now_utc()
        batch = Batch()
        _detach_all(customer, caller, batch, released=released)
        for name in _TEXTS:
            setattr(customer, name, "")
        customer.address = customer.shipping = None
        customer.metadata = {}
        customer.default_payment_method = None
        customer.preferred_locales = []
        customer.deleted_at = customer.updated_at = now
        events = events_of(customer, [EventDraft("customer.deleted", last_seen)], caller)
        batch.update(customer, (*_CHANGEABLE, "deleted_at")).insert(*events).execute()
    return deleted_customer_object(customer)


def _release_all_at_psps(caller: Caller, customer_id: UUID) -> frozenset[tuple[UUID, str]]:
    """Have the PSPs release what they keep of a customer's methods; what that was."""
    kept = kept_tokens_of(payment_methods(caller.scope).filter(customer_id=customer_id))
    for (_account_id, token), method in kept.items():
        release_at_psp(method, token)
    return frozenset(kept)


def _detach_all(
    customer: Customer, caller: Caller, batch: Batch, *, released: frozenset[tuple[UUID, str]]
) -> None:
    """Detach every payment method of a locked customer, with an event for each."""
    rows = payment_methods(caller.scope).select_for_update().filter(customer_id=customer.id)
    methods = list(rows.order_by("id"))
    if kept_tokens_of(methods).keys() - released:
        raise PspUnavailable("the provider has kept a method meanwhile, and must release it first")
    for method in methods:
        before = payment_method_object(method)
        method.customer_id = None
        method.detached_at = method.updated_at = now_utc()
        after = payment_method_object(method)
        draft = EventDraft("payment_method.detached", after, previous_attributes(before, after))
        batch.insert(*events_of(method, [draft], caller))
        revoke_mandates(batch, method, caller)
        batch.update(method, ("customer", "detached_at", "event_seq", "updated_at"))


def _apply_default(tx: DirectTx, customer: Customer, details: CustomerDetails) -> None:
    """Set or unset the default payment method; detaching it waits for the customer's lock."""
    named = (details.invoice_settings or {}).get("default_payment_method")
    if named is None:
        return
    if not named:
        customer.default_payment_method = None
        return
    param = "invoice_settings[default_payment_method]"
    method = one_payment_method(tx.caller.scope, named, param=param)
    if method.customer_id != customer.id:
        raise InvalidParameter(
            f"The payment method {named} is not attached to this customer. Attach it first, with "
            "POST /v1/payment_methods/{id}/attach.",
            param=param,
            code="payment_method_customer_mismatch",
        )
    customer.default_payment_method = method


def _apply(customer: Customer, details: CustomerDetails) -> None:
    for name in _TEXTS:
        value = getattr(details, name)
        if value is not None:
            setattr(customer, name, value)
    if details.address is not None:
        customer.address = details.address or None
    if details.shipping is not None:
        customer.shipping = details.shipping or None
    if details.metadata is not None:
        customer.metadata = merged_metadata(customer.metadata, details.metadata)
    if details.preferred_locales is not None:
        customer.preferred_locales = details.preferred_locales
    if details.tax_exempt is not None:
        customer.tax_exempt = details.tax_exempt or "none"
