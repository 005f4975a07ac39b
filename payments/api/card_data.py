"""Finds card numbers in merchants' texts, so that none is ever stored, logged or answered.

A card number is a run of whole digit groups (blanks, dashes or dots between them) that has a known
issuer prefix, a length that the issuer uses, and a valid Luhn digit. Known limits: encodings other
than percent-encoding (base64, rot13) are not decoded. Which parameters are scanned is decided by
their types. No message may repeat what was found.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category, decimal, normalize
from urllib.parse import unquote

_SHORTEST: Final = 13
_LONGEST: Final = 19
_LONGEST_PHONE: Final = 14
_ASCII_DIGITS: Final = b"0123456789"
_INVISIBLE: Final = frozenset({"Cf", "Mn", "Me"})
_DASHES: Final = "\\-\u2010-\u2015\u2212"
_UUID: Final = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE
)
# A hexadecimal text with a letter in it is an id (0.02 % of them would match).
_HEX_WORD: Final = re.compile(
    r"(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{13,}(?![0-9a-z])", re.IGNORECASE
)
_RUN: Final = re.compile(rf"(\+?)([0-9]+(?:[\s.\u00b7{_DASHES}]{{1,3}}[0-9]+)*)")
_GROUP: Final = re.compile("[0-9]+")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# First and last issuer prefix (of equal length), and the lengths these issuers use.
_ISSUERS: Final = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard, second series
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("3528", "3589", (16, 19)),  # JCB
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("60", "60", (16,)),  # RuPay
    ("81", "82", (16,)),
    ("506", "509", (16, 19)),  # Verve, Elo, RuPay
    ("6362", "6363", (16,)),  # Elo
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("9792", "9792", (16,)),  # Troy
    ("5018", "5018", (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5020", "5020", (13, 14, 15, 16, 17, 18, 19)),
    ("5038", "5038", (13, 14, 15, 16, 17, 18, 19)),
    ("5893", "5893", (13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (13, 14, 15, 16, 17, 18, 19)),
    ("6759", "6763", (13, 14, 15, 16, 17, 18, 19)),
)


def _lengths_by_prefix() -> dict[str, frozenset[int]]:
    """Four leading digits to the lengths of card numbers that start with them."""
    found: dict[str, frozenset[int]] = {}
    for first, last, lengths in _ISSUERS:
        for prefix in range(int(first.ljust(4, "0")), int(last.ljust(4, "9")) + 1):
            key = str(prefix)
            found[key] = found.get(key, frozenset()) | frozenset(lengths)
    return found


_LENGTHS: Final = _lengths_by_prefix()


def holds_card_number(text: str, *, shortest: int = _SHORTEST) -> bool:
    """Whether `text` contains a card number.

    `shortest` is raised where shorter digit runs mean something else, such as in a phone number.
    """
    if len(text) < _SHORTEST:
        return False
    if text.isascii():
        raw = text.encode()
        if len(raw) - len(raw.translate(None, _ASCII_DIGITS)) < _SHORTEST:
            return False
    else:
        text = _readable(text)
    if "%" in text and _scan(_readable(unquote(text)), shortest):
        return True
    return _scan(text, shortest)


def nameable(name: str) -> str:
    """A parameter's name as an error may show it: short, printable, without a card number."""
    if holds_card_number(name):
        head = name.partition("[")[0]
        return "" if holds_card_number(head) else head
    shortened = name if len(name) <= 120 else f"{name[:119]}…"
    return shortened if shortened.isprintable() else shortened.encode("unicode_escape").decode()


def _readable(text: str) -> str:
    """Text normalized (NFKC), without invisible characters, digits of every script as ASCII."""
    characters = []
    for character in normalize("NFKC", text):
        if character.isascii():
            characters.append(character)
        elif category(character) not in _INVISIBLE:
            digit = decimal(character, None)
            characters.append(character if digit is None else str(digit))
    return "".join(characters)


def _scan(text: str, shortest: int) -> bool:
    without_ids = _HEX_WORD.sub("#", _UUID.sub("#", text))
    for found in _RUN.finditer(without_ids):
        plus, run = found.groups()
        groups = _GROUP.findall(run)
        digits = sum(map(len, groups))
        if digits < shortest or (plus and digits <= _LONGEST_PHONE):
            continue
        if _some_groups_are_a_card(groups, shortest):
            return True
    return False


def _some_groups_are_a_card(groups: list[str], shortest: int) -> bool:
    """Whether consecutive whole groups form a card number (expiry or code may follow)."""
    for start in range(len(groups)):
        digits = "".join(groups[start : start + _LONGEST])
        lengths = _LENGTHS.get(digits[:4])
        if lengths is None:
            continue
        end = 0
        for group in groups[start : start + _LONGEST]:
            end += len(group)
            if end > _LONGEST:
                break
            if end >= shortest and end in lengths and _has_luhn_digit(digits[:end]):
                return True
    return False


def _has_luhn_digit(number: str) -> bool:
    digits = [ord(character) - 48 for character in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0
