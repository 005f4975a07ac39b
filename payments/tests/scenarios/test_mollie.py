"""Payments over Mollie's adapter: the sandbox PSP's truth, behind a face that speaks as Mollie."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from payments.models import Case, Mandate, Operation, PspNotification
from payments.services.psp_notifications import processing
from payments.services.verification.rebuild import differences
from payments.tests.support.api_client import api_of
from payments.tests.support.crashes import STEPS, Where, crash, crash_at
from payments.tests.support.factories import MerchantFactory, PspAccountFactory, set_credentials
from payments.tests.support.money_moves import COMMANDS, end_leases, kind_of, prepare
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.mollie.adapter import MollieAdapter
from psp_adapters.tests.support.mollie_face import MollieFace
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

MOVES = ("create", "capture", "cancel", "refund")
INTENTS = "/v1/payment_intents"
BETWEEN_CALLS: list[tuple[str, Where]] = [
    ("capture", (MollieAdapter, "_release_rest", "before")),
    ("cancel", (MollieAdapter, "_store_note", "after")),
    ("cancel", (MollieAdapter, "_release", "after")),
]
"""A command, and where it is killed after one of its requests to Mollie, before the next."""


@dataclass
class MollieShop(Shop):
    """A shop whose cards are tokens of Mollie."""

    def create(self, *args: Any, token: str = "tkn_visa", **more: Any) -> Any:
        return super().create(*args, token=token, **more)


@pytest.fixture
def face(sandbox_psp: SandboxProcess) -> Iterator[MollieFace]:
    face = MollieFace(sandbox_psp.base_url)
    yield face
    face.close()


@pytest.fixture
def mollie_shop(
    database: None, sandbox_psp: SandboxProcess, face: MollieFace
) -> Iterator[MollieShop]:
    account = PspAccountFactory.create(code=f"mollie-{uuid.uuid4().hex[:12]}", psp="mollie")
    set_credentials(
        account,
        api_key=f"test_{uuid.uuid4().hex}",
        base_url=face.base_url,
        webhook_url=f"https://pay.example/psp/{account.code}/webhook",
        webhook_secrets=SECRET,
    )
    merchant = MerchantFactory.create(test_psp_account=account)
    yield MollieShop(psp=sandbox_psp, merchant=merchant, account=account)
    sandbox_psp.heal()


def notify(face: MollieFace, *, body: str = "", query: str | None = None) -> int:
    """Send what Mollie sends about the last payment; the status of our answer."""
    payment_id = face.payments[-1]
    address = urlsplit(face.webhook_urls[payment_id])
    sent = body or f"id={payment_id}"
    path = f"{address.path}?{address.query if query is None else query}"
    form = "application/x-www-form-urlencoded"
    return Client().post(path, data=sent, content_type=form).status_code


@pytest.mark.matrix(most=5)
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("name", MOVES)
def test_recovery_resolves_a_lost_answer_of_mollie(
    mollie_shop: MollieShop, name: str, after: bool
) -> None:
    _, command, expected = COMMANDS[name]
    intent_id = prepare(mollie_shop, name)
    drop = {"drop_after" if after else "drop_before": 1}
    mollie_shop.psp.script(drop, order_id=mollie_shop.order_id, kind=kind_of(name))
    answer = command(mollie_shop, intent_id, mollie_shop.caller(key="key"))
    mollie_shop.settle()
    kinds = [each["kind"] for each in mollie_shop.effects()]
    # Mollie goes on holding what a last capture left: it is released by itself, if at once.
    released = ["void"] if name == "capture" and not after else []
    assert kinds == [*expected, *released]
    operations = mollie_shop.operations(intent_id or body_of(answer)["id"])
    assert {operation.status for operation in operations} == {"SUCCEEDED"}
    assert list(differences()) == []


def crashed_and_repeated(shop: MollieShop, name: str, kill: Callable[..., None]) -> list[str]:
    """The effects at the PSP, once a command was killed and then requested again."""
    _, command, _ = COMMANDS[name]
    intent_id = prepare(shop, name)
    caller = shop.caller(key=shop.order_id, body={"command": name})
    kill(lambda: command(shop, intent_id, caller))
    end_leases()
    answer = command(shop, intent_id, caller)
    shop.settle()
    assert command(shop, intent_id, caller).body == answer.body
    operations = shop.operations(intent_id or body_of(answer)["id"])
    assert {operation.status for operation in operations} == {"SUCCEEDED"}
    assert not Case.objects.exists()
    assert list(differences()) == []
    return [each["kind"] for each in shop.effects()]


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", MOVES)
def test_a_repeated_request_after_a_crash_ends_in_one_effect_at_mollie(
    mollie_shop: MollieShop, name: str, step: str
) -> None:
    kinds = crashed_and_repeated(mollie_shop, name, partial(crash, step))
    released = ["void"] if name == "capture" else []
    assert kinds == [*COMMANDS[name][2], *released]


@pytest.mark.parametrize(("name", "place"), BETWEEN_CALLS, ids=lambda each: str(each[1:2]))
def test_a_crash_between_two_requests_of_one_command_ends_in_one_effect_at_mollie(
    mollie_shop: MollieShop, name: str, place: Where
) -> None:
    """Without its release, what the last capture left is held until Mollie's hold ends."""
    kinds = crashed_and_repeated(mollie_shop, name, partial(crash_at, place))
    assert kinds == COMMANDS[name][2]


