"""Customers and payment methods through the merchant API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from payments.models import Customer, Event, IdempotencyKey, PaymentMethod
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop

ADA = {
    "name": "Ada",
    "email": "ada@example.com",
    "address": {"line1": "1 Main St", "city": "Rome", "country": "IT"},
    "metadata": {"tier": "gold"},
}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def types_of(object_id: str) -> list[str]:
    events = Event.objects.filter(payload__object__id=object_id).order_by("seq")
    return list(events.values_list("type", flat=True))


def ids(reply: Reply) -> list[str]:
    return [row["id"] for row in reply.body["data"]]


# --- customers --------------------------------------------------------------------------------


def test_a_customer_is_created_read_updated_and_deleted(api: ApiClient) -> None:
    created = api.post("/v1/customers", **ADA).body
    assert (created["name"], created["address"]["city"]) == ("Ada", "Rome")
    path = f"/v1/customers/{created['id']}"
    assert api.get(path).body == created

    updated = api.post(path, name="Ada L.", address="", metadata={"tier": "", "vip": "1"}).body
    assert (updated["name"], updated["address"], updated["metadata"]) == (
        "Ada L.",
        None,
        {"vip": "1"},
    )
    told = Event.objects.get(type="customer.updated").payload["previous_attributes"]
    assert (told["name"], told["metadata"]) == ("Ada", {"tier": "gold", "vip": None})

    stub = {"id": created["id"], "object": "customer", "deleted": True}
    assert api.delete(path).body == stub
    assert api.get(path).body == stub
    assert types_of(created["id"]) == ["customer.created", "customer.updated", "customer.deleted"]


def test_an_update_that_changes_nothing_emits_no_event(api: ApiClient) -> None:
    created = api.post("/v1/customers", **ADA).body
    api.post(f"/v1/customers/{created['id']}", name="Ada")
    assert types_of(created["id"]) == ["customer.created"]


def test_a_deleted_customer_can_neither_be_changed_nor_deleted_again(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers", **ADA).body["id"]
    path = f"/v1/customers/{customer_id}"
    api.delete(path)
    refused = [api.delete(path), api.post(path, name="x")]
    refused.append(
        api.post("/v1/payment_intents", amount=900, currency="usd", customer=customer_id)
    )
    assert [r.status for r in refused] == [404, 404, 400]
    assert Customer.objects.get().name == "", "what was personal is erased"


def test_deleting_a_customer_detaches_its_methods(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    method_id = api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id).body["id"]
    api.delete(f"/v1/customers/{customer_id}")
    assert api.get(f"/v1/payment_methods/{method_id}").body["customer"] is None
    reply = api.post(
        "/v1/payment_intents", amount=900, currency="usd", payment_method=method_id, confirm=True
    )
    assert (reply.status, reply.error["param"]) == (400, "payment_method")


def test_metadata_never_grows_beyond_fifty_keys(api: ApiClient) -> None:
    many = {f"k{number}": "v" for number in range(50)}
    path = f"/v1/customers/{api.post('/v1/customers', metadata=many).body['id']}"
    reply = api.post(path, metadata={"one_more": "v"})
    assert (reply.status, reply.error["param"]) == (400, "metadata")
    assert len(api.get(path).body["metadata"]) == 50
    assert api.post(path, metadata={"k0": "", "one_more": "v"}).status == 200


def test_creating_a_customer_is_done_once_per_key(api: ApiClient) -> None:
    replies = [api.post("/v1/customers", key="once", name="Ada") for _ in range(3)]
    assert len({r.response.content for r in replies}) == 1
    assert [r.header("Idempotent-Replayed") for r in replies] == [None, "true", "true"]
    assert Customer.objects.count() == Event.objects.count() == 1


# --- the default payment method ---------------------------------------------------------------

DEFAULT = "invoice_settings.default_payment_method"


def default_of(shown: dict[str, Any]) -> Any:
    return shown["invoice_settings"]["default_payment_method"]


def test_a_customer_is_created_with_a_payment_method_as_its_default(api: ApiClient) -> None:
    visa = "pm_card_visa"
    given = {"payment_method": visa, "invoice_settings": {"default_payment_method": visa}}
    created = api.post("/v1/customers", **given, expand=[DEFAULT]).body
    method = default_of(created)
    assert (method["customer"], method["card"]["last4"]) == (created["id"], "4242")
    assert ids(api.get(f"/v1/customers/{created['id']}/payment_methods")) == [method["id"]]
    assert types_of(method["id"]) == ["payment_method.attached"]
    path = f"/v1/customers/{created['id']}"
    assert api.get(path, expand=[DEFAULT]).body == created
    listed = api.get("/v1/customers", expand=[f"data.{DEFAULT}"]).body["data"]
    assert listed == [created]


def test_a_default_is_one_of_the_customers_own_methods(api: ApiClient) -> None:
    mine, other = (api.post("/v1/customers", payment_method="pm_card_visa").body for _ in range(2))
    theirs = ids(api.get(f"/v1/customers/{other['id']}/payment_methods"))[0]
    path = f"/v1/customers/{mine['id']}"
    for wrong in (theirs, "pm_card_visa"):
        reply = api.post(path, invoice_settings={"default_payment_method": wrong})
        assert (reply.status, reply.error["param"]) == (
            400,
            "invoice_settings[default_payment_method]",
        )
    assert default_of(api.get(path).body) is None
    refused = api.post("/v1/customers", payment_method=theirs)
    assert (refused.status, refused.error["param"]) == (400, "payment_method")
    assert Customer.objects.count() == 2


@pytest.mark.parametrize("how", ["unset", "detached", "deleted"])
def test_a_default_ends_with_the_method(api: ApiClient, how: str) -> None:
    given = {"payment_method": "pm_card_visa"}
    customer_id = api.post("/v1/customers", **given).body["id"]
    path = f"/v1/customers/{customer_id}"
    method_id = ids(api.get(f"{path}/payment_methods"))[0]
    chosen = api.post(path, invoice_settings={"default_payment_method": method_id}).body
    assert default_of(chosen) == method_id
    if how == "unset":
        api.post(path, invoice_settings={"default_payment_method": ""})
    elif how == "detached":
        api.post(f"/v1/payment_methods/{method_id}/detach")
    else:
        api.delete(path)
    assert Customer.objects.get().default_payment_method_id is None
    if how != "deleted":
        assert default_of(api.get(path).body) is None
        told = Event.objects.filter(type="customer.updated").order_by("seq").last()
        assert told is not None
        assert told.payload["previous_attributes"] == {
            "invoice_settings": {"default_payment_method": method_id}
        }


# --- payment methods --------------------------------------------------------------------------


def test_a_method_is_made_from_a_token_attached_and_detached(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    method = api.post("/v1/payment_methods", type="card", card={"token": "tok_visa"}).body
    assert (method["card"]["brand"], method["card"]["last4"], method["customer"]) == (
        "visa",
        "4242",
        None,
    )
    path = f"/v1/payment_methods/{method['id']}"
    attached = api.post(f"{path}/attach", customer=customer_id, expand=["customer"]).body
    assert attached["customer"]["id"] == customer_id
    assert ids(api.get(f"/v1/customers/{customer_id}/payment_methods")) == [method["id"]]
    assert ids(api.get("/v1/payment_methods", customer=customer_id, type="card")) == [method["id"]]

    changed = api.post(path, billing_details={"name": "Ada"}, metadata={"a": "1"}).body
    assert (changed["billing_details"]["name"], changed["metadata"]) == ("Ada", {"a": "1"})

    assert api.post(f"{path}/detach").body["customer"] is None
    assert ids(api.get("/v1/payment_methods", customer=customer_id)) == []
    assert types_of(method["id"]) == [
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.detached",
    ]


def test_a_detached_method_can_never_be_used_again(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    method = api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id).body
    path = f"/v1/payment_methods/{method['id']}"
    api.post(f"{path}/detach")
    for action in ("attach", "detach"):
        params = {"customer": customer_id} if action == "attach" else {}
        reply = api.post(f"{path}/{action}", **params)
        assert reply.status == 400, action
    assert Event.objects.filter(type="payment_method.attached").count() == 1


def test_a_method_belongs_to_one_customer(api: ApiClient) -> None:
    first, second = (api.post("/v1/customers").body["id"] for _ in range(2))
    method = api.post("/v1/payment_methods/pm_card_visa/attach", customer=first).body
    path = f"/v1/payment_methods/{method['id']}/attach"
    assert api.post(path, customer=first).status == 200
    assert api.post(path, customer=second).error["code"] == "payment_method_unexpected_state"
    assert api.get(f"/v1/payment_methods/{method['id']}").body["customer"] == first


def test_concurrent_attachments_of_one_method_succeed_once(
    api: ApiClient, run_together: Callable[..., list[Any]]
) -> None:
    method = api.post("/v1/payment_methods", type="card", card={"token": "tok_visa"}).body
    customers = [api.post("/v1/customers").body["id"] for _ in range(4)]

    def attach(customer_id: str) -> Callable[[], Reply]:
        client = ApiClient(api.secret)
        path = f"/v1/payment_methods/{method['id']}/attach"
        return lambda: client.post(path, customer=customer_id)

    replies = run_together(*map(attach, customers))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
    [winner] = [reply.body["customer"] for reply in replies if reply.status == 200]
    assert api.get(f"/v1/payment_methods/{method['id']}").body["customer"] == winner
    assert types_of(method["id"]) == ["payment_method.attached"]


def test_concurrent_copies_of_a_request_make_one_customer(
    api: ApiClient, run_together: Callable[..., list[Any]]
) -> None:
    clients = [ApiClient(api.secret) for _ in range(6)]

    def create(client: ApiClient) -> Callable[[], Reply]:
        return lambda: client.post("/v1/customers", key="once", name="Ada")

    replies = run_together(*map(create, clients))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body["id"] for reply in replies}) == 1
    assert Customer.objects.count() == Event.objects.count() == 1


def test_a_customer_that_is_deleted_meanwhile_gets_no_method(
    api: ApiClient, run_together: Callable[..., list[Any]]
) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    method = api.post("/v1/payment_methods", type="card", card={"token": "tok_visa"}).body
    attaching, deleting = ApiClient(api.secret), ApiClient(api.secret)
    path = f"/v1/payment_methods/{method['id']}"
    attached, deleted = run_together(
        lambda: attaching.post(f"{path}/attach", customer=customer_id),
        lambda: deleting.delete(f"/v1/customers/{customer_id}"),
    )
    assert deleted.status == 200
    assert attached.status in (200, 400)
    assert api.get(path).body["customer"] is None


def test_a_saved_method_pays_for_its_customer(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    method = api.post("/v1/payment_methods/pm_card_mastercard/attach", customer=customer_id).body
    intent = api.pay(customer=customer_id, payment_method=method["id"], expand=["payment_method"])
    assert intent["payment_method"]["card"]["brand"] == "mastercard"


@pytest.mark.parametrize(
    ("card", "status", "code"),
    [
        ({"token": "tok_nonsense"}, 400, "resource_missing"),
        ({"number": "4242424242424242"}, 400, "card_data_not_allowed"),
        ({"token": "4242424242424242"}, 400, "card_data_not_allowed"),
        ({}, 400, "parameter_missing"),
    ],
)
def test_an_invalid_token_makes_no_payment_method(
    api: ApiClient, card: dict[str, str], status: int, code: str
) -> None:
    reply = api.post("/v1/payment_methods", type="card", card=card)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert "4242" not in reply.response.content.decode()
    assert PaymentMethod.objects.count() == IdempotencyKey.objects.count() == 0


def test_another_merchants_customer_and_method_are_missing(
    other_shop: Shop, api: ApiClient
) -> None:
    other = api_of(other_shop)
    customer_id = other.post("/v1/customers").body["id"]
    method = other.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id).body
    mine = api.post("/v1/customers").body["id"]
    refused = [
        api.get(f"/v1/customers/{customer_id}"),
        api.post(f"/v1/customers/{customer_id}", name="x"),
        api.delete(f"/v1/customers/{customer_id}"),
        api.get(f"/v1/customers/{customer_id}/payment_methods"),
        api.get(f"/v1/payment_methods/{method['id']}"),
        api.post(f"/v1/payment_methods/{method['id']}", metadata={"a": "b"}),
        api.post(f"/v1/payment_methods/{method['id']}/attach", customer=mine),
        api.post(f"/v1/payment_methods/{method['id']}/detach"),
        api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id),
    ]
    assert [r.status for r in refused] == [*[404] * 8, 400], "the last names it as a parameter"
    assert {r.error["code"] for r in refused} == {"resource_missing"}
