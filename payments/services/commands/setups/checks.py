"""Checks what may be kept for later payments: by a setup intent, or by a payment that asks so.

A token belongs to one PSP account. A method is therefore kept for that account, and for no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from payments.exceptions import InvalidParameter
from payments.models import PaymentIntent, PaymentMethod, SetupIntent
from payments.services.callers.caller import Caller
from payments.services.commands.token_search import usable_account_ids
from payments.services.psp_gateway import accounts

_UNSUPPORTED = "setup_not_supported"


def default_types(psp_account_id: UUID) -> list[str]:
    """What the account's PSP can keep, in the order in which it charges."""
    able = accounts.capabilities_of(psp_account_id)
    return [each for each in able.method_types if each in able.reusable_method_types]


def kept_by_setups(account_ids: Sequence[UUID]) -> list[str]:
    """What a setup can keep at one of these accounts, those of the first one first."""
    able = (each for each in account_ids if not _keeps_with_payment_only(each))
    return list(dict.fromkeys(kept for each in able for kept in default_types(each)))


def require_types(setup: SetupIntent, account_ids: Sequence[UUID]) -> None:
    """Refuse types of which no account of the merchant keeps one; raises InvalidParameter."""
    keepable = kept_by_setups(account_ids)
    if not keepable and any(map(_keeps_with_payment_only, account_ids)):
        raise _kept_with_payment_only()
    if not keepable:
        raise InvalidParameter(
            "The payment provider of this account keeps no payment methods for later payments "
            "through us yet. Attach the payment method with POST "
            "/v1/payment_methods/{id}/attach, and charge it again while the customer is there.",
            code=_UNSUPPORTED,
        )
    if not set(keepable) & set(setup.payment_method_types):
        raise InvalidParameter(
            f"The payment provider of this account keeps no payment method of type "
            f"{' or '.join(setup.payment_method_types)} for later payments. Use "
            f"{' or '.join(keepable)}.",
            param="payment_method_types",
            code=_UNSUPPORTED,
        )


def _keeps_with_payment_only(psp_account_id: UUID) -> bool:
    return accounts.capabilities_of(psp_account_id).keeps_with_payment_only


def _kept_with_payment_only() -> InvalidParameter:
    return InvalidParameter(
        "The payment provider of this account keeps a payment method only together with a "
        "first payment. Create a PaymentIntent with setup_future_usage.",
        code=_UNSUPPORTED,
    )


def require_saving(intent: PaymentIntent) -> None:
    """Refuse `setup_future_usage` of a payment whose PSP keeps nothing; raises InvalidParameter."""
    if intent.setup_future_usage and not default_types(intent.psp_account_id):
        raise InvalidParameter(
            "The payment provider of this account keeps no payment methods for later payments "
            "through us yet: leave setup_future_usage out.",
            param="setup_future_usage",
            code=_UNSUPPORTED,
        )


def require_keepable(
    method: PaymentMethod, setup: SetupIntent, account_ids: Sequence[UUID]
) -> None:
    """Refuse a method that cannot be kept for the customer of the setup intent.

    It was detached, is another customer's, of none of these PSP accounts, or of a type that is not
    allowed. Raises InvalidParameter.
    """
    if method.detached_at is not None:
        raise InvalidParameter(
            f"The payment method {method.public_id} was detached from its customer and cannot be "
            "used again. Use another one.",
            param="payment_method",
            code="payment_method_unexpected_state",
        )
    if method.psp_account_id not in account_ids:
        raise InvalidParameter(
            "This payment method was made with another payment provider account than this "
            "SetupIntent may use, and cannot be charged through it. Let the customer enter it "
            "again.",
            param="payment_method",
            code="payment_method_provider_mismatch",
        )
    if method.method_type not in setup.payment_method_types:
        raise InvalidParameter(
            f"This SetupIntent does not allow payment methods of type {method.method_type}. Use "
            f"one of type {' or '.join(setup.payment_method_types)}, or change "
            "payment_method_types.",
            param="payment_method",
            code="payment_intent_incompatible_payment_method",
        )
    if _keeps_with_payment_only(method.psp_account_id):
        raise _kept_with_payment_only()
    require_reusable(method)
    if method.customer_id is not None and method.customer_id != setup.customer_id:
        raise InvalidParameter(
            f"The payment method {method.public_id} belongs to a customer. Pass that customer with "
            "the SetupIntent, or use another method.",
            param="payment_method",
            code="payment_method_customer_mismatch",
        )


def take_method(setup: SetupIntent, method: PaymentMethod, caller: Caller) -> None:
    """Have the setup keep this method, at the account that made it; raises InvalidParameter."""
    require_keepable(method, setup, usable_account_ids(caller))
    setup.payment_method_id = method.id
    setup.psp_account_id = method.psp_account_id


def require_reusable(method: PaymentMethod, *, param: str = "payment_method") -> None:
    """Refuse a method that its PSP cannot keep for later payments; raises InvalidParameter."""
    keepable = default_types(method.psp_account_id)
    if method.method_type not in keepable:
        types = " or ".join(keepable) or "none"
        raise InvalidParameter(
            f"The payment provider of this account cannot keep a payment method of type "
            f"{method.method_type} for later payments. Types that it keeps: {types}.",
            param=param,
            code=_UNSUPPORTED,
        )


def require_return_url(method: PaymentMethod, setup: SetupIntent) -> None:
    """Refuse a method that always redirects if the customer could not come back."""
    away = accounts.capabilities_of(setup.psp_account_id).redirect_method_types
    if method.method_type in away and not setup.return_url:
        raise InvalidParameter(
            f"A setup of {method.method_type} sends the customer to another page. Pass return_url: "
            "the address that the customer comes back to.",
            param="return_url",
            code="parameter_missing",
        )


def three_d_secure_of(setup: SetupIntent, method: PaymentMethod) -> str:
    """`any` or `challenge` if the setup asks for 3-D Secure, empty if the PSP decides.

    Raises InvalidParameter if the PSP takes no such wish.
    """
    wanted = str(setup.payment_method_options.get("card", {}).get("request_three_d_secure", ""))
    if method.method_type != "card" or wanted not in ("any", "challenge"):
        return ""
    if not accounts.capabilities_of(setup.psp_account_id).requests_three_d_secure:
        raise InvalidParameter(
            "The payment provider of this SetupIntent decides by itself when to ask for 3-D "
            "Secure: use request_three_d_secure=automatic, or leave it out.",
            param="payment_method_options[card][request_three_d_secure]",
        )
    return wanted
