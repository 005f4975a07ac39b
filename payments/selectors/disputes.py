"""Disputes of a merchant, and what banks have charged back of a charge."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from ledger.money import Money
from payments.models import Dispute, Operation, PaymentIntent
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.payments import charges, intents
from payments.selectors.scope import CHARGE, DISPUTE, INTENT, Scope, one_of, require_one, scoped
from payments.states import DISPUTE_CHARGED_BACK, OperationStatus
from psp_adapters.contract.operations import OperationKind


@dataclass(frozen=True, slots=True)
class ChargedBack:
    """What banks have charged back of one charge and not returned."""

    amount: Money
    dispute_id: UUID | None
    """The latest such dispute; None if there is none."""


def charged_back_of(charge: Operation, *, without: Dispute | None = None) -> ChargedBack:
    """What is charged back of a charge by now, and lost ones; sure only under the intent's lock."""
    rows = Dispute.objects.filter(charge_id=charge.id, status__in=sorted(DISPUTE_CHARGED_BACK))
    if without is not None:
        rows = rows.exclude(pk=without.pk)
    found = list(rows.order_by("id").values_list("id", "amount_minor"))
    amount = Money(sum(amount_minor for _, amount_minor in found), charge.currency)
    return ChargedBack(amount, found[-1][0] if found else None)


def refundable_of(intent: PaymentIntent) -> Money:
    """What may still be refunded: captured, neither given back nor charged back by a bank.

    Counts the disputes of the payment's own charge; sure only under the intent's lock.
    """
    if not intent.amount_disputed_minor or intent.latest_charge_id is None:
        return intent.unrefunded
    charge = Operation.objects.only("id", "currency").get(pk=intent.latest_charge_id)
    left_minor = intent.unrefunded.minor - charged_back_of(charge).amount.minor
    return Money(max(0, left_minor), intent.currency)


def was_ever_captured(intent: PaymentIntent) -> bool:
    """True also for a reversed or duplicate charge: banks dispute those as well."""
    if intent.amount_captured_minor:
        return True
    took = Q(kind=OperationKind.CAPTURE.value) | Q(
        kind=OperationKind.AUTHORIZE.value, capture_now=True
    )
    went = Q(status__in=[OperationStatus.EXCESS, OperationStatus.REVERSED])
    of_excess = Q(kind=OperationKind.CAPTURE.value, status=OperationStatus.SUCCEEDED)
    return bool(intent.operations.filter((took & went) | of_excess).exists())


def disputes(scope: Scope) -> QuerySet[Dispute]:
    return scoped(Dispute.objects.all(), scope)


def one_dispute(scope: Scope, public_id: str) -> Dispute:
    """The dispute of a public id; refuses with ResourceMissing."""
    return one_of(disputes(scope), DISPUTE, public_id)


def page_of_disputes(
    scope: Scope, paging: Paging, *, payment_intent: str = "", charge: str = ""
) -> Page[Dispute]:
    """A page of disputes; unknown intents and charges are refused with ResourceMissing."""
    rows = known = disputes(scope)
    if payment_intent:
        intent_id = require_one(intents(scope), INTENT, payment_intent, param="payment_intent")
        rows = rows.filter(intent_id=intent_id)
    if charge:
        rows = rows.filter(charge_id=require_one(charges(scope), CHARGE, charge, param="charge"))
    return page_of(rows, paging, known=known, kind=DISPUTE)
