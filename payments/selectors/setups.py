"""Setup intents of a merchant, and their attempts."""

from __future__ import annotations

from django.db.models import QuerySet

from payments.models import SetupAttempt, SetupIntent
from payments.selectors.customers import customers_with_deleted, payment_methods
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import (
    CUSTOMER,
    PAYMENT_METHOD,
    SETUP_ATTEMPT,
    SETUP_INTENT,
    Scope,
    one_of,
    require_one,
    scoped,
)


def setup_intents(scope: Scope) -> QuerySet[SetupIntent]:
    return scoped(SetupIntent.objects.all(), scope)


def setup_attempts(scope: Scope) -> QuerySet[SetupAttempt]:
    return scoped(SetupAttempt.objects.all(), scope)


def one_setup_intent(scope: Scope, public_id: str, *, param: str = "") -> SetupIntent:
    """The setup intent of a public id; refuses with ResourceMissing."""
    return one_of(setup_intents(scope), SETUP_INTENT, public_id, param=param)


def page_of_setup_intents(
    scope: Scope, paging: Paging, *, customer: str = "", payment_method: str = ""
) -> Page[SetupIntent]:
    """A page of setup intents; those of one customer, or of one payment method, or all.

    An unknown one is refused with ResourceMissing.
    """
    known = rows = setup_intents(scope)
    if customer:
        known_customers = customers_with_deleted(scope)
        rows = rows.filter(
            customer_id=require_one(known_customers, CUSTOMER, customer, param="customer")
        )
    if payment_method:
        methods = payment_methods(scope)
        param = "payment_method"
        rows = rows.filter(
            payment_method_id=require_one(methods, PAYMENT_METHOD, payment_method, param=param)
        )
    return page_of(rows, paging, known=known, kind=SETUP_INTENT)


def page_of_setup_attempts(scope: Scope, paging: Paging, *, setup: str) -> Page[SetupAttempt]:
    """A page of the attempts of one setup intent; refuses with ResourceMissing."""
    setup_id = require_one(setup_intents(scope), SETUP_INTENT, setup, param="setup_intent")
    known = setup_attempts(scope)
    return page_of(known.filter(setup_intent_id=setup_id), paging, known=known, kind=SETUP_ATTEMPT)
