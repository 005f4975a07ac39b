"""Parameters of /v1/payment_intents."""

from __future__ import annotations

from typing import Any, Final

from ledger.money import Money
from payments import public_ids
from payments.amounts import check_amount_limits
from payments.api.parameters import (
    Amount,
    Boolean,
    Currency,
    Email,
    Enum,
    Expand,
    ListOf,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    StatementDescriptor,
    Text,
    Unsupported,
    Url,
)
from payments.api.parameters.groups import (
    METHOD_TYPE,
    list_parameters,
    search_parameters,
    shipping,
)
from payments.api.views.amount_details_parameters import amount_details, level3
from payments.api.views.method_parameters import (
    charge_options,
    check_mandate_only_with_confirm,
    mandate_data,
    method_data_of_payment,
    payment_method,
)
from payments.exceptions import InvalidParameter
from payments.objects.amount_details import LINE_ITEM
from payments.selectors.search_fields import INTENT_FIELDS

_CONNECT: Final = Unsupported("Every merchant has an account of its own here: remove it.")
_FEE: Final = Unsupported("Platform fees are set per merchant by the operator: remove it.")
_LATER: Final = Unsupported("Remove it, or put the data into metadata.")
_TOKEN_INSTEAD: Final = Unsupported(
    "Create a payment method from a token at /v1/payment_methods and pass its id as payment_method."
)
_TYPES_INSTEAD: Final = Unsupported("Use payment_method_types.")
_BLIND: Final = Unsupported("The operator's settings decide how risk is judged: remove it.")


class _OffSession(Boolean):
    """Older clients name the kind of charge instead of `true`."""

    def read(self, value: Any, name: str, is_text: bool) -> bool:
        return value in ("one_off", "recurring") or super().read(value, name, is_text)


def _customer() -> PublicId:
    return PublicId(public_ids.CUSTOMER, noun="customer")


def _description() -> Text:
    return Text(max_length=1000, lines=True, description="Your own text, such as the order.")


def _capture_method() -> Enum:
    return Enum(
        "automatic",
        "manual",
        aliases={"automatic_async": "automatic"},
        description="`manual` holds the money until you capture it. `automatic_async` is the same "
        "as `automatic`.",
    )


def _method_types() -> ListOf:
    return ListOf(
        METHOD_TYPE,
        max_items=20,
        description="The only types that may pay; all that the PSP charges, if not given.",
    )


def _receipt_email() -> Email:
    return Email(description="Kept for you: no receipts are sent.")


def _error_on_requires_action() -> Boolean:
    return Boolean(description="true: a challenge is a decline (402) instead.")


def _off_session() -> Boolean:
    return _OffSession(
        description="true: the customer is not there, so a challenge is a decline (402). The PSP "
        "is told of the agreement with which the method was kept."
    )


def _setup_future_usage(*, can_unset: bool = False) -> Enum:
    return Enum(
        *("off_session", "on_session"),
        can_unset=can_unset,
        description="Keep the method for later payments: it is attached to the customer once the "
        "charge succeeds. `off_session`: also for payments without the customer.",
    )


def _mandate() -> PublicId:
    return PublicId(
        public_ids.MANDATE,
        noun="mandate",
        description="The active mandate to debit the method by; its newest, if not given.",
    )


def _return_url() -> Url:
    return Url(description="Where the customer comes back to after a challenge.")


_UNSUPPORTED_EVERYWHERE: Final[dict[str, Parameter]] = {
    "allowed_payment_method_types": _TYPES_INSTEAD,
    "excluded_payment_method_types": _TYPES_INSTEAD,
    "hooks": _LATER,
    "payment_details": _LATER,
}
_UNSUPPORTED_MONEY: Final[dict[str, Parameter]] = {
    "application_fee_amount": _FEE,
    "customer_account": Unsupported("Use customer."),
    "payment_method_configuration": _TYPES_INSTEAD,
    "transfer_data": _CONNECT,
    "transfer_group": _CONNECT,
}
_UNSUPPORTED_CHARGING: Final[dict[str, Parameter]] = {
    "confirmation_token": _TOKEN_INSTEAD,
    "radar_options": _BLIND,
}


