"""/v1/customers."""

from __future__ import annotations

from typing import Any

from payments.api.pagination import list_answer, paging_of
from payments.api.renderers import render_customer
from payments.api.requests.customers import (
    CREATE_CUSTOMER,
    DELETE_CUSTOMER,
    LIST_CUSTOMERS,
    RETRIEVE_CUSTOMER,
    UPDATE_CUSTOMER,
)
from payments.api.requests.payment_methods import LIST_CUSTOMER_PAYMENT_METHODS
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Customer as CustomerRow
from payments.objects.customer import customer_object
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import (
    one_customer,
    page_of_customers,
    page_of_payment_methods,
)
from payments.selectors.scope import CUSTOMER
from payments.services.callers.caller import CommandRequest
from payments.services.commands import customers as service
from payments.services.idempotency.direct_requests import DirectResult

_DETAILS = ("name", "email", "phone", "description", "address", "shipping", "metadata")


def _details(call: Call) -> service.CustomerDetails:
    return service.CustomerDetails(**call.only(*_DETAILS))


class Customers(MerchantView):
    """The customers of a merchant."""

    @documented(CREATE_CUSTOMER, "customer", "Create a customer")
    def post(self, call: Call) -> DirectResult[CustomerRow]:
        return service.create_customer(
            CommandRequest(call.caller, render=render_customer), details=_details(call)
        )

    @documented(LIST_CUSTOMERS, "customer", "List customers", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        return list_answer(
            page_of_customers(call.scope, paging_of(call.given), **call.only("email")),
            customer_object,
            url="/v1/customers",
            kind="customer",
            paths=call.expand,
            scope=call.scope,
        )


class Customer(MerchantView):
    """One customer; a deleted one as a stub."""

    @documented(RETRIEVE_CUSTOMER, "customer", "Retrieve a customer")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        return customer_object(one_customer(call.scope, public_id))

    @documented(UPDATE_CUSTOMER, "customer", "Change a customer")
    def post(self, call: Call, public_id: str) -> DirectResult[CustomerRow]:
        return service.update_customer(
            CommandRequest(call.caller, render=render_customer),
            customer_id=path_id(CUSTOMER, public_id),
            details=_details(call),
        )

    @documented(DELETE_CUSTOMER, "customer", "Delete a customer")
    def delete(self, call: Call, public_id: str) -> dict[str, Any]:
        return service.delete_customer(caller=call.caller, customer_id=path_id(CUSTOMER, public_id))


class CustomerPaymentMethods(MerchantView):
    """The payment methods of one customer."""

    @documented(
        LIST_CUSTOMER_PAYMENT_METHODS,
        "payment_method",
        "List a customer's payment methods",
        is_list=True,
    )
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CUSTOMER, public_id)
        page = page_of_payment_methods(
            call.scope,
            paging_of(call.given),
            customer=public_id,
            method_type=call.given.get("type", ""),
        )
        return list_answer(
            page,
            payment_method_object,
            url=f"/v1/customers/{public_id}/payment_methods",
            kind="payment_method",
            paths=call.expand,
            scope=call.scope,
        )
