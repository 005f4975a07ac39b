"""Parameters about payment methods that payments and setups share: which one, and its options."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final

from payments import public_ids
from payments.api.parameters import (
    Enum,
    Nested,
    Parameter,
    Parameters,
    PublicId,
    Text,
    Timestamp,
    Unsupported,
)
from payments.api.parameters.groups import METHOD_TYPES
from payments.api.views.call import Call
from payments.api.views.payment_methods import method_data
from payments.exceptions import InvalidParameter
from payments.models.mandate import OFFLINE, ONLINE
from payments.services.commands.mandates import Acceptance

_LATER: Final = Unsupported("Remove it, or put the data into metadata.")
_MANDATE: Final = Unsupported("Let the payment provider collect the mandate with its token.")
_CLOCK_DIFFERENCE_SECONDS: Final = 300
"""By how much the merchant's clock may be ahead of ours."""
_CVC: Final = Unsupported(
    "Let the payment provider's own fields collect the code, with a new token."
)
_SAVED_BY_US: Final = Unsupported("The platform tells the payment provider by itself: remove it.")


def payment_method() -> PublicId:
    """One of the merchant's methods, or a token of the PSP."""
    return PublicId(
        public_ids.PAYMENT_METHOD,
        noun="payment method",
        description="A payment method, or one of the test tokens such as pm_card_visa.",
    )


def method_data_of_payment() -> Nested:
    """What a new method is made from, for this request."""
    return Nested(
        method_data("payment_method_data"),
        description="A new payment method, made by this request from a token or from a type that "
        "needs none.",
    )


def _three_d_secure() -> Enum:
    return Enum(
        "automatic",
        "any",
        "challenge",
        description="`any`, `challenge`: ask for 3-D Secure where the card supports it.",
    )


def _options_of_cards(card: dict[str, Parameter]) -> Nested:
    others = dict.fromkeys(METHOD_TYPES, Unsupported("Only options of cards are taken: remove it."))
    return Nested(
        {**others, "card": Nested(card, description="Of cards.")},
        description="Options by type of method.",
    )


def _if_available(description: str) -> Enum:
    return Enum("if_available", "never", description=f"{description} The charge says what it got.")


def charge_options() -> Nested:
    """Options of a payment: kept and honored, or only wished for; others are refused by name."""
    card: dict[str, Parameter] = {
        "capture_method": Unsupported("Use capture_method of the PaymentIntent."),
        "request_three_d_secure": _three_d_secure(),
        "request_multicapture": _if_available("Several captures; `never` forbids them."),
        "request_incremental_authorization": _if_available(
            "Raising the authorization; `never` forbids it."
        ),
        "request_overcapture": _if_available("Capturing more than authorized."),
        "request_extended_authorization": _if_available("A longer authorization."),
        "setup_future_usage": Unsupported("Use setup_future_usage of the PaymentIntent."),
        "cvc_token": _CVC,
        "require_cvc_recollection": _CVC,
        "three_d_secure": Unsupported("Let the payment provider authenticate the customer."),
        "mandate_options": _MANDATE,
        "installments": _LATER,
        "setup_credential_usage": _SAVED_BY_US,
        "stored_credential_usage": _SAVED_BY_US,
        "moto": _LATER,
        "network": _LATER,
        "statement_descriptor_suffix_kana": _LATER,
        "statement_descriptor_suffix_kanji": _LATER,
    }
    return _options_of_cards(card)


def setup_options() -> Nested:
    """Options of a setup: one is honored, the others are refused by name."""
    card: dict[str, Parameter] = {
        "request_three_d_secure": _three_d_secure(),
        "mandate_options": Unsupported("Cards need no mandate here: remove it."),
        "moto": _LATER,
        "network": _LATER,
        "setup_credential_usage": _SAVED_BY_US,
        "three_d_secure": Unsupported("Let the payment provider authenticate the customer."),
    }
    return _options_of_cards(card)


def mandate_data(*, can_unset: bool = False) -> Nested:
    """How the customer accepted a mandate; many clients send it with methods that need none."""
    online = Nested(
        {
            "ip_address": Text(max_length=45, required=True, description="The customer's address."),
            "user_agent": Text(
                max_length=1000, required=True, description="The customer's browser."
            ),
        },
        description="If `type` is online, and required then.",
    )
    acceptance: dict[str, Parameter] = {
        "accepted_at": Timestamp(description="When; now, if not given."),
        "offline": Nested({}, description="If `type` is offline."),
        "online": online,
        "type": Enum(ONLINE, OFFLINE, required=True, description="How it was accepted."),
    }
    return Nested(
        {
            "customer_acceptance": Nested(
                Parameters(acceptance, checks=(_check_acceptance,)),
                required=True,
                description="That the customer agreed.",
            )
        },
        can_unset=can_unset,
        description="With `confirm`: a new mandate, for a method that is debited by one, such as "
        "`sepa_debit`. Not needed for others.",
    )


def acceptance_of(call: Call) -> Acceptance | None:
    """What a request says of the customer's acceptance of a mandate."""
    given = call.given.get("mandate_data")
    if not given:
        return None
    accepted = given["customer_acceptance"]
    at = accepted.get("accepted_at")
    return Acceptance(
        where=accepted["type"],
        accepted_at=None if at is None else datetime.fromtimestamp(at, UTC),
        **accepted.get(ONLINE, {}),
    )


def check_mandate_only_with_confirm(given: dict[str, Any]) -> None:
    """Refuse a mandate that a request neither charges nor keeps a method by."""
    for name in ("mandate", "mandate_data"):
        if given.get(name) and not given.get("confirm"):
            raise InvalidParameter(
                f"{name} only means something with confirm=true. Pass it when you confirm.",
                param=name,
            )


def _check_acceptance(given: dict[str, Any]) -> None:
    name = "mandate_data[customer_acceptance]"
    where = given["type"]
    if where == ONLINE and ONLINE not in given:
        raise InvalidParameter(
            f"An acceptance of type online needs {name}[online][ip_address] and [user_agent], of "
            "the customer's browser.",
            param=f"{name}[online]",
            code="parameter_missing",
        )
    if where == OFFLINE and ONLINE in given:
        raise InvalidParameter(
            "An acceptance of type offline has no browser: leave online out.",
            param=f"{name}[online]",
        )
    if given.get("accepted_at", 0) > time.time() + _CLOCK_DIFFERENCE_SECONDS:
        raise InvalidParameter(
            "A mandate cannot have been accepted in the future.", param=f"{name}[accepted_at]"
        )
    if where == ONLINE:
        _check_address(given[ONLINE]["ip_address"], f"{name}[online][ip_address]")


def _check_address(address: str, name: str) -> None:
    try:
        ip_address(address)
    except ValueError:
        raise InvalidParameter("This is no IPv4 or IPv6 address.", param=name) from None
