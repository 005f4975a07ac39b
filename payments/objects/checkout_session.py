"""The checkout session, its line items and the payment link, as the merchant sees them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.conf import settings

from ledger.money import Money
from payments import public_ids
from payments.models import CheckoutSession, PaymentIntent, PaymentLink, SetupIntent
from payments.objects.fields import (
    EXAMPLE_SECOND,
    Field,
    ObjectType,
    always,
    always_null,
    created,
    currency,
    flag,
    id_of,
    integer,
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
    list_object,
    page_of,
    public_id,
    reference,
    unix_seconds,
    unix_seconds_of,
)
from payments.states import CheckoutStatus

SUBMIT_TYPES: Final = ("auto", "book", "donate", "pay")
LANGUAGES: Final = ("auto", "de", "en")
_NO_SUCH: Final = "There is no such thing here."
_NOTHING_DUE: Final = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
_NO_TEXTS: Final = dict.fromkeys(
    ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
)
_NO_TAX: Final = {"enabled": False, "liability": None, "provider": None, "status": None}

LINE_ITEM: Final = ObjectType(
    "item",
    "One line of what a checkout session or a payment link sells.",
    {
        "id": own_id(public_ids.CHECKOUT_LINE_ITEM),
        "object": named("item"),
        "amount_discount": always("There are no discounts here.", 0),
        "amount_subtotal": minor("The price times the quantity.", 1250),
        "amount_tax": always("No tax is computed here.", 0),
        "amount_total": minor("The same.", 1250),
        "currency": currency(),
        "description": text("The name of what is sold.", "Two books"),
        "metadata": metadata(),
        "quantity": integer("How many.", 1),
        **always_null("adjustable_quantity", "price"),
    },
)

_CUSTOMER_DETAILS: Final = {
    "email": text("The email address that the merchant gave.", "ada@example.com"),
    "tax_exempt": always("No tax is computed here.", "none"),
    "tax_ids": always("None are collected here.", []),
    **always_null("address", "business_name", "individual_name", "name", "phone"),
}


def _lines_field() -> Field:
    return record(
        "What is bought; there only if the request expands it.", page_of(LINE_ITEM.name).fields
    ).but(absent=True, example=None, expands="line_item_list")


CHECKOUT_SESSION: Final = ObjectType(
    "checkout.session",
    "A hosted page on which a customer pays, or leaves a payment method for later payments.",
    {
        "id": own_id(public_ids.CHECKOUT_SESSION),
        "object": named("checkout.session"),
        "amount_subtotal": minor("What all lines cost.", 1250).but(nullable=True),
        "amount_total": minor("What is paid; null in mode `setup`.", 1250).but(nullable=True),
        "automatic_tax": always("No tax is computed here.", _NO_TAX),
        "cancel_url": text(
            "Where the page leads back to.", "https://shop.example/basket", nullable=True
        ),
        "client_reference_id": text("Your own reference.", "basket-17", nullable=True),
        "created": created("the session"),
        "currency": currency().but(nullable=True),
        "custom_fields": always(_NO_SUCH, []),
        "custom_text": always(_NO_SUCH, _NO_TEXTS),
        "customer": id_of("customer", "The customer.", nullable=True),
        "customer_details": record(
            "Null until there is something to show.", _CUSTOMER_DETAILS, nullable=True
        ),
        "customer_email": text("As you gave it.", "ada@example.com", nullable=True),
        "expires_at": second("Until when it can be paid.", EXAMPLE_SECOND + 86_400),
        "line_items": _lines_field(),
        "livemode": livemode(),
        "locale": one_of("The language; `auto`: the browser's.", *LANGUAGES),
        "metadata": metadata(),
        "mode": one_of("What the page is for.", "payment", "setup"),
        "payment_intent": id_of(
            "payment_intent",
            "The payment, made with the session; null in mode `setup`.",
            public_ids.PAYMENT_INTENT,
            nullable=True,
        ),
        "payment_link": id_of(
            "payment_link", "The payment link that made the session.", nullable=True
        ),
        "payment_method_collection": always("Always asked for.", "if_required"),
        "payment_method_options": always("As the payment has them.", {}),
        "payment_method_types": list_of("Types that may pay.", text("A type."), ["card"]),
        "payment_status": one_of(
            "`paid` once money was taken. A payment that is only held is `unpaid`; in mode `setup` "
            "it is `no_payment_required`.",
            *("paid", "unpaid", "no_payment_required"),
            example="unpaid",
        ),
        "phone_number_collection": always(_NO_SUCH, {"enabled": False}),
        "setup_intent": id_of(
            "setup_intent", "In mode `setup`: what keeps the payment method.", nullable=True
        ),
        "shipping_options": always(_NO_SUCH, []),
        "status": one_of("Whether the page takes a payment.", *map(str, CheckoutStatus)),
        "submit_type": one_of("The label of the button.", *SUBMIT_TYPES),
        "success_url": text(
            "Where the customer goes afterwards.",
            "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
            nullable=True,
        ),
        "total_details": always("What the total is made of.", _NOTHING_DUE),
        "ui_mode": always("The page is hosted here.", "hosted_page"),
        "url": text(
            "The page: send the customer there. Null once it is not open.",
            "https://pay.example/checkout/4mQmC0qf8Zt1XoFzL2hYw9Jd7Rk5Ns3B",
            nullable=True,
        ),
        **null_ids("invoice", "subscription"),
        **always_null(
            *("adaptive_pricing", "after_expiration", "allow_promotion_codes"),
            *("billing_address_collection", "branding_settings", "client_secret"),
            *("collected_information", "consent", "consent_collection", "currency_conversion"),
            *("customer_account", "customer_creation", "discounts", "integration_identifier"),
            *("invoice_creation", "name_collection", "optional_items", "origin_context"),
            *("payment_method_configuration_details", "permissions", "recovered_from"),
            *("redirect_on_completion", "return_url", "saved_payment_method_options"),
            *("shipping_address_collection", "shipping_cost", "tax_id_collection"),
            "wallet_options",
        ),
    },
)

_AFTER: Final = {
    "type": one_of("What the customer sees afterwards.", "hosted_confirmation", "redirect"),
    "redirect": record(
        "Your own page.",
        {"url": text("Its address.", sample="https://shop.example/thanks")},
        nullable=True,
        shown=False,
    ),
    "hosted_confirmation": record(
        "Our page says thank you.",
        always_null("custom_message"),
        nullable=True,
    ),
}

PAYMENT_LINK: Final = ObjectType(
    "payment_link",
    "A permanent address; each visitor gets a checkout session.",
    {
        "id": own_id(public_ids.PAYMENT_LINK),
        "object": named("payment_link"),
        "active": flag("Whether it takes payments.", example=True),
        "after_completion": record("What happens after the payment.", _AFTER),
        "allow_promotion_codes": always("There are none here.", False),
        "automatic_tax": always("No tax is computed here.", {"enabled": False, "liability": None}),
        "billing_address_collection": always("It is not collected.", "auto"),
        "currency": currency(),
        "custom_fields": always(_NO_SUCH, []),
        "custom_text": always(_NO_SUCH, _NO_TEXTS),
        "customer_creation": always("Customers are made by you.", "if_required"),
        "inactive_message": text(
            "What its page says while it is not active.", sample="Sold out.", nullable=True
        ),
        "line_items": _lines_field(),
        "livemode": livemode(),
        "metadata": metadata(),
        "payment_method_collection": always("Always asked for.", "always"),
        "payment_method_types": list_of(
            "Types that may pay; null: all that the PSP charges.",
            text("A type."),
            None,
            nullable=True,
        ),
        "phone_number_collection": always(_NO_SUCH, {"enabled": False}),
        "shipping_options": always(_NO_SUCH, []),
        "submit_type": one_of("The label of the button.", *SUBMIT_TYPES),
        "tax_id_collection": always(_NO_SUCH, {"enabled": False, "required": "never"}),
        "url": text(
            "Give it to your customers.",
            "https://pay.example/checkout/link/h7Jd2Rk5Ns3B4mQmC0qf8Zt1XoFzL2hY",
        ),
        **null_ids("application", "on_behalf_of"),
        **always_null(
            *("application_fee_amount", "application_fee_percent", "consent_collection"),
            *("invoice_creation", "name_collection", "optional_items", "payment_intent_data"),
            *("payment_method_options", "restrictions", "shipping_address_collection"),
            *("subscription_data", "transfer_data"),
        ),
    },
)


def page_url(token: str) -> str:
    """The address of a session's page."""
    return f"{settings.PUBLIC_BASE_URL}/checkout/{token}"