@pytest.mark.parametrize("method", ["ideal", "bancontact", "paypal", "card"])
def test_a_payment_on_another_page_ends_by_the_notification_of_its_address(
    mollie_shop: MollieShop, face: MollieFace, method: str
) -> None:
    api = api_of(mollie_shop)
    begun = api.post(
        INTENTS,
        amount=900,
        currency="eur",
        confirm=True,
        return_url="https://shop.example/back",
        payment_method_data={"type": method},
    ).body
    assert begun["status"] == "requires_action"
    mollie_shop.psp.complete_challenge(begun["next_action"]["redirect_to_url"]["url"])

    assert notify(face, query="op=op_1&signature=" + "0" * 64) == 400
    assert PspNotification.objects.count() == 0
    assert [notify(face), notify(face)] == [200, 200]
    assert processing.process_due_notifications() == 2

    paid = api.get(f"{INTENTS}/{begun['id']}").body
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 900)
    charge = api.get(f"/v1/charges/{paid['latest_charge']}").body
    assert charge["payment_method_details"]["type"] == method
    assert method in charge["payment_method_details"]
    assert {each.status for each in PspNotification.objects.all()} == {"processed"}
    assert not Case.objects.exists()
    assert list(differences()) == []


def test_a_payment_that_mollie_cannot_cancel_stays_open_and_can_be_paid(
    mollie_shop: MollieShop, face: MollieFace
) -> None:
    api = api_of(mollie_shop)
    begun = api.post(
        INTENTS,
        amount=900,
        currency="eur",
        confirm=True,
        return_url="https://shop.example/back",
        payment_method_data={"type": "ideal"},
    ).body
    refused = api.post(f"{INTENTS}/{begun['id']}/cancel")
    assert refused.status == 402 or refused.status == 400, refused.body
    assert "ends by itself" in refused.error["message"]
    assert api.get(f"{INTENTS}/{begun['id']}").body["status"] == "requires_action"
    mollie_shop.psp.complete_challenge(begun["next_action"]["redirect_to_url"]["url"])
    assert notify(face) == 200
    processing.process_due_notifications()
    assert api.get(f"{INTENTS}/{begun['id']}").body["status"] == "succeeded"
    assert list(differences()) == []


def test_a_payment_by_a_bank_is_kept_and_later_debited_without_the_customer(
    mollie_shop: MollieShop, face: MollieFace
) -> None:
    api = api_of(mollie_shop)
    customer = api.post("/v1/customers").body["id"]
    amount = {"amount": 900, "currency": "eur", "confirm": True, "customer": customer}
    begun = api.post(
        INTENTS,
        **amount,
        return_url="https://shop.example/back",
        payment_method_data={"type": "ideal"},
        setup_future_usage="off_session",
    ).body
    mollie_shop.psp.complete_challenge(begun["next_action"]["redirect_to_url"]["url"])
    assert notify(face) == 200
    processing.process_due_notifications()
    paid = api.get(f"{INTENTS}/{begun['id']}").body
    kept = api.get(f"/v1/payment_methods/{paid['payment_method']}").body
    assert (paid["status"], kept["customer"]) == ("succeeded", customer)
    mandate = Mandate.objects.get()
    assert (mandate.status, mandate.psp_reference[:4]) == ("active", "mdt_")
    shown = api.get(f"/v1/mandates/{mandate.public_id}").body
    assert (shown["payment_method"], shown["type"]) == (kept["id"], "multi_use")

    debited = api.post(
        INTENTS,
        **amount,
        payment_method=kept["id"],
        payment_method_types=["ideal"],
        off_session=True,
    ).body
    assert (debited["status"], debited.get("next_action")) == ("processing", None)
    assert Operation.objects.get(intent_id=uuid_of(debited["id"])).mandate_id == mandate.id
    mollie_shop.psp.advance(3600)
    assert notify(face) == 200
    processing.process_due_notifications()
    assert api.get(f"{INTENTS}/{debited['id']}").body["status"] == "succeeded"
    assert list(differences()) == []

    assert api.post(f"/v1/payment_methods/{kept['id']}/detach").body["customer"] is None
    assert face.mandates == {}
    assert api.get(f"/v1/mandates/{mandate.public_id}").body["status"] == "inactive"
    refused = api.post("/v1/setup_intents", customer=customer)
    assert (refused.status, refused.error["code"]) == (400, "setup_not_supported")
    assert "setup_future_usage" in refused.error["message"]
