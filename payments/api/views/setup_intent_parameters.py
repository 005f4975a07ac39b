"""Parameters of /v1/setup_intents and /v1/setup_attempts."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    Boolean,
    Enum,
    Expand,
    ListOf,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    Text,
    Unsupported,
    Url,
)
from payments.api.parameters.groups import METHOD_TYPE, METHOD_TYPES, list_parameters
from payments.api.views.payment_methods import method_data
from payments.objects.fields import example_id

_ONE_METHOD: Final = ("payment_method", "payment_method_data")
_CONNECT: Final = Unsupported("Every merchant has an account of its own here: remove it.")
_OF_THE_CUSTOMER: Final = Unsupported("Methods are kept for customers: pass customer.")
_TYPES_INSTEAD: Final = Unsupported("Use payment_method_types.")
_LATER: Final = Unsupported("Remove it, or put the data into metadata.")
_TOKEN_INSTEAD: Final = Unsupported(
    "Create a payment method from a token at /v1/payment_methods and pass its id as payment_method."
)


def _method_options() -> Nested:
    card: dict[str, Parameter] = {
        "request_three_d_secure": Enum(
            *("automatic", "any", "challenge"),
            description="`any`, `challenge`: ask for 3-D Secure where the card supports it.",
        ),
        "mandate_options": Unsupported("Cards need no mandate here: remove it."),
        "moto": _LATER,
        "network": _LATER,
        "three_d_secure": Unsupported("Let the payment provider authenticate the customer."),
    }
    others = dict.fromkeys(METHOD_TYPES, Unsupported("Only options of cards are taken: remove it."))
    return Nested(
        {**others, "card": Nested(card, description="Of cards.")},
        description="Options by type of method.",
    )


def _mandate_data() -> Nested:
    """Many clients send it with every method; cards, which alone are kept here, need none."""
    online = Nested(
        {
            "ip_address": Text(max_length=45, description="The customer's address."),
            "user_agent": Text(max_length=1000, description="The customer's browser."),
        },
        description="If `type` is online.",
    )
    acceptance: dict[str, Parameter] = {
        "accepted_at": Text(max_length=20, description="Unix seconds."),
        "offline": Nested({}, description="If `type` is offline."),
        "online": online,
        "type": Enum("online", "offline", required=True, description="How it was accepted."),
    }
    return Nested(
        {
            "customer_acceptance": Nested(
                acceptance, required=True, description="That the customer agreed."
            )
        },
        description="Taken, and not needed: a card has no mandate.",
    )


def _what() -> dict[str, Parameter]:
    return {
        "customer": PublicId(
            public_ids.CUSTOMER,
            noun="customer",
            description="Whose the payment method becomes once it is verified.",
        ),
        "description": Text(max_length=1000, lines=True, description="Your own text."),
        "expand": Expand("setup_intent"),
        "payment_method": PublicId(
            public_ids.PAYMENT_METHOD,
            noun="payment method",
            description="A payment method, or one of the test tokens such as pm_card_visa.",
        ),
        "payment_method_data": Nested(
            method_data("payment_method_data"),
            description="A new payment method, made by this request from a token.",
        ),
        "payment_method_options": _method_options(),
        "payment_method_types": ListOf(
            METHOD_TYPE,
            max_items=20,
            description="The only types that may be kept; all that the PSP keeps, if not given.",
        ),
        "allowed_payment_method_types": _TYPES_INSTEAD,
        "attach_to_self": _CONNECT,
        "customer_account": _OF_THE_CUSTOMER,
        "excluded_payment_method_types": _TYPES_INSTEAD,
        "flow_directions": _LATER,
        "payment_method_configuration": _TYPES_INSTEAD,
    }


def _return_url() -> Url:
    return Url(description="Where the customer comes back to after a challenge.")


def _use_stripe_sdk() -> Boolean:
    return Boolean(description="Changes nothing: next_action is a redirect.")


CREATE_SETUP_INTENT: Final = Parameters(
    {
        **_what(),
        "automatic_payment_methods": Nested(
            {
                "enabled": Boolean(required=True, description="Whether the platform chooses."),
                "allow_redirects": Enum(
                    *("always", "never"),
                    description="Kept and shown: no method that is kept here redirects always.",
                ),
            },
            description="Kept and shown; without types of its own a setup takes all in any case.",
        ),
        "confirm": Boolean(description="true: verify the payment method at once."),
        "mandate_data": _mandate_data(),
        "metadata": Metadata(),
        "return_url": _return_url(),
        "usage": Enum(
            *("off_session", "on_session"),
            description="`on_session`, if the customer will be there for later payments; "
            "`off_session` if not given.",
        ),
        "use_stripe_sdk": _use_stripe_sdk(),
        "confirmation_token": _TOKEN_INSTEAD,
        "on_behalf_of": _CONNECT,
        "single_use": Unsupported("A payment needs no setup intent: create a payment intent."),
    },
    exclusive=(("automatic_payment_methods", "payment_method_types"), _ONE_METHOD),
    example={
        "payment_method": "pm_card_visa",
        "confirm": True,
        "usage": "off_session",
        "metadata": {"order_id": "6735"},
    },
)

UPDATE_SETUP_INTENT: Final = Parameters(
    {**_what(), "metadata": Metadata(merges=True)},
    exclusive=(_ONE_METHOD,),
    example={"description": "Card for the subscription"},
)

CONFIRM_SETUP_INTENT: Final = Parameters(
    {
        "expand": Expand("setup_intent"),
        "mandate_data": _mandate_data(),
        "payment_method": _what()["payment_method"],
        "payment_method_data": _what()["payment_method_data"],
        "payment_method_options": _method_options(),
        "return_url": _return_url(),
        "use_stripe_sdk": _use_stripe_sdk(),
        "allowed_payment_method_types": _TYPES_INSTEAD,
        "confirmation_token": _TOKEN_INSTEAD,
    },
    exclusive=(_ONE_METHOD,),
    example={"payment_method": "pm_card_visa", "return_url": "https://shop.example/cards"},
)

CANCEL_SETUP_INTENT: Final = Parameters(
    {
        "cancellation_reason": Enum(
            *("abandoned", "duplicate", "requested_by_customer"),
            description="Why; shown with the setup intent.",
        ),
        "expand": Expand("setup_intent"),
    },
    example={"cancellation_reason": "abandoned"},
)

RETRIEVE_SETUP_INTENT: Final = Parameters(
    {
        "client_secret": Unsupported("Retrieve with a secret key; browsers are not served here."),
        "expand": Expand("setup_intent"),
    }
)

LIST_SETUP_INTENTS: Final = list_parameters(
    public_ids.SETUP_INTENT,
    "setup_intent",
    {
        "attach_to_self": _CONNECT,
        "customer": PublicId(public_ids.CUSTOMER, noun="customer"),
        "customer_account": _OF_THE_CUSTOMER,
        "payment_method": PublicId(public_ids.PAYMENT_METHOD, noun="payment method"),
    },
    noun="setup_intent",
)

LIST_SETUP_ATTEMPTS: Final = list_parameters(
    public_ids.SETUP_ATTEMPT,
    "setup_attempt",
    {"setup_intent": PublicId(public_ids.SETUP_INTENT, noun="setup_intent", required=True)},
    noun="setup_attempt",
    example={"setup_intent": example_id(public_ids.SETUP_INTENT)},
)
