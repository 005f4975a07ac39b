"""Every example request of the reference can be sent as printed, and its example answer comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from payments.api.views.checkout_parameters import CREATE_SESSION
from payments.api.views.payment_methods import CREATE_PAYMENT_METHOD
from payments.objects.fields import example_id
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.tests.commands.test_cancel_refund import Waiting
from payments.tests.http.support.routes import ROUTES, Route
from payments.tests.http.support.storefront import new_order
from payments.tests.support.api_client import Reply, api_of
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop
from paymentsite.tests.fixtures.described_answers import document

INTENTS: Final = "/v1/payment_intents"
FIRST: Final = (
    *("POST /v1/webhook_endpoints", "POST /v1/customers", "POST /v1/payment_methods"),
    *("POST /v1/payment_methods/{public_id}/attach", "POST /v1/checkout/sessions"),
    *("POST /v1/payment_links", f"POST {INTENTS}", "POST /v1/refunds"),
    "POST /v1/setup_intents",
)
"""These make what the others name."""
EXAMPLE_ID: Final = re.compile(example_id("([a-z]+)"))


class Merchant:
    """Sends the examples with ids of its own objects in place of the printed ones."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.api = shop, api_of(shop)
        self.ids: dict[str, str] = {}
        self.ids["acct"] = self.api.get("/v1/account").body["id"]

    def send(self, route: Route) -> Reply:
        prepare = OWN_OBJECTS.get(str(route))
        ids = {**self.ids, **(prepare(self) if prepare else {})}
        given = with_ids(route.parameters.example, ids)
        path = route.documented_path.replace("{method_id}", ids.get("pm", ""))
        path = path.replace("{public_id}", ids.get(prefix_of(route), ""))
        if route.method == "POST":
            return self.api.post(path, **given)
        return self.api.delete(path) if route.method == "DELETE" else self.api.get(path, **given)

    def keep(self, answer: dict[str, Any]) -> None:
        """The ids of what an example made, for the examples that name it."""
        identifier = answer["id"]
        self.ids[identifier.partition("_")[0]] = identifier
        if answer["object"] == "payment_intent":
            self.ids["ch"] = answer["latest_charge"]
            self.ids["evt"] = self.api.get("/v1/events").body["data"][0]["id"]
            self.ids["txn"] = self.api.get("/v1/balance_transactions").body["data"][0]["id"]
            self.ids |= self.dispute()
            fan_out_due()

    def intent(self, **more: Any) -> dict[str, str]:
        made = self.api.post(INTENTS, amount=1250, currency="eur", **more).body
        return {"pi": made["id"], "ch": made["latest_charge"]}

    def held(self) -> dict[str, str]:
        return self.intent(payment_method="pm_card_visa", confirm=True, capture_method="manual")

    def dispute(self) -> dict[str, str]:
        self.shop.order_id = new_order()
        desk = Desk(self.shop)
        desk.pay()
        return {"dp": desk.sync(desk.open()).public_id}

    def refund(self) -> dict[str, str]:
        self.shop.order_id = new_order()
        return {"re": Waiting(self.shop).refund.public_id}

    def setup(self) -> dict[str, str]:
        return {"seti": self.api.post("/v1/setup_intents").body["id"]}

    def mandate(self) -> dict[str, str]:
        online = {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}
        accepted = {"customer_acceptance": {"type": "online", "online": online}}
        kept = {"payment_method": "pm_sepaDebit_success", "confirm": True}
        made = self.api.post("/v1/setup_intents", **kept, mandate_data=accepted)
        return {"mandate": made.body["mandate"]}

    def open_session(self) -> dict[str, str]:
        made = self.api.post("/v1/checkout/sessions", **CREATE_SESSION.example)
        return {"cs": made.body["id"]}

    def unattached(self) -> dict[str, str]:
        made = self.api.post("/v1/payment_methods", **CREATE_PAYMENT_METHOD.example)
        return {"pm": made.body["id"]}

    def attached(self) -> dict[str, str]:
        made = self.api.post("/v1/payment_methods/pm_card_visa/attach", customer=self.ids["cus"])
        return {"pm": made.body["id"]}


