"""Numbers the lines of a report and identifies each among all lines of its account. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
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
    identity: str
    occurrence: int
    content_sha256: str
    line: ReportLine


def numbered(lines: Iterator[ReportLine]) -> Iterator[NumberedLine]:
    """Each line with its place from 1; equal ones without an id of the PSP's are counted."""
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        content = _content_of(line)
        occurrence = 1
        if not line.identity:
            seen[content] += 1
            occurrence = seen[content]
        yield NumberedLine(number, line.identity or content, occurrence, content, line)


def flaw_of(lines: Iterator[ReportLine], *, announced: int | None) -> str:
    """Why a file cannot be taken for a whole report; empty if it can."""
    count = 0
    try:
        for line in lines:
            count += 1
            flaw = _flaw_of_line(line)
            if flaw:
                return f"line {count} {flaw}"
    except ReportUnreadable as reason:
        return str(reason)
    if announced is not None and count != announced:
        return f"it has {count} lines, and the provider announced {announced}"
    return ""


def _flaw_of_line(line: ReportLine) -> str:
    ids = (line.identity, line.psp_id, line.psp_payment_id)
    if any(len(each) > _ID_LENGTH_MAX for each in ids):
        return f"has an id of more than {_ID_LENGTH_MAX} characters"
    if not all(each.isprintable() for each in (*ids, line.psp_type, line.reference)):
        return "has a control character in an id, a type or a reference"
    if len(line.psp_type) > _TYPE_LENGTH_MAX:
        return f"has a type of more than {_TYPE_LENGTH_MAX} characters"
    if line.fee.currency != line.gross.currency:
        return f"is in {line.gross.currency}, its fee in {line.fee.currency}"
    return ""


def _content_of(line: ReportLine) -> str:
    """A hash of what the PSP wrote. `kind` is not part of it: the adapter may learn it later."""
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
