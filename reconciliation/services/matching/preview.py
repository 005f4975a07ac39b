"""Says what a settlement report would change, and writes nothing: not even the report itself.

A report that is stored cannot be deleted, and its lines count for good. So a preview reads the file
where it lies; to discard it is to do nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Final

from ledger.database.statements import execute, table_of
from ledger.money import Money
from payments.models import PspAccount
from payments.services.psp_gateway.accounts import adapter_of
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import (
    REFUND_LINES,
    LineKind,
    ReportUnreadable,
)
from reconciliation.models import SettlementLine
from reconciliation.services.matching.line_groups import SIGNS
from reconciliation.services.matching.line_variances import (
    ChargedMethod,
    charged_methods,
    conversion_variances,
    fee_variances,
)
from reconciliation.services.matching.recorded_operations import operations_named
from reconciliation.services.reports.card_number_check import require_no_card_number
from reconciliation.services.reports.line_identity import NumberedLine, numbered

_AT_ONCE: Final = 2_000
_EXAMPLES_MOST: Final = 20
_KNOWN: Final = (
    "SELECT l.identity, l.occurrence, l.content_sha256 "
    "FROM unnest(%s::text[], %s::int[]) AS g (identity, occurrence) "
    f"JOIN {table_of(SettlementLine)} l ON l.psp_account_id = %s AND l.identity = g.identity "
    "AND l.occurrence = g.occurrence"
)
_Key = tuple[str, int]
"""Identity and occurrence of a line."""


@dataclass(slots=True)
class Sums:
    """Of the new lines of one kind in one currency."""

    currency: str
    lines: int = 0
    gross: Money = field(init=False)
    fee: Money = field(init=False)

    def __post_init__(self) -> None:
        self.gross = self.fee = Money.zero(self.currency)


@dataclass(slots=True)
class Examples:
    """How many there are, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, named: str) -> None:
        self.count += 1
        if self.count <= _EXAMPLES_MOST:
            self.first.append(named)


@dataclass(slots=True)
class Preview:
    """What a file would change."""

    flaw: str = ""
    """Why no line of it would count; empty if it is a whole report."""
    lines: int = 0
    known: int = 0
    """Lines that an earlier report contained, or this file itself before; they count once."""
    changed: Examples = field(default_factory=Examples)
    """Known ones whose content differs: the first content stays, and there would be a case."""
    new: dict[tuple[LineKind, str], Sums] = field(default_factory=dict)
    """By kind and currency; each would be booked."""
    unknown_types: Counter[str] = field(default_factory=Counter)
    """The PSP's names of kinds that no rule knows: each line a case, its net in suspense."""
    recorded: int = 0
    """New lines of charges and refunds whose operation is recorded with that amount."""
    contradicting: Examples = field(default_factory=Examples)
    """New lines whose operation has a smaller amount, or another currency: each a case, unless
    another line of it reverses the rest."""
    parts: Examples = field(default_factory=Examples)
    """New lines of less than their operation's amount: they wait for the rest."""

    variances: Examples = field(default_factory=Examples)
    """New lines whose fee is not the agreed one, or that were not converted at the stated rate: one
    case for all of them."""

    @property
    def needs_an_operator(self) -> bool:
        """Would it open a case?"""
        found = (self.changed, self.contradicting, self.variances)
        return bool(self.flaw or self.unknown_types or any(each.count for each in found))


def preview_report(account: PspAccount, file: BinaryIO) -> Preview:
    """Read a file as a report of an account. Raises ValueError for one with a card number in it.

    Remembers each line of the file, in some 200 bytes, to find those that it repeats.
    """
    require_no_card_number(account, file)
    preview = Preview()
    seen: dict[int, int] = {}
    lines = _keyed(numbered(adapter_of(account).read_report(ReportFile(file))))
    try:
        while batch := list(islice(lines, _AT_ONCE)):
            _add(preview, account, batch, seen)
    except ReportUnreadable as reason:
        preview.flaw = str(reason)
    return preview


def _keyed(lines: Iterator[NumberedLine]) -> Iterator[tuple[_Key, NumberedLine]]:
    """Each line with what identifies it, as `taking` has PostgreSQL find it."""
    seen: Counter[int] = Counter()
    for each in lines:
        occurrence = 1
        if not each.line.identity:
            seen[hash(each.content_sha256)] += 1
            occurrence = seen[hash(each.content_sha256)]
        yield (each.line.identity or each.content_sha256, occurrence), each


