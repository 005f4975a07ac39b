"""Writes the files of a report, with the defects that a harness has ordered. The truth stays.

A defect changes what a file says, or in which files the lines come. Each file is consistent in
itself: its control rows count what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from psp_adapters.sandbox_psp.state.batches import NO_DEFECT, Defect

Line = Mapping[str, object]
"""One line by column."""
_NO_FEE: Final = dict.fromkeys(
    ("fee_minor", "markup_minor", "interchange_minor", "scheme_fee_minor"), 0
)


@dataclass(frozen=True, slots=True)
class Written:
    """One file of a report."""

    name: str
    lines: tuple[Line, ...]
    is_cut: bool = False
    """It ends without its control rows."""
    is_absent: bool = False
    """It is listed, and cannot be fetched."""


def written_files(name: str, lines: Sequence[Line], defects: Sequence[Defect]) -> list[Written]:
    """The files of one report, in the order in which they are listed."""
    files = [Written(name, tuple(lines))]
    for defect in defects:
        files = [
            made
            for file in files
            for made in (
                _OF_FILES[defect.kind](file)
                if defect.kind in _OF_FILES
                else [_with_line(file, defect)]
            )
        ]
    return files


def _with_line(file: Written, defect: Defect) -> Written:
    """The file with its line of that number changed; as it is if it has none."""
    place = defect.line - 1
    if place >= len(file.lines):
        return file
    change = _OF_LINES[defect.kind]
    lines = (*file.lines[:place], *change(file.lines[place]), *file.lines[place + 1 :])
    return replace(file, lines=lines)


def _minor(line: Line, column: str) -> int:
    return int(str(line[column]))


def _with_amount(line: Line, gross_minor: int) -> Line:
    net_minor = gross_minor - _minor(line, "fee_minor")
    return {**line, "gross_minor": gross_minor, "net_minor": net_minor}


def _with_fee(line: Line, fee_minor: int) -> Line:
    """The line with another fee; what differs is in the markup."""
    markup_minor = _minor(line, "markup_minor") + fee_minor - _minor(line, "fee_minor")
    net_minor = _minor(line, "gross_minor") - fee_minor
    return {**line, "fee_minor": fee_minor, "markup_minor": markup_minor, "net_minor": net_minor}


def _named(line: Line, suffix: str) -> str:
    return f"{line['line']}_{suffix}"


def _correction(line: Line) -> Line:
    """A line of the account that takes one minor unit, of a type that is no other's."""
    nothing = dict.fromkeys(("payment_id", "id", "reference", "order_id"), "")
    amounts = {**_NO_FEE, "gross_minor": -1, "net_minor": -1}
    return {**line, **nothing, **amounts, "line": _named(line, "correction"), "type": "correction"}


def _foreign(line: Line) -> Line:
    names = {"payment_id": "spay_foreign", "id": "sop_foreign", "reference": "", "order_id": ""}
    return {**line, **names, "line": _named(line, "foreign")}


def _reversal(line: Line) -> Line:
    """The money of the line moved the other way, without its fee."""
    gross_minor = -_minor(line, "gross_minor")
    amounts = {**_NO_FEE, "gross_minor": gross_minor, "net_minor": gross_minor}
    names = {"line": _named(line, "reversal"), "type": f"{line['type']}_failure"}
    return {**line, **amounts, **names}


def _half(line: Line) -> Line:
    """A half of the money of the line, with its whole fee."""
    return _with_amount(line, _minor(line, "gross_minor") // 2)


def _rest(line: Line) -> Line:
    """The other half, without a fee."""
    gross_minor = _minor(line, "gross_minor") - _minor(_half(line), "gross_minor")
    amounts = {**_NO_FEE, "gross_minor": gross_minor, "net_minor": gross_minor}
    return {**line, **amounts, "line": _named(line, "rest")}


_OF_LINES: Final[Mapping[str, Callable[[Line], Sequence[Line]]]] = {
    "missing_line": lambda line: [],
    "doubled_line": lambda line: [line, {**line, "line": _named(line, "again")}],
    "repeated_line": lambda line: [line, line],
    "correction_line": lambda line: [line, _correction(line)],
    "foreign_line": lambda line: [line, _foreign(line)],
    "reversal_line": lambda line: [line, _reversal(line)],
    "part_line": lambda line: [_half(line)],
    "parted_line": lambda line: [_half(line), _rest(line)],
    "payment_line": lambda line: [{**line, "id": line["payment_id"]}],
    "wrong_amount": lambda line: [_with_amount(line, _minor(line, "gross_minor") + 1)],
    "wrong_sign": lambda line: [_with_amount(line, -_minor(line, "gross_minor"))],
    "wrong_currency": lambda line: [
        {**line, "currency": "EUR" if line["currency"] != "EUR" else "USD"}
    ],
    "wrong_type": lambda line: [
        {**_with_amount(line, -_minor(line, "gross_minor")), "type": "refund"}
    ],
    "wrong_conversion": lambda line: [_with_amount(line, _minor(line, "gross_minor") - 200)],
    "wrong_fee": lambda line: [_with_fee(line, _minor(line, "fee_minor") + 5)],
    "wrong_fee_parts": lambda line: [
        {**line, "interchange_minor": _minor(line, "interchange_minor") + 1}
    ],
    "unknown_id": lambda line: [{**line, "id": "sop_unknown", "reference": ""}],
}
"""What becomes of one line."""


def _split(file: Written) -> list[Written]:
    half = (len(file.lines) + 1) // 2
    return [_part(file, 1, file.lines[:half]), _part(file, 2, file.lines[half:])]


def _overlapping(file: Written) -> list[Written]:
    return [_part(file, 1, file.lines[:-1] or file.lines), _part(file, 2, file.lines[-2:])]


def _part(file: Written, number: int, lines: tuple[Line, ...]) -> Written:
    return replace(file, name=file.name.replace(".csv", f"_{number}.csv"), lines=lines)


def _merged(file: Written) -> list[Written]:
    """One line for all charges of a payment, which names the payment."""
    first: dict[object, dict[str, object]] = {}
    lines: list[Line] = []
    for line in file.lines:
        if line["type"] != "charge":
            lines.append(line)
        elif (merged := first.get(line["payment_id"])) is None:
            first[line["payment_id"]] = merged = {**line, "id": line["payment_id"]}
            lines.append(merged)
        else:
            for column in ("gross_minor", "net_minor", *_NO_FEE):
                merged[column] = _minor(merged, column) + _minor(line, column)
    return [replace(file, lines=tuple(lines))]


_OF_FILES: Final[Mapping[str, Callable[[Written], list[Written]]]] = {
    "truncated": lambda file: [replace(file, is_cut=True)],
    "absent": lambda file: [replace(file, is_absent=True)],
    "renamed": lambda file: [file, replace(file, name=f"renamed_{file.name}")],
    "merged": _merged,
    "split": _split,
    "overlapping": _overlapping,
}
"""What becomes of the whole file."""

DEFECTS: Final = (NO_DEFECT, *_OF_LINES, *_OF_FILES)
