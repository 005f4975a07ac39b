"""Reads Acorn's settlement reports: a line for each movement, and a sum for each currency last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.report_rows import UNREADABLE, checked_line, unreadable
from psp_adapters.contract.settlement_reports import LineKind, ReportLine, ReportUnreadable
from psp_adapters.tests.guide.mapping import AMOUNTS, moment_of

HEADER: Final = b"id,what,step,pay,ref,cur,cents,fee,net,at\n"
KINDS: Final = {
    "take": LineKind.CHARGE,
    "return": LineKind.REFUND,
    "costs": LineKind.FEE,
    "to_bank": LineKind.PAYOUT,
}


def read(file: ReportFile) -> Iterator[ReportLine]:
    """Raises ReportUnreadable if it is not a whole report."""
    sums, confirmed = file.progress.sums, file.progress.confirmed
    for number, raw in file.text_lines():
        try:
            if number == 1:
                _require_header(raw)
                continue
            row = raw.decode("ascii").removesuffix("\n").split(",")
            if row[0] == "sum":
                _require_sum(row, sums, confirmed)
                continue
            if confirmed:
                raise ValueError("a line after the sums")
            line = _line_of(row)
        except UNREADABLE as error:
            raise unreadable(number, error) from None
        _add(line, sums)
        yield line
    if not sums or set(confirmed) != sums.keys():
        raise ReportUnreadable("its end is missing: not every currency has its sum")


def _require_header(raw: bytes) -> None:
    if raw != HEADER:
        raise ValueError("another header")


def _line_of(row: list[str]) -> ReportLine:
    identity, what, step, payment, reference, currency, cents, fee, net, at = row
    gross_money, fee_money, net_money = (
        AMOUNTS.from_psp(int(each), currency) for each in (cents, fee, net)
    )
    return checked_line(
        identity=identity,
        psp_type=what,
        psp_id=step,
        psp_payment_id=payment,
        reference=reference,
        money=(gross_money, fee_money, net_money),
        occurred_at=moment_of(int(at)),
        kinds=KINDS,
    )


def _add(line: ReportLine, sums: dict[str, list[int]]) -> None:
    of_currency = sums.setdefault(line.gross.currency, [0, 0, 0, 0])
    for place, each in enumerate((1, line.gross.minor, line.fee.minor, line.net.minor)):
        of_currency[place] += each


def _require_sum(row: list[str], sums: dict[str, list[int]], confirmed: list[str]) -> None:
    _, currency, *numbers = row
    if currency in confirmed or [str(each) for each in sums[currency]] != numbers:
        raise ValueError("other sums than it says, or a second sum")
    confirmed.append(currency)
