"""Objects: the merchant's view of rows, without a database."""

from __future__ import annotations

import inspect
import re
from datetime import date
from typing import Any

import orjson
import pytest
import stripe
from stripe import (
    BalanceTransaction as SdkBalanceTransaction,
)
from stripe import Charge
from stripe import Customer as SdkCustomer
from stripe import Dispute as SdkDispute
from stripe import Event as SdkEvent
from stripe import PaymentIntent as SdkPaymentIntent
from stripe import PaymentMethod as SdkPaymentMethod
from stripe import Refund as SdkRefund

from ledger.money import Money
from payments import public_ids
from payments.models import (
    Customer,
    Event,
)
from payments.objects.balance import balance_object, balance_transaction_object
from payments.objects.catalog import EXPANDABLE
from payments.objects.charge import charge_object
from payments.objects.customer import customer_object
from payments.objects.dispute import dispute_object
from payments.objects.event import event_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.payment_method import payment_method_object, payment_method_snapshot
from payments.objects.refund import refund_object
from payments.selectors.balance import Balance, BalanceTransaction
from payments.states import INTENT_TRANSITIONS, IntentStatus, OperationStatus
from payments.tests.objects.rows import (
    captured_intent,
    charge_row,
    dispute_row,
    intent_row,
    method_row,
    refund_row,
)

# Keys the newest SDK types that no answer of ours has: absent unless expanded, without a value,
# of Connect, of other methods, or only in previews.
NOT_OURS = {
    name: set(keys.split())
    for name, keys in {
        "payment_intent": "allowed_payment_method_types hooks payment_details presentment_details",
        "charge": "level3 refunds transfer authorization_code presentment_details",
        "refund": "description next_action failure_reason pending_reason instructions_email "
        "failure_balance_transaction destination_details presentment_details",
        "dispute": "payment_method_details",
        "customer": "business_name individual_name next_invoice_sequence cash_balance deleted "
        "invoice_credit_balance sources subscriptions tax tax_ids",
        "event": "reason related_object",
        "balance_transaction": "",
    }.items()
}


def keys_of(sdk_class: Any) -> set[str]:
    """The fields that an SDK class declares."""
    return {name for name in sdk_class.__annotations__ if not name.startswith("_")} - {
        "OBJECT_NAME"
    }


