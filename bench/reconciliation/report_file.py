"""Writes a settlement report of the operations in the database as the PSP would, with defects."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from random import Random
from typing import Any, BinaryIO, Final

from ledger.money import Money
from psp_adapters.sandbox.mapping import AMOUNTS
from psp_adapters.sandbox_psp.rules.settlement import COLUMNS

AMOUNT: Final = "AMOUNT_MISMATCH"
CURRENCY: Final = "CURRENCY_MISMATCH"
UNKNOWN: Final = "MISSING_INTERNAL"
TWICE: Final = "DUPLICATE_AT_PSP"
DEFECTS: Final = (AMOUNT, CURRENCY, UNKNOWN, TWICE)
_SHARE: Final = 0.001
"""Of all lines, of each defect."""
_READ_AT_ONCE: Final = 2_000


def write_report(
    file: BinaryIO, operations: Iterable[Any], *, lines: int, seed: int
) -> dict[str, str]:
    """Write a report with so many lines of operations; returns the defect of each that has one."""
    choices = Random(seed)
    sums: dict[str, list[int]] = {}
    seeded: dict[str, str] = {}
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    written = 0
    for operation in operations:
        defect = choices.choice(DEFECTS) if choices.random() < _SHARE * len(DEFECTS) else ""
        for row in _rows_of(operation, defect, number=written):
            if defect:
                seeded[row[0]] = defect
            rows.writerow(row)
            _add(sums, row)
            written += 1
        if written >= lines:
            break
    else:
        raise LookupError(f"there are operations for {written} lines only")
    for currency, (count, gross, fee) in sorted(sums.items()):
        sums_of_currency = [currency, gross, fee, gross - fee]
        rows.writerow(["total", "total", "", count, "", "", *sums_of_currency, *[""] * 9])
    text.detach()
    return seeded


def moved(account: Any) -> Iterator[Any]:
    """Captures, sales and refunds that moved money and were not reversed, oldest first."""
    from django.db.models import Q

    from payments.models import Operation

    is_capture = Q(kind="capture") | Q(kind="authorize", capture_now=True)
    rows = Operation.objects.filter(is_capture | Q(kind="refund"), psp_account=account)
    done = rows.filter(status__in=["SUCCEEDED", "EXCESS"]).exclude(psp_id="")
    names = ("kind", "psp_id", "psp_payment_id", "amount_minor", "currency", "created_at")
    return done.order_by("id").values_list(*names, named=True).iterator(_READ_AT_ONCE)


def _rows_of(operation: Any, defect: str, *, number: int) -> list[list[Any]]:
    is_refund = operation.kind == "refund"
    amount_minor = AMOUNTS.to_psp(Money(operation.amount_minor, operation.currency))
    gross = -amount_minor if is_refund else amount_minor
    if defect == AMOUNT:
        gross += -10 if is_refund else 10
    currency = operation.currency
    if defect == CURRENCY:
        currency = "EUR" if currency == "USD" else "USD"
    psp_id, payment_id = operation.psp_id, operation.psp_payment_id
    if defect == UNKNOWN:
        psp_id, payment_id = f"{psp_id[:20]}_not_ours", f"{payment_id[:20]}_not_ours"
    return [
        _row(
            f"sln_bench_{number + copy}",
            is_refund=is_refund,
            ids=(payment_id, psp_id),
            gross=gross,
            currency=currency,
            at=operation.created_at,
        )
        for copy in range(2 if defect == TWICE else 1)
    ]


def _row(
    identity: str,
    *,
    is_refund: bool,
    ids: tuple[str, str],
    gross: int,
    currency: str,
    at: datetime,
) -> list[Any]:
    fee = 0 if is_refund else abs(gross) // 1000 * 10
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    kind = "refund" if is_refund else "charge"
    interchange, scheme_fee = fee // 2, fee // 10
    parts = (fee - interchange - scheme_fee, interchange, scheme_fee)
    amounts = (currency, gross, fee, gross - fee)
    return [identity, kind, *ids, "", "order", *amounts, moment, *parts, *[""] * 5]


def _add(sums: dict[str, list[int]], row: list[Any]) -> None:
    of_currency = sums.setdefault(row[6], [0, 0, 0])
    for place, number in enumerate((1, row[7], row[8])):
        of_currency[place] += number