_ONE_METHOD: Final = ("payment_method", "payment_method_data")
_ONE_FORM: Final = ("amount_details", "level3")
_ONE_MANDATE: Final = ("mandate", "mandate_data")


def _purchase(*, can_unset: bool) -> dict[str, Parameter]:
    return {
        "amount_details": amount_details(can_unset=can_unset),
        "level3": level3(can_unset=can_unset),
    }


def _check_amount(given: dict[str, Any]) -> None:
    if "amount" in given and "currency" in given:
        check_amount_limits(Money(given["amount"], given["currency"]))


def _check_only_with_confirm(given: dict[str, Any]) -> None:
    if given.get("confirm"):
        return
    for name in ("off_session", "error_on_requires_action"):
        if given.get(name):
            raise InvalidParameter(
                f"{name} only means something with confirm=true. Pass it when you confirm.",
                param=name,
            )


CREATE_PAYMENT_INTENT: Final = Parameters(
    {
        "amount": Amount(required=True),
        "currency": Currency(required=True),
        **_purchase(can_unset=False),
        "automatic_payment_methods": Nested(
            {
                "enabled": Boolean(required=True, description="Whether the platform chooses."),
                "allow_redirects": Enum(
                    "always",
                    "never",
                    description="never: no method that sends the customer to another page.",
                ),
            },
            description="Kept and shown; without types of its own a payment takes all in any case.",
        ),
        "capture_method": _capture_method(),
        "confirm": Boolean(description="true: charge it at once."),
        "confirmation_method": Enum(
            "automatic",
            "manual",
            description="manual: after a challenge, confirm again to get the result. The payment "
            "provider takes the money when the customer completes the challenge.",
        ),
        "customer": _customer(),
        "description": _description(),
        "error_on_requires_action": _error_on_requires_action(),
        "expand": Expand("payment_intent"),
        "mandate": _mandate(),
        "mandate_data": mandate_data(),
        "metadata": Metadata(),
        "off_session": _off_session(),
        "payment_method": payment_method(),
        "payment_method_data": method_data_of_payment(),
        "payment_method_options": charge_options(),
        "payment_method_types": _method_types(),
        "receipt_email": _receipt_email(),
        "return_url": _return_url(),
        "setup_future_usage": _setup_future_usage(),
        "shipping": shipping(),
        "statement_descriptor": StatementDescriptor(),
        "statement_descriptor_suffix": StatementDescriptor(),
        "use_stripe_sdk": Boolean(description="Changes nothing: next_action is a redirect."),
        "on_behalf_of": _CONNECT,
        **_UNSUPPORTED_EVERYWHERE,
        **_UNSUPPORTED_MONEY,
        **_UNSUPPORTED_CHARGING,
    },
    exclusive=(
        ("automatic_payment_methods", "payment_method_types"),
        *(_ONE_METHOD, _ONE_FORM, _ONE_MANDATE),
    ),
    checks=(_check_amount, _check_only_with_confirm, check_mandate_only_with_confirm),
    example={
        "amount": 1250,
        "currency": "eur",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "description": "Order 6735",
        "metadata": {"order_id": "6735"},
    },
)

UPDATE_PAYMENT_INTENT: Final = Parameters(
    {
        **_purchase(can_unset=True),
        "amount": Amount(),
        "currency": Currency(),
        "capture_method": _capture_method(),
        "customer": _customer(),
        "description": _description(),
        "expand": Expand("payment_intent"),
        "metadata": Metadata(merges=True),
        "payment_method": payment_method(),
        "payment_method_data": method_data_of_payment(),
        "payment_method_options": charge_options(),
        "payment_method_types": _method_types(),
        "receipt_email": _receipt_email(),
        "setup_future_usage": _setup_future_usage(can_unset=True),
        "shipping": shipping(can_unset=True),
        "statement_descriptor": StatementDescriptor(),
        "statement_descriptor_suffix": StatementDescriptor(),
        **_UNSUPPORTED_EVERYWHERE,
        **_UNSUPPORTED_MONEY,
    },
    exclusive=(_ONE_METHOD, _ONE_FORM),
    checks=(_check_amount,),
    example={"amount": 1500, "description": "Order 6735, as a gift"},
)

