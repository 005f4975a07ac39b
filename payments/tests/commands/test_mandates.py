"""Debits by mandate: what a customer accepts is kept, active once it succeeded, and ends."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, transaction

from ledger.database.statements import Batch
from payments.models import METHODS_WITH_MANDATE, Event, Mandate, Operation, PaymentIntent
from payments.models import SetupAttempt as Attempt
from payments.public_ids import new_id
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop, uuid_of

PAYMENTS, SETUPS = "/v1/payment_intents", "/v1/setup_intents"
BROWSER = {"ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"}
ONLINE = {"customer_acceptance": {"type": "online", "online": BROWSER}}
DEBIT = "pm_sepaDebit_success"


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


@pytest.fixture
def customer(api: ApiClient) -> str:
    identifier: str = api.post("/v1/customers", name="Ada").body["id"]
    return identifier


def charge(api: ApiClient, method: str = DEBIT, **more: Any) -> Reply:
    given = {"amount": 1000, "currency": "eur", "payment_method": method, "confirm": True}
    return api.post(PAYMENTS, **{**given, **more})


def kept(api: ApiClient, customer: str, token: str = DEBIT) -> dict[str, Any]:
    """A setup intent that kept the account for the customer."""
    made = api.post(
        SETUPS, customer=customer, payment_method=token, confirm=True, mandate_data=ONLINE
    ).body
    assert made["status"] == "succeeded"
    return made


def debit_of(api: ApiClient, intent: dict[str, Any]) -> dict[str, Any]:
    """What the charge of a payment shows of the account that it debits."""
    shown = api.get(f"/v1/charges/{intent['latest_charge']}").body
    debit: dict[str, Any] = shown["payment_method_details"]["sepa_debit"]
    return debit


def mandate(api: ApiClient, identifier: str) -> dict[str, Any]:
    return api.get(f"/v1/mandates/{identifier}").body


def wait_for_bank(shop: Shop) -> None:
    shop.psp.advance(3)
    shop.settle()


@pytest.mark.parametrize("token", [DEBIT, "pm_sepaDebit_fail"])
def test_a_debit_is_made_by_a_mandate_for_itself_alone(
    shop: Shop, api: ApiClient, token: str
) -> None:
    effects_before = len(shop.psp.effects())
    begun = charge(api, token, mandate_data=ONLINE).body
    assert begun["status"] == "processing"
    identifier = debit_of(api, begun)["mandate"]
    shown = mandate(api, identifier)
    assert (shown["status"], shown["type"]) == ("pending", "single_use")
    assert shown["single_use"] == {"amount": 1000, "currency": "eur"}
    assert shown["customer_acceptance"]["online"] == BROWSER
    assert shown["payment_method"] == begun["payment_method"]
    reference = shown["payment_method_details"]["sepa_debit"]["reference"]
    assert reference == identifier.replace("_", "-")
    wait_for_bank(shop)
    ended = api.get(f"{PAYMENTS}/{begun['id']}").body
    failed = token != DEBIT
    assert ended["status"] == ("requires_payment_method" if failed else "succeeded")
    assert mandate(api, identifier)["status"] == "inactive"
    assert not Event.objects.filter(type="mandate.updated").exists(), "it never was active"
    moved = [each["kind"] for each in shop.psp.effects(after=effects_before)]
    assert moved == ([] if failed else ["authorize", "capture"])
    again = charge(api, begun["payment_method"], mandate=identifier)
    assert (again.status, again.error["code"]) == (400, "payment_intent_mandate_invalid")


def test_an_account_that_is_kept_by_a_setup_is_debited_without_the_customer(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    setup = kept(api, customer)
    shown = mandate(api, setup["mandate"])
    assert (shown["status"], shown["type"], shown["multi_use"]) == ("active", "multi_use", {})
    expanded = api.get(f"{SETUPS}/{setup['id']}", expand=["mandate"]).body["mandate"]
    assert expanded == shown
    given = {"customer": customer, "off_session": True}
    first = charge(api, setup["payment_method"], **given).body
    second = charge(api, setup["payment_method"], mandate=setup["mandate"], **given).body
    wait_for_bank(shop)
    for each in (first, second):
        assert api.get(f"{PAYMENTS}/{each['id']}").body["status"] == "succeeded"
        assert debit_of(api, each)["mandate"] == setup["mandate"]
    assert Mandate.objects.count() == 1
    assert mandate(api, setup["mandate"])["status"] == "active"


@pytest.mark.parametrize("token", [DEBIT, "pm_sepaDebit_fail"])
def test_a_payment_keeps_its_account_with_a_mandate_once_the_bank_has_paid(
    shop: Shop, api: ApiClient, customer: str, token: str
) -> None:
    keeps = {"customer": customer, "setup_future_usage": "off_session"}
    begun = charge(api, token, mandate_data=ONLINE, **keeps).body
    identifier = debit_of(api, begun)["mandate"]
    assert mandate(api, identifier)["status"] == "pending"
    wait_for_bank(shop)
    paid = token == DEBIT
    assert mandate(api, identifier)["status"] == ("active" if paid else "inactive")
    later = charge(api, begun["payment_method"], customer=customer, off_session=True)
    assert later.status == (200 if paid else 400)


@pytest.mark.parametrize("how", ["detach", "delete the customer"])
def test_detaching_the_account_revokes_its_mandate(
    shop: Shop, api: ApiClient, customer: str, how: str
) -> None:
    setup = kept(api, customer)
    if how == "detach":
        api.post(f"/v1/payment_methods/{setup['payment_method']}/detach")
    else:
        api.delete(f"/v1/customers/{customer}")
    shown = mandate(api, setup["mandate"])
    assert shown["status"] == "inactive"
    [event] = Event.objects.filter(type="mandate.updated")
    assert event.payload == {"object": shown, "previous_attributes": {"status": "active"}}
    assert event.aggregateid == uuid_of(setup["payment_method"])


def test_an_account_that_was_detached_while_its_bank_decides_is_not_kept(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    method = api.post(f"/v1/payment_methods/{DEBIT}/attach", customer=customer).body["id"]
    keeps = {"customer": customer, "setup_future_usage": "off_session"}
    begun = charge(api, method, mandate_data=ONLINE, **keeps).body
    api.post(f"/v1/payment_methods/{method}/detach")
    wait_for_bank(shop)
    assert api.get(f"{PAYMENTS}/{begun['id']}").body["status"] == "succeeded"
    assert mandate(api, debit_of(api, begun)["mandate"])["status"] == "inactive"


def test_a_debit_that_did_not_reach_the_psp_leaves_no_mandate_open(
    shop: Shop, api: ApiClient
) -> None:
    shop.psp.set_behavior(down=1.0)
    assert charge(api, mandate_data=ONLINE).status == 503
    shop.psp.set_behavior()
    shop.settle()
    assert set(Mandate.objects.values_list("status", flat=True)) <= {"inactive"}


def test_without_a_mandate_nothing_is_debited_or_kept(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    attached = api.post(f"/v1/payment_methods/{DEBIT}/attach", customer=customer).body["id"]
    refusals = [
        charge(api),
        charge(api, attached, customer=customer, off_session=True),
        api.post(SETUPS, payment_method=DEBIT, confirm=True),
    ]
    for refused in refusals:
        assert (refused.status, refused.error["code"]) == (400, "parameter_missing")
        assert refused.error["param"] == "mandate_data"
    assert not PaymentIntent.objects.exists()
    assert not Attempt.objects.exists()
    assert not Mandate.objects.exists()


def test_a_mandate_of_another_method_or_merchant_is_refused(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    other = kept(api, customer)["mandate"]
    before = Operation.objects.count()
    wrong = charge(api, "pm_sepaDebit_fail", mandate=other)
    assert (wrong.status, wrong.error["code"]) == (400, "payment_intent_mandate_invalid")
    unknown = charge(api, mandate="mandate_C7JqXm2Zt4bW9sKd1RfYvA")
    assert (unknown.status, unknown.error["param"]) == (400, "mandate")
    assert Operation.objects.count() == before


@pytest.mark.parametrize(
    ("acceptance", "param"),
    [
        ({"type": "online"}, "[online]"),
        ({"type": "online", "online": {"ip_address": "203.0.113.7"}}, "[online][user_agent]"),
        (
            {"type": "online", "online": {**BROWSER, "ip_address": "203.0.113"}},
            "[online][ip_address]",
        ),
        ({"type": "offline", "online": BROWSER}, "[online]"),
        ({"type": "offline", "accepted_at": 4_000_000_000}, "[accepted_at]"),
        ({"type": "by_phone"}, "[type]"),
    ],
)
def test_an_acceptance_that_cannot_be_is_refused(
    api: ApiClient, acceptance: dict[str, Any], param: str
) -> None:
    refused = charge(api, mandate_data={"customer_acceptance": acceptance})
    assert refused.status == 400
    assert refused.error["param"] == f"mandate_data[customer_acceptance]{param}"
    later = charge(api, confirm=False, mandate_data=ONLINE)
    assert (later.status, later.error["param"]) == (400, "mandate_data")
    assert not PaymentIntent.objects.exists()


def test_an_acceptance_on_paper_keeps_its_time_and_a_card_needs_none(api: ApiClient) -> None:
    paper = {"customer_acceptance": {"type": "offline", "accepted_at": 1_700_000_000}}
    begun = charge(api, mandate_data=paper).body
    shown = mandate(api, debit_of(api, begun)["mandate"])["customer_acceptance"]
    assert shown == {"accepted_at": 1_700_000_000, "type": "offline", "offline": {}}
    assert charge(api, "pm_card_visa", mandate_data=ONLINE).body["status"] == "succeeded"
    assert Mandate.objects.count() == 1


def test_postgresql_takes_no_debit_without_an_active_mandate_of_its_method(
    shop: Shop, api: ApiClient, customer: str, owner_cursor: psycopg.Cursor[Any]
) -> None:
    assert METHODS_WITH_MANDATE == ("sepa_debit",)
    setup = kept(api, customer, "pm_sepaDebit_fail")
    charge(api, setup["payment_method"], customer=customer, off_session=True)
    wait_for_bank(shop)
    [declined] = Operation.objects.all()
    nothing = new_id()
    for changes, said in (
        ({"mandate_id": None}, "mandate_missing"),
        ({"mandate_id": nothing}, "mandate_of_other_method"),
        ({"payment_method_id": nothing}, "mandate_of_other_method"),
    ):
        with pytest.raises(IntegrityError, match=said), transaction.atomic():
            write_copy(declined, **changes)
    for change, said in (
        ("UPDATE payments_mandate SET use = 'single_use'", "permanent_column"),
        ("UPDATE payments_mandate SET status = 'pending'", "payments_mandate"),
        ("UPDATE payments_payment_method SET detached_at = now()", "mandate_without_method"),
    ):
        with pytest.raises(psycopg.errors.IntegrityError, match=said):
            owner_cursor.execute(change)
    owner_cursor.execute("UPDATE payments_mandate SET status = 'inactive', ended_at = now()")
    with pytest.raises(IntegrityError, match="mandate_not_active"), transaction.atomic():
        write_copy(declined)
    assert list(Operation.objects.all()) == [declined]


def write_copy(charge: Operation, **changes: Any) -> None:
    """Write a charge like this one, that is about to be sent."""
    fields = Operation._meta.concrete_fields
    values = {field.attname: getattr(charge, field.attname) for field in fields}
    values |= {"id": new_id(), "psp_key": str(new_id()), "psp_id": "", "status": "SENDING"}
    values |= {"closed_at": None, "next_check_at": charge.created_at}
    Batch().insert(Operation(**{**values, **changes})).execute()
