"""Customers, their payment methods and the mandates of these."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from payments.models import Customer, Mandate, PaymentMethod
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import (
    CUSTOMER,
    MANDATE,
    PAYMENT_METHOD,
    Scope,
    one_of,
    require_one,
    scoped,
)


def customers_with_deleted(scope: Scope) -> QuerySet[Customer]:
    """Every customer there ever was: payments keep naming those that were deleted."""
    return scoped(Customer.objects.all(), scope)


def customers(scope: Scope) -> QuerySet[Customer]:
    return customers_with_deleted(scope).filter(deleted_at__isnull=True)


def payment_methods(scope: Scope) -> QuerySet[PaymentMethod]:
    return scoped(PaymentMethod.objects.all(), scope)


def redisplayed_cards(scope: Scope, customer_id: UUID) -> QuerySet[PaymentMethod]:
    """The cards that the customer's pages may show again, the newest first, with the customer."""
    rows = payment_methods(scope).select_related("customer").order_by("-id")
    return rows.filter(
        customer_id=customer_id,
        customer__deleted_at__isnull=True,
        detached_at__isnull=True,
        method_type="card",
        allow_redisplay="always",
    )


def mandates(scope: Scope) -> QuerySet[Mandate]:
    return scoped(Mandate.objects.all(), scope)


def one_mandate(scope: Scope, public_id: str, *, param: str = "") -> Mandate:
    """The mandate of a public id, with its payment method; refuses with ResourceMissing."""
    rows = mandates(scope).select_related("payment_method")
    return one_of(rows, MANDATE, public_id, param=param)


def one_customer(scope: Scope, public_id: str, *, param: str = "") -> Customer:
    """The customer of a public id, deleted or not; refuses with ResourceMissing."""
    return one_of(customers_with_deleted(scope), CUSTOMER, public_id, param=param)


def one_payment_method(scope: Scope, public_id: str, *, param: str = "") -> PaymentMethod:
    """The payment method of a public id; refuses with ResourceMissing."""
    return one_of(payment_methods(scope), PAYMENT_METHOD, public_id, param=param)


def page_of_customers(scope: Scope, paging: Paging, *, email: str = "") -> Page[Customer]:
    """A page of customers; those with this email address, compared without case."""
    rows = customers(scope)
    if email:
        rows = rows.filter(email__iexact=email)
    return page_of(rows, paging, known=customers_with_deleted(scope), kind=CUSTOMER)


def page_of_payment_methods(
    scope: Scope,
    paging: Paging,
    *,
    customer: str = "",
    method_type: str = "",
    allow_redisplay: str = "",
    param: str = "customer",
) -> Page[PaymentMethod]:
    """A page of payment methods that can still be used; those of one customer, or all.

    An unknown customer is refused with ResourceMissing, which names `param`.
    """
    known = payment_methods(scope)
    rows = known.filter(detached_at__isnull=True)
    if customer:
        customer_id = require_one(customers(scope), CUSTOMER, customer, param=param)
        rows = rows.filter(customer_id=customer_id)
    if method_type:
        rows = rows.filter(method_type=method_type)
    if allow_redisplay:
        rows = rows.filter(allow_redisplay=allow_redisplay)
    return page_of(rows, paging, known=known, kind=PAYMENT_METHOD)