def every_object() -> dict[str, tuple[dict[str, Any], Any]]:
    intent = captured_intent()
    operation = charge_row(intent)
    refund = refund_row(intent, operation)
    event = Event(
        id=public_ids.new_id(),
        livemode=False,
        type="charge.succeeded",
        payload={"object": {"id": "ch_x"}},
    )
    row = BalanceTransaction(
        id=public_ids.new_id(),
        type="charge",
        gross_minor=1_000,
        fee_minor=30,
        currency="USD",
        source="ch_x",
        reporting_category="charge",
        available_on=date(2026, 11, 27),
        available=False,
    )
    customer = Customer(id=public_ids.new_id(), livemode=False, name="Ada")
    return {
        "payment_intent": (payment_intent_object(intent), SdkPaymentIntent),
        "charge": (charge_object(operation, intent), Charge),
        "dispute": (dispute_object(dispute_row(intent, operation)), SdkDispute),
        "refund": (refund_object(refund, intent, operation), SdkRefund),
        "customer": (customer_object(customer), SdkCustomer),
        "event": (event_object(event), SdkEvent),
        "balance_transaction": (balance_transaction_object(row), SdkBalanceTransaction),
    }


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_an_object_has_every_key_that_the_sdk_declares(name: str) -> None:
    shown, sdk_class = every_object()[name]
    assert keys_of(sdk_class) - NOT_OURS[name] - shown.keys() == set()
    assert shown["object"] == name


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_an_object_is_json_and_shows_no_uuid_and_no_internal_word(name: str) -> None:
    shown, _ = every_object()[name]
    text = orjson.dumps(shown, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
    assert "UUID" not in text
    assert not any(status in text for status in INTENT_TRANSITIONS)


def test_a_payment_method_shows_its_card_and_never_its_token() -> None:
    shown = payment_method_object(method_row(token="tok_secret"))
    assert (shown["card"]["brand"], shown["card"]["last4"]) == ("visa", "4242")
    assert "tok_secret" not in orjson.dumps(shown).decode()
    assert "tok_secret" not in orjson.dumps(payment_method_snapshot(method_row())).decode()
    of_cards = {"billing_details", "card", "created", "customer", "id", "livemode", "metadata"}
    assert of_cards | {"object", "type", "allow_redisplay"} <= keys_of(SdkPaymentMethod) & set(
        shown
    )


@pytest.mark.parametrize(
    ("status", "with_method", "shown"),
    [
        (IntentStatus.INITIATED, False, "requires_payment_method"),
        (IntentStatus.INITIATED, True, "requires_confirmation"),
        (IntentStatus.PROCESSING, True, "processing"),
        (IntentStatus.REQUIRES_ACTION, True, "requires_action"),
        (IntentStatus.AUTHORIZED, True, "requires_capture"),
        (IntentStatus.CAPTURED, True, "succeeded"),
        (IntentStatus.PARTIALLY_REFUNDED, True, "succeeded"),
        (IntentStatus.REFUNDED, True, "succeeded"),
        (IntentStatus.FAILED, False, "requires_payment_method"),
        (IntentStatus.FAILED, True, "requires_confirmation"),
        (IntentStatus.CANCELED, True, "canceled"),
    ],
)
def test_a_status_is_shown_in_stripes_words(
    status: IntentStatus, with_method: bool, shown: str
) -> None:
    method_id = public_ids.new_id() if with_method else None
    intent = intent_row(status=status, payment_method_id=method_id)
    assert payment_intent_object(intent)["status"] == shown


@pytest.mark.parametrize("status", list(IntentStatus))
@pytest.mark.parametrize("published", ["succeeded", "canceled"])
def test_a_published_final_status_never_changes(status: IntentStatus, published: str) -> None:
    shown = payment_intent_object(intent_row(status=status, published_status=published))
    assert shown["status"] == published


def test_only_a_waiting_intent_shows_where_the_customer_must_go() -> None:
    waiting = intent_row(
        status=IntentStatus.REQUIRES_ACTION, next_action_url="https://psp/3ds", return_url=""
    )
    assert payment_intent_object(waiting)["next_action"] == {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": "https://psp/3ds", "return_url": None},
    }
    captured = captured_intent(next_action_url="https://psp/3ds")
    assert payment_intent_object(captured)["next_action"] is None


def test_the_capturable_amount_is_the_open_hold_without_open_captures() -> None:
    held = {"amount_captured_minor": 300, "amount_held_minor": 600}
    authorized = payment_intent_object(intent_row(status=IntentStatus.AUTHORIZED, **held))
    assert (authorized["amount_capturable"], authorized["amount_received"]) == (600, 300)
    under_way = payment_intent_object(intent_row(status=IntentStatus.PROCESSING, **held))
    assert under_way["amount_capturable"] == 0


def test_a_last_error_shows_its_method_as_an_object_if_it_was_kept() -> None:
    method = method_row(country="")
    error = {
        "type": "card_error",
        "code": "card_declined",
        "message": "No.",
        "payment_method_id": str(method.id),
        "payment_method_details": payment_method_snapshot(method),
    }
    intent = intent_row(status=IntentStatus.FAILED, last_payment_error=error)
    shown = payment_intent_object(intent)["last_payment_error"]
    assert shown["payment_method"]["id"] == method.public_id
    assert shown["payment_method"]["card"] == payment_method_object(method)["card"]
    assert set(payment_method_snapshot(method)["card"]) == {
        *("brand", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    }, "what is rebuilt is not stored with every charge"
    assert "payment_method_id" not in shown
    assert "payment_method_id" in intent.last_payment_error, "the row is left as it was"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (OperationStatus.SUCCEEDED, "succeeded"),
        (OperationStatus.DECLINED, "failed"),
        (OperationStatus.NOT_SENT, "failed"),
        (OperationStatus.CANCELED, "failed"),
        (OperationStatus.REVERSED, "failed"),
        (OperationStatus.SENDING, "pending"),
        (OperationStatus.UNKNOWN, "pending"),
        (OperationStatus.PENDING, "pending"),
        (OperationStatus.REQUIRES_ACTION, "pending"),
    ],
)
def test_a_charge_is_succeeded_pending_or_failed(status: OperationStatus, shown: str) -> None:
    intent = intent_row()
    charge = charge_object(charge_row(intent, status=status), intent)
    assert (charge["status"], charge["paid"]) == (shown, shown == "succeeded")


