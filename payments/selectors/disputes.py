"""Disputes of a merchant. Showing one needs its own row only."""

from __future__ import annotations

from django.db.models import QuerySet

from payments.models import Dispute
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.payments import charges, intents
from payments.selectors.scope import CHARGE, DISPUTE, INTENT, Scope, one_of, require_one, scoped


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