NOT_REPEATED: Final = {"payment_method", "amount"}
"""Sent as a token; and of a captured charge the answer's is the authorized one."""
OWN_OBJECTS: Final[dict[str, Callable[[Merchant], dict[str, str]]]] = {
    f"POST {INTENTS}/{{public_id}}": Merchant.intent,
    f"POST {INTENTS}/{{public_id}}/confirm": Merchant.intent,
    f"POST {INTENTS}/{{public_id}}/capture": Merchant.held,
    f"POST {INTENTS}/{{public_id}}/cancel": Merchant.held,
    f"POST {INTENTS}/{{public_id}}/increment_authorization": Merchant.held,
    f"GET {INTENTS}/{{public_id}}/amount_details_line_items": lambda merchant: merchant.intent(
        amount_details={
            "line_items": [{"product_name": "Two books", "quantity": 2, "unit_cost": 625}]
        }
    ),
    "POST /v1/checkout/sessions/{public_id}/expire": Merchant.open_session,
    "POST /v1/charges/{public_id}/capture": Merchant.held,
    "POST /v1/refunds/{public_id}/cancel": Merchant.refund,
    "POST /v1/disputes/{public_id}": Merchant.dispute,
    "POST /v1/disputes/{public_id}/close": Merchant.dispute,
    "POST /v1/setup_intents/{public_id}": Merchant.setup,
    "POST /v1/setup_intents/{public_id}/confirm": Merchant.setup,
    "POST /v1/setup_intents/{public_id}/cancel": Merchant.setup,
    "GET /v1/mandates/{public_id}": Merchant.mandate,
    "DELETE /v1/customers/{public_id}": lambda merchant: {
        "cus": merchant.api.post("/v1/customers").body["id"]
    },
    "GET /v1/payment_methods/{public_id}": Merchant.unattached,
    "POST /v1/payment_methods/{public_id}": Merchant.unattached,
    "POST /v1/payment_methods/{public_id}/detach": Merchant.attached,
}
"""Examples that change an object, or need one in a state of its own."""


def prefix_of(route: Route) -> str:
    operation = document()["paths"][route.documented_path][route.method.lower()]
    printed = [p["example"] for p in operation["parameters"] if p["name"] == "public_id"]
    return printed[0].partition("_")[0] if printed else ""


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: with_ids(each, ids) for name, each in value.items()}
    found = EXAMPLE_ID.fullmatch(value) if isinstance(value, str) else None
    return ids[found[1]] if found else value


def printed_answer(route: Route) -> Any:
    operation = document()["paths"][route.documented_path][route.method.lower()]
    [example] = operation["responses"]["200"]["content"]["application/json"]["examples"].values()
    return example["value"]


def different(printed: Any, came: Any, *, strict: bool, where: str = "") -> Iterator[str]:
    """Where an answer has other fields than the example, or other kinds of values.

    A value that may be null is compared if `strict`, or if it is an id.
    """
    if isinstance(printed, dict) and isinstance(came, dict):
        names = printed.keys() if where.endswith("metadata") else printed.keys() | came.keys()
        for name in names - (printed.keys() & came.keys()):
            if not where.endswith("metadata"):
                yield f"{where}.{name} is only {'printed' if name in printed else 'answered'}"
        for name in names & printed.keys() & came.keys():
            yield from different(printed[name], came[name], strict=strict, where=f"{where}.{name}")
    elif isinstance(printed, list) and isinstance(came, list) and bool(printed) == bool(came):
        for one, other in zip(printed[:1], came[:1], strict=True):
            yield from different(one, other, strict=strict, where=f"{where}[0]")
    elif is_other(printed, came, strict=strict) or (where == ".status" and printed != came):
        yield f"{where}: {printed!r} is printed, {came!r} answered"


def is_other(printed: Any, came: Any, *, strict: bool) -> bool:
    if None in (printed, came) and not strict:
        return is_id(printed) or is_id(came)
    return type(printed) is not type(came) or isinstance(printed, list)


def is_id(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(?!req_)[a-z]{2,4}_\w{22}", value) is not None


def unanswered(sent: Any, printed: Any, came: Any, where: str = "") -> Iterator[str]:
    """What was sent and is not printed, or not answered, as it was sent."""
    if isinstance(sent, dict) and isinstance(printed, dict):
        for name in sent.keys() & printed.keys() - NOT_REPEATED:
            yield from unanswered(sent[name], printed[name], came[name], f"{where}.{name}")
    elif not EXAMPLE_ID.fullmatch(str(sent)) and not sent == printed == came:
        yield f"{where}: {sent!r} is sent, {printed!r} printed, {came!r} answered"


def test_every_example_is_sent_and_answered_as_printed(shop: Shop) -> None:
    shop.merchant.platform_fee_basis_points = 360
    shop.merchant.save()
    merchant = Merchant(shop)
    order = {name: place for place, name in enumerate(FIRST)}
    found = []
    for route in sorted(ROUTES, key=lambda route: order.get(str(route), len(order))):
        reply, printed, sent = merchant.send(route), printed_answer(route), route.parameters.example
        assert reply.status == 200, f"{route}: {reply.body}"
        differences = [*different(printed, reply.body, strict=str(route) in FIRST)]
        if route.method == "POST":
            differences += unanswered(sent, printed, reply.body)
        found += [f"{route} {each}" for each in differences]
        if str(route) in FIRST:
            merchant.keep(reply.body)
    assert found == [], "\n".join(found)
