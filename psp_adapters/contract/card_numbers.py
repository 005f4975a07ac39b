"""Finds and masks card numbers in text from outside, so that none is stored, logged or answered.

A card number is a run of whole digit groups (blanks, dashes, dots and the like between them) that
has a known issuer prefix, a length that the issuer uses, and a valid Luhn digit. Account numbers
(IBAN) and article numbers (GTIN of 13 digits) with their own check digits are none, unless the text
speaks of a card. Known limits: encodings other
than percent-encoding (base64, rot13) are not decoded. A merchant's request with a card number is
refused; text of a PSP is masked where it enters. No message may repeat what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, decimal, normalize
from urllib.parse import unquote

_SHORTEST: Final = 13
_LONGEST: Final = 19
_LONGEST_PHONE: Final = 14
_ASCII_DIGITS: Final = b"0123456789"
_SEPARATORS: Final = b" \t\n\v\f\r\x1c\x1d\x1e\x1f.-/_:|"
"""All that `_RUN` and `_CARD_SHAPED` let stand between the digits of a number, in ASCII."""
_DIGITS_AS_ZERO: Final = bytes.maketrans(_ASCII_DIGITS, b"0" * len(_ASCII_DIGITS))
_RUN_OF_ZEROS: Final = b"0" * _SHORTEST
_INVISIBLE: Final = frozenset({"Cf", "Mn", "Me"})
_DASHES: Final = "\\-\u2010-\u2015\u2212"
_UUID: Final = re.compile(
    r"(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE
)
# A hexadecimal text with a letter in it is an id (0.02 % of them would match).
_HEX_WORD: Final = re.compile(
    r"(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{13,}(?![0-9a-z])", re.IGNORECASE
)
_JOINT: Final = "\0"
"""Stands inside a number for a sign that is no part of it, so that positions stay as they were."""
_RUN: Final = re.compile(rf"(\+?)([0-9{_JOINT}]+(?:[\s.\u00b7{_DASHES}]{{1,3}}[0-9{_JOINT}]+)*)")
# Between other signs only groups as on cards are joined: references are full of these signs.
_CARD_SHAPED: Final = re.compile(
    r"(?<![0-9])[0-9]{4}(?:(?: ?[/_:|] ?[0-9]{4}){2,3} ?[/_:|] ?[0-9]{1,4}"
    r"| ?[/_:|] ?[0-9]{6} ?[/_:|] ?[0-9]{4,5})(?![0-9])"
)
_IBAN: Final = re.compile(r"(?<![0-9A-Z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11,30}(?![0-9A-Z])")
_IBAN_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS",
        23: "AE GI IL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT",
        26: "IS TR",
        27: "FR GR IT MC MR SM",
        28: "AL AZ CY DO GT HU LB PL",
        29: "BR PS QA UA",
        30: "KW MU",
        31: "MT",
    }.items()
    for country in countries.split()
}
"""By the registry of SWIFT (ISO 13616)."""
_SPEAKS_OF_CARDS: Final = re.compile(
    r"card|karte|carte|carta|tarjeta|visa|amex|diners|maestro|\bpan\b|\bcv[cv]|\bexp", re.IGNORECASE
)
_GROUP: Final = re.compile(f"[0-9{_JOINT}]+")
_NO_DIGIT: Final = re.compile("[^0-9]")
_MASK: Final = "*"
_SHOWN_DIGITS: Final = 4
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
        # Nearly all text ends here. With everything left out that may stand inside a number, no run
        # of digits is long enough.
        if "%" not in text and _RUN_OF_ZEROS not in raw.translate(_DIGITS_AS_ZERO, _SEPARATORS):
            return False
    else:
        text = _readable(text)
    if "%" in text and _scan(_readable(unquote(text)), shortest):
        return True
    return _scan(text, shortest)


def card_numbers_in(text: str) -> list[str]:
    """The card numbers of a text, as they are written there. Never to be logged or shown."""
    if not holds_card_number(text):
        return []
    return [text[start:end] for start, end in _spans(_aligned(text), _SHORTEST)] or [text]


def masked_card_numbers(text: str) -> str:
    """The text with `*` for the digits of card numbers, but the last four; as long as before."""
    if not holds_card_number(text):
        return text
    characters = list(text)
    for start, end in _spans(_aligned(text), _SHORTEST):
        digits = [at for at in range(start, end) if decimal(text[at], None) is not None]
        for at in digits[:-_SHOWN_DIGITS]:
            characters[at] = _MASK
    masked = "".join(characters)
    if holds_card_number(masked):  # One in a notation that leaves no positions: no digit stays.
        return "".join(_MASK if decimal(each, None) is not None else each for each in masked)
    return masked


def masked_bytes(body: bytes) -> bytes:
    """The same for the bytes of a text, whatever their encoding."""
    text = body.decode("utf-8", "surrogateescape")
    masked = masked_card_numbers(text)
    return body if masked == text else masked.encode("utf-8", "surrogateescape")


def _aligned(text: str) -> str:
    """The text as it is scanned, each character in its place."""
    if text.isascii():
        return text
    characters = []
    for character in text:
        plain = _JOINT if category(character) in _INVISIBLE else normalize("NFKC", character)
        digit = decimal(plain, None) if len(plain) == 1 else None
        plain = plain if digit is None else str(digit)
        characters.append(plain if len(plain) == 1 else "#")
    return "".join(characters)


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
    return next(_spans(text, shortest), None) is not None


def _spans(text: str, shortest: int) -> Iterator[tuple[int, int]]:
    """Where the card numbers of a text begin and end. Digits must be ASCII."""
    plain = _HEX_WORD.sub(_blotted, _UUID.sub(_blotted, text))
    found = list(_spans_of_runs(plain, shortest))
    if found and not _SPEAKS_OF_CARDS.search(text):
        found = list(_spans_of_runs(_IBAN.sub(_masked_iban, plain), shortest, articles=False))
    yield from found


def _spans_of_runs(
    plain: str, shortest: int, *, articles: bool = True
) -> Iterator[tuple[int, int]]:
    plain = _CARD_SHAPED.sub(lambda found: _NO_DIGIT.sub(_JOINT, found[0]), plain)
    for found in _RUN.finditer(plain):
        plus, run = found.groups()
        digits = len(run) if run.isdigit() else len(_NO_DIGIT.sub("", run))
        if digits < shortest or (plus and digits <= _LONGEST_PHONE):
            continue
        if not articles and run.isdigit() and _is_article_number(run):
            continue
        groups = list(_GROUP.finditer(run))
        for first, last in _cards_of([_NO_DIGIT.sub("", each[0]) for each in groups], shortest):
            offset = found.start(2)
            yield offset + groups[first].start(), offset + groups[last].end()


def _cards_of(groups: list[str], shortest: int) -> Iterator[tuple[int, int]]:
    """First and last of consecutive whole groups that form a card number (a code may follow)."""
    beyond = 0
    for start in range(len(groups)):
        digits = "".join(groups[start : start + _LONGEST])
        lengths = _LENGTHS.get(digits[:4])
        if lengths is None or start < beyond:
            continue
        end = 0
        for index, group in enumerate(groups[start : start + _LONGEST], start):
            end += len(group)
            if end > _LONGEST:
                break
            if end >= shortest and end in lengths and _has_luhn_digit(digits[:end]):
                yield start, index
                beyond = index + 1


def _blotted(found: re.Match[str]) -> str:
    return "#" * len(found[0])


def _has_luhn_digit(number: str) -> bool:
    digits = [ord(character) - 48 for character in reversed(number)]
    return (sum(digits[::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def _is_article_number(number: str) -> bool:
    """Whether it is a GTIN-13 with its check digit (GS1: weights 1 and 3)."""
    digits = [ord(character) - 48 for character in reversed(number)]
    return len(digits) == 13 and (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0


def _masked_iban(found: re.Match[str]) -> str:
    """The text blotted out if it is an IBAN with its check digits (ISO 13616), else as it is."""
    letters = found[0].replace(" ", "")
    if _IBAN_LENGTHS.get(letters[:2]) != len(letters):
        return found[0]
    moved = letters[4:] + letters[:4]
    number = "".join(str(int(character, 36)) for character in moved)
    return _blotted(found) if int(number) % 97 == 1 else found[0]
