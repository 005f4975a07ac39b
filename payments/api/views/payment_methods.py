"""/v1/payment_methods: created from the PSP's tokens, never from card data."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.card_data import refuse_card_in_path
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
from payments.api.parameters.groups import METHOD_TYPE, billing_details, list_parameters
from payments.api.renderers import render_payment_method
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import PaymentMethod as MethodRow
from payments.objects.fields import example_id
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import one_payment_method, page_of_payment_methods
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, id_of
from payments.services.callers.caller import CommandRequest
from payments.services.commands import payment_methods as service
from payments.services.idempotency.direct_requests import DirectResult

_NEW_ONE: Final = Unsupported("Tokens do not change: create a new payment method from a new token.")
_NOT_SHOWN: Final = Unsupported("Payment methods are not shown to customers here: remove it.")
_USE_ATTACH: Final = Unsupported(
    "Attach the payment method with POST /v1/payment_methods/{id}/attach."
)
_USE_CUSTOMER: Final = Unsupported("Use customer.")


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


def method_data() -> dict[str, Parameter]:
    """A token, and what the merchant says about the payment method behind it."""
    return {
        "type": Enum("card", required=True, description="What the token stands for."),
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
            description="The card, as a token: never its number.",
        ),
        "billing_details": billing_details(),
        "metadata": Metadata(),
        "allow_redisplay": _NOT_SHOWN,
    }


CREATE_PAYMENT_METHOD: Final = Parameters(
    {
        **method_data(),
        "expand": Expand("payment_method"),
        "customer": _USE_ATTACH,
        "payment_method": _USE_ATTACH,
        "radar_options": Unsupported("The operator's settings decide how risk is judged."),
    },
    example={
        "type": "card",
        "card": {"token": "tok_visa"},
        "billing_details": {"name": "Ada Lovelace"},
    },
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
    },
    example={"billing_details": {"email": "ada@example.com"}},
)

ATTACH_PAYMENT_METHOD: Final = Parameters(
    {
        "customer": PublicId(public_ids.CUSTOMER, noun="customer", required=True),
        "customer_account": _USE_CUSTOMER,
        "expand": Expand("payment_method"),
    },
    example={"customer": example_id(public_ids.CUSTOMER)},
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
        "type": METHOD_TYPE,
    },
    noun="payment_method",
    created=False,
)

LIST_CUSTOMER_PAYMENT_METHODS: Final = list_parameters(
    public_ids.PAYMENT_METHOD,
    "payment_method",
    {"allow_redisplay": _NOT_SHOWN, "type": METHOD_TYPE},
    noun="payment_method",
    created=False,
)


class PaymentMethods(MerchantView):
    """The payment methods of a merchant's customers."""

    @documented(CREATE_PAYMENT_METHOD, "payment_method", "Create a payment method from a token")
    def post(self, call: Call) -> DirectResult[MethodRow]:
        method_type = call.given["type"]
        return service.create_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_type=method_type,
            token=call.given[method_type]["token"],
            details=call.details(service.MethodDetails),
        )

    @documented(LIST_PAYMENT_METHODS, "payment_method", "List payment methods", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_payment_methods(
            call.scope,
            call.paging,
            customer=call.given.get("customer", ""),
            method_type=call.given.get("type", ""),
        )
        return call.list_of("payment_method", page, payment_method_object)


class PaymentMethod(MerchantView):
    """One payment method."""

    @documented(RETRIEVE_PAYMENT_METHOD, "payment_method", "Retrieve a payment method")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(PAYMENT_METHOD, public_id)
        return call.expanded(
            "payment_method", payment_method_object(one_payment_method(call.scope, public_id))
        )

    @documented(UPDATE_PAYMENT_METHOD, "payment_method", "Change a payment method")
    def post(self, call: Call, public_id: str) -> DirectResult[MethodRow]:
        return service.update_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_id=path_id(PAYMENT_METHOD, public_id),
            details=call.details(service.MethodDetails),
        )


class AttachPaymentMethod(MerchantView):
    """Attach a payment method to a customer."""

    @documented(
        ATTACH_PAYMENT_METHOD,
        "payment_method",
        "Attach a payment method to a customer",
        example={"customer": example_id(public_ids.CUSTOMER)},
    )
    def post(self, call: Call, public_id: str) -> DirectResult[MethodRow]:
        refuse_card_in_path(public_id)
        return service.attach_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            reference=public_id,
            customer_id=id_of(CUSTOMER, call.given["customer"], param="customer"),
        )


class DetachPaymentMethod(MerchantView):
    """Detach a payment method from its customer, permanently."""

    @documented(DETACH_PAYMENT_METHOD, "payment_method", "Detach a payment method")
    def post(self, call: Call, public_id: str) -> DirectResult[MethodRow]:
        return service.detach_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_id=path_id(PAYMENT_METHOD, public_id),
        )
