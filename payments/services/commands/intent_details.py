"""Applies the details that a merchant gives to a payment intent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from payments import public_ids
from payments.exceptions import ResourceMissing
from payments.metadata import merged_metadata
from payments.models import Customer, PaymentIntent
from payments.services.callers.caller import Caller
from payments.services.commands.mandates import Acceptance

_PLAIN: Final = (
    *("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix"),
    *("setup_future_usage", "capture_method", "payment_method_types", "return_url"),
)
_AT_CREATION: Final = ("confirmation_method",)
"""Details that are never changed: the application has no right to update their columns."""
DETAIL_FIELDS: Final = (
    *("customer", "order_id", "shipping", "metadata", "automatic_payment_methods"),
    "payment_method_options",
    *("amount_details", "level3"),
    *_PLAIN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDetails:
    """Details of an intent; None means not given, an empty text unsets."""

    customer: str | None = None
    description: str | None = None
    receipt_email: str | None = None
    shipping: dict[str, Any] | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    metadata: dict[str, str] | None = None
    """Merged into what is there: an empty value unsets its key, an empty dict clears all."""
    setup_future_usage: str | None = None
    capture_method: str | None = None
    confirmation_method: str | None = None
    payment_method_types: list[str] | None = None
    """Named types end the automatic choice."""
    automatic_payment_methods: dict[str, Any] | None = None
    payment_method_options: dict[str, dict[str, Any]] | None = None
    """Merged into what is there, option by option."""
    amount_details: dict[str, Any] | None = None
    level3: dict[str, Any] | None = None
    """An empty dict removes them; one is not kept beside the other."""
    return_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """How a charge is to be made."""

    return_url: str = ""
    challenge_allowed: bool = True
    off_session: bool = False
    """The customer is not there: the merchant charges by an earlier agreement, and the PSP is told
    so. No challenge is allowed then either."""
    acceptance: Acceptance | None = None
    """The customer's acceptance of a new mandate, for a method that is debited by one."""
    mandate: str = ""
    """The id of an active mandate of the method; empty: its newest, if it needs one."""


def apply_details_of_charged(
    intent: PaymentIntent, details: IntentDetails | None, caller: Caller
) -> tuple[str, ...]:
    """Apply details to an intent that has a charge; returns the fields to be written.

    Its order, its options and what it keeps of its method stay those that it was charged with.
    """
    if details is None:
        return ()
    kept = replace(details, payment_method_options=None, setup_future_usage=None)
    apply_details(intent, kept, caller)
    return tuple(name for name in DETAIL_FIELDS if name != "order_id")


def apply_facts(intent: PaymentIntent, details: IntentDetails) -> None:
    """Set what routing may ask of a new payment, and no other detail."""
    intent.capture_method = details.capture_method or intent.capture_method
    intent.setup_future_usage = details.setup_future_usage or ""
    intent.payment_method_options = details.payment_method_options or {}
    intent.metadata = merged_metadata({}, details.metadata or {})


def apply_details(intent: PaymentIntent, details: IntentDetails, caller: Caller) -> None:
    """Set what was given on the (unsaved or locked) intent; raises ResourceMissing (customer)."""
    for name in (*_PLAIN, *_AT_CREATION):
        value = getattr(details, name)
        if value is not None:
            setattr(intent, name, value)
    if details.payment_method_types is not None:
        intent.automatic_payment_methods = None
    if details.automatic_payment_methods is not None:
        always = (
            {"allow_redirects": "always"} if details.automatic_payment_methods["enabled"] else {}
        )
        intent.automatic_payment_methods = always | details.automatic_payment_methods
    for method_type, options in (details.payment_method_options or {}).items():
        kept = intent.payment_method_options
        intent.payment_method_options = kept | {method_type: kept.get(method_type, {}) | options}
    if details.amount_details is not None:
        intent.amount_details = details.amount_details or None
    if details.level3 is not None:
        intent.level3 = details.level3 or None
    if details.shipping is not None:
        intent.shipping = details.shipping or None
    if details.customer is not None:
        intent.customer_id = customer_id_of(caller, details.customer) if details.customer else None
    if details.metadata is not None:
        intent.metadata = merged_metadata(intent.metadata, details.metadata)
        intent.order_id = intent.metadata.get("order_id", "")


def customer_id_of(caller: Caller, public_id: str) -> Any:
    """The id of the caller's customer behind a public id; raises ResourceMissing."""
    identifier = public_ids.decode(public_ids.CUSTOMER, public_id)
    if identifier is not None:
        found = Customer.objects.filter(
            pk=identifier,
            merchant_id=caller.merchant.id,
            livemode=caller.livemode,
            deleted_at__isnull=True,
        )
        if found.exists():
            return identifier
    raise ResourceMissing(f"No such customer: '{public_id}'", param="customer")
