"""Card numbers are found in every notation; other numbers and ids are left alone.

The numbers are the networks' published test numbers.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from payments import public_ids
from payments.api.card_data import holds_card_number, nameable
from psp_adapters.contract.card_numbers import masked_card_numbers

CARDS = {
    "visa": "4242424242424242",
    "visa of 13": "4222222222222",
    "visa of 19": "4000000000000000006",
    "visa debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard 2-series": "2223003122003222",
    "mastercard prepaid": "5105105105105100",
    "amex": "378282246310005",
    "diners": "3056930009020004",
    "diners of 14": "36227206271667",
    "discover": "6011111111111117",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "unionpay of 19": "6205500000000000004",
    "maestro": "6759649826438453",
}


def _grouped(number: str, separator: str) -> str:
    return separator.join(number[start : start + 4] for start in range(0, len(number), 4))


def _in_script(number: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) for digit in number)


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_every_network_is_found_in_every_writing(number: str) -> None:
    writings = [
        number,
        f"card {number} 12/28 123",
        f"PAN:{number}.",
        f"visa{number}exp",
        f"{number} 1228 123",
        f"12 {_grouped(number, ' ')} 12",
        *(_grouped(number, separator) for separator in (" ", "-", ".", " - ", "\u00a0", "\u2009")),
        *(_grouped(number, separator) for separator in ("/", "_", ":", "|", " / ")),
        *(_grouped(number, dash) for dash in ("\u2010", "\u2011", "\u2013", "\u2014", "\u2212")),
        _in_script(number, "\uff10"),
        _in_script(number, "\u0660"),
        _in_script(number, "\u06f0"),
        _in_script(number, "\u0966"),
        _grouped(number, "\u200b"),
        _grouped(number, "\u00ad"),
        _grouped(number, "\ufeff"),
        "\u200d".join(number),
        "".join(f"%3{digit}" for digit in number),
        _grouped(number, "%20"),
        f"first line\n{number}\nlast line",
    ]
    missed = [writing for writing in writings if not holds_card_number(writing)]
    assert missed == []
    for writing in writings:
        masked = masked_card_numbers(writing)
        assert not holds_card_number(masked), writing
        assert len(masked) == len(writing)
    assert (
        masked_card_numbers(f"1 of {number} left")
        == f"1 of {'*' * (len(number) - 4)}{number[-4:]} left"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Order 6735 of 2026-11-23, paid 12.50",
        "4242424242424241",  # Luhn digit wrong
        "1234567890123452",  # Luhn digit right, no issuer
        "42424242424242424242424242424242",  # too long for any card
        "4242 4242 4242",  # too short
        "1763933579000",  # milliseconds
        "1763933579000123",  # microseconds
        "20261123213259123456",
        "2026-11-23 21:32:59.123456",
        "+49 1511 2345678",
        "+4915112345678",
        "+1 (415) 555-2671",
        "+86 138 0013 8000",
        "DE89 3704 0044 0532 0130 00",
        "10.0.0.1 192.168.100.200 255.255.255.0",
        "0" * 500,
        "1 " * 250,
    ],
)
def test_text_without_a_card_number_passes(text: str) -> None:
    assert not holds_card_number(text)


def test_ids_pass() -> None:
    """Random and time-ordered UUIDs with and without dashes, ULIDs, our own ids, hexadecimal."""
    dice = random.Random(4242)
    base32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    found = []
    for _ in range(10_000):
        identifier = uuid.UUID(int=dice.getrandbits(128), version=4)
        candidates = [
            str(identifier),
            f"order {identifier} of today",
            identifier.hex,
            str(identifier).upper(),
            "01" + "".join(dice.choice(base32) for _ in range(24)),
            public_ids.encode(public_ids.PAYMENT_INTENT, identifier),
        ]
        found += [text for text in candidates if holds_card_number(text)]
    assert found == []


def test_telephone_numbers_and_times_pass() -> None:
    dice = random.Random(11)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    for _ in range(5_000):
        at = start + timedelta(microseconds=dice.randrange(10**14))
        national = str(dice.randrange(10**9, 10**10))
        candidates = [
            at.isoformat(),
            at.strftime("%Y%m%d%H%M%S"),
            str(int(at.timestamp() * 1_000_000)),
            f"+{dice.choice((1, 31, 33, 41, 44, 49, 52, 55, 61, 351, 352, 380))}{national}",
            f"+49 {national[:3]} {national[3:]}",
        ]
        found += [text for text in candidates if holds_card_number(text)]
    assert found == []


def check_digit(number: str) -> str:
    """Of GS1's article numbers."""
    digits = [int(character) for character in reversed(number)]
    return str(-(3 * sum(digits[::2]) + sum(digits[1::2])) % 10)


def iban(country: str, number: str) -> str:
    digits = "".join(str(int(character, 36)) for character in f"{number}{country}00")
    plain = f"{country}{98 - int(digits) % 97:02d}{number}"
    return " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))


def test_references_of_merchants_pass() -> None:
    """Article numbers, account numbers in blocks, and times: below one in a thousand is refused."""
    dice, start = random.Random(7), datetime(2020, 1, 1, tzinfo=UTC)
    found, tried = [], 0
    for _ in range(1_500):
        at = start + timedelta(microseconds=dice.randrange(10**15))
        ean = f"4{dice.randrange(10**11):011d}"
        candidates = [
            ean + check_digit(ean),
            f"ean {ean}{check_digit(ean)} x 2",
            iban("DE", f"{dice.randrange(10**18):018d}"),
            iban("NL", f"INGB{dice.randrange(10**10):010d}"),
            f"{at:%Y%m%d%H%M%S}{at.microsecond // 10_000:02d}",
            f"{at:%Y/%m/%d %H:%M:%S.%f}",
            f"{at:%Y_%m_%d_%H_%M_%S}",
            f"4{dice.randrange(1000):03d}_{at:%Y%m%d}_{dice.randrange(10_000):04d}",
            f"Order 4{dice.randrange(100):02d}/{at:%Y %H:%M:%S}",
            f"invoice {at:%Y}/{dice.randrange(10**6):06d}/{dice.randrange(1000):03d}",
        ]
        tried += len(candidates)
        found += [text for text in candidates if holds_card_number(text)]
    assert len(found) < tried / 1000, found[:20]


@pytest.mark.parametrize("text", ["my card is {}", "visa {}", "{}"])
def test_an_article_number_is_a_card_number_where_the_text_speaks_of_cards(text: str) -> None:
    """The Luhn digit of this one fits as well."""
    number = next(f"4{n:011d}" for n in range(10**10) if is_both(f"4{n:011d}"))
    number += check_digit(number)
    assert holds_card_number(text.format(number)) is (text != "{}")


def is_both(number: str) -> bool:
    full = number + check_digit(number)
    digits = [int(character) for character in reversed(full)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_a_name_is_repeated_only_if_it_is_short_and_holds_no_card_number() -> None:
    assert nameable("metadata[order]") == "metadata[order]"
    assert nameable("metadata[4242424242424242]") == "metadata"
    assert nameable("4242424242424242[a]") == ""
    assert len(nameable("x" * 5000)) == 120
    assert nameable("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    "text",
    ["36000000000081", "DE78 4242 4242 4242 4242", "4242_4242_4242_4242", "3782|822463|10005"],
)
def test_what_only_looks_like_a_reference_is_a_card_number(text: str) -> None:
    """A Diners number with an article number's digit, and no IBAN of its country's length."""
    assert holds_card_number(text)
