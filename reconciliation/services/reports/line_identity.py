"""Numbers the lines of a report, identifies each, and finds what no line may have. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from psp_adapters.contract.settlement_reports import ReportLine, ReportUnreadable

_ID_LENGTH_MAX: Final = 128
_TYPE_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class NumberedLine:
    """A line at its place in the file."""

    number: int
    content_sha256: str
    """Identifies it among the lines of its account if the PSP gave it no id: see `taking`."""
    line: ReportLine


def numbered(lines: Iterator[ReportLine], *, after: int = 0) -> Iterator[NumberedLine]:
    """Each line with its place; the first has the place after `after`.

    Raises ReportUnreadable for a line that cannot be stored.
    """
    for number, line in enumerate(lines, start=after + 1):
        flaw = _flaw_of(line)
        if flaw:
            raise ReportUnreadable(f"line {number} {flaw}")
        yield NumberedLine(number, _content_of(line), line)


def _flaw_of(line: ReportLine) -> str:
    ids = (line.identity, line.psp_id, line.psp_payment_id, line.psp_payout_id)
    if any(len(each) > _ID_LENGTH_MAX for each in ids):
        return f"has an id of more than {_ID_LENGTH_MAX} characters"
    if not all(each.isprintable() for each in (*ids, line.psp_type, line.reference)):
        return "has a control character in an id, a type or a reference"
    if len(line.psp_type) > _TYPE_LENGTH_MAX:
        return f"has a type of more than {_TYPE_LENGTH_MAX} characters"
    if line.fee.currency != line.gross.currency:
        return f"is in {line.gross.currency}, its fee in {line.fee.currency}"
    if line.fee_parts.total.currency != line.fee.currency:
        return "has a fee whose components are in another currency"
    if line.conversion is not None and line.paid.currency == line.gross.currency:
        return "is converted into its own currency"
    return ""


def _content_of(line: ReportLine) -> str:
    """A hash of what the PSP wrote. `kind` is not part of it: the adapter may learn it later.

    Nor are the components of the fee, the payout, and what was converted: a line without an id is
    known by this hash, also to versions that do not read these.
    """
    parts = (
        line.psp_type,
        line.psp_id,
        line.psp_payment_id,
        line.reference,
        line.gross.currency,
        str(line.gross.minor),
        str(line.fee.minor),
        line.occurred_at.isoformat(),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
