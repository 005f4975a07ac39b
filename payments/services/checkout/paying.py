"""Charges the payment of a session with what its customer chose on the page.

Two tabs, a double click and a repeated request are one charge: each attempt has a number and one
idempotency key, and the payment itself has one open charge at most.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

from django.conf import settings

from payments.exceptions import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    OperationUnderWay,
    OrderAlreadyPaid,
    PaymentRefused,
    PspNotReached,
    ResourceMissing,
    UnexpectedState,
)
from payments.models import CheckoutSession
from payments.selectors.checkout import attempts_of
from payments.services.callers.caller import Answer, Caller, CommandRequest, Subject
from payments.services.checkout.page_state import Shown, state_of
from payments.services.commands import Confirmation, confirm_intent
from payments.services.commands.charge_guards import CHECKOUT_ACTOR
from payments.services.commands.payment_methods import MethodDetails, NewMethod
from payments.services.psp_gateway import accounts
from psp_adapters.contract.operations import PspUnavailable

CARD: Final = "card"
_METHODS_OF_ONE_CURRENCY: Final = {"ideal": "EUR"}
"""Types that banks of one currency area offer: the page shows them for it alone."""
_WITH_FIELDS: Final = (Shown.PAY, Shown.CHALLENGE)


class NotCharged(Exception):
    """Nothing was charged; `reason` is a code for the text that the customer reads."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def offered_methods(session: CheckoutSession) -> tuple[str, ...]:
    """The types of payment methods that the page of a session can take, the usual one first.

    Those that the payment allows, and that need nothing but the PSP's card fields or its own page.
    """
    intent = session.intent
    can = accounts.capabilities_of(intent.psp_account_id)
    possible = [CARD] if can.hosted_fields else []
    possible += [each for each in can.method_types if each in can.bare_method_types]
    if intent.capture_method == "manual":
        possible = [each for each in possible if each in can.holdable_method_types]
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
    if state_of(session).shown not in _WITH_FIELDS or attempt > attempts_of(session.intent) + 1:
        raise NotCharged("moved_on")
    method: str | NewMethod = token
    if not token:
        method = NewMethod(method_type=method_type, token="", details=MethodDetails())
    request = CommandRequest(
        _caller(session, f"{method_type} {token}", attempt=attempt, request_id=request_id),
        render=_nothing_to_render,
    )
    return_url = f"{settings.PUBLIC_BASE_URL}/checkout/{session.token}/return"
    try:
        confirm_intent(
            request,
            intent_id=session.intent_id,
            payment_method=method,
            confirmation=Confirmation(return_url=return_url),
        )
    except OrderAlreadyPaid as refusal:
        raise NotCharged("order_already_paid") from refusal
    except (IdempotencyKeyReused, IdempotencyKeyInUse, OperationUnderWay, UnexpectedState) as other:
        raise NotCharged("moved_on") from other  # Another tab, or the same request again.
    except (PspNotReached, PspUnavailable) as unreached:
        raise NotCharged("psp_not_reached") from unreached
    except ResourceMissing as missing:
        raise NotCharged("token_unknown") from missing
    except PaymentRefused as refusal:
        raise NotCharged("refused") from refusal


def _caller(session: CheckoutSession, chosen: str, *, attempt: int, request_id: str) -> Caller:
    """The customer, on behalf of the merchant; the key is that of this attempt."""
    merchant = session.merchant
    return Caller(
        merchant=merchant,
        livemode=session.livemode,
        psp_account=session.intent.psp_account,
        actor=CHECKOUT_ACTOR,
        request_id=request_id,
        idempotency_key=f"{session.public_id}/{attempt}",
        fingerprint=hashlib.sha256(f"checkout {session.public_id} {chosen}".encode()).hexdigest(),
        answer_by_monotonic=time.monotonic() + merchant.psp_wait_ms / 1000,
    )


def _nothing_to_render(subject: Subject, caller: Caller) -> Answer:
    """The page reads the rows; the stored answer only says that the attempt was answered."""
    return Answer(status=200, body="{}")
