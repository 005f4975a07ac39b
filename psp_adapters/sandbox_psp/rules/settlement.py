"""Closes settlement batches and writes their reports.

A batch is a range of the sequence of effects, and one of movements, closed once. Each account with
money moved in it gets one report. A report is written from them at every request, with the same
bytes every time.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import found
from psp_adapters.sandbox_psp.rules.report_defects import Written, written_files
from psp_adapters.sandbox_psp.state.batches import LINE_TYPES, Report
from psp_adapters.sandbox_psp.state.movements import Movement
from psp_adapters.sandbox_psp.state.records import Effect, iso
from psp_adapters.sandbox_psp.state.truth import Truth

COLUMNS: Final = (
    *("line", "type", "payment_id", "id", "reference", "order_id", "currency"),
    *("gross_minor", "fee_minor", "net_minor", "occurred_at"),
    *("markup_minor", "interchange_minor", "scheme_fee_minor", "payout_id"),
    *("paid_currency", "paid_minor", "exchange_rate", "available_on"),
)
_TOTAL: Final = "total"
# Clients choose references and order ids freely; in the file they must not break a line.
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Settlement:
    """Closes batches of one Truth."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def close_periods(
        self,
        now_ms: int,
        period_seconds: float,
        *,
        late_lines: float = 0.0,
        available_after_seconds: float = 0.0,
    ) -> None:
        """Close one batch for each period that is over and in which anything happened.

        Periods are counted from 1970; a period of 0 never ends. `late_lines` is the share of lines
        that come one report late; the money of each is available `available_after_seconds` later.
        """
        period_ms = int(period_seconds * 1000)
        if period_ms <= 0:
            return
        running_since_ms = now_ms - now_ms % period_ms
        while (first_ms := self._first_open_ms()) is not None and first_ms < running_since_ms:
            period_end_ms = first_ms // period_ms * period_ms + period_ms
            # The effects of one operation have one time, so that no operation is split.
            self._close(
                before_ms=period_end_ms,
                at_ms=period_end_ms,
                late_lines=late_lines,
                available_after_seconds=available_after_seconds,
            )

    def close_all(
        self,
        now_ms: int,
        period_seconds: float,
        *,
        late_lines: float = 0.0,
        pay_out: bool = False,
        available_after_seconds: float = 0.0,
    ) -> list[Report]:
        """Close the periods that are over, then everything since. Returns the new reports.

        With `pay_out` the newest report of each account contains a payout of all that is in it, by
        currency.
        """
        reports = self._truth.batches.reports
        before = {account_id: len(made) for account_id, made in reports.items()}
        lines = {"late_lines": late_lines, "available_after_seconds": available_after_seconds}
        self.close_periods(now_ms, period_seconds, **lines)
        if self._first_open_ms() is not None:
            self._close(before_ms=None, at_ms=now_ms, **lines)
        if pay_out:
            for account_id, made in reports.items():
                if len(made) > before.get(account_id, 0):
                    self._pay_out_report(made[-1], now_ms)
        return [
            report
            for account_id, made in reports.items()
            for report in made[before.get(account_id, 0) :]
        ]

    def _pay_out_report(self, report: Report, now_ms: int) -> None:
        for currency, balance_minor in sorted(_balances(report).items()):
            if balance_minor > 0:
                self.move(
                    report.account_id,
                    type_="payout",
                    currency=currency,
                    gross_minor=-balance_minor,
                    fee_minor=0,
                    now_ms=now_ms,
                    report=report.name,
                )

    def closed_since(self, account_id: str, since_ms: int) -> list[Report]:
        """The account's reports closed at that time or later, oldest first."""
        reports = self._truth.batches.reports.get(account_id, [])
        return [report for report in reports if report.closed_ms >= since_ms]

    def file(self, account_id: str, name: str) -> Written:
        """One file of a report of this account; refuses with 404."""
        reports = self._truth.batches.reports.get(account_id, [])
        files = (file for report in reports for file in files_of(report))
        here = (file for file in files if file.name == name and not file.is_absent)
        return found(next(here, None), "report")

    def add_defect(self, account_id: str, *, kind: str, line: int, report: str) -> None:
        """Give the files of the account's next report, or of a closed one, a defect."""
        if report:
            reports = self._truth.batches.reports.get(account_id, [])
            found(next((each for each in reports if each.name == report), None), "report")
        record = {"account": account_id, "defect": kind, "line": line, "report": report}
        self._truth.record({"t": "report_defect", **record})

    def move(
        self,
        account_id: str,
        *,
        type_: str,
        currency: str,
        gross_minor: int,
        fee_minor: int,
        now_ms: int,
        report: str = "",
    ) -> Movement:
        """Change an account's balance, for no payment; the next report says so, or the newest one
        that is named and that no request has seen."""
        self._truth.record(
            {
                "t": "movement",
                "account": account_id,
                "type": type_,
                "currency": currency,
                "gross": gross_minor,
                "fee": fee_minor,
                "at": now_ms,
                "report": report,
            }
        )
        return self._truth.movements[-1]

    def pay_out(self, account_id: str, *, now_ms: int) -> list[Movement]:
        """Pay out the balance that closed reports show, less what moved since, by currency."""
        reports = self._truth.batches.reports.get(account_id, [])
        balances: defaultdict[str, int] = defaultdict(int)
        for report in reports:
            for currency, balance_minor in _balances(report).items():
                balances[currency] += balance_minor
        for movement in self._truth.movements[self._truth.batches.movements_until :]:
            if movement.account_id == account_id:
                balances[movement.currency] += movement.net_minor
        return [
            self.move(
                account_id,
                type_="payout",
                currency=currency,
                gross_minor=-balance_minor,
                fee_minor=0,
                now_ms=now_ms,
            )
            for currency, balance_minor in sorted(balances.items())
            if balance_minor > 0
        ]

    def balances(self, account_id: str) -> dict[str, int]:
        """What we hold for an account by currency, with what no report says yet."""
        truth, batches = self._truth, self._truth.batches
        totals: defaultdict[str, int] = defaultdict(int)
        unreported = Report(
            account_id=account_id,
            number=0,
            closed_ms=0,
            effects=tuple(
                effect
                for effect in (*batches.late, *truth.effects[batches.until :])
                if effect.kind in LINE_TYPES and effect.payment.account.id == account_id
            ),
            movements=tuple(
                movement
                for movement in truth.movements[batches.movements_until :]
                if movement.account_id == account_id
            ),
        )
        for report in (*batches.reports.get(account_id, []), unreported):
            for currency, balance_minor in _balances(report).items():
                totals[currency] += balance_minor
        return dict(sorted(totals.items()))

    def _first_open_ms(self) -> int | None:
        """When the first effect or movement happened that is in no report; a late one, as the
        batch was closed that left it out.
        """
        batches = self._truth.batches
        effects = self._truth.effects[batches.until : batches.until + 1]
        movements = self._truth.movements[batches.movements_until : batches.movements_until + 1]
        times_ms = [each.at_ms for each in effects] + [each.at_ms for each in movements]
        times_ms += [batches.closed_ms] if batches.late else []
        return min(times_ms, default=None)

    def _close(
        self,
        *,
        before_ms: int | None,
        at_ms: int,
        late_lines: float,
        available_after_seconds: float,
    ) -> None:
        """Close a batch with all that happened before that time, or with everything."""
        truth, batches = self._truth, self._truth.batches
        # The machine's clock may have been set back: a list by time must not miss a report.
        closed_ms = max(at_ms, batches.closed_ms)
        truth.record(
            {
                "t": "settlement",
                "until": _end(truth.effects, batches.until, before_ms),
                "movements_until": _end(truth.movements, batches.movements_until, before_ms),
                "late_lines": late_lines,
                "available_after_seconds": available_after_seconds,
                "at": closed_ms,
            }
        )


