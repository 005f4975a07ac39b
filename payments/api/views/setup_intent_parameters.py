"""Parameters of /v1/setup_intents, /v1/setup_attempts and /v1/mandates."""

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
from payments.api.parameters.groups import METHOD_TYPE, list_parameters
from payments.api.views.method_parameters import (
    check_mandate_only_with_confirm,
    mandate_data,
    method_data_of_payment,
    payment_method,
    setup_options,
)
from payments.objects.fields import example_id

_ONE_METHOD: Final = ("payment_method", "payment_method_data")
_CONNECT: Final = Unsupported("Every merchant has an account of its own here: remove it.")
_OF_THE_CUSTOMER: Final = Unsupported("Methods are kept for customers: pass customer.")
_TYPES_INSTEAD: Final = Unsupported("Use payment_method_types.")
_LATER: Final = Unsupported("Remove it, or put the data into metadata.")
_TOKEN_INSTEAD: Final = Unsupported(
    "Create a payment method from a token at /v1/payment_methods and pass its id as payment_method."
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
        "payment_method": payment_method(),
        "payment_method_data": method_data_of_payment(),
        "payment_method_options": setup_options(),
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
        "mandate_data": mandate_data(),
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
    checks=(check_mandate_only_with_confirm,),
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
        "mandate_data": mandate_data(can_unset=True),
        "payment_method": payment_method(),
        "payment_method_data": method_data_of_payment(),
        "payment_method_options": setup_options(),
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

RETRIEVE_MANDATE: Final = Parameters({"expand": Expand("mandate")})
