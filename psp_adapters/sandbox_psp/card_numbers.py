"""Recognizes what looks like a card number, so that the simulator can refuse it."""

from __future__ import annotations

import re

# A run of 13-19 digits, alone or in the usual groups. Digits inside a longer hexadecimal number
# do not count: about one UUID in three thousand would otherwise pass for a card number.
_CANDIDATE = re.compile(
    rb"(?<![0-9a-fA-F])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})"
    rb"(?![0-9a-fA-F])"
)


def passes_luhn(digits: bytes) -> bool:
    """Whether the check digit of `digits` (ASCII digits only) is right."""
    total = 0
    for position, byte in enumerate(reversed(digits)):
        digit = byte - 48
        if position % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def holds_card_number(text: bytes) -> bool:
    """Whether `text` contains 13 to 19 digits that pass the Luhn check."""
    for match in _CANDIDATE.finditer(text):
        if passes_luhn(match.group().replace(b" ", b"").replace(b"-", b"")):
            return True
    return False
