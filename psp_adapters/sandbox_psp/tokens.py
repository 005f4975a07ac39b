"""The test tokens: what each one is, and what it makes the simulator do. Data only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an issuer declined, in the simulator's codes."""

    code: str
    decline_code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestToken:
    """A test payment method and its scripted behavior."""

    token: str
    method_type: str = "card"
    brand: str = "visa"
    funding: str = "credit"
    last4: str = ""
    country: str = "US"
    fingerprint: str = ""
    decline: Decline | None = None
    """The answer to a charge; after a challenge if there is one; late if `settles_late`."""
    challenge: bool = False
    challenge_on_request: bool = False
    """A challenge only if the charge asks for one."""
    off_session_exempt: bool = False
    """With challenges forbidden, the charge goes through instead of being declined."""
    exempt_once_set_up: bool = False
    """The same, if the customer has agreed before that the card is charged off session."""
    sets_up_although_declined: bool = False
    """It can be set up for later payments, and is declined when it is charged."""
    settles_late: bool = False
    refund: str = "at_once"
    """`at_once`, `pending` (succeeds later) or `fails` (succeeds, then fails)."""
    fault: str = ""
    """What happens to the answer of the first authorize request."""
    expires_at_once: bool = False
    revision: str = ""
    """A late outcome: `reversed`, `reversed_then_reinstated`, or `late_success` (of a decline)."""
    settles_at_once: bool = False
    """Captures are paid out without the usual delay."""
    dispute: str = ""
    """How the first capture is disputed after the settle delay; a key of DISPUTES_OF."""


SEPA_DEBIT: Final = "sepa_debit"
"""The type of an account that is debited by its holder's mandate alone."""
EXPIRY_MONTH: Final = 12
EXPIRY_YEAR: Final = 2034

NOT_DECLINED: Final = Decline("", "", "")
_DECLINED = Decline("card_declined", "generic_decline", "Your card was declined.")
AUTHENTICATION_REQUIRED: Final = Decline(
    "authentication_required",
    "authentication_required",
    "This payment needs the customer's authentication.",
)
AUTHENTICATION_FAILED: Final = Decline(
    "authentication_failed", "", "The customer could not be authenticated."
)
_ERROR = Decline(
    "processing_error", "processing_error", "An error occurred while processing the card."
)
_BANK_DECLINED = Decline("bank_declined", "insufficient_funds", "The bank refused the debit.")


