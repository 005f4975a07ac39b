"""/v1/payment_methods: created from the PSP's tokens or a bare type, never from card data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from payments import public_ids
from payments.api.card_data import refuse_card_in_path
from payments.api.parameters import (
    ABSENT,
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
from payments.api.parameters.declaration import Schema
from payments.api.parameters.groups import (
    METHOD_TYPE,
    METHOD_TYPES,
    billing_details,
    list_parameters,
)
from payments.api.parameters.structures import refuse_card_fields
from payments.api.renderers import render_payment_method
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.exceptions import InvalidParameter
from payments.models import PaymentMethod as MethodRow
from payments.objects.fields import example_id
from payments.objects.parts import EXAMPLE_ADDRESS
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import one_payment_method, page_of_payment_methods
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, id_of
from payments.services.callers.caller import CommandRequest
from payments.services.commands import payment_methods as service
from payments.services.idempotency.direct_requests import DirectResult

_NEW_ONE: Final = Unsupported("Tokens do not change: create a new payment method from a new token.")
_BY_TOKEN: Final = Unsupported(
    "Let the payment provider's own fields collect the account, and pass their token as token."
)
_USE_ATTACH: Final = Unsupported(
    "Attach the payment method with POST /v1/payment_methods/{id}/attach."
)
_USE_CUSTOMER: Final = Unsupported("Use customer.")


class Token(Text):
    """A token of the PSP; one of digits only could be a card number, so it is refused."""

    def __init__(self) -> None:
        super().__init__(
            max_length=255,
            pattern=r"(?![0-9-]+$)[A-Za-z0-9_./\-]+",
            rule="a token has letters, digits and _ . - / only, and is not all digits",
            can_unset=False,
            description="Of the payment provider, such as tok_visa.",
        )


class _Unread(Parameter):
    """Details of a type that no payment provider charges: the refusal names the type instead."""

    documented = False

    def read(self, value: Any, name: str, is_text: bool) -> Any:
        refuse_card_fields(value, name)
        return ABSENT

    def own_schema(self) -> Schema:
        return {"not": {}}


def _allow_redisplay(description: str) -> Enum:
    return Enum("always", "limited", "unspecified", description=description)


def _details_by_type() -> dict[str, Parameter]:
    card = {
        "token": Token(),
        "cvc": RawCardData(),
        "exp_month": RawCardData(),
        "exp_year": RawCardData(),
        "number": RawCardData(),
        "networks": Unsupported("The payment provider chooses the network: remove it."),
    }
    unused_bank = Text(max_length=64, description="Not used: the customer chooses the bank.")
    account = dict.fromkeys(
        (
            *("account_holder_type", "account_number", "account_type"),
            *("financial_connections_account", "routing_number"),
        ),
        _BY_TOKEN,
    )
    return {
        **dict.fromkeys((*METHOD_TYPES, "custom"), _Unread()),
        "card": Nested(card, description="The card, as a token: never its number."),
        "ideal": Nested(
            {"token": Token(), "bank": unused_bank},
            description="iDEAL; without a token the customer is asked on the bank's page.",
        ),
        "sepa_debit": Nested(
            {"token": Token(), "iban": _BY_TOKEN}, description="The account, as a token."
        ),
        "us_bank_account": Nested(
            {"token": Token(), **account}, description="The account, as a token."
        ),
    }


def method_data(prefix: str = "") -> Parameters:
    """What a payment method is made from, and what the merchant says about it."""
    details = _details_by_type()
    return Parameters(
        {
            "type": Enum(
                *METHOD_TYPES,
                required=True,
                description="What it is. Types that send the customer to the bank's page need no "
                "token; others need one in the object of this name.",
            ),
            **details,
            "allow_redisplay": _allow_redisplay(
                "Whether pages may show it to its customer again: ours do if `always`."
            ),
            "billing_details": billing_details(),
            "metadata": Metadata(),
            "radar_options": Unsupported("The operator's settings decide how risk is judged."),
        },
        checks=(_only_its_own(details, prefix),),
    )


def method_of(call: Call) -> str | service.NewMethod:
    """What a payment or setup names: the id of a method, a token, or a new method with details."""
    data = call.given.get("payment_method_data")
    if data is None:
        return str(call.given.get("payment_method", ""))
    method_type = data["type"]
    details = service.MethodDetails(
        billing_details=data.get("billing_details"),
        metadata=data.get("metadata"),
        allow_redisplay=data.get("allow_redisplay"),
    )
    token = data.get(method_type, {}).get("token", "")
    return service.NewMethod(method_type=method_type, token=token, details=details)


def _only_its_own(
    details: Mapping[str, Parameter], prefix: str
) -> Callable[[dict[str, Any]], None]:
    """Refuses the details of another type than the one that is named."""

    def check(given: dict[str, Any]) -> None:
        for name in details.keys() & given.keys() - {given["type"]}:
            shown = f"{prefix}[{name}]" if prefix else name
            raise InvalidParameter(
                f"{shown} does not belong to a payment method of type {given['type']}. Remove it, "
                "or name its type.",
                param=shown,
            )

    return check


CREATE_PAYMENT_METHOD: Final = Parameters(
    {
        **method_data().declared,
        "expand": Expand("payment_method"),
        "customer": _USE_ATTACH,
        "payment_method": _USE_ATTACH,
    },
    checks=method_data().checks,
    example={
        "type": "card",
        "card": {"token": "tok_visa"},
        "billing_details": {
            "address": EXAMPLE_ADDRESS,
            "email": "ada@example.com",
            "name": "Ada Lovelace",
        },
        "metadata": {"order_id": "6735"},
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
        "allow_redisplay": _allow_redisplay(
            "Whether pages may show it to its customer again: ours do if `always`."
        ),
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
        "allow_redisplay": _allow_redisplay("Only those that say this."),
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
    {
        "allow_redisplay": _allow_redisplay("Only those that say this."),
        "type": METHOD_TYPE,
    },
    noun="payment_method",
    created=False,
)


class PaymentMethods(MerchantView):
    """The payment methods of a merchant's customers."""

    @documented(CREATE_PAYMENT_METHOD, "payment_method", "Create a payment method")
    def post(self, call: Call) -> DirectResult[MethodRow]:
        method_type = call.given["type"]
        return service.create_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_type=method_type,
            token=call.given.get(method_type, {}).get("token", ""),
            details=call.details(service.MethodDetails),
        )

    @documented(LIST_PAYMENT_METHODS, "payment_method", "List payment methods", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_payment_methods(
            call.scope,
            call.paging,
            customer=call.given.get("customer", ""),
            method_type=call.given.get("type", ""),
            allow_redisplay=call.given.get("allow_redisplay", ""),
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
