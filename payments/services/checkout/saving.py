"""Keeps the payment method that a customer left on the page of a session in mode `setup`."""

from __future__ import annotations

from collections.abc import Mapping

from payments.models import CheckoutSession
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
from payments.services.commands import confirm_setup_intent
from payments.services.commands.payment_methods import MethodDetails, NewMethod
from payments.services.commands.setups.intents import SetupDetails
from payments.services.psp_gateway import accounts


def keepable_methods(session: CheckoutSession) -> tuple[str, ...]:
    """The types of payment methods that the page can keep: cards, where the PSP has its fields."""
    setup = session.subject
    shown = accounts.has_fields_for(setup.psp_account_id, CARD, keeps=True)
    return (CARD,) if shown and CARD in setup.payment_method_types else ()


def keep(
    session: CheckoutSession,
    *,
    method: str,
    token: str,
    attempt: int,
    request_id: str,
    alternatives: Mapping[str, str] | None = None,
) -> None:
    """Have the PSP verify the card once for this attempt; the rows say what came of it.

    `method` is a type of `keepable_methods`. `alternatives` are as in `pay`: one of them is kept if
    the first account certainly kept nothing.

    Raises NoEffect if nothing was done, and never anything else for what a customer, another
    tab or the PSP may do.
    """
    if method not in keepable_methods(session) or not token:
        raise NoEffect("method_not_offered")
    token = opened(session, session.subject.psp_account_id, token)
    require_token(token)
    require_attempt(session, attempt)
    others = dict(sorted((alternatives or {}).items()))
    chosen = " ".join((method, token, *(f"{code}={each}" for code, each in others.items())))
    request = CommandRequest(
        caller_of_page(session, chosen, attempt=attempt, request_id=request_id),
        render=nothing_to_render,
    )
    named = NewMethod(method_type=method, token=token, details=MethodDetails(), alternatives=others)
    with reasons_of_refusals():
        confirm_setup_intent(
            request,
            setup_intent_id=session.subject.id,
            payment_method=named if others else token,
            details=SetupDetails(return_url=return_url_of(session)),
        )
