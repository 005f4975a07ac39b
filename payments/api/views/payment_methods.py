"""/v1/payment_methods: created from the PSP's tokens, never from card data."""

from __future__ import annotations

from typing import Any

from payments.api.expansion import expand
from payments.api.pagination import list_answer, paging_of
from payments.api.renderers import render_payment_method
from payments.api.requests.payment_methods import (
    ATTACH_PAYMENT_METHOD,
    CREATE_PAYMENT_METHOD,
    DETACH_PAYMENT_METHOD,
    LIST_PAYMENT_METHODS,
    RETRIEVE_PAYMENT_METHOD,
    UPDATE_PAYMENT_METHOD,
)
from payments.api.views.call import Call, path_id, refuse_card_in_path
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import PaymentMethod as MethodRow
from payments.objects.payment_method import payment_method_object
from payments.selectors.customers import one_payment_method, page_of_payment_methods
from payments.selectors.scope import CUSTOMER, PAYMENT_METHOD, id_of
from payments.services.callers.caller import CommandRequest
from payments.services.commands import payment_methods as service
from payments.services.idempotency.direct_requests import DirectResult


def _details(call: Call) -> service.MethodDetails:
    return service.MethodDetails(**call.only("billing_details", "metadata"))


class PaymentMethods(MerchantView):
    """The payment methods of a merchant's customers."""

    @documented(CREATE_PAYMENT_METHOD, "payment_method", "Create a payment method from a token")
    def post(self, call: Call) -> DirectResult[MethodRow]:
        method_type = call.given["type"]
        return service.create_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_type=method_type,
            token=call.given[method_type]["token"],
            details=_details(call),
        )

    @documented(LIST_PAYMENT_METHODS, "payment_method", "List payment methods", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_payment_methods(
            call.scope,
            paging_of(call.given),
            customer=call.given.get("customer", ""),
            method_type=call.given.get("type", ""),
        )
        return list_answer(
            page,
            payment_method_object,
            url="/v1/payment_methods",
            kind="payment_method",
            paths=call.expand,
            scope=call.scope,
        )


class PaymentMethod(MerchantView):
    """One payment method."""

    @documented(RETRIEVE_PAYMENT_METHOD, "payment_method", "Retrieve a payment method")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(PAYMENT_METHOD, public_id)
        shown = payment_method_object(one_payment_method(call.scope, public_id))
        expand([shown], "payment_method", call.expand, call.scope)
        return shown

    @documented(UPDATE_PAYMENT_METHOD, "payment_method", "Change a payment method")
    def post(self, call: Call, public_id: str) -> DirectResult[MethodRow]:
        return service.update_payment_method(
            CommandRequest(call.caller, render=render_payment_method),
            method_id=path_id(PAYMENT_METHOD, public_id),
            details=_details(call),
        )


class AttachPaymentMethod(MerchantView):
    """Attach a payment method to a customer."""

    @documented(ATTACH_PAYMENT_METHOD, "payment_method", "Attach a payment method to a customer")
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
