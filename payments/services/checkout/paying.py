"""Charges the payment of a session with what its customer chose on the page.

Two tabs, a double click and a repeated request are one charge: each attempt has a number and one
idempotency key, and the payment itself has one open charge at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from payments import public_ids
from payments.clock import now_utc
from payments.models import METHODS_WITH_MANDATE, CheckoutSession, PaymentIntent, PaymentMethod
from payments.selectors.customers import redisplayed_cards
from payments.selectors.scope import Scope
from payments.services.callers.caller import CommandRequest
from payments.services.checkout.attempts import (
    CARD,
    NoEffect,
    caller_of_page,
    nothing_to_render,
    reasons_of_refusals,
    require_attempt,
    require_token,
    return_url_of,
)
from payments.services.checkout.exchanged_fields import opened
from payments.services.commands import Confirmation, confirm_intent
from payments.services.commands.mandates import Acceptance
from payments.services.commands.payment_methods import MethodDetails, NewMethod
from payments.services.commands.routed_methods import account_ids_for, may_charge
from payments.services.commands.setups.checks import default_types
from payments.services.psp_gateway import accounts

_METHODS_OF_ONE_CURRENCY: Final = {"ideal": "EUR", "sepa_debit": "EUR"}
"""Types that banks of one currency area offer: the page shows them for it alone."""

_SAVED_CARDS_MAX: Final = 20
"""A page is no archive: older ones are left out."""
_NEVER: Final = 9999
"""The year in which a card expires of which the PSP says none."""


def offered_methods(session: CheckoutSession) -> dict[str, UUID]:
    """The types of payment methods that the page of a session can take, the usual one first.

    Those that the payment allows, that can be kept if it keeps its method, and that need nothing
    but the PSP's fields or its own page: a card too, where the account has no card fields and the
    PSP asks for it on its own page. Each with the account that routing chooses for it.
    """
    intent = session.payment
    return {
        each: account_id
        for each in (CARD, *(t for t in intent.payment_method_types if t != CARD))
        if each in intent.payment_method_types
        and _METHODS_OF_ONE_CURRENCY.get(each, intent.currency) == intent.currency
        and (account_id := _account_for(session, each)) is not None
    }


def _account_for(session: CheckoutSession, method_type: str) -> UUID | None:
    """The first account for a type of method that the page can show; None if there is none."""
    intent = session.payment
    account_ids = account_ids_for(intent, session.merchant, method_type)
    return next((each for each in account_ids if _shows(each, method_type, intent)), None)


def _shows(account_id: UUID, method_type: str, intent: PaymentIntent) -> bool:
    can = accounts.capabilities_of(account_id)
    if intent.capture_method == "manual" and method_type not in can.holdable_method_types:
        return False
    if intent.setup_future_usage and method_type not in default_types(account_id):
        return False
    keeps = bool(intent.setup_future_usage)
    has_fields = accounts.has_fields_for(account_id, method_type, keeps=keeps)
    return has_fields or method_type in can.bare_method_types


def saved_cards(session: CheckoutSession) -> tuple[PaymentMethod, ...]:
    """The cards that the page offers its customer by brand and last digits, the default one first.

    Those that the merchant lets its pages show (`allow_redisplay=always`), that have not expired,
    and that can be charged for this payment now.
    """
    intent, today = session.payment, now_utc()
    if intent.customer_id is None or CARD not in intent.payment_method_types:
        return ()
    scope = Scope(session.merchant_id, session.livemode)
    shown = [
        each
        for each in redisplayed_cards(scope, intent.customer_id)[:_SAVED_CARDS_MAX]
        if (each.expiry_year or _NEVER, each.expiry_month or 0) >= (today.year, today.month)
        and may_charge(each, intent, session.merchant)
    ]
    return tuple(sorted(shown, key=lambda each: each.id != _default_of(each)))


def _default_of(method: PaymentMethod) -> UUID | None:
    return method.customer.default_payment_method_id if method.customer is not None else None


def pay(
    session: CheckoutSession,
    *,
    method: str,
    token: str,
    attempt: int,
    request_id: str,
    alternatives: Mapping[str, str] | None = None,
    acceptance: Acceptance | None = None,
) -> None:
    """Charge the session's payment once for this attempt; the rows say afterwards what came of it.

    `method` is a type of `offered_methods`, or the id of one of `saved_cards`. `alternatives` are
    tokens of the same method at other accounts, by the account's code. `acceptance` is that of the
    mandate which the page shows with a debit.

    Raises NoEffect if nothing was charged, and never anything else for what a customer, another
    tab or the PSP may do.
    """
    others = dict(sorted((alternatives or {}).items()))
    if method in METHODS_WITH_MANDATE and acceptance is None:
        raise NoEffect("method_not_offered")  # The page sends it along.
    named, account_id = _named(session, method, token, others)
    require_attempt(session, attempt)
    chosen = " ".join((method, token, *(f"{code}={each}" for code, each in others.items())))
    caller = caller_of_page(session, chosen, attempt=attempt, request_id=request_id)
    at = accounts.psp_account_of(account_id)
    request = CommandRequest(replace(caller, psp_account=at), render=nothing_to_render)
    with reasons_of_refusals():
        confirm_intent(
            request,
            intent_id=session.payment.id,
            payment_method=named,
            confirmation=Confirmation(return_url=return_url_of(session), acceptance=acceptance),
        )


def _named(
    session: CheckoutSession, method: str, token: str, alternatives: Mapping[str, str]
) -> tuple[str | NewMethod, UUID]:
    """What is to be charged, and the account where the charge begins. Raises NoEffect."""
    if public_ids.decode(public_ids.PAYMENT_METHOD, method) is not None:
        saved = next((each for each in saved_cards(session) if each.public_id == method), None)
        if saved is None or token or alternatives:
            raise NoEffect("method_not_offered")
        return saved.public_id, saved.psp_account_id
    offered = offered_methods(session)
    if method not in offered:
        raise NoEffect("method_not_offered")
    keeps = bool(session.payment.setup_future_usage)
    if bool(token) != accounts.has_fields_for(offered[method], method, keeps=keeps):
        raise NoEffect("method_not_offered")
    token = opened(session, offered[method], token)
    require_token(token)
    if token and method == CARD and not alternatives:
        return token, offered[method]
    new = NewMethod(
        method_type=method, token=token, details=MethodDetails(), alternatives=alternatives
    )
    return new, offered[method]
