"""Applies payment_method_options[card]: what a merchant asks of the PSP for its cards.

A charge keeps what may be done with its authorization, so the options of its payment stay as they
were when it was sent. What the PSP cannot do is refused, unless it was asked for "if available".
"""

from __future__ import annotations

from typing import Any, Final

from payments.exceptions import InvalidParameter
from payments.models import PaymentIntent, PaymentMethod
from payments.objects.payment_method import payment_method_snapshot
from payments.services.psp_gateway import accounts

NEVER: Final = "never"
MULTICAPTURE: Final = "request_multicapture"
INCREMENTAL: Final = "request_incremental_authorization"
_THREE_D_SECURE: Final = "request_three_d_secure"
_THREE_D_SECURE_PARAM: Final = f"payment_method_options[card][{_THREE_D_SECURE}]"


def card_option(intent: PaymentIntent, name: str) -> str:
    """The value of an option for cards; empty if the merchant gave none."""
    return str(intent.payment_method_options.get("card", {}).get(name, ""))


def require_honored(intent: PaymentIntent) -> None:
    """Refuse with InvalidParameter what the PSP of the intent cannot do."""
    wanted = card_option(intent, _THREE_D_SECURE)
    able = accounts.capabilities_of(intent.psp_account_id).requests_three_d_secure
    if wanted in ("any", "challenge") and not able:
        raise InvalidParameter(
            "The payment provider of this PaymentIntent decides by itself when to ask for 3-D "
            f"Secure: use {_THREE_D_SECURE}=automatic, or leave it out.",
            param=_THREE_D_SECURE_PARAM,
        )


def three_d_secure_of(
    intent: PaymentIntent, method: PaymentMethod, *, challenge_allowed: bool
) -> str:
    """`any` or `challenge` if the charge asks for 3-D Secure, empty if the PSP decides.

    Raises InvalidParameter if no challenge is allowed: the two wishes exclude each other.
    """
    require_honored(intent)
    wanted = card_option(intent, _THREE_D_SECURE)
    if method.method_type != "card" or wanted not in ("any", "challenge"):
        return ""
    if not challenge_allowed:
        raise InvalidParameter(
            f"{_THREE_D_SECURE}={wanted} asks the customer to authenticate, which off_session and "
            "error_on_requires_action do not allow. Leave one of them out, or use automatic.",
            param=_THREE_D_SECURE_PARAM,
            code="parameters_exclusive",
        )
    return wanted


def charge_snapshot(method: PaymentMethod, intent: PaymentIntent) -> dict[str, Any]:
    """What a charge shows of its method, and what may be done with its authorization."""
    if intent.capture_method != "manual":
        return payment_method_snapshot(method)
    able = accounts.capabilities_of(method.psp_account_id)
    return payment_method_snapshot(
        method,
        multiple_captures=able.multiple_captures and card_option(intent, MULTICAPTURE) != NEVER,
        increments=able.increments and card_option(intent, INCREMENTAL) != NEVER,
    )


def agreement_of(method: PaymentMethod) -> str:
    """The network's id of the customer's agreement, if the PSP of the method is to be told it."""
    able = accounts.capabilities_of(method.psp_account_id)
    return method.network_transaction_id if able.takes_network_transaction_id else ""
