"""The payment intent as the merchant sees it, with one of Stripe's seven statuses."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.models import PaymentIntent
from payments.objects.amount_details import AMOUNT_DETAILS, amount_details_object
from payments.objects.fields import (
    ObjectType,
    always,
    always_null,
    any_of,
    created,
    currency,
    example_id,
    flag,
    id_of,
    list_of,
    livemode,
    metadata,
    minor,
    named,
    null_ids,
    one_of,
    own_id,
    record,
    second,
    text,
)
from payments.objects.parts import (
    public_id,
    reference,
    shipping_field,
    shipping_object,
    unix_seconds,
    unix_seconds_of,
)
from payments.objects.payment_method import charged_method_object
from payments.states import INTENT_SHOWN_AS, IntentStatus

NEXT_ACTION: Final = {
    "type": always("The customer must be sent to a page.", "redirect_to_url"),
    "redirect_to_url": record(
        "The page.",
        {
            "url": text("Send the customer's browser there.", "https://psp.example/challenge/c1"),
            "return_url": text(
                "Where the customer comes back to.",
                sample="https://shop.example/orders/6735",
                nullable=True,
            ),
        },
    ),
}
_LAST_ERROR: Final = {
    "charge": text("The charge that failed.", sample=example_id(public_ids.CHARGE)).but(
        absent=True
    ),
    "code": text("As in errors, such as `card_declined`.", sample="card_declined"),
    "decline_code": text(
        "The bank's reason, such as `insufficient_funds`.", sample="insufficient_funds"
    ).but(absent=True),
    "message": text(
        "A sentence; of a `card_error` it may be shown to the customer.",
        sample="Your card has insufficient funds.",
    ),
    "payment_method": any_of("What was declined.", "payment_method").but(absent=True),
    "type": one_of("As in errors.", "card_error", "invalid_request_error"),
}
_CARD_OPTIONS: Final = {
    "request_three_d_secure": one_of(
        "`automatic`: the PSP decides. `any`, `challenge`: 3-D Secure where the card supports it.",
        *("automatic", "any", "challenge"),
    ),
    **{
        f"request_{what}": one_of(
            "As you asked; `payment_method_details.card` of the charge says what it got.",
            *("if_available", "never"),
        ).but(absent=True, example=None)
        for what in (
            *("multicapture", "incremental_authorization", "overcapture"),
            "extended_authorization",
        )
    },
    **always_null("installments", "mandate_options", "network"),
}
_NO_CARD_OPTIONS: Final = {
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
}
_STATUSES: Final = (
    *("requires_payment_method", "requires_confirmation", "requires_action", "processing"),
    *("requires_capture", "succeeded", "canceled"),
)

PAYMENT_INTENT: Final = ObjectType(
    "payment_intent",
    "One payment: of an order, say. It can be tried several times and succeeds once at most.",
    {
        "id": own_id(public_ids.PAYMENT_INTENT),
        "object": named("payment_intent"),
        "amount": minor("What the customer is to pay.", 1250),
        "amount_capturable": minor("What is held and can be captured.", 0),
        "amount_details": record("What the amount is made of.", AMOUNT_DETAILS).but(
            expands="amount_details"
        ),
        "amount_received": minor("What was captured.", 1250),
        "automatic_payment_methods": record(
            "The automatic choice of payment methods; null if the merchant named types.",
            {
                "allow_redirects": one_of(
                    "Whether methods that send the customer to another page are taken.",
                    "always",
                    "never",
                ).but(absent=True),
                "enabled": flag("Whether the platform chooses.", example=True),
            },
            nullable=True,
            shown=False,
        ),
        "canceled_at": second("When it was canceled; null if it was not.", nullable=True),
        "cancellation_reason": one_of(
            "Why it was canceled; null if it was not, or without a reason.",
            *("abandoned", "duplicate", "expired", "fraudulent", "requested_by_customer"),
            nullable=True,
        ),
        "capture_method": one_of(
            "`automatic`: captured at once. `manual`: held until you capture it.",
            "automatic",
            "manual",
        ),
        "client_secret": text("For clients of this payment only. Never log it.", "pi_…_secret_…"),
        "confirmation_method": one_of(
            "After a challenge the payment goes on by itself. `manual`: confirm again to get the "
            "result.",
            "automatic",
            "manual",
        ),
        "created": created("the payment"),
        "currency": currency(),
        "customer": id_of("customer", "Who pays; null without a customer.", nullable=True),
        "description": text("Your own text.", "Order 6735", nullable=True),
        "last_payment_error": record(
            "Why the last charge failed; null if none did.", _LAST_ERROR, nullable=True, shown=False
        ),
        "latest_charge": id_of(
            "charge", "The last charge; null before the first.", public_ids.CHARGE, nullable=True
        ),
        "livemode": livemode(),
        "metadata": metadata(),
        "next_action": record(
            "What the customer must do; null unless `status` is `requires_action`.",
            NEXT_ACTION,
            nullable=True,
            shown=False,
        ),
        "payment_method": id_of(
            "payment_method",
            "What is charged; null before one is chosen, and after a decline.",
            public_ids.PAYMENT_METHOD,
            nullable=True,
        ),
        "payment_method_options": record(
            "What is asked of the PSP, by type of method.",
            {"card": record("Of cards, if they are allowed.", _CARD_OPTIONS).but(absent=True)},
        ),
        "payment_method_types": list_of(
            "What it may be paid with.", text("A type of payment method."), ["card"]
        ),
        "receipt_email": text(
            "Kept for you: no receipts are sent.", sample="ada@example.com", nullable=True
        ),
        "setup_future_usage": one_of(
            "For which later payments the method is kept once it is charged; null: it is not.",
            *("off_session", "on_session"),
            nullable=True,
        ),
        "shipping": shipping_field(),
        "statement_descriptor": text(
            "What the customer's bank shows.", sample="BOOKSHOP", nullable=True
        ),
        "statement_descriptor_suffix": text(
            "Added to the descriptor.", sample="ORDER 6735", nullable=True
        ),
        "status": one_of(
            "Where it stands. `succeeded` and `canceled` are final. `processing`: the PSP or the "
            "bank has yet to decide, or its answer was lost; never pay again, wait for the event.",
            *_STATUSES,
            example="succeeded",
        ),
        **null_ids("application", "on_behalf_of", "review", "source"),
        **always_null("application_fee_amount", "customer_account"),
        **always_null("excluded_payment_method_types", "managed_payments"),
        **always_null("payment_method_configuration_details", "payment_record", "processing"),
        **always_null("transfer_data", "transfer_group"),
    },
)


def public_status(intent: PaymentIntent) -> str:
    """The status in the merchant API's closed vocabulary.

    Once `succeeded` or `canceled` was published it stays. Not yet charged, or declined: what is
    missing for a charge decides.
    """
    if intent.published_status:
        return intent.published_status
    known = INTENT_SHOWN_AS.get(intent.status)
    if known is not None:
        return known
    return (
        "requires_payment_method" if intent.payment_method_id is None else "requires_confirmation"
    )


def payment_intent_object(intent: PaymentIntent) -> dict[str, Any]:
    """A payment intent, nothing expanded."""
    status = intent.status
    capturable_minor = intent.amount_held_minor if status == IntentStatus.AUTHORIZED else 0
    return {
        "id": public_id(public_ids.PAYMENT_INTENT, intent.id),
        **PAYMENT_INTENT.constants,
        "amount": intent.amount_minor,
        "amount_capturable": capturable_minor,
        "amount_details": amount_details_object(intent.amount_details),
        "amount_received": intent.amount_captured_minor,
        "automatic_payment_methods": intent.automatic_payment_methods,
        "canceled_at": unix_seconds(intent.canceled_at),
        "cancellation_reason": intent.cancellation_reason or None,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": intent.confirmation_method,
        "created": unix_seconds_of(intent.id),
        "currency": intent.currency.lower(),
        "customer": reference(public_ids.CUSTOMER, intent.customer_id),
        "description": intent.description or None,
        "last_payment_error": _last_payment_error(intent),
        "latest_charge": reference(public_ids.CHARGE, intent.latest_charge_id),
        "livemode": intent.livemode,
        "metadata": intent.metadata,
        "next_action": _next_action(intent) if status == IntentStatus.REQUIRES_ACTION else None,
        "payment_method": reference(public_ids.PAYMENT_METHOD, intent.payment_method_id),
        "payment_method_options": _method_options(intent),
        "payment_method_types": intent.payment_method_types,
        "receipt_email": intent.receipt_email or None,
        "setup_future_usage": intent.setup_future_usage or None,
        "shipping": shipping_object(intent.shipping) if intent.shipping else None,
        "statement_descriptor": intent.statement_descriptor or None,
        "statement_descriptor_suffix": intent.statement_descriptor_suffix or None,
        "status": public_status(intent),
    }


def _method_options(intent: PaymentIntent) -> dict[str, Any]:
    """The options of cards if they are allowed: typed SDKs expect the usual ones to be there."""
    if "card" not in intent.payment_method_types:
        return {}
    given = intent.payment_method_options.get("card", {})
    return {"card": {**_NO_CARD_OPTIONS, **given}}


def _next_action(intent: PaymentIntent) -> dict[str, Any]:
    return redirect_to(intent.next_action_url, intent.return_url)


def redirect_to(url: str, return_url: str) -> dict[str, Any]:
    """Where the customer must go. Never `use_stripe_sdk`: stripe.js only talks to Stripe."""
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": url, "return_url": return_url or None},
    }


def _last_payment_error(intent: PaymentIntent) -> dict[str, Any] | None:
    """The stored error, its method shown as an object if its snapshot was kept with it."""
    if not intent.last_payment_error:
        return None
    error = dict(intent.last_payment_error)
    method_id = error.pop("payment_method_id", None)
    snapshot = error.pop("payment_method_details", None)
    if method_id and snapshot:
        error["payment_method"] = charged_method_object(
            UUID(method_id),
            snapshot,
            customer_id=intent.customer_id,
            livemode=intent.livemode,
        )
    return error
