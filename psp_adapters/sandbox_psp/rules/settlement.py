"""Closes settlement batches and writes their reports.

A batch is a range of the sequence of effects, closed once. Each account with money moved in it gets
one report. A report is written from the effects at every request, with the same bytes every time.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import found
from psp_adapters.sandbox_psp.state.batches import LINE_TYPES, Report
from psp_adapters.sandbox_psp.state.records import iso
from psp_adapters.sandbox_psp.state.truth import Truth

COLUMNS: Final = (
    *("line", "type", "payment_id", "id", "reference", "order_id", "currency"),
    *("gross_minor", "fee_minor", "net_minor", "occurred_at"),
)
_TOTAL: Final = "total"
# Clients choose references and order ids freely; in the file they must not break a line.
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Settlement:
    """Closes batches of one Truth."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def close_periods(self, now_ms: int, period_seconds: float) -> None:
        """Close one batch for each period that is over and in which anything happened.

        Periods are counted from 1970; a period of 0 never ends.
        """
        period_ms = int(period_seconds * 1000)
        if period_ms <= 0:
            return
        running_since_ms = now_ms - now_ms % period_ms
        effects, begin = self._truth.effects, self._truth.batches.until
        while begin < len(effects) and effects[begin].at_ms < running_since_ms:
            period_end_ms = effects[begin].at_ms // period_ms * period_ms + period_ms
            end = begin
            # The effects of one operation have one time, so that no operation is split.
            while end < len(effects) and effects[end].at_ms < period_end_ms:
                end += 1
            self._close(end, period_end_ms)
            begin = end

    def close_all(self, now_ms: int, period_seconds: float) -> list[Report]:
        """Close the periods that are over, then everything since. Returns the new reports."""
        reports = self._truth.batches.reports
        before = {account_id: len(made) for account_id, made in reports.items()}
        self.close_periods(now_ms, period_seconds)
        if self._truth.batches.until < len(self._truth.effects):
            self._close(len(self._truth.effects), now_ms)
        return [
            report
            for account_id, made in reports.items()
            for report in made[before.get(account_id, 0) :]
        ]

    def closed_since(self, account_id: str, since_ms: int) -> list[Report]:
        """The account's reports closed at that time or later, oldest first."""
        reports = self._truth.batches.reports.get(account_id, [])
        return [report for report in reports if report.closed_ms >= since_ms]

    def report(self, account_id: str, name: str) -> Report:
        """One report of this account; refuses with 404."""
        reports = self._truth.batches.reports.get(account_id, [])
        return found(next((each for each in reports if each.name == name), None), "report")

    def _close(self, until: int, at_ms: int) -> None:
        # The machine's clock may have been set back: a list by time must not miss a report.
        closed_ms = max(at_ms, self._truth.batches.closed_ms)
        self._truth.record({"t": "settlement", "until": until, "at": closed_ms})


def report_view(report: Report) -> dict[str, Any]:
    """One report in the list of reports."""
    return {
        "object": "settlement_report",
        "name": report.name,
        "number": report.number,
        "closed_at": iso(report.closed_ms),
        "lines": len(report.effects),
    }


def report_csv(report: Report) -> bytes:
    """Write a report: a header, the lines in sequence, and one control row per currency."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    totals: dict[str, list[int]] = {}
    for currency, gross_minor, fee_minor, row in _rows(report):
        writer.writerow(row)
        sums = totals.setdefault(currency, [0, 0, 0])
        sums[0] += 1
        sums[1] += gross_minor
        sums[2] += fee_minor
    for currency, (count, gross_minor, fee_minor) in sorted(totals.items()):
        amounts = (gross_minor, fee_minor, gross_minor - fee_minor)
        writer.writerow((_TOTAL, _TOTAL, "", count, "", "", currency, *amounts, ""))
    return text.getvalue().encode()


def contradicted_csv(body: bytes) -> bytes:
    """The same report with another amount in its first line, consistent in itself."""
    header, first, *rest = csv.reader(io.StringIO(body.decode()))
    for column in ("gross_minor", "net_minor"):
        index = header.index(column)
        first[index] = str(int(first[index]) + 1)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, first, *rest])
    return text.getvalue().encode()


def _rows(report: Report) -> Iterator[tuple[str, int, int, tuple[object, ...]]]:
    """Currency, gross, fee and the whole row of each line."""
    for effect in report.effects:
        type_, gross_sign, fee_sign = LINE_TYPES[effect.kind]
        gross_minor = gross_sign * effect.amount_minor
        fee_minor = fee_sign * effect.amount_minor + effect.fee_minor
        payment = effect.payment
        row = (
            f"sln_{effect.seq}",
            type_,
            payment.id,
            effect.id,
            _one_line(effect.reference),
            _one_line(payment.order_id),
            payment.currency,
            gross_minor,
            fee_minor,
            gross_minor - fee_minor,
            iso(effect.at_ms),
        )
        yield payment.currency, gross_minor, fee_minor, row


def _one_line(text: str) -> str:
    return _CONTROL_CHARACTERS.sub(" ", text)
