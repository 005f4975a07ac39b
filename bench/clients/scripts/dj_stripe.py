"""dj-stripe: its own command synchronizes a merchant's objects; `dj_stripe.py FACTS`.

Runs in an environment without this project. The base address is set by the package's own setting.
"""

from __future__ import annotations

import json
import urllib.request
from functools import partial
from typing import Any

import django
import stripe
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.test import Client

if __package__:
    from bench.clients.scripts.sdk import FACTS, back, begin, equal, pay, run, wait_for
else:  # beside it, as it is run
    from sdk import FACTS, back, begin, equal, pay, run, wait_for

MODELS = {
    "Account": 1,
    "Customer": 1,
    "PaymentMethod": 1,
    "PaymentIntent": 3,
    "Charge": 2,
    "Refund": 1,
    "BalanceTransaction": 3,
    "Dispute": 1,
    "Event": 5,
    "WebhookEndpoint": 1,
}
"""How many objects of each are there, or more."""


def model(name: str) -> Any:
    """A model of the package."""
    return apps.get_model("djstripe", name)


def set_up() -> None:
    """Configure Django and the package, and make its tables."""
    begin()
    settings.configure(
        SECRET_KEY="signs nothing of value",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "djstripe"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        MIGRATION_MODULES={"djstripe": None},  # its tables at once: its migrations take minutes
        ROOT_URLCONF="djstripe.urls",
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
        STRIPE_API_HOST=FACTS["base_url"],
        STRIPE_TEST_SECRET_KEY=FACTS["secret_key"],
        STRIPE_LIVE_MODE=False,
        DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
        DJSTRIPE_WEBHOOK_VALIDATION="verify_signature",
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def have_a_shop() -> str:
    """A merchant with something of everything; returns the secret of its webhook endpoint."""
    endpoint = stripe.WebhookEndpoint.create(
        url=FACTS["receiver_url"], enabled_events=["payment_intent.succeeded"]
    )
    customer = stripe.Customer.create(email="ann@shop.example", name="Ann Lee")
    method = stripe.PaymentMethod.create(type="card", card={"token": "tok_visa"})
    stripe.PaymentMethod.attach(method.id, customer=customer.id)
    stripe.Refund.create(payment_intent=pay(method.id, customer=customer.id).id, amount=500)
    stripe.PaymentIntent.create(amount=1250, currency="eur", return_url=back())
    disputed = pay("pm_card_createDispute")
    wait_for(lambda: stripe.Dispute.list(payment_intent=disputed.id).data)
    return str(endpoint.secret)


def synchronize(name: str) -> str:
    """Run the package's command for one model."""
    call_command("djstripe_sync_models", name, fail_on_error=True, verbosity=0)
    count = model(name).objects.count()
    if count < MODELS[name]:
        raise AssertionError(f"{count} objects, and there are {MODELS[name]} or more")
    return f"{count} objects"


def list_sources(kind: str) -> str:
    """List a customer's sources of one kind, as the package does for these two models."""
    customer = model("Customer").objects.first()
    listed = stripe.Customer.list_sources(customer.id, object=kind, api_key=FACTS["secret_key"])
    equal(list(listed.auto_paging_iter()), [])
    return "there are none"


def receive(secret: str) -> str:
    """Let the package's own view take an event as it was delivered."""
    endpoint = model("WebhookEndpoint").objects.get()
    endpoint.secret = secret
    endpoint.save()
    paid = pay()

    def arrived() -> list[dict[str, str]]:
        with urllib.request.urlopen(FACTS["receiver_url"], timeout=5) as answer:
            return [each for each in json.load(answer) if paid.id in each["body"]]

    [got] = wait_for(arrived)
    answer = Client().post(
        f"/webhook/{endpoint.djstripe_uuid}/",
        got["body"],
        content_type="application/json",
        headers={"Stripe-Signature": got["signature"]},
    )
    equal(answer.status_code, 200)
    equal(model("PaymentIntent").objects.get(id=paid.id).stripe_data["status"], "succeeded")
    return "stored by its view"


if __name__ == "__main__":
    set_up()
    SECRET = have_a_shop()
    run(
        {
            **{f"dj-stripe: {name}": partial(synchronize, name) for name in MODELS},
            "dj-stripe: Card": partial(list_sources, "card"),
            "dj-stripe: BankAccount": partial(list_sources, "bank_account"),
            "dj-stripe: a delivered event": partial(receive, SECRET),
        }
    )
