"""A report that was changed at random is refused whole, or each of its lines is explained."""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import pytest

from ledger import invariants
from ledger.chart import PSP_BALANCE
from ledger.selectors import balances
from payments.models import Case
from payments.services.psp_gateway.accounts import adapter_of
from payments.tests.support.dispute_desk import LONG_AGO
from paymentsite.tests.fixtures.matrix import examples
from psp_adapters.sandbox_psp.rules.settlement import COLUMNS
from reconciliation.discrepancies import OF_LINES
from reconciliation.models import SettlementLine, StagedLine
from reconciliation.services.matching.sweep import match_due_lines, name_of
from reconciliation.services.reports.reading import read_report
from reconciliation.states import LineStatus, ReportStatus
from reconciliation.tests.support.settling import Settling, money_rows

LINES: Final = examples(200, whole=1_000)
VALUES: Final = (
    *("", "0", "1", "-1", "9000", "-9000", "999999999999999", "1e3", " 5", "\x00", "ÿ", '"', "a,b"),
    *(
        "USD",
        "EUR",
        "ISK",
        "XXX",
        "charge",
        "charge_failure",
        "refund",
        "refund_failure",
        "dispute",
    ),
    *("dispute_fee", "dispute_reversal", "payout", "fee", "surprise", "total", "sop_stranger"),
    *("2026-01-31T12:00:00.123Z", "2026-02-30T12:00:00Z", "9999-12-31T23:59:59Z"),
)
Row = list[str]


def whole_report(settling: Settling) -> list[Row]:
    """The rows of a report: some payments and a refund, and so many fees of the account."""
    for number in range(4):
        intent_id = settling.desk.pay(9_000 + number, order_id=f"order-{number}")
    settling.shop.refund(intent_id, 1_000)
    name = settling.close()
    with io.BytesIO() as file:
        adapter_of(settling.shop.account).fetch_report(name, into=file, deadline_seconds=5)
        rows = list(csv.reader(io.StringIO(file.getvalue().decode())))
    lines = [row for row in rows[1:] if row[0] != "total"]
    fees = [
        [
            *(f"slm_made_{n}", "fee", "", f"smov_made_{n}", "", "", "USD", "0", "3", "-3"),
            *(lines[0][10], "3", "0", "0", *[""] * 4),
        ]
        for n in range(LINES - len(lines))
    ]
    return lines + fees


def changed(rows: list[Row], chance: random.Random) -> list[Row]:
    """The rows, some of them changed, away, twice, or in another place."""

    def value(place: int) -> None:
        rows[place][chance.randrange(len(COLUMNS))] = chance.choice(VALUES)

    def amount(place: int) -> None:
        gross_minor = chance.choice((-1, 1)) * chance.randrange(20_000)
        fee_minor = chance.randrange(-50, 50)
        rows[place][7:10] = [str(gross_minor), str(fee_minor), str(gross_minor - fee_minor)]
        rows[place][11:12] = [str(fee_minor)]

    def copied_cell(place: int) -> None:
        column = chance.randrange(len(COLUMNS))
        rows[place][column] = rows[chance.randrange(len(rows))][column]

    changes: list[Callable[[int], None]] = [
        *(value, amount, copied_cell),
        lambda place: rows.insert(place, list(rows[place])),
        lambda place: rows.insert(0, rows.pop(place)),
        lambda place: rows[place].pop() and None,
        lambda place: rows.pop(place) and None,
    ]
    weights = [2, 4, 4, 4, 4, 0.1, 4]
    for change in chance.choices(changes, weights, k=chance.choice((1, 3, 30))):
        # Most lines are fees of the account: payments come first, and are changed as often.
        change(chance.randrange(chance.choice((5, len(rows)))))
    return rows


def body_of(rows: list[Row], *, has_true_totals: bool) -> bytes:
    """The file, with control rows that agree with it or say one more."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([list(COLUMNS), *rows])
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        said = dict(zip(COLUMNS, row, strict=False))
        of_currency = sums[said.get("currency", "")]
        of_currency[0] += 1
        for place, column in ((1, "gross_minor"), (2, "fee_minor")):
            cell = said.get(column, "")
            of_currency[place] += int(cell) if cell.strip().lstrip("-").isdigit() else 0
    for currency, (count, gross, fee) in sorted(sums.items()):
        said_count = count if has_true_totals else count + 1
        row_of_totals = [
            "total",
            "total",
            "",
            said_count,
            "",
            "",
            currency,
            gross,
            fee,
            gross - fee,
        ]
        writer.writerow([*row_of_totals, *[""] * (len(COLUMNS) - len(row_of_totals))])
    return text.getvalue().encode()


def let_all_days_pass() -> None:
    """Until each line is matched or given up."""
    match_due_lines()
    waiting = SettlementLine.objects.filter(next_attempt_at__isnull=False)
    waiting.update(retrying_since=LONG_AGO, next_attempt_at=LONG_AGO, attempts=9)
    match_due_lines()
    assert not waiting.exists()


@pytest.mark.parametrize("seed", range(examples(4, whole=100)))
def test_a_report_changed_at_random_is_refused_whole_or_each_line_is_explained(
    settling: Settling, seed: int
) -> None:
    chance = random.Random(seed)
    rows = changed(whole_report(settling), chance)
    body = body_of(rows, has_true_totals=chance.random() < 0.9)
    before = money_rows()
    try:
        report = settling.store(body)
    except ValueError:
        assert money_rows() == before
        return
    while not read_report(report.pk):
        continue
    report.refresh_from_db()
    if report.status == ReportStatus.UNREADABLE:
        assert (money_rows(), settling.lines(), StagedLine.objects.count()) == (before, [], 0)
        assert Case.objects.get().discrepancy == "FILE_UNREADABLE"
        return
    assert report.status == ReportStatus.READ
    let_all_days_pass()
    explain_each_line(settling)


def explain_each_line(settling: Settling) -> None:
    lines = settling.lines()
    sums: defaultdict[str, int] = defaultdict(int)
    cases = set(Case.objects.filter(status="open").values_list("subject", flat=True))
    for line in lines:
        sums[line.currency] += line.net.minor
        if line.status == LineStatus.MATCHED:
            assert line.discrepancy == ""
        else:
            assert line.status == LineStatus.DEAD
            assert line.discrepancy in OF_LINES
            assert name_of(line) in cases
    books = balances(codes=[PSP_BALANCE.code], dimension=settling.shop.account.code)
    held = {ref.currency: money.minor for ref, money in books.items() if money.minor}
    assert held == {currency: minor for currency, minor in sums.items() if minor}
    assert invariants.transactions_sum_to_zero() == []
    assert invariants.debits_equal_credits() == []