def _end(happened: Sequence[Effect | Movement], begin: int, before_ms: int | None) -> int:
    """The place of the first, from `begin` on, that did not happen before that time."""
    if before_ms is None:
        return len(happened)
    end = begin
    while end < len(happened) and happened[end].at_ms < before_ms:
        end += 1
    return end


def files_of(report: Report) -> list[Written]:
    """The files of a report: one, without a defect."""
    day = iso(report.available_ms)[: len("2026-01-31")]
    rows = [(*row, day) for _, _, _, row in _rows(report)]
    lines = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return written_files(report.name, lines, report.defects)


def report_views(report: Report) -> list[dict[str, Any]]:
    """The files of one report in the list of reports."""
    return [
        {
            "object": "settlement_report",
            "name": file.name,
            "number": report.number,
            "closed_at": iso(report.closed_ms),
            "lines": len(file.lines),
        }
        for file in files_of(report)
    ]


def report_csv(file: Written) -> bytes:
    """Write a file: a header, the lines in sequence, and one control row per currency."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    totals: dict[str, list[int]] = {}
    for line in file.lines:
        writer.writerow(line)
        sums = totals.setdefault(str(line["currency"]), [0, 0, 0])
        sums[0] += 1
        sums[1] += int(str(line["gross_minor"]))
        sums[2] += int(str(line["fee_minor"]))
    for currency, (count, gross_minor, fee_minor) in sorted(totals.items()):
        amounts = (gross_minor, fee_minor, gross_minor - fee_minor)
        row = (_TOTAL, _TOTAL, "", count, "", "", currency, *amounts)
        if not file.is_cut:
            writer.writerow(dict(zip(COLUMNS, row, strict=False)))
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


def _balances(report: Report) -> dict[str, int]:
    """By how much a report changes what we owe the account, by currency."""
    balances: defaultdict[str, int] = defaultdict(int)
    for currency, gross_minor, fee_minor, _ in _rows(report):
        balances[currency] += gross_minor - fee_minor
    return balances


def _rows(report: Report) -> Iterator[tuple[str, int, int, tuple[object, ...]]]:
    """Currency, gross, fee and the whole row of each line: payments first, then the account."""
    for effect in report.effects:
        type_, gross_sign, fee_sign = LINE_TYPES[effect.kind]
        payment, settled = effect.payment, effect.conversion
        currency, paid_minor = payment.currency, gross_sign * effect.amount_minor
        fee_minor = fee_sign * effect.amount_minor + effect.fee_minor
        interchange_minor, scheme_fee_minor = effect.interchange_minor, effect.scheme_fee_minor
        gross_minor, converted_from = paid_minor, ("", "", "")
        if settled is not None:
            converted_from = (currency, str(paid_minor), settled.rate)
            currency = settled.currency
            gross_minor, fee_minor, interchange_minor, scheme_fee_minor = (
                settled.converted(minor)
                for minor in (paid_minor, fee_minor, interchange_minor, scheme_fee_minor)
            )
        row = (
            f"sln_{effect.seq}",
            type_,
            payment.id,
            effect.id,
            _one_line(effect.reference),
            _one_line(payment.order_id),
            currency,
            gross_minor,
            fee_minor,
            gross_minor - fee_minor,
            iso(effect.at_ms),
            fee_minor - interchange_minor - scheme_fee_minor,
            interchange_minor,
            scheme_fee_minor,
            report.payouts.get(currency, ""),
            *converted_from,
        )
        yield currency, gross_minor, fee_minor, row
    for movement in report.movements:
        amounts = (movement.gross_minor, movement.fee_minor, movement.net_minor)
        names = (f"slm_{movement.seq}", movement.type, "", movement.id, "", "", movement.currency)
        payout_id = report.payouts.get(movement.currency, "")
        more = (iso(movement.at_ms), movement.fee_minor, 0, 0, payout_id, "", "", "")
        yield movement.currency, movement.gross_minor, movement.fee_minor, (*names, *amounts, *more)


def _one_line(text: str) -> str:
    return _CONTROL_CHARACTERS.sub(" ", text)
