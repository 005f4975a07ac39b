"""Parses bank statements in XML: camt.053 of ISO 20022, any version. No I/O.

A document type is refused before anything of it is used, so that no entity is expanded and no file
or address is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from lxml import etree

from ledger.exceptions import LedgerError
from ledger.money import Money
from reconciliation.services.bank_statements.contents import (
    Entry,
    Statement,
    StatementUnreadable,
    amount_of,
    require_footing,
)

NAME: Final = "camt.053"
_NAMESPACE: Final = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.[0-9]{2}")
_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = ("CLBD",)
_BOOKED: Final = "BOOK"
_STATUSES: Final = frozenset({_BOOKED, "PDNG", "INFO", "FUTR"})
_NOT_GIVEN: Final = frozenset({"NOTPROVIDED", "NONREF", "NOTAVAILABLE"})
_TEXTS: Final = frozenset(
    {"Refs", "RmtInf", "AddtlTxInf", "AddtlNtryInf", "NtryRef", "AcctSvcrRef"}
)
"""Elements of an entry whose texts may name what it is."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

Element = Any


def read(body: bytes) -> list[Statement]:
    """The statements of a file; raises StatementUnreadable unless it is a whole one."""
    root = _root_of(body)
    found = [_statement(each) for each in _each(_one(root, "BkToCstmrStmt"), "Stmt")]
    if not found:
        raise StatementUnreadable("it has no statement (Stmt)")
    return found


def _root_of(body: bytes) -> Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise StatementUnreadable(f"line {error.lineno or 1}: it is not whole XML") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise StatementUnreadable("it has a document type (DOCTYPE), which no bank statement has")
    name = etree.QName(root)
    if name.localname != "Document" or not _NAMESPACE.fullmatch(name.namespace or ""):
        raise StatementUnreadable("it is no camt.053 document")
    return root


def _statement(view: Element) -> Statement:
    account = _one(view, "Acct")
    opening, _ = _balance(view, _OPENING)
    closing, closed_on = _balance(view, _CLOSING)
    number = _text(view, "ElctrncSeqNb", needed=False)
    if number and not _NUMBER.fullmatch(number):
        raise _refused(view, "ElctrncSeqNb", "not a number")
    entries = (_entry(each) for each in _each(view, "Ntry") if _is_booked(each))
    statement = Statement(
        account=_number_of(account),
        reference=_text(view, "Id"),
        number=int(number) if number else None,
        opening=opening,
        closing=closing,
        closed_on=closed_on,
        entries=tuple(entry for entry in entries if entry.amount),
    )
    require_footing(statement)
    return statement


def _number_of(account: Element) -> str:
    identity = _one(account, "Id")
    return _text(identity, "IBAN", needed=False) or _text(_one(identity, "Othr"), "Id")


def _balance(view: Element, kinds: tuple[str, ...]) -> tuple[Money, date]:
    """The first balance of these kinds, in this order, with its day."""
    by_kind: dict[str, Element] = {}
    for each in _each(view, "Bal"):
        kind = _one(_one(each, "Tp"), "CdOrPrtry")
        by_kind.setdefault(_text(kind, "Cd", needed=False), each)
    for kind in kinds:
        if kind in by_kind:
            found = by_kind[kind]
            return _signed(found), _day(found, "Dt")
    raise _refused(view, "Bal", f"no balance {' or '.join(kinds)}")


def _is_booked(view: Element) -> bool:
    """Whether the entry is booked. The status is a text, in later versions a code."""
    element = _one(view, "Sts")
    status = (_text(element, "Cd", needed=False) or (element.text or "")).strip()
    if status not in _STATUSES:
        raise _refused(element, "Sts", "not a status of an entry")
    return status == _BOOKED


def _entry(view: Element) -> Entry:
    details = [each for batch in _each(view, "NtryDtls") for each in _each(batch, "TxDtls")]
    named = [_text(each, "Refs/EndToEndId", needed=False) for each in details]
    ends = [each for each in named if each and each not in _NOT_GIVEN]
    reference = _text(view, "AcctSvcrRef", needed=False)
    return Entry(
        amount=_signed(view),
        booked_on=_day(view, "BookgDt"),
        value_on=_day(view, "ValDt" if _each(view, "ValDt") else "BookgDt"),
        bank_reference="" if reference in _NOT_GIVEN else reference,
        end_to_end_id=ends[0] if len(ends) == 1 else "",
        text=" ".join(_texts(view)),
    )


def _texts(view: Element) -> Iterator[str]:
    for child in view:
        if etree.QName(child).localname in _TEXTS:
            yield from (" ".join(each.split()) for each in child.itertext() if each.strip())
        else:
            yield from _texts(child)


def _signed(view: Element) -> Money:
    element = _one(view, "Amt")
    try:
        amount = amount_of((element.text or "").strip(), element.get("Ccy", ""))
    except (ValueError, LedgerError) as error:
        raise _refused(view, "Amt", str(error)) from None
    side = _text(view, "CdtDbtInd")
    if side not in ("CRDT", "DBIT"):
        raise _refused(view, "CdtDbtInd", "neither CRDT nor DBIT")
    return amount if side == "CRDT" else Money(-amount.minor, amount.currency)


def _day(view: Element, name: str) -> date:
    element = _one(view, name)
    said = _text(element, "Dt", needed=False) or _text(element, "DtTm")
    try:
        return date.fromisoformat(said[:10])
    except ValueError:
        raise _refused(element, name, "not a day") from None


def _each(view: Element, path: str) -> list[Element]:
    return list(view.findall("/".join(f"{{*}}{name}" for name in path.split("/"))))


def _one(view: Element, name: str) -> Element:
    found = _each(view, name)
    if len(found) != 1:
        raise _refused(view, name, "missing" if not found else "there are several")
    return found[0]


def _text(view: Element, path: str, *, needed: bool = True) -> str:
    found = _each(view, path)
    text = (found[0].text or "").strip() if found else ""
    if needed and not text:
        raise _refused(view, path, "missing")
    return text


def _refused(view: Element, name: str, why: str) -> StatementUnreadable:
    return StatementUnreadable(
        f"line {view.sourceline}, {etree.QName(view).localname}/{name}: {why}"
    )
