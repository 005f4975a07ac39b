"""Parameters of /v1/payment_methods: created from the PSP's tokens, never from card data."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    Enum,
    Expand,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    RawCardData,
    Text,
    Unsupported,
)
from payments.api.requests.paging import list_parameters
from payments.api.requests.people import billing_details

_NEW_ONE: Final = Unsupported("Tokens do not change: create a new payment method from a new token.")
_NOT_SHOWN: Final = Unsupported("Payment methods are not shown to customers here: remove it.")
_USE_ATTACH: Final = Unsupported(
    "Attach the payment method with POST /v1/payment_methods/{id}/attach."
)
_USE_CUSTOMER: Final = Unsupported("Use customer.")
_METHOD_TYPE: Final = Text(
    max_length=32, pattern="[a-z][a-z0-9_]*", rule="such as card or sepa_debit", can_unset=False
)


class Token(Text):
    """A token of the PSP; one of digits only could be a card number, so it is refused."""

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            max_length=255,
            pattern=r"(?![0-9-]+$)[A-Za-z0-9_.\-]+",
            rule="a token has letters, digits and _ . - only, and is not all digits",
            can_unset=False,
            required=required,
            description="Such as tok_visa.",
        )


CREATE_PAYMENT_METHOD: Final = Parameters(
    {
        "type": Enum("card", required=True),
        "card": Nested(
            {
                "token": Token(required=True),
                "cvc": RawCardData(),
                "exp_month": RawCardData(),
                "exp_year": RawCardData(),
                "number": RawCardData(),
                "networks": Unsupported("The payment provider chooses the network: remove it."),
            },
            required=True,
        ),
        "billing_details": billing_details(),
        "expand": Expand("payment_method"),
        "metadata": Metadata(),
        "allow_redisplay": _NOT_SHOWN,
        "customer": _USE_ATTACH,
        "payment_method": _USE_ATTACH,
        "radar_options": Unsupported("The operator's settings decide how risk is judged."),
    }
)

_CHANGEABLE_CARD: Final[dict[str, Parameter]] = {
    "cvc": RawCardData(),
    "exp_month": _NEW_ONE,
    "exp_year": _NEW_ONE,
    "networks": _NEW_ONE,
    "number": RawCardData(),
}

UPDATE_PAYMENT_METHOD: Final = Parameters(
    {
        "billing_details": billing_details(),
        "card": Nested(_CHANGEABLE_CARD, description="Refused: a token's card does not change."),
        "expand": Expand("payment_method"),
        "metadata": Metadata(merges=True),
        "allow_redisplay": _NOT_SHOWN,
        "us_bank_account": _NEW_ONE,
    }
)

ATTACH_PAYMENT_METHOD: Final = Parameters(
    {
        "customer": PublicId(public_ids.CUSTOMER, noun="customer", required=True),
        "customer_account": _USE_CUSTOMER,
        "expand": Expand("payment_method"),
    }
)

DETACH_PAYMENT_METHOD: Final = Parameters({"expand": Expand("payment_method")})

RETRIEVE_PAYMENT_METHOD: Final = Parameters({"expand": Expand("payment_method")})

LIST_PAYMENT_METHODS: Final = list_parameters(
    public_ids.PAYMENT_METHOD,
    "payment_method",
    {
        "allow_redisplay": _NOT_SHOWN,
        "customer": PublicId(public_ids.CUSTOMER, noun="customer"),
        "customer_account": _USE_CUSTOMER,
        "type": _METHOD_TYPE,
    },
    noun="payment_method",
    created=False,
)

LIST_CUSTOMER_PAYMENT_METHODS: Final = list_parameters(
    public_ids.PAYMENT_METHOD,
    "payment_method",
    {"allow_redisplay": _NOT_SHOWN, "type": _METHOD_TYPE},
    noun="payment_method",
    created=False,
)
