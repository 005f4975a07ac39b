"""Parameters of /v1/checkout/sessions, and those that sessions and payment links share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from ledger.money import Money
from payments import public_ids
from payments.api.parameters import (
    Amount,
    Boolean,
    Currency,
    Email,
    Enum,
    Expand,
    Integer,
    ListOf,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    StatementDescriptor,
    Text,
    Timestamp,
    Unsupported,
    Url,
)
from payments.api.parameters.groups import METHOD_TYPE, list_parameters, shipping
from payments.exceptions import InvalidParameter
from payments.objects.checkout_session import SUBMIT_TYPES
from payments.services.checkout.sessions import Line
from payments.states import CheckoutStatus

_NO_TAX: Final = Unsupported("No tax is computed here: put it into the price.")
_NO_CATALOG: Final = Unsupported("There is no catalog here: use price_data.")
_NOT_ON_PAGE: Final = Unsupported("The page does not ask for it: collect it in your shop.")
NOT_SHOWN: Final = Unsupported("The page shows names, descriptions and prices: remove it.")
_NO_DISCOUNTS: Final = Unsupported("There are no discounts here: lower the price.")
NO_PLATFORM: Final = Unsupported("Every merchant has an account of its own here: remove it.")
NO_SUBSCRIPTIONS: Final = Unsupported("There are no subscriptions here.")
_ONE_PAGE: Final = Unsupported("The page is always hosted here: remove it.")
_TYPES_INSTEAD: Final = Unsupported("Use payment_method_types.")
_TOKEN_OF_PAGE: Final = Unsupported("The page collects the method itself: remove it.")
_NO_SAVED: Final = Unsupported(
    "The page offers the saved cards that say allow_redisplay=always: remove it."
)
REMOVE: Final = Unsupported("Remove it, or put the data into metadata.")
_ALL_LINES: Final = 100

_LINE: Final[dict[str, Parameter]] = {
    "price_data": Nested(
        {
            "currency": Currency(required=True),
            "product_data": Nested(
                {
                    "name": Text(max_length=250, required=True, description="What is sold."),
                    "description": Text(max_length=1000, description="A line below the name."),
                    "metadata": Metadata(),
                    "images": NOT_SHOWN,
                    "tax_code": _NO_TAX,
                    "tax_details": _NO_TAX,
                    "unit_label": NOT_SHOWN,
                },
                required=True,
                description="What is sold.",
            ),
            "unit_amount": Amount(required=True),
            "product": _NO_CATALOG,
            "recurring": NO_SUBSCRIPTIONS,
            "tax_behavior": _NO_TAX,
            "unit_amount_decimal": Unsupported("Use unit_amount."),
        },
        required=True,
        description="What is sold, and its price.",
    ),
    "quantity": Integer(minimum=1, maximum=999_999, description="1 if not given."),
    "metadata": Metadata(),
    "adjustable_quantity": _NOT_ON_PAGE,
    "price": _NO_CATALOG,
    "tax_rates": _NO_TAX,
}


def lines_parameter(*, required: bool = False) -> ListOf:
    return ListOf(
        Nested(_LINE),
        max_items=_ALL_LINES,
        required=required,
        description="What is bought. All lines have one currency.",
    )


_OF_PAYMENTS: Final = ("line_items", "amount", "currency", "payment_intent_data", "submit_type")
"""Parameters that say nothing where nothing is paid."""


def _check_mode(given: dict[str, Any]) -> None:
    is_setup = given.get("mode") == "setup"
    for name in _OF_PAYMENTS if is_setup else ("setup_intent_data",):
        if name in given:
            mode = "payment" if is_setup else "setup"
            raise InvalidParameter(f"{name} is only for the mode {mode}.", param=name)
    if not is_setup and "amount" not in given and not given.get("line_items"):
        raise InvalidParameter(
            "Missing required parameter: line_items.", code="parameter_missing", param="line_items"
        )


def check_lines(given: dict[str, Any]) -> None:
    currencies = {each["price_data"]["currency"] for each in given.get("line_items", ())}
    if len(currencies | {given.get("currency", "")} - {""}) > 1:
        raise InvalidParameter("All lines and the session have one currency.", param="line_items")


def _check_plain_amount(given: dict[str, Any]) -> None:
    if "amount" in given and "currency" not in given:
        raise InvalidParameter(
            "Missing required parameter: currency.", code="parameter_missing", param="currency"
        )


def lines_of(given: dict[str, Any]) -> list[Line]:
    """The lines that validated parameters ask for; a plain amount is one line."""
    if "amount" in given:
        name = given.get("payment_intent_data", {}).get("description") or "Payment"
        return [Line(name=name[:250], unit_amount=Money(given["amount"], given["currency"]))]
    return [_line_of(each) for each in given["line_items"]]


def _line_of(given: dict[str, Any]) -> Line:
    price = given["price_data"]
    product = price["product_data"]
    return Line(
        name=product["name"],
        description=product.get("description", ""),
        unit_amount=Money(price["unit_amount"], price["currency"]),
        quantity=given.get("quantity", 1),
        metadata={**product.get("metadata", {}), **given.get("metadata", {})},
    )


def expiry_of(given: dict[str, Any]) -> datetime | None:
    """The time that `expires_at` names."""
    seconds = given.get("expires_at")
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def payment_data(*, with_person: bool) -> Nested:
    """`payment_intent_data`: what the payment gets beside its amount."""
    person: dict[str, Parameter] = {
        "receipt_email": Email(description="Kept for you: no receipts are sent."),
        "shipping": shipping(),
        "application_fee_amount": Unsupported("Platform fees are set by the operator: remove it."),
        "on_behalf_of": NO_PLATFORM,
        "transfer_data": NO_PLATFORM,
    }
    return Nested(
        {
            "capture_method": Enum(
                "automatic",
                "manual",
                aliases={"automatic_async": "automatic"},
                description="`manual` holds the money until you capture it.",
            ),
            "description": Text(max_length=1000, lines=True, description="Your own text."),
            "metadata": Metadata(
                description="Of the payment. `order_id` guards the order against a second charge."
            ),
            "setup_future_usage": Enum(
                *("off_session", "on_session"),
                description="Keep the method for later payments; the page tells the customer so.",
            ),
            "statement_descriptor": StatementDescriptor(),
            "statement_descriptor_suffix": StatementDescriptor(),
            "transfer_group": NO_PLATFORM,
            **(person if with_person else {}),
        },
        description="What the payment gets beside its amount.",
    )


def _switched_off(instead: str) -> Boolean:
    return Boolean(unsupported={True: instead}, description="Only false.")


def shared_parameters() -> dict[str, Parameter]:
    """What sessions and links have in common."""
    not_asked = "The page does not ask for it: collect it in your shop."
    return {
        "allow_promotion_codes": _switched_off("There are no discounts here."),
        "automatic_tax": Nested(
            {
                "enabled": _switched_off("No tax is computed here."),
                "liability": _NO_TAX,
            },
            description="Only switched off.",
        ),
        "billing_address_collection": Enum(
            "auto", unsupported={"required": not_asked}, description="Only auto."
        ),
        "consent_collection": _NOT_ON_PAGE,
        "custom_fields": _NOT_ON_PAGE,
        "custom_text": NOT_SHOWN,
        "customer_creation": Enum(
            "if_required",
            unsupported={"always": "Create the customer first."},
            description="Only if_required.",
        ),
        "expand": Expand("checkout.session"),
        "invoice_creation": Unsupported("There are no invoices here: remove it."),
        "managed_payments": REMOVE,
        "metadata": Metadata(),
        "name_collection": _NOT_ON_PAGE,
        "optional_items": _NOT_ON_PAGE,
        "payment_method_collection": Enum(
            "always", "if_required", description="There is always something to pay."
        ),
        "payment_method_options": Unsupported("Options of methods are not taken here: remove it."),
        "payment_method_types": ListOf(
            METHOD_TYPE, max_items=20, description="The only types that may pay."
        ),
        "phone_number_collection": Nested(
            {
                "enabled": Boolean(
                    required=True, unsupported={True: not_asked}, description="Only false."
                )
            },
            description="Only switched off.",
        ),
        "shipping_address_collection": _NOT_ON_PAGE,
        "shipping_options": _NOT_ON_PAGE,
        "submit_type": Enum(*SUBMIT_TYPES, description="The label of the button."),
        "subscription_data": NO_SUBSCRIPTIONS,
        "tax_id_collection": _NOT_ON_PAGE,
    }


EXAMPLE_LINES: Final = [
    {
        "price_data": {
            "currency": "eur",
            "product_data": {"name": "Two books"},
            "unit_amount": 1250,
        },
        "quantity": 1,
    }
]

CREATE_SESSION: Final = Parameters(
    {
        **shared_parameters(),
        "mode": Enum(
            *("payment", "setup"),
            unsupported={"subscription": "There are no subscriptions here."},
            description="What the page is for: `setup` keeps a payment method for later payments, "
            "and takes no money.",
        ),
        "line_items": lines_parameter(),
        "amount": Amount(description="Not of Stripe. Instead of line_items: one line of so much."),
        "currency": Currency(description="With `amount`; else that of the lines."),
        "success_url": Url(
            required=True,
            description="Where the customer goes afterwards; `{CHECKOUT_SESSION_ID}` becomes the "
            "session's id.",
        ),
        "cancel_url": Url(description="Where the page leads back to."),
        "client_reference_id": Text(max_length=200, description="Your own reference."),
        "customer": PublicId(public_ids.CUSTOMER, noun="customer"),
        "customer_email": Email(description="Shown on the page, and kept for you."),
        "expires_at": Timestamp(
            description="Until when it can be paid: 30 minutes to 24 hours from now; 24 hours if "
            "not given."
        ),
        "locale": Enum(
            *("auto", "de", "en"),
            aliases={"en-GB": "en"},
            description="The language of the page; `auto`: the browser's, else English.",
        ),
        "payment_intent_data": payment_data(with_person=True),
        "ui_mode": Enum("hosted_page", aliases={"hosted": "hosted_page"}, description="Only this."),
        "adaptive_pricing": REMOVE,
        "after_expiration": Unsupported("Create a new session: remove it."),
        "allowed_payment_method_types": _TYPES_INSTEAD,
        "branding_settings": NOT_SHOWN,
        "customer_account": Unsupported("Use customer."),
        "customer_update": _NOT_ON_PAGE,
        "discounts": _NO_DISCOUNTS,
        "excluded_payment_method_types": _TYPES_INSTEAD,
        "integration_identifier": REMOVE,
        "origin_context": REMOVE,
        "payment_method_configuration": _TYPES_INSTEAD,
        "payment_method_data": _TOKEN_OF_PAGE,
        "permissions": _ONE_PAGE,
        "redirect_on_completion": _ONE_PAGE,
        "return_url": Unsupported("Use success_url."),
        "saved_payment_method_options": _NO_SAVED,
        "setup_intent_data": Nested(
            {
                "description": Text(max_length=1000, lines=True, description="Your own text."),
                "metadata": Metadata(description="Of the setup intent."),
                "on_behalf_of": NO_PLATFORM,
            },
            description="With mode `setup`: what its setup intent gets.",
        ),
        "wallet_options": REMOVE,
    },
    exclusive=(("amount", "line_items"), ("customer", "customer_email")),
    at_least_one=(("line_items", "amount", "mode"),),
    checks=(_check_mode, check_lines, _check_plain_amount),
    example={
        "mode": "payment",
        "line_items": EXAMPLE_LINES,
        "success_url": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/basket",
        "client_reference_id": "basket-17",
        "customer_email": "ada@example.com",
        "metadata": {"order_id": "6735"},
    },
)

RETRIEVE_SESSION: Final = Parameters({"expand": Expand("checkout.session")})
EXPIRE_SESSION: Final = Parameters({"expand": Expand("checkout.session")})

LIST_SESSIONS: Final = list_parameters(
    public_ids.CHECKOUT_SESSION,
    "checkout.session",
    {
        "customer": PublicId(public_ids.CUSTOMER, noun="customer"),
        "payment_intent": PublicId(public_ids.PAYMENT_INTENT, noun="payment_intent"),
        "payment_link": PublicId(public_ids.PAYMENT_LINK, noun="payment_link"),
        "status": Enum(*map(str, CheckoutStatus), description="Only those of this status."),
        "customer_account": Unsupported("Use customer."),
        "customer_details": Unsupported("Use customer."),
        "subscription": NO_SUBSCRIPTIONS,
    },
    noun="checkout session",
)

LIST_LINES: Final = list_parameters(
    public_ids.CHECKOUT_LINE_ITEM, "item", {}, noun="line item", created=False
)
