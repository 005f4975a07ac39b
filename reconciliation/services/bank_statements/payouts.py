"""Which payout of a PSP a bank line is: by a reference in its text, never by its amount alone.

PostgreSQL refuses a match that breaks these rules too (`bank_lines_equal_the_books.sql`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import QuerySet

from psp_adapters.contract.settlement_reports import PAYOUT_LINES
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import BankAccount, BankLine, SettlementLine
from reconciliation.states import LineStatus

KEY_LENGTH_MIN: Final = 5
"""Letters and digits of a reference; a shorter one occurs in texts by chance."""
_EARLIER_MOST: Final = timedelta(days=90)
_LATER_MOST: Final = timedelta(days=14)
"""How long before and after the bank's booking the PSP may date its payout."""
_SMALL: Final = "abcdefghijklmnopqrstuvwxyz"
_CAPITALS: Final = str.maketrans(_SMALL, _SMALL.upper())
_SEPARATORS: Final = re.compile("[^A-Z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What explains a bank line, or why nothing does."""

    payout: SettlementLine | None = None
    named_by: str = ""
    discrepancy: Discrepancy | None = None
    why: str = ""
    is_final: bool = False
    """A payout that is reported later cannot change it, unless it has the amount of the line."""


def payout_of(line: BankLine) -> Found:
    """The one payout that the line names and whose amount it has."""
    named = [
        (payout, key)
        for payout in _payouts_near(line)
        if payout.gross_minor * line.amount_minor < 0 and (key := reference_in(line.text, payout))
    ]
    exact = [each for each in named if each[0].gross_minor == -line.amount_minor]
    free = [each for each in exact if not hasattr(each[0], "bank_line")]
    if len(free) == 1:
        [(payout, key)] = free
        return Found(payout=payout, named_by=key)
    if free:
        why = f"it names several payouts of its amount: {_names(free)}"
        return Found(discrepancy=Discrepancy.AMBIGUOUS, why=why, is_final=True)
    if exact:
        why = f"another bank line is the payout that it names: {_names(exact)}"
        return Found(discrepancy=Discrepancy.BANK_UNIDENTIFIED, why=why, is_final=True)
    if named:
        why = f"the payout that it names has another amount: {_names(named)}"
        return Found(discrepancy=Discrepancy.BANK_AMOUNT_MISMATCH, why=why, is_final=True)
    return Found(
        discrepancy=Discrepancy.BANK_UNIDENTIFIED, why="it names no payout of a settlement report"
    )


def reference_in(text: str, payout: SettlementLine) -> str:
    """The first reference of the payout that the text contains; empty if it contains none."""
    return next((key for key in references_of(payout) if is_named(text, key)), "")


def references_of(payout: SettlementLine) -> Iterator[str]:
    """The PSP's id of the payout, that up to a blank, the batch's reference, the line's id."""
    yield payout.psp_id
    yield payout.psp_id.split(" ", 1)[0]
    yield payout.reference
    yield payout.identity


def is_named(text: str, key: str) -> bool:
    """Whether `text` contains the whole key, in whatever case and with any signs between.

    Banks write in capitals, drop signs such as the underscore, and break lines anywhere.
    """
    letters = _SEPARATORS.sub("", key.translate(_CAPITALS))
    if len(letters) < KEY_LENGTH_MIN:
        return False
    pattern = f"(?:^|[^A-Z0-9]){'[^A-Z0-9]*'.join(letters)}(?:$|[^A-Z0-9])"
    return re.search(pattern, text.translate(_CAPITALS)) is not None


def payouts_to(account: BankAccount) -> QuerySet[SettlementLine]:
    """The payouts to a bank account, and their returns, that settlement reports have shown."""
    return SettlementLine.objects.filter(
        psp_account__code__in=account.psp_accounts,
        currency=account.currency,
        kind__in=sorted(each.value for each in PAYOUT_LINES),
        status=LineStatus.MATCHED,
    )


def _payouts_near(line: BankLine) -> QuerySet[SettlementLine]:
    first, last = line.booked_on - _EARLIER_MOST, line.booked_on + _LATER_MOST
    rows = payouts_to(line.bank_account).filter(occurred_at__date__range=(first, last))
    return rows.select_related("psp_account", "bank_line").order_by("id")


def _names(found: Sequence[tuple[SettlementLine, str]]) -> str:
    return ", ".join(f"{key} ({payout.gross})" for payout, key in found[:3])