def test_amounts_show_on_the_charge_that_succeeded_and_on_no_other() -> None:
    intent = captured_intent(amount_refunded_minor=400)
    failed = charge_row(intent, status=OperationStatus.DECLINED, code="card_declined")
    succeeded = charge_row(intent)
    shown = charge_object(succeeded, intent)
    assert (shown["captured"], shown["amount_captured"]) == (True, 1_000)
    assert (shown["amount_refunded"], shown["refunded"]) == (400, False)
    other = charge_object(failed, intent)
    assert (other["captured"], other["amount_captured"], other["amount_refunded"]) == (False, 0, 0)
    assert other["failure_code"] == "card_declined"


def test_a_charge_is_refunded_only_when_all_that_was_captured_went_back() -> None:
    intent = captured_intent(amount_captured_minor=600, amount_refunded_minor=600)
    assert charge_object(charge_row(intent), intent)["refunded"] is True


def test_an_authorization_is_paid_and_not_captured_and_released_counts_as_refunded() -> None:
    authorized = intent_row(status=IntentStatus.AUTHORIZED, amount_authorized_minor=1_000)
    shown = charge_object(charge_row(authorized), authorized)
    assert (shown["paid"], shown["captured"], shown["refunded"]) == (True, False, False)

    canceled = intent_row(status=IntentStatus.CANCELED, amount_authorized_minor=1_000)
    released = charge_object(charge_row(canceled), canceled)
    assert (released["refunded"], released["amount_refunded"]) == (True, 1_000)


def test_a_declined_charge_shows_the_banks_decline_code() -> None:
    intent = intent_row(status=IntentStatus.FAILED)
    operation = charge_row(
        intent,
        status=OperationStatus.DECLINED,
        code="card_declined",
        decline_code="lost_card",
        message="Your card was declined.",
    )
    shown = charge_object(operation, intent)
    assert shown["outcome"]["type"] == "issuer_declined"
    assert shown["outcome"]["reason"] == "lost_card"
    assert shown["failure_message"] == "Your card was declined."


def test_a_deleted_customer_is_a_stub() -> None:
    customer = Customer(id=public_ids.new_id(), livemode=False, name="Ada")
    customer.deleted_at = "now"
    assert customer_object(customer) == {
        "id": customer.public_id,
        "object": "customer",
        "deleted": True,
    }


def test_a_balance_transaction_nets_its_fee() -> None:
    shown, _ = every_object()["balance_transaction"]
    assert (shown["amount"], shown["fee"], shown["net"]) == (1_000, 30, 970)
    assert sum(detail["amount"] for detail in shown["fee_details"]) == 30


def test_a_balance_transaction_says_when_its_money_is_available() -> None:
    shown, _ = every_object()["balance_transaction"]
    assert (shown["status"], shown["available_on"]) == ("pending", 1_795_737_600)
    assert (shown["type"], shown["reporting_category"]) == ("charge", "charge")


def test_a_balance_shows_what_is_available_beside_what_is_pending() -> None:
    available, pending = [Money(500, "EUR"), Money(-20, "JPY")], [Money(0, "EUR")]
    balance = Balance(available, [*pending, Money(700, "JPY")])
    shown = balance_object(balance, livemode=False)
    assert [p["amount"] for p in shown["pending"] + shown["available"]] == [0, 700, 500, -20]
    assert shown["available"][0]["source_types"] == {"card": 500}


def test_objects_are_rendered_without_a_query() -> None:
    """Rows with every relation set, and no database: a query would raise."""
    intent = captured_intent(
        customer_id=public_ids.new_id(),
        payment_method_id=public_ids.new_id(),
        merchant_id=public_ids.new_id(),
    )
    operation = charge_row(intent, merchant_id=intent.merchant_id)
    assert charge_object(operation, intent)["customer"].startswith("cus_")
    assert payment_intent_object(intent)["payment_method"].startswith("pm_")
    assert refund_object(refund_row(intent, operation), intent, operation)["payment_intent"]


@pytest.mark.parametrize("kind", ["payment_intent", "charge", "refund", "dispute", "customer"])
def test_whatever_the_sdk_types_as_expandable_or_as_a_list_may_be_expanded(kind: str) -> None:
    """Carried or not: plugins expand fixed lists of fields."""
    declared = inspect.getsource(getattr(stripe, "".join(map(str.capitalize, kind.split("_")))))
    expandable = set(
        re.findall(r"^    (\w+): .*\b(?:ExpandableField|ListObject)\b", declared, re.MULTILINE)
    )
    assert expandable, "the SDK's types are written in another way"
    deprecated = {"sources"} if kind == "customer" else set()
    assert (expandable | deprecated) - set(EXPANDABLE[kind]) == set()
