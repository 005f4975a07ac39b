"""Every call of the official Python SDK, in the form that all its releases since 5 have.

Runs in an environment without this project: `sdk.py FACTS`, with FACTS as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import stripe

FACTS: dict[str, str] = {}
ERRORS = stripe if hasattr(stripe, "CardError") else stripe.error
WITHIN_SECONDS = 40


def begin() -> None:
    """Read the facts, and point the SDK at the platform."""
    FACTS.update(json.loads(sys.argv[1]))
    stripe.api_key = FACTS["secret_key"]
    stripe.api_base = FACTS["base_url"]
    stripe.max_network_retries = 2


def back() -> str:
    """Where the customer returns to the shop."""
    return f"{FACTS['receiver_url']}/back"


def run(calls: dict[str, Callable[[], str | None]]) -> None:
    """Make each call and print what became of it; a call returns what is worth showing."""
    for name, call in calls.items():
        result, detail = "pass", ""
        try:
            detail = call() or ""
        except Exception as error:  # noqa: BLE001 - the next call is made all the same
            code = getattr(error, "code", None)
            result = "unsupported" if code == "unrecognized_url" else "fail"
            detail = f"{type(error).__name__}: {error}"
        print(json.dumps({"call": name, "result": result, "detail": detail[:400]}), flush=True)


def equal(got: Any, expected: Any) -> None:
    """Raises AssertionError, naming both."""
    if got != expected:
        raise AssertionError(f"{got!r} instead of {expected!r}")


def refused(error: type[Exception], call: Callable[..., Any], **parameters: Any) -> Any:
    """The error that a call ends in; any other raises, and so does success."""
    try:
        call(**parameters)
    except error as raised:
        return raised
    raise AssertionError(f"not refused with {error.__name__}")


def pay(method: str = "pm_card_visa", **more: Any) -> Any:
    """A confirmed payment of 12.50 EUR."""
    return stripe.PaymentIntent.create(
        amount=1250,
        currency="eur",
        payment_method=method,
        confirm=True,
        metadata={"order_id": f"order-{uuid.uuid4()}"},
        return_url=back(),
        **more,
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    """What the condition returns once it is true."""
    end = time.monotonic() + WITHIN_SECONDS
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {WITHIN_SECONDS} s")
        time.sleep(0.3)
    return found


def confirm() -> None:
    made = stripe.PaymentIntent.create(
        amount=1250, currency="eur", automatic_payment_methods={"enabled": True}, description="Café"
    )
    equal((made.status, made.amount, made.currency), ("requires_payment_method", 1250, "eur"))
    changed = stripe.PaymentIntent.modify(made.id, amount=1300, metadata={"gift": "yes"})
    equal((changed.amount, changed.metadata["gift"]), (1300, "yes"))
    paid = stripe.PaymentIntent.confirm(made.id, payment_method="pm_card_visa", return_url=back())
    equal((paid.status, paid.amount_received), ("succeeded", 1300))


def capture() -> None:
    held = pay(capture_method="manual")
    equal((held.status, held.amount_capturable), ("requires_capture", 1250))
    captured = stripe.PaymentIntent.capture(held.id, amount_to_capture=1000)
    equal((captured.status, captured.amount_received), ("succeeded", 1000))


def cancel() -> None:
    held = pay(capture_method="manual")
    canceled = stripe.PaymentIntent.cancel(held.id, cancellation_reason="requested_by_customer")
    equal((canceled.status, canceled.cancellation_reason), ("canceled", "requested_by_customer"))


def decline() -> None:
    error = refused(ERRORS.CardError, pay, method="pm_card_chargeDeclinedInsufficientFunds")
    equal((error.code, error.http_status), ("card_declined", 402))
    equal(error.error.decline_code, "insufficient_funds")
    equal(error.error.payment_intent.status, "requires_payment_method")
    paid = stripe.PaymentIntent.confirm(
        error.error.payment_intent.id, payment_method="pm_card_visa"
    )
    equal(paid.status, "succeeded")


def challenge() -> None:
    asked = pay("pm_card_threeDSecure2Required")
    equal(asked.status, "requires_action")
    redirect = asked.next_action.redirect_to_url
    equal(redirect.return_url, back())
    parts = urllib.parse.urlsplit(redirect.url)
    page = urllib.request.Request(
        urllib.parse.urlunsplit(parts._replace(path=f"{parts.path}/complete")),
        data=b"",
    )
    with urllib.request.urlopen(page, timeout=20) as shop:  # the bank, our page, the shop
        equal(f"payment_intent={asked.id}" in shop.url and shop.url.startswith(back()), True)
    wait_for(lambda: stripe.PaymentIntent.retrieve(asked.id).status == "succeeded")


def refund() -> None:
    paid = pay()
    part = stripe.Refund.create(payment_intent=paid.id, amount=500, reason="requested_by_customer")
    equal((part.status, part.amount, part.payment_intent), ("succeeded", 500, paid.id))
    rest = stripe.Refund.create(charge=paid.latest_charge)
    equal(rest.amount, 750)
    equal(stripe.Charge.retrieve(paid.latest_charge).refunded, True)
    equal(len(stripe.Refund.list(payment_intent=paid.id).data), 2)
    error = refused(ERRORS.InvalidRequestError, stripe.Refund.create, payment_intent=paid.id)
    equal(error.code, "charge_already_refunded")


def customers() -> None:
    made = stripe.Customer.create(
        email="ann@shop.example", name="Ann Lee", phone="0171 / 23 45", metadata={"tier": "gold"}
    )
    changed = stripe.Customer.modify(made.id, name="Ann Ray", address={"city": "Bonn"})
    equal((changed.name, changed.address.city, changed.email), ("Ann Ray", "Bonn", made.email))
    equal(stripe.Customer.list(email="ann@shop.example").data[0].id, made.id)
    equal(stripe.Customer.delete(made.id).deleted, True)
    equal(stripe.Customer.retrieve(made.id).deleted, True)


def payment_methods() -> None:
    customer = stripe.Customer.create(name="Ann Lee")
    method = stripe.PaymentMethod.create(type="card", card={"token": "tok_visa"})
    attached = stripe.PaymentMethod.attach(method.id, customer=customer.id)
    equal((attached.customer, attached.card.brand), (customer.id, "visa"))
    listed = stripe.PaymentMethod.list(customer=customer.id, type="card")
    equal([each.id for each in listed.data], [method.id])
    paid = pay(method.id, customer=customer.id, off_session=True)
    equal((paid.customer, paid.payment_method), (customer.id, method.id))
    equal(stripe.PaymentMethod.detach(method.id).customer, None)


def saved_cards() -> None:
    customer = stripe.Customer.create(name="Ann Lee")
    setup = stripe.SetupIntent.create(customer=customer.id, payment_method="pm_card_visa")
    setup = stripe.SetupIntent.confirm(setup.id)
    equal((setup.status, setup.customer, setup.usage), ("succeeded", customer.id, "off_session"))
    paid = pay(setup.payment_method, customer=customer.id, off_session=True)
    equal(paid.status, "succeeded")
    kept = pay("pm_card_amex", customer=customer.id, setup_future_usage="off_session")
    listed = stripe.PaymentMethod.list(customer=customer.id, type="card")
    equal([each.id for each in listed.data], [kept.payment_method, setup.payment_method])
    equal(stripe.SetupIntent.list(customer=customer.id).data[0].id, setup.id)


def paging() -> None:
    order = f"order of {uuid.uuid4()}"
    made = [
        stripe.PaymentIntent.create(amount=1000 + n, currency="eur", description=order).id
        for n in range(5)
    ]
    listed = [each.id for each in stripe.PaymentIntent.list(limit=2).auto_paging_iter()]
    equal(listed[:5], made[::-1])
    equal(len(listed), len(set(listed)))
    older = stripe.PaymentIntent.list(limit=2, ending_before=made[0])
    back = [each.id for each in older.auto_paging_iter()]
    equal(sorted(back), sorted(made[1:]))


def events() -> None:
    paid = pay()
    listed = stripe.Event.list(type="payment_intent.succeeded", limit=5)
    [event] = [each for each in listed.data if each.data.object.id == paid.id]
    equal(stripe.Event.retrieve(event.id).data.object.amount_received, 1250)
    equal(event.data.object.object, "payment_intent")


def webhooks() -> None:
    url = FACTS["receiver_url"]
    made = stripe.WebhookEndpoint.create(url=url, enabled_events=["payment_intent.*", "charge.*"])
    changed = stripe.WebhookEndpoint.modify(made.id, enabled_events=["payment_intent.succeeded"])
    equal((changed.status, list(changed.enabled_events)), ("enabled", ["payment_intent.succeeded"]))
    paid = pay()

    def arrived() -> list[dict[str, str]]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return [each for each in json.load(answer) if paid.id in each["body"]]

    [got] = wait_for(arrived)
    event = stripe.Webhook.construct_event(got["body"], got["signature"], made.secret)
    equal((event.type, event.data.object.id), ("payment_intent.succeeded", paid.id))
    refused(
        ERRORS.SignatureVerificationError,
        stripe.Webhook.construct_event,
        payload=got["body"],
        sig_header=got["signature"],
        secret="whsec_another",
    )
    equal(stripe.WebhookEndpoint.delete(made.id).deleted, True)


def errors() -> None:
    create = stripe.PaymentIntent.create
    error = refused(ERRORS.AuthenticationError, create, api_key="sk_test_wrong", amount=1)
    equal((error.http_status, "Invalid API" in str(error)), (401, True))
    error = refused(ERRORS.InvalidRequestError, create, currency="eur")
    equal((error.code, error.param), ("parameter_missing", "amount"))
    error = refused(ERRORS.InvalidRequestError, stripe.PaymentIntent.retrieve, id="pi_unknown")
    equal((error.code, error.http_status), ("resource_missing", 404))
    error = refused(ERRORS.PermissionError, stripe.Balance.retrieve, stripe_account="acct_other")
    equal(error.http_status, 403)
    error = refused(ERRORS.InvalidRequestError, pay, customer="cus_unknown")
    equal((error.code, error.param, error.http_status), ("resource_missing", "customer", 400))


def idempotency() -> None:
    key = f"key-{uuid.uuid4()}"
    order = {"amount": 1250, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    first = stripe.PaymentIntent.create(idempotency_key=key, **order)
    again = stripe.PaymentIntent.create(idempotency_key=key, **order)
    equal(again.id, first.id)
    equal(again.last_response.headers["Idempotent-Replayed"], "true")
    refused(
        ERRORS.IdempotencyError,
        stripe.PaymentIntent.create,
        idempotency_key=key,
        **{**order, "amount": 1300},
    )


def expand() -> None:
    customer = stripe.Customer.create(name="Ann Lee")
    paid = pay(customer=customer.id, expand=["latest_charge.balance_transaction", "customer"])
    equal(paid.customer.name, "Ann Lee")
    equal(paid.latest_charge.balance_transaction.amount, 1250)
    [listed] = stripe.Charge.list(
        payment_intent=paid.id, expand=["data.refunds", "data.review", "data.payment_intent"]
    ).data
    equal((listed.payment_intent.id, listed.refunds.data), (paid.id, []))


def account_and_balance() -> None:
    account = stripe.Account.retrieve()
    equal((account.object, account.charges_enabled), ("account", True))
    pay()
    equal(stripe.Balance.retrieve().pending[0].currency, "eur")
    equal(stripe.BalanceTransaction.list(limit=1).data[0].type, "charge")


def search() -> None:
    order = str(uuid.uuid4())
    made = stripe.PaymentIntent.create(amount=999, currency="eur", metadata={"order_id": order})
    found = stripe.PaymentIntent.search(query=f"metadata['order_id']:'{order}'")
    equal([each.id for each in found.data], [made.id])


if __name__ == "__main__":
    begin()
    run(
        {
            "create, change, confirm": confirm,
            "capture": capture,
            "cancel": cancel,
            "decline, then another card": decline,
            "3-D Secure redirect": challenge,
            "refund": refund,
            "customers": customers,
            "payment methods": payment_methods,
            "saved cards": saved_cards,
            "lists, automatic paging": paging,
            "events": events,
            "webhook endpoint, signed event": webhooks,
            "classes of errors": errors,
            "idempotent repeat": idempotency,
            "expand": expand,
            "account, balance": account_and_balance,
            "search": search,
        }
    )
