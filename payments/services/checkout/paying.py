"""Charges the payment of a session with what its customer chose on the page.

Two tabs, a double click and a repeated request are one charge: each attempt has a number and one
idempotency key, and the payment itself has one open charge at most.
"""

from __future__ import annotations

from typing import Final

from payments.models import CheckoutSession
from payments.services.callers.caller import CommandRequest
from payments.services.checkout.attempts import (
    CARD,
    NotCharged,
    caller_of_page,
    nothing_to_render,
    reasons_of_refusals,
    require_attempt,
    return_url_of,
)
from payments.services.commands import Confirmation, confirm_intent
from payments.services.commands.payment_methods import MethodDetails, NewMethod
from payments.services.commands.setup_checks import default_types
from payments.services.psp_gateway import accounts

_METHODS_OF_ONE_CURRENCY: Final = {"ideal": "EUR"}
"""Types that banks of one currency area offer: the page shows them for it alone."""


def offered_methods(session: CheckoutSession) -> tuple[str, ...]:
    """The types of payment methods that the page of a session can take, the usual one first.

    Those that the payment allows, that can be kept if it keeps its method, and that need nothing
    but the PSP's card fields or its own page.
    """
    intent = session.payment
    can = accounts.capabilities_of(intent.psp_account_id)
    possible = [CARD] if can.hosted_fields else []
    possible += [each for each in can.method_types if each in can.bare_method_types]
    if intent.capture_method == "manual":
        possible = [each for each in possible if each in can.holdable_method_types]
    if intent.setup_future_usage:
        keepable = default_types(intent.psp_account_id)
        possible = [each for each in possible if each in keepable]
    return tuple(
        each
        for each in possible
        if each in intent.payment_method_types
        and _METHODS_OF_ONE_CURRENCY.get(each, intent.currency) == intent.currency
    )


def pay(
    session: CheckoutSession, *, method_type: str, token: str, attempt: int, request_id: str
) -> None:
    """Charge the session's payment once for this attempt; the rows say afterwards what came of it.

    Raises NotCharged if nothing was charged, and never anything else for what a customer, another
    tab or the PSP may do.
    """
    if method_type not in offered_methods(session) or (method_type == CARD) != bool(token):
        raise NotCharged("method_not_offered")
    require_attempt(session, attempt)
    method: str | NewMethod = token
    if not token:
        method = NewMethod(method_type=method_type, token="", details=MethodDetails())
    request = CommandRequest(
        caller_of_page(session, f"{method_type} {token}", attempt=attempt, request_id=request_id),
        render=nothing_to_render,
    )
    with reasons_of_refusals():
        confirm_intent(
            request,
            intent_id=session.payment.id,
            payment_method=method,
            confirmation=Confirmation(return_url=return_url_of(session)),
        )
