"""What an attempt of the page is to the platform: its caller, its key, and why it had no effect.

Two tabs, a double click and a repeated request are one attempt: each has a number and one
idempotency key.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings

from payments import public_ids
from payments.exceptions import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    OperationUnderWay,
    OrderAlreadyPaid,
    PaymentRefused,
    PspNotReached,
    ResourceMissing,
    SetupRefused,
    UnexpectedState,
)
from payments.models import CheckoutSession
from payments.selectors.checkout import attempts_of
from payments.services.callers.caller import Answer, Caller
from payments.services.checkout.page_state import Shown, state_of
from payments.services.commands.charge_guards import CHECKOUT_ACTOR
from psp_adapters.contract.operations import PspUnavailable

CARD: Final = "card"
_WITH_FIELDS: Final = (Shown.PAY, Shown.CHALLENGE)


class NoEffect(Exception):
    """Nothing was charged or kept; `reason` is a code for the text that the customer reads."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require_attempt(session: CheckoutSession, attempt: int) -> None:
    """Refuse an attempt that the page does not offer now; raises NoEffect."""
    offered = state_of(session).shown in _WITH_FIELDS
    if not offered or attempt > attempts_of(session.subject) + 1:
        raise NoEffect("moved_on")


def require_token(token: str) -> None:
    """Refuse the id of a payment method of ours where the page sends a PSP's token.

    Only those that the page offers may be charged. Raises NoEffect.
    """
    if public_ids.decode(public_ids.PAYMENT_METHOD, token) is not None:
        raise NoEffect("method_not_offered")


@contextmanager
def reasons_of_refusals() -> Iterator[None]:
    """Raise NoEffect for whatever a customer, another tab or the PSP may cause inside."""
    try:
        yield
    except OrderAlreadyPaid as refusal:
        raise NoEffect("order_already_paid") from refusal
    except (IdempotencyKeyReused, IdempotencyKeyInUse, OperationUnderWay) as other:
        raise NoEffect("moved_on") from other  # Another tab, or the same request again.
    except (UnexpectedState, SetupRefused) as other:
        raise NoEffect("moved_on") from other
    except (PspNotReached, PspUnavailable) as unreached:
        raise NoEffect("psp_not_reached") from unreached
    except ResourceMissing as missing:
        raise NoEffect("token_unknown") from missing
    except PaymentRefused as refusal:
        raise NoEffect("refused") from refusal


def caller_of_page(
    session: CheckoutSession, chosen: str, *, attempt: int, request_id: str
) -> Caller:
    """The customer, on behalf of the merchant; the key is that of this attempt."""
    merchant = session.merchant
    return Caller(
        merchant=merchant,
        livemode=session.livemode,
        psp_account=session.subject.psp_account,
        actor=CHECKOUT_ACTOR,
        request_id=request_id,
        idempotency_key=f"{session.public_id}/{attempt}",
        fingerprint=hashlib.sha256(f"checkout {session.public_id} {chosen}".encode()).hexdigest(),
        answer_by_monotonic=time.monotonic() + merchant.psp_wait_ms / 1000,
    )


def return_url_of(session: CheckoutSession) -> str:
    """Where the customer comes back to from the bank."""
    return f"{settings.PUBLIC_BASE_URL}/checkout/{session.token}/return"


def nothing_to_render(subject: Any, caller: Caller) -> Answer:
    """The page reads the rows; the stored answer only says that the attempt was answered."""
    return Answer(status=200, body="{}")
