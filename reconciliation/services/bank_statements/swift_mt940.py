"""Parses bank statements in the SWIFT format MT940. No I/O.

The library reads the fields. It also reads what is damaged; so here every line must belong to a
field, every statement must have its balances, and pages of a statement must be complete.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import mt940
from mt940.models import Transactions

from ledger.exceptions import LedgerError
from ledger.money import Money
from reconciliation.services.bank_statements.contents import (
    Entry,
    Statement,
    StatementUnreadable,
    amount_of,
    require_footing,
)

NAME: Final = "MT940"
_FIELD: Final = re.compile(r":([0-9]{2}[A-Z]?|NS):(.*)", re.DOTALL)
_FIELDS: Final = frozenset(
    (
        *("13D", "20", "21", "25", "25P", "28", "28C", "34F", "60F", "60M", "61"),
        *("62F", "62M", "64", "65", "86", "90C", "90D", "NS"),
    )
)
_NEEDED: Final = ("20", "25", "28C", "60", "62")
_BALANCE: Final = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]{1,15}),([0-9]{0,3})")
_PLACE: Final = re.compile(r"([0-9]{1,9})(?:/([0-9]{1,5}))?")
_SUBFIELD: Final = re.compile(r"\?[0-9]{2}")
_NOT_GIVEN: Final = frozenset({"", "NONREF", "NOTPROVIDED"})
_LIBRARY_LOG: Final = logging.getLogger("mt940")
# It logs what it could not read, and that is a customer's text.
_LIBRARY_LOG.addHandler(logging.NullHandler())
_LIBRARY_LOG.propagate = False


@dataclass(slots=True)
class _Field:
    line: int
    tag: str
    text: str


@dataclass(slots=True)
class _Message:
    """One message: a statement, or one page of it."""

    line: int
    fields: list[_Field] = field(default_factory=list)

    def value(self, tag: str) -> _Field:
        """The only field of this tag, whatever its letter."""
        found = [each for each in self.fields if each.tag[:2] == tag[:2]]
        if len(found) != 1:
            what = "is missing" if not found else "is there more than once"
            raise StatementUnreadable(f"line {self.line}: its field :{tag}: {what}")
        return found[0]


def read(body: bytes) -> list[Statement]:
    """The statements of a file; raises StatementUnreadable unless it is a whole one."""
    messages = list(_messages(body))
    if not messages:
        raise StatementUnreadable("line 1: it does not begin with the field :20:")
    found: list[Statement] = []
    pages: list[_Message] = []
    for message in messages:
        for tag in _NEEDED:
            message.value(tag)
        pages.append(message)
        if message.value("62").tag == "62F":
            found.append(_statement(pages))
            pages = []
    if pages:
        raise StatementUnreadable(
            f"line {pages[-1].line}: the last page of its statement is missing"
        )
    return found


def _messages(body: bytes) -> Iterator[_Message]:
    """The messages with their fields. Every line belongs to a field, or ends a message."""
    message: _Message | None = None
    for number, line in enumerate(_lines(body), start=1):
        text = line.rpartition("{4:")[2] if line.startswith("{") else line
        if text in ("-", "-}") or not text.strip():
            continue
        match = _FIELD.match(text)
        if match is not None and match[1] not in _FIELDS:
            raise StatementUnreadable(f"line {number}: :{match[1]}: is no field of MT940")
        if match is not None and match[1] == "20":
            if message is not None:
                yield message
            message = _Message(number)
        if message is None:
            raise StatementUnreadable(f"line {number}: it does not begin with the field :20:")
        if match is not None:
            message.fields.append(_Field(number, match[1], match[2]))
        elif message.fields[-1].tag in ("61", "86", "NS"):
            message.fields[-1].text += f"\n{text}"
        else:
            raise StatementUnreadable(f"line {number}: it belongs to no field")
    if message is not None:
        yield message


def _lines(body: bytes) -> list[str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252", "replace")
    text = text.translate({1: None, 3: None})  # Around a message on some networks.
    if any(ord(each) < 32 and each not in "\r\n\t" for each in text):
        raise StatementUnreadable("it has control characters")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _statement(pages: list[_Message]) -> Statement:
    first, last = pages[0], pages[-1]
    if first.value("60").tag != "60F":
        raise StatementUnreadable(f"line {first.line}: the first page of its statement is missing")
    number = _require_pages(pages)
    opening, _ = _balance(first.value("60"))
    closing, closed_on = _balance(last.value("62"))
    entries = [entry for page in pages for entry in _entries(page)]
    statement = Statement(
        account=first.value("25").text.strip(),
        reference=f"{first.value('20').text.strip()} {number}",
        number=number,
        opening=opening,
        closing=closing,
        closed_on=closed_on,
        entries=tuple(entry for entry in entries if entry.amount),
    )
    require_footing(statement)
    return statement


def _require_pages(pages: list[_Message]) -> int:
    """The number of the statement whose pages these are: one after the other, each on the last."""
    places = []
    for page in pages:
        found = page.value("28C")
        match = _PLACE.fullmatch(found.text.strip())
        if match is None:
            raise StatementUnreadable(f"line {found.line}: not the number of a statement")
        places.append((int(match[1]), match[2]))
    for before, page, place in zip(pages, pages[1:], places[1:], strict=False):
        if place[0] != places[0][0] or page.value("25").text != before.value("25").text:
            raise StatementUnreadable(f"line {page.line}: a page of another statement comes before")
        if _balance(page.value("60"))[0] != _balance(before.value("62"))[0]:
            raise StatementUnreadable(f"line {page.line}: the page before it is missing")
    return places[0][0]


def _balance(found: _Field) -> tuple[Money, date]:
    match = _BALANCE.fullmatch(found.text.strip())
    if match is None:
        raise StatementUnreadable(f"line {found.line}: :{found.tag}: is not a balance")
    side, day, currency, whole, fraction = match.groups()
    try:
        amount = amount_of(f"{whole}.{fraction}" if fraction else whole, currency)
        closed_on = date.fromisoformat(f"20{day[:2]}-{day[2:4]}-{day[4:]}")
    except (ValueError, LedgerError) as error:
        raise StatementUnreadable(f"line {found.line}: :{found.tag}: {error}") from None
    return amount if side == "C" else Money(-amount.minor, currency), closed_on


def _entries(page: _Message) -> Iterator[Entry]:
    """Every field :61:, with the fields :86: up to the next."""
    opening = page.value("60")
    currency = _balance(opening)[0].currency
    for index, each in enumerate(page.fields):
        if each.tag != "61":
            continue
        details: list[_Field] = []
        for following in page.fields[index + 1 :]:
            if following.tag not in ("86", "NS"):
                break
            details.append(following)
        yield _entry(each, details, opening, currency)


def _entry(line: _Field, details: list[_Field], opening: _Field, currency: str) -> Entry:
    fields = [opening, line, *(each for each in details if each.tag == "86")]
    source = "\n".join(f":{each.tag}:{each.text}" for each in fields)
    try:
        transactions = Transactions(options=mt940.Options.all())
        transactions.parse(source)
        [transaction] = transactions.transactions
        found: dict[str, Any] = transaction.data
        if not found["id"]:
            raise ValueError("no type of transaction")
        amount = _amount(found["amount"].amount, currency)
    except (ArithmeticError, LookupError, RuntimeError, ValueError, LedgerError):
        raise StatementUnreadable(f"line {line.line}: :61: is not an entry") from None
    booked, value = found.get("entry_date") or found["date"], found["date"]
    bank_reference = str(found.get("bank_reference") or "").strip()
    end_to_end_id = str(found.get("end_to_end_reference") or "").strip()
    texts = [_SUBFIELD.sub(" ", each.text) for each in details]
    return Entry(
        amount=amount,
        booked_on=date(booked.year, booked.month, booked.day),
        value_on=date(value.year, value.month, value.day),
        bank_reference="" if bank_reference in _NOT_GIVEN else bank_reference,
        end_to_end_id="" if end_to_end_id in _NOT_GIVEN else end_to_end_id,
        text=" ".join(" ".join((_references(line.text), *texts)).split()),
    )


def _references(line: str) -> str:
    """What follows date, amount and type."""
    return re.sub(r"\A[^,]*,[0-9]*[A-Z][A-Z0-9 ]{3}", "", line, count=1)


def _amount(decimal: Any, currency: str) -> Money:
    amount = amount_of(format(abs(decimal), "f"), currency)
    return Money(-amount.minor, currency) if decimal < 0 else amount
