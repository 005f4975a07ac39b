"""Payment intents, charges and refunds, with the rows that showing them needs.

A charge shows amounts of its intent, a refund those of its intent and operation: read together, so
that a page costs the same number of queries however long it is.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from payments.models import Operation, PaymentIntent, Refund
from payments.selectors.customers import customers_with_deleted
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import (
    CHARGE,
    CUSTOMER,
    INTENT,
    REFUND,
    Scope,
    one_of,
    require_one,
    scoped,
)
from psp_adapters.contract.operations import OperationKind


def intents(scope: Scope) -> QuerySet[PaymentIntent]:
    return scoped(PaymentIntent.objects.all(), scope)


def charges(scope: Scope) -> QuerySet[Operation]:
    """The charging operations, each with its intent."""
    rows = scoped(Operation.objects.filter(kind=OperationKind.AUTHORIZE.value), scope)
    return rows.select_related("intent")


def refunds(scope: Scope) -> QuerySet[Refund]:
    """The refunds, each with its intent and operation."""
    return scoped(Refund.objects.select_related("intent", "operation"), scope)


def one_intent(scope: Scope, public_id: str, *, param: str = "") -> PaymentIntent:
    """The intent of a public id; refuses with ResourceMissing, as all of these do."""
    return one_of(intents(scope), INTENT, public_id, param=param)


def one_charge(scope: Scope, public_id: str, *, param: str = "") -> Operation:
    return one_of(charges(scope), CHARGE, public_id, param=param)


def one_refund(scope: Scope, public_id: str, *, param: str = "") -> Refund:
    return one_of(refunds(scope), REFUND, public_id, param=param)


def page_of_intents(
    scope: Scope, paging: Paging, *, customer: str = "", order_id: str = ""
) -> Page[PaymentIntent]:
    """A page of intents; an unknown customer is refused with ResourceMissing."""
    rows = known = intents(scope)
    if order_id:
        rows = rows.filter(order_id=order_id)
    if customer:
        rows = rows.filter(customer_id=_customer_id(scope, customer))
    return page_of(rows, paging, known=known, kind=INTENT)


def page_of_charges(
    scope: Scope, paging: Paging, *, payment_intent: str = "", customer: str = ""
) -> Page[Operation]:
    """A page of charges; unknown intents and customers are refused with ResourceMissing."""
    rows = known = charges(scope)
    if payment_intent:
        rows = rows.filter(intent_id=_intent_id(scope, payment_intent))
    if customer:
        rows = rows.filter(intent__customer_id=_customer_id(scope, customer))
    return page_of(rows, paging, known=known, kind=CHARGE)


def page_of_refunds(
    scope: Scope, paging: Paging, *, payment_intent: str = "", charge: str = ""
) -> Page[Refund]:
    """A page of refunds; unknown intents and charges are refused with ResourceMissing."""
    rows = known = refunds(scope)
    if payment_intent:
        rows = rows.filter(intent_id=_intent_id(scope, payment_intent))
    if charge:
        rows = rows.filter(charge_id=require_one(charges(scope), CHARGE, charge, param="charge"))
    return page_of(rows, paging, known=known, kind=REFUND)


def newest_refunds_of(
    scope: Scope, charge_ids: Collection[UUID], *, limit: int
) -> dict[UUID, list[Refund]]:
    """The newest refunds of each charge, at most `limit` each, in one query."""
    numbered = refunds(scope).filter(charge_id__in=charge_ids)
    place = Window(RowNumber(), partition_by=[F("charge_id")], order_by=F("id").desc())
    newest: dict[UUID, list[Refund]] = {charge_id: [] for charge_id in charge_ids}
    for refund in numbered.annotate(place=place).filter(place__lte=limit).order_by("-id"):
        newest[refund.charge_id].append(refund)
    return newest


def _intent_id(scope: Scope, public_id: str) -> UUID:
    return require_one(intents(scope), INTENT, public_id, param="payment_intent")


def _customer_id(scope: Scope, public_id: str) -> UUID:
    return require_one(customers_with_deleted(scope), CUSTOMER, public_id, param="customer")


def newest_charge_of_psp_payment(psp_account_id: UUID, psp_payment_id: str) -> Operation | None:
    """The charge of a payment at the PSP; should two ever share one, the newest.

    Returns None for an empty `psp_payment_id`.
    """
    charges = Operation.objects.filter(
        psp_account_id=psp_account_id,
        kind=OperationKind.AUTHORIZE.value,
        psp_payment_id=psp_payment_id,
    )
    # An empty id is in no index, and no PSP's.
    return charges.exclude(psp_payment_id="").order_by("-id").first()