def _add(
    preview: Preview,
    account: PspAccount,
    batch: Sequence[tuple[_Key, NumberedLine]],
    seen: dict[int, int],
) -> None:
    identities, occurrences = [list(each) for each in zip(*(key for key, _ in batch), strict=True)]
    rows = execute(_KNOWN, [identities, occurrences, account.pk])
    seen |= {hash((identity, occurrence)): hash(said) for identity, occurrence, said in rows}
    new: list[NumberedLine] = []
    for key, each in batch:
        preview.lines += 1
        content = hash(each.content_sha256)
        first = seen.get(hash(key))
        if first is None:
            seen[hash(key)] = content
            new.append(each)
            continue
        preview.known += 1
        if first != content:
            preview.changed.add(_named(each))
    for each in new:
        _add_new(preview, each)
    _compare_with_operations(preview, account, new)


def _add_new(preview: Preview, each: NumberedLine) -> None:
    line = each.line
    key = (line.kind, line.gross.currency)
    sums = preview.new.setdefault(key, Sums(line.gross.currency))
    sums.lines += 1
    sums.gross += line.gross
    sums.fee += line.fee
    if line.kind is LineKind.UNKNOWN:
        preview.unknown_types[line.psp_type] += 1


def _compare_with_operations(
    preview: Preview, account: PspAccount, new: Sequence[NumberedLine]
) -> None:
    named = [each for each in new if each.line.kind in SIGNS and each.line.psp_id]
    rows = operations_named(accounts=[account.pk], ids={each.line.psp_id for each in named})
    moved = [row for row in rows if row.kind != OperationKind.AUTHORIZE or row.capture_now]
    operations = {(row.psp_id, row.kind == OperationKind.REFUND): row for row in moved}
    methods = charged_methods([row.pk for row in moved]) if account.costs else {}
    for each in named:
        operation = operations.get((each.line.psp_id, each.line.kind in REFUND_LINES))
        if operation is None:
            continue
        paid = each.line.paid
        amount = Money(paid.minor * SIGNS[each.line.kind], paid.currency)
        said = f"{_named(each)}, {operation.public_id} is {operation.amount}"
        if amount == operation.amount:
            preview.recorded += 1
            _compare_with_agreed(preview, account, each, methods.get(operation.pk))
        elif amount.currency == operation.currency and 0 < amount.minor < operation.amount_minor:
            preview.parts.add(said)
        else:
            preview.contradicting.add(said)


def _compare_with_agreed(
    preview: Preview, account: PspAccount, each: NumberedLine, method: ChargedMethod | None
) -> None:
    line = each.line
    found = list(conversion_variances(line.conversion, line.gross))
    if line.kind is LineKind.CHARGE and method is not None:
        found += fee_variances(account.costs, gross=line.gross, parts=line.fee_parts, method=method)
    told = ", ".join(map(str, found))
    if told:
        preview.variances.add(f"{_named(each)}: {told}")


def _named(each: NumberedLine) -> str:
    line = each.line
    return f"line {each.number}: {line.psp_type} {line.gross} {line.psp_id or line.identity}"


def lines_of(preview: Preview) -> list[str]:
    """The preview for people."""
    new = preview.lines - preview.known
    shown = [f"{preview.lines} lines: {new} new, {preview.known} known. Nothing was written."]
    for (kind, _), sums in sorted(preview.new.items()):
        shown.append(f"  {kind}: {sums.lines} lines, gross {sums.gross}, fee {sums.fee}")
    shown.append(f"  {preview.recorded} of the new ones report an operation of ours as we know it")
    if preview.flaw:
        shown.append(f"NOT A WHOLE REPORT, no line of it would count: {preview.flaw}")
    for psp_type, count in sorted(preview.unknown_types.items()):
        shown.append(f"NO RULE KNOWS {psp_type}: {count} lines, each a case; its net in suspense")
    for what, examples in (
        ("KNOWN WITH OTHER CONTENT, which would not count", preview.changed),
        ("ANOTHER AMOUNT THAN OURS, each a case", preview.contradicting),
        ("ANOTHER FEE OR RATE THAN IT SHOULD BE, each booked, one case", preview.variances),
        ("PARTS OF AN AMOUNT, which wait for the rest", preview.parts),
    ):
        if examples.count:
            shown.append(f"{what}: {examples.count}")
            shown += [f"  {named}" for named in examples.first]
    return shown
