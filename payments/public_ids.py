"""Public ids: a prefix and the row's UUID in 22 characters, such as `pi_C7Jq…`; forms of secrets.

The first character is always a letter, so an id is never a run of digits that could pass for a card
number. What may not live here: queries.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

PAYMENT_INTENT: Final = "pi"
CHARGE: Final = "ch"
REFUND: Final = "re"
CUSTOMER: Final = "cus"
PAYMENT_METHOD: Final = "pm"
EVENT: Final = "evt"
BALANCE_TRANSACTION: Final = "txn"
OPERATION: Final = "op"
REQUEST: Final = "req"
MERCHANT: Final = "acct"
BALANCE: Final = "bal"
"""How far a merchant was told of its balance; the subject of its events in the stream."""
CASE: Final = "case"
APPROVAL: Final = "apr"
WEBHOOK_ENDPOINT: Final = "we"
DELIVERY: Final = "whd"
DISPUTE: Final = "dp"
DISPUTE_RESPONSE: Final = "dr"
CHECKOUT_SESSION: Final = "cs"
CHECKOUT_LINE_ITEM: Final = "li"
PAYMENT_LINK: Final = "plink"
LINE_ITEM: Final = "uli"
SETUP_INTENT: Final = "seti"
SETUP_ATTEMPT: Final = "setatt"
MANDATE: Final = "mandate"
SEARCH_PAGE: Final = "page"

API_KEYS: Final = {False: "sk_test_", True: "sk_live_"}
"""Prefix of a merchant's secret key, by livemode."""
WHSEC: Final = "whsec_"
CLIENT_HALF: Final = "_secret_"
"""Between the id of a payment or setup intent and the secret half."""
SECRET_FORMS: Final = (
    # Restricted and publishable keys are Stripe's: integrators paste them here by mistake.
    r"(?:sk|rk|pk)_(?:test|live)_[A-Za-z0-9]{8,}",
    rf"{WHSEC}[A-Za-z0-9+/=_-]{{8,}}",
    rf"(?<={CLIENT_HALF})[A-Za-z0-9_-]{{8,}}",
    r"(?<=[?&]token=)[A-Za-z0-9_-]{8,}",  # of the return page
    r"(?<=/checkout/)[A-Za-z0-9_-]{24,}",  # of a checkout page
    r"(?<=/checkout/link/)[A-Za-z0-9_-]{24,}",  # of a payment link
)
"""A regular expression for each form of secret that we issue: logs leave them out."""

# Letters first: 22 digits of base 62 hold 131 bits, so the first of 128 bits is ≤ 7: a letter.
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH: Final = 22
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
"""Two digits at once: half the divisions, on a path that every answer takes many times."""


def new_id() -> UUID:
    """A new UUIDv7: sorted by creation time, strictly rising within one process."""
    return _uuid7()


def new_id_of_time(identifier: UUID) -> UUID:
    """A new UUIDv7 that carries the time of another: both are in the same month's partition."""
    time_bits = identifier.int >> 80 << 80
    return UUID(int=time_bits | (_uuid7().int & ((1 << 80) - 1)))


def encode(prefix: str, identifier: UUID) -> str:
    """The public form of a UUID."""
    number = identifier.int
    pairs = []
    for _ in range(_LENGTH // 2):
        number, pair = divmod(number, 3_844)
        pairs.append(_PAIRS[pair])
    pairs.reverse()
    return f"{prefix}_{''.join(pairs)}"


def decode(prefix: str, public_id: str) -> UUID | None:
    """The UUID behind a public id; None if it is not one of this prefix."""
    body = public_id.removeprefix(f"{prefix}_")
    if len(body) != _LENGTH or len(public_id) != _LENGTH + len(prefix) + 1:
        return None
    number = 0
    for character in body:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number * 62 + value
    return UUID(int=number) if number < 1 << 128 else None


def first_id_of_second(unix_seconds: int) -> UUID:
    """The smallest UUIDv7 of a second: lets a range of creation times use the primary key."""
    return UUID(int=(unix_seconds * 1000 & (1 << 48) - 1) << 80)


def created_ms_of(identifier: UUID) -> int:
    """Unix milliseconds in which a UUIDv7 was made."""
    return identifier.int >> 80


def created_at_of(identifier: Any) -> datetime:
    """The creation time that a UUIDv7 carries: `created_at` and the id never disagree."""
    return datetime.fromtimestamp(created_ms_of(identifier) / 1000, UTC)