def _declined(decline_code: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", decline_code, message)


_BRANDS: Final = (
    # suffix, brand, last4, funding, country
    ("visa", "visa", "4242", "credit", "US"),
    ("visa_debit", "visa", "5556", "debit", "US"),
    ("mastercard", "mastercard", "4444", "credit", "US"),
    ("mastercard_debit", "mastercard", "8210", "debit", "US"),
    ("mastercard_prepaid", "mastercard", "5100", "prepaid", "US"),
    ("amex", "amex", "0005", "credit", "US"),
    ("discover", "discover", "1117", "credit", "US"),
    ("diners", "diners", "0004", "credit", "US"),
    ("jcb", "jcb", "0505", "credit", "JP"),
    ("unionpay", "unionpay", "0005", "credit", "CN"),
    ("amex_threeDSecureNotSupported", "amex", "0005", "credit", "US"),
)

_DECLINES: Final = (
    ("chargeDeclined", "0002", _DECLINED),
    (
        "chargeDeclinedInsufficientFunds",
        "9995",
        _declined("insufficient_funds", "Your card has insufficient funds."),
    ),
    ("chargeDeclinedLostCard", "9987", _declined("lost_card")),
    ("chargeDeclinedStolenCard", "9979", _declined("stolen_card")),
    (
        "chargeDeclinedExpiredCard",
        "0069",
        Decline("expired_card", "expired_card", "Your card has expired."),
    ),
    (
        "chargeDeclinedIncorrectCvc",
        "0127",
        Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    ),
    ("chargeDeclinedProcessingError", "0119", _ERROR),
    ("chargeDeclinedVelocityLimitExceeded", "6975", _declined("card_velocity_exceeded")),
    ("chargeDeclinedFraudulent", "0019", _declined("fraudulent")),
    ("radarBlock", "0019", _declined("fraudulent")),
)

# The disputes of a first capture, in equal shares: reason, and whether it is an inquiry.
DISPUTES_OF: Final[dict[str, tuple[tuple[str, bool], ...]]] = {
    "fraud": (("fraudulent", False),),
    "not_received": (("product_not_received", False),),
    "inquiry": (("fraudulent", True),),
    "debit": (("debit_not_authorized", False),),
    "multiple": (("fraudulent", False), ("product_not_received", False)),
}
_DISPUTED: Final = (
    ("createDispute", "0259", "fraud"),
    ("createDisputeProductNotReceived", "2685", "not_received"),
    ("createDisputeInquiry", "1976", "inquiry"),
    ("createDisputeMultipleDisputes", "0079", "multiple"),
    ("createMultipleDisputes", "0079", "multiple"),
)

# These only succeed: checks, reviews and fraud records are not simulated.
_PLAIN_SUCCESSES: Final = (
    ("riskLevelHighest", "4954"),
    ("riskLevelElevated", "9235"),
    ("cvcCheckFail", "0101"),
    ("avsFail", "0010"),
    ("avsLine1Fail", "0028"),
    ("avsZipFail", "0036"),
    ("avsUnchecked", "0044"),
    ("createIssuerFraudRecord", "5423"),
)


def _card(suffix: str, **values: object) -> TestToken:
    return TestToken(token=f"pm_card_{suffix}", **values)  # type: ignore[arg-type]


def _challenged() -> list[TestToken]:
    return [
        _card("threeDSecure2Required", last4="3220", challenge=True),
        _card("threeDSecureRequired", last4="3063", challenge=True),
        _card("authenticationRequired", last4="3184", challenge=True),
        _card(
            "authenticationRequiredOnSetup", last4="3155", challenge=True, exempt_once_set_up=True
        ),
        _card(
            "authenticationRequiredChargeDeclinedInsufficientFunds",
            last4="3178",
            challenge=True,
            decline=_declined("insufficient_funds", "Your card has insufficient funds."),
            off_session_exempt=True,
            sets_up_although_declined=True,
        ),
        _card(
            "authenticationRequiredSetupForOffSession",
            last4="0446",
            challenge=True,
            off_session_exempt=True,
        ),
        _card("threeDSecureOptional", last4="3055", challenge_on_request=True),
        _card(
            "threeDSecureRequiredChargeDeclined", last4="1629", challenge=True, decline=_DECLINED
        ),
        _card("threeDSecureRequiredProcessingError", last4="1280", challenge=True, decline=_ERROR),
    ]


def _ours() -> list[TestToken]:
    return [
        _card("pendingRefund", last4="7726", refund="pending"),
        _card("refundFail", last4="5126", refund="fails"),
        _card("unknownThenPaid", last4="9001", fault="drop_after"),
        _card("unknownThenNever", last4="9002", fault="drop_before"),
        _card("hangAfterCharge", last4="9003", fault="hang"),
        _card("authorizationExpiresNow", last4="9004", expires_at_once=True),
        _card("captureFails", last4="9005", revision="reversed"),
        _card("captureFailsThenSucceeds", last4="9006", revision="reversed_then_reinstated"),
        _card("declinedThenPaid", last4="9007", decline=_DECLINED, revision="late_success"),
    ]


def _bank_debits() -> list[TestToken]:
    rows = (
        ("pm_bankDebit", "us_bank_account", "6789", "US"),
        ("pm_usBankAccount", "us_bank_account", "6789", "US"),
        ("pm_sepaDebit", SEPA_DEBIT, "3000", "DE"),
    )
    return [
        TestToken(
            token=f"{prefix}_{result}",
            method_type=method_type,
            brand="",
            funding="",
            last4=last4,
            country=country,
            settles_late=True,
            decline=decline,
            sets_up_although_declined=True,
            revision=revision,
            dispute=dispute,
        )
        for prefix, method_type, last4, country in rows
        for result, decline, revision, dispute in (
            ("success", None, "", ""),
            ("fail", _BANK_DECLINED, "", ""),
            ("returned", None, "reversed", ""),
            ("disputed", None, "", "debit"),
        )
    ]


def _redirects() -> list[TestToken]:
    """Paid on the page of the customer's bank; the challenge stands for it."""
    return [
        TestToken(
            token=f"pm_ideal_{result}",
            method_type="ideal",
            brand="",
            funding="",
            country="NL",
            challenge=True,
            decline=decline,
        )
        for result, decline in (("success", None), ("fail", _BANK_DECLINED))
    ]


def _spellings(token: str) -> list[str]:
    """`pm_card_X`, `tok_X`, and with `visa_` before X where X names no brand."""
    if not token.startswith("pm_card_"):
        return [token]
    suffix = token.removeprefix("pm_card_")
    names = [token, f"tok_{suffix}"]
    if suffix not in {row[0] for row in _BRANDS}:
        names += [f"pm_card_visa_{suffix}", f"tok_visa_{suffix}"]
    return names


def _fingerprint(token: TestToken) -> str:
    """The same card has the same fingerprint under each of its spellings."""
    identity = f"{token.method_type}|{token.brand}|{token.funding}|{token.last4}|{token.token}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _published() -> dict[str, TestToken]:
    rows = [
        _card(suffix, brand=brand, last4=last4, funding=funding, country=country)
        for suffix, brand, last4, funding, country in _BRANDS
    ]
    rows += [_card(suffix, last4=last4, decline=decline) for suffix, last4, decline in _DECLINES]
    rows += [_card(suffix, last4=last4) for suffix, last4 in _PLAIN_SUCCESSES]
    rows += [_card("bypassPending", last4="0077", settles_at_once=True)]
    rows += [_card(suffix, last4=last4, dispute=kind) for suffix, last4, kind in _DISPUTED]
    rows += [
        _card("chargeCustomerFail", last4="0341", decline=_DECLINED, sets_up_although_declined=True)
    ]
    rows += _challenged() + _ours() + _bank_debits() + _redirects()
    tokens: dict[str, TestToken] = {}
    for row in rows:
        fingerprint = _fingerprint(row)
        for name in _spellings(row.token):
            values = {key: getattr(row, key) for key in row.__slots__}
            tokens[name] = TestToken(**{**values, "token": name, "fingerprint": fingerprint})
    return tokens


TOKENS: Final[dict[str, TestToken]] = _published()


def token_view(token: TestToken) -> dict[str, object]:
    """The answer of the token endpoint."""
    is_card = token.method_type == "card"
    return {
        "object": "token",
        "token": token.token,
        "method_type": token.method_type,
        "brand": token.brand,
        "funding": token.funding,
        "last4": token.last4,
        "exp_month": EXPIRY_MONTH if is_card else None,
        "exp_year": EXPIRY_YEAR if is_card else None,
        "country": token.country,
        "fingerprint": token.fingerprint,
    }
