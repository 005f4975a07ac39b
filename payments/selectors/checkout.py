"""Checkout sessions and payment links, each session with its payment or setup intent."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet

from payments import public_ids
from payments.clock import now_utc
from payments.models import CheckoutSession, PaymentIntent, PaymentLink, SetupIntent
from payments.selectors.customers import customers_with_deleted
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.payments import intents
from payments.selectors.scope import (
    CHECKOUT_SESSION,
    CUSTOMER,
    INTENT,
    PAYMENT_LINK,
    Scope,
    one_of,
    require_one,
    scoped,
)
from payments.states import CheckoutStatus
from psp_adapters.contract.operations import OperationKind


def sessions(scope: Scope) -> QuerySet[CheckoutSession]:
    """The sessions, each with its payment or setup intent."""
    return scoped(CheckoutSession.objects.select_related("intent", "setup_intent"), scope)


def payment_links(scope: Scope) -> QuerySet[PaymentLink]:
    return scoped(PaymentLink.objects.all(), scope)


def one_session(scope: Scope, public_id: str) -> CheckoutSession:
    """The session of a public id; refuses with ResourceMissing, as all of these do."""
    return one_of(sessions(scope), CHECKOUT_SESSION, public_id)


def one_payment_link(scope: Scope, public_id: str) -> PaymentLink:
    return one_of(payment_links(scope), PAYMENT_LINK, public_id)


def page_of_sessions(
    scope: Scope,
    paging: Paging,
    *,
    payment_intent: str = "",
    payment_link: str = "",
    customer: str = "",
    status: str = "",
) -> Page[CheckoutSession]:
    """A page of sessions; what is named and does not exist is refused with ResourceMissing."""
    rows = known = sessions(scope)
    if payment_intent:
        intent_id = require_one(intents(scope), INTENT, payment_intent, param="payment_intent")
        rows = rows.filter(intent_id=intent_id)
    if payment_link:
        link_id = require_one(
            payment_links(scope), PAYMENT_LINK, payment_link, param="payment_link"
        )
        rows = rows.filter(payment_link_id=link_id)
    if customer:
        customers = customers_with_deleted(scope)
        customer_id = require_one(customers, CUSTOMER, customer, param="customer")
        rows = rows.filter(
            Q(intent__customer_id=customer_id) | Q(setup_intent__customer_id=customer_id)
        )
    if status:
        rows = rows.filter(status=status)
    return page_of(rows, paging, known=known, kind=CHECKOUT_SESSION)


def page_of_payment_links(
    scope: Scope, paging: Paging, *, active: bool | None = None
) -> Page[PaymentLink]:
    """A page of payment links; those that are active, or not, or all."""
    rows = known = payment_links(scope)
    if active is not None:
        rows = rows.filter(active=active)
    return page_of(rows, paging, known=known, kind=PAYMENT_LINK)


def session_of_token(token: str) -> CheckoutSession | None:
    """The session whose page has this secret address, with all that the page is about."""
    rows = CheckoutSession.objects.select_related("intent", "setup_intent", "merchant")
    return rows.filter(token=token).first()


def link_of_token(token: str) -> PaymentLink | None:
    """The payment link with this secret address, with its merchant."""
    return PaymentLink.objects.select_related("merchant").filter(token=token).first()


def open_session_of_link(link: PaymentLink, token: str) -> CheckoutSession | None:
    """The session that a browser got of this link before, if it is still open."""
    rows = CheckoutSession.objects.filter(token=token, payment_link_id=link.id)
    return rows.filter(status=CheckoutStatus.OPEN, expires_at__gt=now_utc()).first()


def sessions_made_by(link: PaymentLink, *, within: timedelta) -> int:
    """How many sessions a link made lately; ids sort by the time of their creation."""
    since = int((now_utc() - within).timestamp())
    first = public_ids.first_id_of_second(since)
    return CheckoutSession.objects.filter(payment_link_id=link.id, id__gte=first).count()


def attempts_of(subject: PaymentIntent | SetupIntent) -> int:
    """How many charges or setups were written down, whatever became of them."""
    if isinstance(subject, SetupIntent):
        return subject.attempts.count()
    return subject.operations.filter(kind=OperationKind.AUTHORIZE.value).count()
