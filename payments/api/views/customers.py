"""/v1/customers."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.card_data import refuse_card_in_path
from payments.api.parameters import (
    Email,
    Enum,
    Expand,
    ListOf,
    Metadata,
    Nested,
    Parameter,
    Parameters,
    Phone,
    PublicId,
    Text,
    Unsupported,
)
from payments.api.parameters.groups import address, list_parameters, search_parameters, shipping
from payments.api.renderers import render_customer
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.api.views.payment_methods import (
    LIST_CUSTOMER_PAYMENT_METHODS,
    RETRIEVE_PAYMENT_METHOD,
)
from payments.models import Customer as CustomerRow
from payments.objects.customer import customer_object
from payments.objects.fields import example_id
from payments.objects.parts import EXAMPLE_ADDRESS
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import (
    one_customer,
    one_payment_method,
    page_of_customers,
    page_of_payment_methods,
)
from payments.selectors.paging import empty_page
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, refuse_missing
from payments.selectors.search import search_customers
from payments.selectors.search_fields import CUSTOMER_FIELDS
from payments.services.callers.caller import CommandRequest
from payments.services.commands import customers as service
from payments.services.idempotency.direct_requests import DirectResult

_METADATA_INSTEAD: Final = Unsupported("Put it into metadata.")
_ATTACH_INSTEAD: Final = Unsupported(
    "Attach a payment method with POST /v1/payment_methods/{id}/attach."
)
_NO_INVOICES: Final = Unsupported("There are no invoices and no balances here: remove it.")

_UNSUPPORTED: Final[dict[str, Parameter]] = {
    "balance": _NO_INVOICES,
    "business_name": _METADATA_INSTEAD,
    "cash_balance": _NO_INVOICES,
    "individual_name": _METADATA_INSTEAD,
    "invoice_prefix": _NO_INVOICES,
    "next_invoice_sequence": _NO_INVOICES,
    "source": _ATTACH_INSTEAD,
    "tax": _METADATA_INSTEAD,
    "validate": _ATTACH_INSTEAD,
}

_LOCALE: Final = Text(
    max_length=35,
    pattern="[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*",
    rule="a language as in de or pt-BR",
    can_unset=False,
)


def _default_method(*, can_unset: bool) -> Nested:
    """`invoice_settings`: of it only the default payment method means something here."""
    return Nested(
        {
            "default_payment_method": PublicId(
                public_ids.PAYMENT_METHOD,
                noun="payment method",
                can_unset=can_unset,
                description="One of this customer. Kept for you: name it when you charge.",
            ),
            "custom_fields": _NO_INVOICES,
            "footer": _NO_INVOICES,
            "rendering_options": _NO_INVOICES,
        },
        description="There are no invoices here, but a default payment method.",
    )


def _who() -> dict[str, Parameter]:
    return {
        "address": address(),
        "description": Text(max_length=1000, lines=True, description="Your own text."),
        "email": Email(),
        "expand": Expand("customer"),
        "name": Text(max_length=256, description="The name."),
        "phone": Phone(),
        "preferred_locales": ListOf(
            _LOCALE, max_items=20, can_unset=True, description="Most preferred first."
        ),
        "shipping": shipping(can_unset=True),
        "tax_exempt": Enum(
            "none", "exempt", "reverse", can_unset=True, description="Kept for you: no tax here."
        ),
        **_UNSUPPORTED,
    }


CREATE_CUSTOMER: Final = Parameters(
    {
        **_who(),
        "invoice_settings": _default_method(can_unset=False),
        "metadata": Metadata(),
        "payment_method": PublicId(
            public_ids.PAYMENT_METHOD,
            noun="payment method",
            description="Attached to the new customer; a test token such as pm_card_visa too.",
        ),
        "tax_id_data": _METADATA_INSTEAD,
        "test_clock": Unsupported("There are no test clocks here: remove it."),
    },
    example={
        "address": EXAMPLE_ADDRESS,
        "email": "ada@example.com",
        "metadata": {"order_id": "6735"},
        "name": "Ada Lovelace",
        "preferred_locales": ["de"],
    },
)

UPDATE_CUSTOMER: Final = Parameters(
    {
        **_who(),
        "invoice_settings": _default_method(can_unset=True),
        "metadata": Metadata(merges=True),
        "default_source": _ATTACH_INSTEAD,
    },
    example={"phone": "+49 30 901820"},
)

RETRIEVE_CUSTOMER: Final = Parameters({"expand": Expand("customer")})

DELETE_CUSTOMER: Final = Parameters({})

LIST_CUSTOMERS: Final = list_parameters(
    public_ids.CUSTOMER,
    "customer",
    {
        "email": Email(can_unset=False, description="Exactly this address, in any case."),
        "test_clock": Unsupported("There are no test clocks here: remove it."),
    },
    noun="customer",
)


LIST_CUSTOMER_SOURCES: Final = list_parameters(
    public_ids.PAYMENT_METHOD,
    "payment_method",
    {"object": Enum("bank_account", "card", "source", description="Sources of this type.")},
    noun="source",
    created=False,
)

SEARCH_CUSTOMERS: Final = search_parameters(
    "customer", CUSTOMER_FIELDS, example='email:"ada@example.com"'
)


class Customers(MerchantView):
    """The customers of a merchant."""

    @documented(CREATE_CUSTOMER, "customer", "Create a customer")
    def post(self, call: Call) -> DirectResult[CustomerRow]:
        return service.create_customer(
            CommandRequest(call.caller, render=render_customer),
            details=call.details(service.CustomerDetails),
            payment_method=call.given.get("payment_method", ""),
        )

    @documented(LIST_CUSTOMERS, "customer", "List customers", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.list_of(
            "customer",
            page_of_customers(call.scope, call.paging, **call.only("email")),
            customer_object,
        )


class SearchCustomers(MerchantView):
    """Customers by a query, without deleted ones."""

    @documented(SEARCH_CUSTOMERS, "customer", "Search customers", is_search=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.search_result_of("customer", search_customers, customer_object)


class Customer(MerchantView):
    """One customer; a deleted one as a stub."""

    @documented(RETRIEVE_CUSTOMER, ("customer", "deleted_customer"), "Retrieve a customer")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        return call.expanded("customer", customer_object(one_customer(call.scope, public_id)))

    @documented(UPDATE_CUSTOMER, "customer", "Change a customer", example=UPDATE_CUSTOMER.example)
    def post(self, call: Call, public_id: str) -> DirectResult[CustomerRow]:
        return service.update_customer(
            CommandRequest(call.caller, render=render_customer),
            customer_id=path_id(CUSTOMER, public_id),
            details=call.details(service.CustomerDetails),
        )

    @documented(DELETE_CUSTOMER, "deleted_customer", "Delete a customer")
    def delete(self, call: Call, public_id: str) -> dict[str, Any]:
        return service.delete_customer(caller=call.caller, customer_id=path_id(CUSTOMER, public_id))


class CustomerPaymentMethods(MerchantView):
    """The payment methods of one customer."""

    @documented(
        LIST_CUSTOMER_PAYMENT_METHODS,
        "payment_method",
        "List a customer's payment methods",
        is_list=True,
        example={"customer": example_id(public_ids.CUSTOMER)},
    )
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        page = page_of_payment_methods(
            call.scope,
            call.paging,
            customer=public_id,
            method_type=call.given.get("type", ""),
            allow_redisplay=call.given.get("allow_redisplay", ""),
            param=CUSTOMER.param,
        )
        return call.list_of("payment_method", page, payment_method_object)


class CustomerSources(MerchantView):
    """The sources of one customer: what payment methods replaced, so there are none."""

    @documented(
        LIST_CUSTOMER_SOURCES,
        "payment_method",
        "List a customer's sources",
        is_list=True,
        is_empty=True,
    )
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        one_customer(call.scope, public_id)
        page = empty_page(call.paging, kind=PAYMENT_METHOD)
        return call.list_of("payment_method", page, payment_method_object)


class CustomerPaymentMethod(MerchantView):
    """One payment method of one customer."""

    @documented(
        RETRIEVE_PAYMENT_METHOD,
        "payment_method",
        "Retrieve a customer's payment method",
        example={"customer": example_id(public_ids.CUSTOMER)},
    )
    def get(self, call: Call, public_id: str, method_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        refuse_card_in_path(method_id)
        customer = one_customer(call.scope, public_id)
        method = one_payment_method(call.scope, method_id, param="id")
        if method.customer_id != customer.id:
            refuse_missing(PAYMENT_METHOD, method_id, param="id")
        return call.expanded("payment_method", payment_method_object(method))
