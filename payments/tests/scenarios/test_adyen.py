"""Payments over Adyen's adapter: what look-ups answer comes from the notifications alone.

The face of the sandbox PSP speaks Adyen's API, so the sandbox PSP's effects are the truth here too.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client

from payments.clock import now_utc
from payments.models import Case, Operation, PaymentMethod, PspNotification, SetupAttempt
from payments.services.callers.caller import Answer
from payments.services.psp_gateway.credentials import seal_credentials
from payments.services.psp_gateway.references import reference_of
from payments.services.psp_notifications import processing
from payments.services.recovery.setups import resolve_due_setups
from payments.services.verification.rebuild import differences
from payments.tests.recovery.test_setups import end_leases as end_setup_leases
from payments.tests.support.api_client import api_of
from payments.tests.support.crashes import STEPS, crash
from payments.tests.support.factories import MerchantFactory, PspAccountFactory
from payments.tests.support.money_moves import end_leases
from payments.tests.support.notices import make_due
from payments.tests.support.shop import Shop, age_operations, body_of
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.support.adyen_face import (
    ACCOUNT,
    API_KEY,
    HMAC_KEY,
    AdyenFace,
    new_id,
    request_of,
)
from psp_adapters.tests.support.sandbox_process import SandboxProcess

GOOD = "shopper-1/GOODCARD00000001"
SETUPS = "/v1/setup_intents"
PAYMENTS = "/v1/payment_intents"
PATHS = {
    "capture": "POST /payments/[^/]+/captures",
    "cancel": "POST /payments/[^/]+/cancels",
    "refund": "POST /payments/[^/]+/refunds",
}


@dataclass
class AdyenShop(Shop):
    """A merchant whose PSP account is at Adyen; the test hands on what Adyen states."""

    face: AdyenFace = field(repr=False, kw_only=True)
    sent: list[bytes] = field(default_factory=list)

    def deliver(self, *bodies: bytes) -> None:
        """Hand on these requests, or all that the face has sent since; process what they bring."""
        for body in bodies or list(self.sent):
            answer = Client().post(
                f"/psp/{self.account.code}/webhook", data=body, content_type="application/json"
            )
            assert (answer.status_code, answer.content) == (200, b"[accepted]")
        if not bodies:
            self.sent.clear()
        make_due()
        processing.process_due_notifications()


@pytest.fixture
def adyen(database: None, sandbox_psp: SandboxProcess) -> Iterator[AdyenShop]:
    account = PspAccountFactory.create(code=f"adyen-{uuid.uuid4().hex[:12]}", psp="adyen")
    behind = SandboxAdapter(
        base_url=sandbox_psp.base_url, api_key=f"sandbox_test_{uuid.uuid4().hex}"
    )
    with AdyenFace(behind) as face:
        given = {"api_key": API_KEY, "merchant_account": ACCOUNT, "webhook_secrets": HMAC_KEY}
        account.sealed_credentials = seal_credentials(
            account.code, {**given, "base_url": face.base_url, "dispute_url": face.dispute_url}
        )
        account.save(update_fields=["sealed_credentials"])
        merchant = MerchantFactory.create(test_psp_account=account)
        shop = AdyenShop(psp=sandbox_psp, merchant=merchant, account=account, face=face)
        face.listeners.append(shop.sent.append)
        yield shop
    behind.close()
    sandbox_psp.heal()


def held(shop: AdyenShop, *, manual: bool = True) -> str:
    """A payment whose authorization is stated, too."""
    intent_id: str = body_of(shop.create(token=GOOD, manual=manual))["id"]
    shop.deliver()
    return intent_id


def statuses(shop: AdyenShop, intent_id: str) -> list[tuple[str, str]]:
    return [(each.kind, each.status) for each in shop.operations(intent_id)]


def kinds(shop: AdyenShop) -> list[str]:
    return [each["kind"] for each in shop.effects()]


def change(shop: AdyenShop, name: str, intent_id: str) -> None:
    {"capture": shop.capture, "cancel": shop.cancel, "refund": shop.refund}[name](intent_id)


def test_a_change_is_processing_until_its_notification_states_the_result(adyen: AdyenShop) -> None:
    intent_id = held(adyen)
    adyen.capture(intent_id, 7_000)
    assert statuses(adyen, intent_id) == [("authorize", "SUCCEEDED"), ("capture", "PENDING")]
    assert adyen.intent(intent_id).amount_captured_minor == 0
    adyen.settle()
    assert statuses(adyen, intent_id)[1] == ("capture", "PENDING")

    adyen.deliver()
    assert adyen.intent(intent_id).amount_captured_minor == 7_000
    adyen.refund(intent_id, 2_000)
    adyen.deliver()
    adyen.settle()
    assert adyen.intent(intent_id).amount_refunded_minor == 2_000
    assert {status for _, status in statuses(adyen, intent_id)} == {"SUCCEEDED"}
    assert kinds(adyen) == ["authorize", "capture", "refund"]
    assert list(differences()) == []
    assert not Case.objects.exists()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("name", PATHS)
def test_a_lost_answer_is_found_out_by_the_same_key(
    adyen: AdyenShop, name: str, after: bool
) -> None:
    intent_id = held(adyen, manual=name != "refund")
    adyen.face.drop_next(PATHS[name], after=after)
    change(adyen, name, intent_id)
    assert statuses(adyen, intent_id)[1][1] == "UNKNOWN"
    age_operations(intent_id, seconds=3 * 3600)
    adyen.settle()
    adyen.deliver()
    adyen.settle()
    assert {status for _, status in statuses(adyen, intent_id)} == {"SUCCEEDED"}
    done = {"capture": "capture", "cancel": "void", "refund": "refund"}[name]
    assert kinds(adyen).count(done) == 1
    assert list(differences()) == []


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_a_charge_whose_answer_is_lost_is_found_by_the_notification_alone(
    adyen: AdyenShop, after: bool
) -> None:
    """A minute later it is not sent again: the customer would not expect it any more."""
    adyen.face.drop_next("POST /payments", after=after)
    intent_id = body_of(adyen.create(token=GOOD))["id"]
    age_operations(intent_id, seconds=120)
    calls = len(adyen.face.calls)
    adyen.settle()
    assert len(adyen.face.calls) == calls
    assert statuses(adyen, intent_id) == [("authorize", "UNKNOWN")]
    adyen.deliver()
    if after:
        assert statuses(adyen, intent_id) == [("authorize", "SUCCEEDED")]
        assert adyen.intent(intent_id).amount_captured_minor == 10_000
    else:
        assert statuses(adyen, intent_id) == [("authorize", "UNKNOWN")]
        age_operations(intent_id, seconds=25 * 3600)
        adyen.settle()
        assert [case.kind for case in Case.objects.all()] == ["outcome_unknown"]
    assert list(differences()) == []


def test_a_capture_that_fails_later_is_reversed_and_reinstated_if_it_is_repeated(
    adyen: AdyenShop,
) -> None:
    intent_id = held(adyen)
    adyen.capture(intent_id)
    adyen.deliver()
    capture = adyen.operations(intent_id)[1]
    facts = {
        "psp_id": capture.psp_id,
        "original": capture.psp_payment_id,
        "reference": reference_of(capture.id),
        "amount": {"currency": "USD", "value": 10_000},
    }
    adyen.face.state("CAPTURE_FAILED", **facts, reason="Capture Failed")
    adyen.deliver()
    assert statuses(adyen, intent_id)[1] == ("capture", "REVERSED")
    assert adyen.intent(intent_id).amount_captured_minor == 0
    assert list(differences()) == []
    adyen.face.state("CAPTURE", **facts, reason="Transaction Recaptured")
    adyen.deliver()
    adyen.settle()
    assert statuses(adyen, intent_id)[1] == ("capture", "SUCCEEDED")
    assert adyen.intent(intent_id).amount_captured_minor == 10_000
    assert list(differences()) == []


def test_a_refund_in_the_customer_area_is_booked_as_an_external_operation(
    adyen: AdyenShop,
) -> None:
    intent_id = held(adyen, manual=False)
    charge = adyen.operations(intent_id)[0]
    adyen.face.state(
        "REFUND",
        psp_id=new_id(),
        original=charge.psp_payment_id,
        reference=reference_of(charge.id),
        amount={"currency": "USD", "value": 4_000},
    )
    adyen.deliver()
    adyen.settle()
    assert adyen.intent(intent_id).amount_refunded_minor == 4_000
    assert statuses(adyen, intent_id)[1] == ("refund", "SUCCEEDED")
    assert list(differences()) == []


def test_one_request_with_several_items_is_stored_whole_or_not_at_all(adyen: AdyenShop) -> None:
    intent_id = held(adyen)
    adyen.capture(intent_id)
    [capture] = [item for item in adyen.face.items if item["eventCode"] == "CAPTURE"]
    forged = {**capture, "success": "false"}
    answer = Client().post(
        f"/psp/{adyen.account.code}/webhook",
        data=request_of(capture, forged),
        content_type="application/json",
    )
    assert answer.status_code == 400
    assert PspNotification.objects.count() == 1
    adyen.deliver(request_of(*adyen.face.items, *adyen.face.items))
    assert PspNotification.objects.count() == 2
    assert statuses(adyen, intent_id) == [("authorize", "SUCCEEDED"), ("capture", "SUCCEEDED")]
    assert list(differences()) == []


def test_a_customer_who_comes_back_completes_the_payment(adyen: AdyenShop) -> None:
    """Also if a worker is looking the payment up at that moment: what is brought comes once."""
    created = adyen.create(token="shopper-1/CHALLENGED000001")
    intent_id = body_of(created)["id"]
    charge = adyen.operations(intent_id)[0]
    assert charge.status == "REQUIRES_ACTION"
    adyen.settle()
    assert adyen.operations(intent_id)[0].redirect_url == charge.redirect_url
    view = adyen.psp.complete_challenge(charge.redirect_url)
    path = charge.return_url.partition("/return/")[2]
    rows = Operation.objects.filter(pk=charge.id)
    rows.update(lease_until=now_utc() + timedelta(seconds=1))
    answer = Client().get(f"/return/{path}&redirectResult={view['id']}")
    assert answer.status_code in (200, 302)
    assert statuses(adyen, intent_id) == [("authorize", "SUCCEEDED")]
    adyen.deliver()
    adyen.settle()
    assert adyen.intent(intent_id).amount_captured_minor == 10_000
    assert list(differences()) == []


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["create", "capture", "cancel", "refund"])
def test_a_repeated_request_after_a_crash_ends_in_one_effect(
    adyen: AdyenShop, name: str, step: str
) -> None:
    intent_id = "" if name == "create" else held(adyen, manual=name != "refund")
    caller = adyen.caller(key=adyen.order_id, body={"command": name})

    def command() -> Answer:
        if name == "create":
            return adyen.create(token=GOOD, caller=caller)
        return {"capture": adyen.capture, "cancel": adyen.cancel, "refund": adyen.refund}[name](
            intent_id, caller=caller
        )

    crash(step, command)
    end_leases()
    answer = command()
    adyen.deliver()
    adyen.settle()
    adyen.deliver()
    shown = intent_id or body_of(answer)["id"]
    assert {status for _, status in statuses(adyen, shown)} == {"SUCCEEDED"}
    expected = {
        "create": ["authorize", "capture"],
        "capture": ["authorize", "capture"],
        "cancel": ["authorize", "void"],
        "refund": ["authorize", "capture", "refund"],
    }
    assert kinds(adyen) == expected[name]
    assert list(differences()) == []


def test_a_cancellation_at_a_challenge_ends_the_payment(adyen: AdyenShop) -> None:
    intent_id = body_of(adyen.create(token="shopper-1/CHALLENGED000001"))["id"]
    adyen.cancel(intent_id)
    assert statuses(adyen, intent_id)[1] == ("void", "PENDING")
    adyen.deliver()
    adyen.settle()
    assert adyen.intent(intent_id).status == "CANCELED"
    assert kinds(adyen) == []
    assert not Case.objects.exists()
    assert list(differences()) == []


def kept_card(adyen: AdyenShop, token: str, **more: Any) -> dict[str, Any]:
    """The setup intent, confirmed as it is created."""
    method = {"payment_method_data": {"type": "card", "card": {"token": token}}}
    given = {**method, "confirm": True, "return_url": "https://shop.example/"}
    made: dict[str, Any] = api_of(adyen).post(SETUPS, **given, **more).body
    return made


def test_a_card_is_kept_charged_off_session_and_deleted_when_its_last_method_is_detached(
    adyen: AdyenShop,
) -> None:
    api = api_of(adyen)
    customer = api.post("/v1/customers").body["id"]
    first, second = (kept_card(adyen, GOOD, customer=customer)["payment_method"] for _ in range(2))
    assert len(adyen.sent) == 2
    adyen.deliver()
    assert {each.status for each in PspNotification.objects.all()} == {"processed"}
    paid = {"amount": 1000, "currency": "eur", "customer": customer, "off_session": True}
    charged = api.post(PAYMENTS, **paid, payment_method=first, confirm=True)
    assert charged.body["status"] == "succeeded"
    assert PaymentMethod.objects.order_by("id")[0].network_transaction_id != ""
    charge = Operation.objects.get()
    assert charge.network_transaction_id == "", "Adyen keeps it with the card, and takes none"
    shown = api.get(f"/v1/charges/{charge.public_id}").body["payment_method_details"]["card"]
    assert shown["network_transaction_id"] == charge.network_charge_id != ""

    assert api.post(f"/v1/payment_methods/{first}/detach").status == 200
    assert adyen.face.cards.deleted == set(), "the other method is charged by the same token"
    adyen.face.drop_next("DELETE .*", after=False)
    doubt = api.post(f"/v1/payment_methods/{second}/detach", key="detach")
    assert (doubt.status, doubt.error["code"]) == (503, "service_unavailable")
    assert api.get(f"/v1/payment_methods/{second}").body["customer"] == customer
    assert api.post(f"/v1/payment_methods/{second}/detach", key="detach").status == 200
    assert adyen.face.cards.deleted == {("shopper-1", "GOODCARD00000001")}


def test_a_customer_is_deleted_once_adyen_has_deleted_its_cards(adyen: AdyenShop) -> None:
    api = api_of(adyen)
    other = "shopper-1/GOODCARD00000002"
    customer = api.post("/v1/customers").body["id"]
    for token in (GOOD, GOOD, other):
        kept_card(adyen, token, customer=customer)
    adyen.face.drop_next("DELETE .*", after=False)
    doubt = api.delete(f"/v1/customers/{customer}")
    assert (doubt.status, doubt.error["code"]) == (503, "service_unavailable")
    assert PaymentMethod.objects.filter(customer__isnull=False).count() == 3
    assert api.delete(f"/v1/customers/{customer}").body["deleted"] is True
    assert not PaymentMethod.objects.filter(customer__isnull=False).exists()
    assert adyen.face.cards.deleted == {tuple(token.split("/")) for token in (GOOD, other)}


@pytest.mark.parametrize("comes_back", [True, False])
def test_the_challenge_of_a_setup_waits_for_the_customer_and_is_given_up_after_a_day(
    adyen: AdyenShop, owner_cursor: psycopg.Cursor[Any], comes_back: bool
) -> None:
    opened = kept_card(adyen, "shopper-1/CHALLENGED000001")
    assert opened["status"] == "requires_action"
    end_setup_leases(owner_cursor, age_seconds=0 if comes_back else 25 * 3600)
    assert resolve_due_setups() == 1
    shown = api_of(adyen).get(f"{SETUPS}/{opened['id']}").body
    if not comes_back:
        assert shown["status"] == "requires_payment_method"
        assert shown["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    else:
        assert shown["status"] == "requires_action"
        view = adyen.psp.complete_challenge(opened["next_action"]["redirect_to_url"]["url"])
        attempt = SetupAttempt.objects.get()
        rows = SetupAttempt.objects.filter(pk=attempt.pk)
        rows.update(lease_until=now_utc() + timedelta(seconds=1))
        path = attempt.return_url.partition("/return/")[2]
        answer = Client().get(f"/return/{path}&redirectResult={view['id']}")
        assert "redirect_status=succeeded" in answer.headers["Location"]
        adyen.deliver()
    assert not Case.objects.exists()
    assert list(differences()) == []


def test_a_setup_whose_answer_is_lost_is_known_by_its_notification(adyen: AdyenShop) -> None:
    adyen.face.drop_next("POST /payments", after=True)
    setup = kept_card(adyen, GOOD)
    assert setup["status"] == "processing"
    adyen.deliver()
    assert api_of(adyen).get(f"{SETUPS}/{setup['id']}").body["status"] == "succeeded"
    assert [path for method, path, _ in adyen.face.calls if method == "POST"] == ["/payments"]