CONFIRM_PAYMENT_INTENT: Final = Parameters(
    {
        **_purchase(can_unset=True),
        "error_on_requires_action": _error_on_requires_action(),
        "expand": Expand("payment_intent"),
        "mandate": _mandate(),
        "mandate_data": mandate_data(can_unset=True),
        "off_session": _off_session(),
        "payment_method": payment_method(),
        "payment_method_data": method_data_of_payment(),
        "payment_method_options": charge_options(),
        "receipt_email": _receipt_email(),
        "return_url": _return_url(),
        "setup_future_usage": _setup_future_usage(can_unset=True),
        "shipping": shipping(can_unset=True),
        "use_stripe_sdk": Boolean(description="Changes nothing: next_action is a redirect."),
        "amount_to_confirm": Unsupported("Update the amount first; confirm charges all of it."),
        "capture_method": Unsupported("Set capture_method when you create or update."),
        **_UNSUPPORTED_EVERYWHERE,
        **_UNSUPPORTED_CHARGING,
    },
    exclusive=(_ONE_METHOD, _ONE_FORM, _ONE_MANDATE),
    example={
        "payment_method": "pm_card_visa",
        "return_url": "https://shop.example/orders/6735",
    },
)

CAPTURE_PAYMENT_INTENT: Final = Parameters(
    {
        "amount_to_capture": Amount(description="All that is left, if not given."),
        "expand": Expand("payment_intent"),
        "final_capture": Boolean(description="false keeps the rest for a later capture."),
        "metadata": Metadata(merges=True),
        "statement_descriptor": StatementDescriptor(),
        "statement_descriptor_suffix": StatementDescriptor(),
        **_purchase(can_unset=False),
        "application_fee_amount": _FEE,
        "hooks": _LATER,
        "payment_details": _LATER,
        "transfer_data": _CONNECT,
    },
    exclusive=(_ONE_FORM,),
    example={"amount_to_capture": 1000},
)

CANCEL_PAYMENT_INTENT: Final = Parameters(
    {
        "cancellation_reason": Enum(
            *("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
            description="Why; shown with the payment.",
        ),
        "expand": Expand("payment_intent"),
    },
    example={"cancellation_reason": "requested_by_customer"},
)

INCREMENT_AUTHORIZATION: Final = Parameters(
    {
        "amount": Amount(required=True, description="The new total, in minor units."),
        "description": _description(),
        "expand": Expand("payment_intent"),
        "metadata": Metadata(merges=True),
        "statement_descriptor": StatementDescriptor(),
        **_purchase(can_unset=False),
        "application_fee_amount": _FEE,
        "hooks": _LATER,
        "payment_details": _LATER,
        "transfer_data": _CONNECT,
    },
    exclusive=(_ONE_FORM,),
    example={"amount": 1500},
)

LIST_PAYMENT_INTENTS: Final = list_parameters(
    public_ids.PAYMENT_INTENT,
    "payment_intent",
    {
        "customer": _customer(),
        "customer_account": Unsupported("Use customer."),
        "metadata": Nested(
            {"order_id": Text(max_length=500, can_unset=False, description="Exactly this.")},
            description="The payments of one order. Other keys cannot be filtered by.",
        ),
    },
    noun="payment_intent",
    example={"metadata": {"order_id": "6735"}},
)

LIST_LINE_ITEMS: Final = list_parameters(
    public_ids.LINE_ITEM, LINE_ITEM.name, {}, noun="line item", created=False
)

RETRIEVE_PAYMENT_INTENT: Final = Parameters(
    {
        "client_secret": Unsupported("Retrieve with a secret key; browsers are not served here."),
        "expand": Expand("payment_intent"),
    }
)

SEARCH_PAYMENT_INTENTS: Final = search_parameters("payment_intent", INTENT_FIELDS)