def link_url(link: PaymentLink) -> str:
    """The permanent address of a payment link."""
    return f"{settings.PUBLIC_BASE_URL}/checkout/link/{link.token}"


def checkout_session_object(
    session: CheckoutSession, subject: PaymentIntent | SetupIntent
) -> dict[str, Any]:
    """A session, with what its payment says of money; or with its setup intent."""
    email = session.customer_email or None
    is_open = session.status == CheckoutStatus.OPEN
    intent = subject if isinstance(subject, PaymentIntent) else None
    total = intent.amount if intent is not None else None
    return {
        "id": public_id(public_ids.CHECKOUT_SESSION, session.id),
        **CHECKOUT_SESSION.constants,
        "amount_subtotal": total.minor if total else None,
        "amount_total": total.minor if total else None,
        "automatic_tax": dict(_NO_TAX),
        "cancel_url": session.cancel_url or None,
        "client_reference_id": session.client_reference_id or None,
        "created": unix_seconds_of(session.id),
        "currency": total.currency.lower() if total else None,
        "custom_fields": [],
        "custom_text": dict(_NO_TEXTS),
        "customer": reference(public_ids.CUSTOMER, subject.customer_id),
        "customer_details": _customer_details(email) if email else None,
        "customer_email": email,
        "expires_at": unix_seconds(session.expires_at),
        "livemode": session.livemode,
        "locale": session.locale,
        "metadata": session.metadata,
        "mode": "payment" if intent is not None else "setup",
        "payment_intent": reference(public_ids.PAYMENT_INTENT, session.intent_id),
        "payment_link": reference(public_ids.PAYMENT_LINK, session.payment_link_id),
        "payment_method_options": {},
        "payment_method_types": subject.payment_method_types,
        "payment_status": payment_status(subject),
        "phone_number_collection": {"enabled": False},
        "setup_intent": reference(public_ids.SETUP_INTENT, session.setup_intent_id),
        "shipping_options": [],
        "status": str(session.status),
        "submit_type": session.submit_type,
        "success_url": session.success_url or None,
        "total_details": dict(_NOTHING_DUE),
        "url": page_url(session.token) if is_open else None,
    }


