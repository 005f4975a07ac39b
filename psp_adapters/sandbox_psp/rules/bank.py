"""Writes the statements of the bank that payouts go to, in camt.053: one account for each currency.

A statement shows every payout until now, so statements overlap, as those of an online bank may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.money import Money
from psp_adapters.contract.minor_units import MinorUnits
from psp_adapters.sandbox_psp.state.movements import Movement
from psp_adapters.sandbox_psp.state.records import iso

PAYOUTS: Final = ("payout", "payout_reversal")
_AMOUNTS: Final = MinorUnits({})
_COUNTRY: Final = "DE"
_DAY_LENGTH: Final = 10


STATEMENT_DEFECTS: Final = ("missing_payout", "wrong_amount", "foreign_entry", "two_payouts")
"""Of the newest entry: left out; a minor unit less, as if the bank took a fee; another one beside
it that is no payout; it and the one before it name both payouts."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a statement."""

    payout: Movement
    minor: int
    reference: str
    end_to_end: str
    text: str


def bank_statements(movements: Sequence[Movement], *, defect: str = "") -> list[dict[str, Any]]:
    """One statement for each currency: `account` (an IBAN), `currency`, `name`, `body`."""
    found = [each for each in movements if each.type in PAYOUTS and each.gross_minor]
    entries = {
        currency: [_entry_of(each) for each in found if each.currency == currency]
        for currency in sorted({each.currency for each in found})
    }
    shown = [_with_defect(each, defect) for each in entries.values()]
    return [_statement(each) for each in shown if each]


def _entry_of(payout: Movement) -> _Entry:
    text = f"SANDBOX PSP {payout.type.upper()} {payout.id.upper()}"
    return _Entry(payout, -payout.gross_minor, f"SANDBOX-{payout.seq}", payout.id, text)


def _with_defect(entries: list[_Entry], defect: str) -> list[_Entry]:
    *before, newest = entries
    if defect == "missing_payout":
        return before
    if defect == "wrong_amount":
        return [*before, replace(newest, minor=newest.minor - 1)]
    if defect == "foreign_entry":
        return [*entries, replace(newest, text="A FRIEND", reference="FOREIGN", end_to_end="X")]
    if defect == "two_payouts" and before:
        both = f"{before[-1].text} {newest.text}"
        return [*before[:-1], replace(before[-1], text=both), replace(newest, text=both)]
    return entries


def account_number(currency: str) -> str:
    """The IBAN of the account in this currency, at a bank that does not exist."""
    number = "00000000" + "".join(str(ord(letter)) for letter in currency).rjust(10, "0")
    digits = number + "".join(str(int(letter, 36)) for letter in _COUNTRY) + "00"
    return f"{_COUNTRY}{98 - int(digits) % 97:02}{number}"


def _statement(entries: list[_Entry]) -> dict[str, Any]:
    last = entries[-1].payout
    name = f"bank_{last.currency}_{last.seq}"
    first_day, last_day = _day(entries[0].payout), _day(last)
    closing = Money(sum(each.minor for each in entries), last.currency)
    account = account_number(last.currency)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>',
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>{iso(last.at_ms)}</CreDtTm></GrpHdr>",
        f"<Stmt><Id>{name}</Id>",
        f"<Acct><Id><IBAN>{account}</IBAN></Id></Acct>",
        _balance("OPBD", Money.zero(last.currency), first_day),
        _balance("CLBD", closing, last_day),
        *map(_shown, entries),
        "</Stmt></BkToCstmrStmt></Document>",
    ]
    body = "\n".join((*lines, ""))
    return {"account": account, "currency": last.currency, "name": f"{name}.xml", "body": body}


def _shown(entry: _Entry) -> str:
    day = _day(entry.payout)
    return (
        f"<Ntry>{_amount(Money(entry.minor, entry.payout.currency))}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
        f"<AcctSvcrRef>{entry.reference}</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{entry.end_to_end}</EndToEndId></Refs>"
        f"<RmtInf><Ustrd>{entry.text}</Ustrd></RmtInf>"
        "</TxDtls></NtryDtls></Ntry>"
    )


def _balance(code: str, amount: Money, day: str) -> str:
    kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
    return f"<Bal>{kind}{_amount(amount)}<Dt><Dt>{day}</Dt></Dt></Bal>"


def _amount(amount: Money) -> str:
    side = "DBIT" if amount.minor < 0 else "CRDT"
    said = _AMOUNTS.to_major(Money(abs(amount.minor), amount.currency))
    return f'<Amt Ccy="{amount.currency}">{said}</Amt><CdtDbtInd>{side}</CdtDbtInd>'


def _day(payout: Movement) -> str:
    return iso(payout.at_ms)[:_DAY_LENGTH]
