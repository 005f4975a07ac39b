"""Every parameter that the official SDK offers is taken, or refused by name with what to do."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import stripe
from stripe import params

from payments.api.parameters import Parameters
from payments.tests.http.support.routes import ROUTES, Route

OF_THE_CLIENT = frozenset(stripe.RequestOptions.__annotations__)
"""Keys and headers, which old clients give among the parameters."""
ACTIONS = {"POST": "Create", "GET": "List"}
ACTIONS_OF_ONE = {"POST": "Update", "GET": "Retrieve", "DELETE": "Delete"}
IRREGULAR = {
    "GET /v1/account": "AccountRetrieveCurrent",
    "GET /v1/balance": "BalanceRetrieve",
    "GET /v1/customers/{public_id}/payment_methods": "CustomerPaymentMethodList",
    "GET /v1/customers/{public_id}/payment_methods/{method_id}": "CustomerPaymentMethodRetrieve",
    "GET /v1/customers/{public_id}/sources": "CustomerPaymentSourceList",
    "POST /v1/checkout/sessions": "checkout.SessionCreate",
    "GET /v1/checkout/sessions": "checkout.SessionList",
    "GET /v1/checkout/sessions/{public_id}": "checkout.SessionRetrieve",
    "POST /v1/checkout/sessions/{public_id}/expire": "checkout.SessionExpire",
    "GET /v1/checkout/sessions/{public_id}/line_items": "checkout.SessionListLineItems",
    "GET /v1/payment_links/{public_id}/line_items": "PaymentLinkListLineItems",
    "GET /v1/payment_intents/{public_id}/amount_details_line_items": (
        "PaymentIntentAmountDetailsLineItemList"
    ),
}


def sdk_class_of(route: Route) -> Any:
    """The class of a route's parameters, such as PaymentIntentCaptureParams."""
    resource, *rest = route.template.removeprefix("/v1/").split("/")
    owner = resource.removesuffix("s").title().replace("_", "")
    below = [part for part in rest if not part.startswith("<")]
    action = below[0].title().replace("_", "") if below else ""
    action = action or (ACTIONS_OF_ONE if rest else ACTIONS)[route.method]
    return attrgetter(f"{IRREGULAR.get(str(route), owner + action)}Params")(params)


def typed_dicts(hint: Any) -> Iterator[Any]:
    """The classes of parameters in a type."""
    if isinstance(hint, type) and hasattr(hint, "__total__"):
        yield hint
    for part in typing.get_args(hint):
        yield from typed_dicts(part)


def unknown(sdk_class: Any, declared: Parameters, where: str = "") -> Iterator[str]:
    names = {"Mapping": Mapping, "StripeContext": object}
    module = vars(__import__(sdk_class.__module__, fromlist=["_"]))
    for name, hint in typing.get_type_hints(sdk_class, {**module, **names}).items():
        shown = f"{where}[{name}]" if where else name
        kind = declared.declared.get(name)
        if kind is None:
            yield from [] if not where and name in OF_THE_CLIENT else [shown]
        below = getattr(getattr(kind, "item", kind), "parameters", None)
        if isinstance(below, Parameters):
            for inner in typed_dicts(hint):
                yield from unknown(inner, below, shown)


def test_every_parameter_of_the_sdk_is_known() -> None:
    found = {
        f"{route}: {name}"
        for route in ROUTES
        for name in unknown(sdk_class_of(route), route.parameters)
    }
    assert sorted(found) == []