def payment_status(subject: PaymentIntent | SetupIntent) -> str:
    """What a session says of its money."""
    if isinstance(subject, SetupIntent):
        return "no_payment_required"
    return "paid" if subject.is_captured else "unpaid"


def _customer_details(email: str) -> dict[str, Any]:
    missing = dict.fromkeys(("address", "business_name", "individual_name", "name", "phone"))
    return {**missing, "email": email, "tax_exempt": "none", "tax_ids": []}


def payment_link_object(link: PaymentLink) -> dict[str, Any]:
    """A payment link."""
    redirect = {"url": link.redirect_url} if link.redirect_url else None
    return {
        "id": public_id(public_ids.PAYMENT_LINK, link.id),
        **PAYMENT_LINK.constants,
        "active": link.active,
        "after_completion": {
            "type": "redirect" if redirect else "hosted_confirmation",
            "redirect": redirect,
            "hosted_confirmation": None if redirect else {"custom_message": None},
        },
        "automatic_tax": {"enabled": False, "liability": None},
        "currency": link.currency.lower(),
        "custom_fields": [],
        "custom_text": dict(_NO_TEXTS),
        "inactive_message": link.inactive_message or None,
        "livemode": link.livemode,
        "metadata": link.metadata,
        "payment_method_types": link.method_types or None,
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "submit_type": link.submit_type,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "url": link_url(link),
    }


def lines_object(
    owner_id: UUID, stored: list[dict[str, Any]], *, url: str, currency_code: str
) -> dict[str, Any]:
    """The lines of a session or a link, all on one page."""
    rows = [
        _line_object(owner_id, number, each, currency_code)
        for number, each in enumerate(stored, start=1)
    ]
    return list_object(url, rows, has_more=False)


def session_lines_object(session: CheckoutSession) -> dict[str, Any]:
    """The lines of a session that was read with its payment; none in mode `setup`."""
    return lines_object(
        session.id,
        session.line_items,
        url=f"/v1/checkout/sessions/{session.public_id}/line_items",
        currency_code=session.intent.currency if session.intent is not None else "",
    )


def link_lines_object(link: PaymentLink) -> dict[str, Any]:
    """The lines of a payment link."""
    return lines_object(
        link.id,
        link.line_items,
        url=f"/v1/payment_links/{link.public_id}/line_items",
        currency_code=link.currency,
    )


def _line_object(
    owner_id: UUID, number: int, stored: dict[str, Any], currency_code: str
) -> dict[str, Any]:
    # The id of a line follows from its owner's, so that it needs no row.
    total = Money(stored["unit_amount"] * stored["quantity"], currency_code)
    return {
        "id": public_id(public_ids.CHECKOUT_LINE_ITEM, UUID(int=owner_id.int ^ number)),
        **LINE_ITEM.constants,
        "amount_subtotal": total.minor,
        "amount_total": total.minor,
        "currency": currency_code.lower(),
        "description": stored["name"],
        "metadata": stored["metadata"],
        "quantity": stored["quantity"],
    }
