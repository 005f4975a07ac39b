"""The published test numbers of cards and bank accounts, and the test token of each.

Data and one check.
"""

from __future__ import annotations

from typing import Final

from psp_adapters.sandbox_psp.tokens import TOKENS

_PREFIX: Final = "pm_card_"
# In the blocks in which they are printed, as Stripe publishes them (docs.stripe.com/testing).
_PUBLISHED: Final = {
    "4242 4242 4242 4242": "visa",
    "4000 0566 5566 5556": "visa_debit",
    "5555 5555 5555 4444": "mastercard",
    "5200 8282 8282 8210": "mastercard_debit",
    "5105 1051 0510 5100": "mastercard_prepaid",
    "3782 822463 10005": "amex",
    "6011 1111 1111 1117": "discover",
    "3056 9300 0902 0004": "diners",
    "3566 0020 2036 0505": "jcb",
    "6200 0000 0000 0005": "unionpay",
    "4000 0000 0000 0002": "chargeDeclined",
    "4000 0000 0000 9995": "chargeDeclinedInsufficientFunds",
    "4000 0000 0000 9987": "chargeDeclinedLostCard",
    "4000 0000 0000 9979": "chargeDeclinedStolenCard",
    "4000 0000 0000 0069": "chargeDeclinedExpiredCard",
    "4000 0000 0000 0127": "chargeDeclinedIncorrectCvc",
    "4000 0000 0000 0119": "chargeDeclinedProcessingError",
    "4000 0000 0000 6975": "chargeDeclinedVelocityLimitExceeded",
    "4000 0000 0000 3220": "threeDSecure2Required",
    "4000 0000 0000 3063": "threeDSecureRequired",
    "4000 0027 6000 3184": "authenticationRequired",
    "4000 0025 0000 3155": "authenticationRequiredOnSetup",
    "4000 0000 0000 3055": "threeDSecureOptional",
    "4000 0084 0000 1629": "threeDSecureRequiredChargeDeclined",
    "4000 0084 0000 1280": "threeDSecureRequiredProcessingError",
    "4000 0000 0000 0259": "createDispute",
    "4000 0000 0000 2685": "createDisputeProductNotReceived",
    "4000 0000 0000 1976": "createDisputeInquiry",
    "4000 0000 0000 7726": "pendingRefund",
    "4000 0000 0000 5126": "refundFail",
    "4000 0000 0000 0077": "bypassPending",
}
TEST_CARDS: Final[dict[str, str]] = {
    number.replace(" ", ""): f"{_PREFIX}{name}" for number, name in _PUBLISHED.items()
}
"""Digits → test token."""

_PUBLISHED_IBANS: Final = {
    "DE89 3704 0044 0532 0130 00": "success",
    "DE62 3704 0044 0532 0130 01": "fail",
    "DE35 3704 0044 0532 0130 02": "disputed",
}
TEST_IBANS: Final[dict[str, str]] = {
    number.replace(" ", ""): f"pm_sepaDebit_{name}" for number, name in _PUBLISHED_IBANS.items()
}
"""The same of bank accounts, as Stripe publishes them (docs.stripe.com/testing)."""

assert {*TEST_CARDS.values(), *TEST_IBANS.values()} <= set(TOKENS)


def passes_check_digit(digits: str) -> bool:
    """Whether the check digit (Luhn) of these ASCII digits is right."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        digit = int(character)
        if position % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0
