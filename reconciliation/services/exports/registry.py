"""All exports by name, and how a file of one is asked for: by command, by the console, by a job."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from ledger.chart import CHART
from ledger.money import CURRENCY_EXPONENTS
from payments import public_ids
from payments.clock import now_utc
from payments.models import Merchant
from reconciliation.services.exports.books import BOOKS
from reconciliation.services.exports.declaration import Chosen, Export, Period
from reconciliation.services.exports.open_amounts import OPEN_AMOUNTS
from reconciliation.services.exports.payment_rows import PAYMENT_ROWS
from reconciliation.services.exports.settlement_rows import SETTLEMENT_ROWS

EXPORTS: Final[dict[str, Export]] = {
    export.name: export for export in (*BOOKS, *OPEN_AMOUNTS, *PAYMENT_ROWS, *SETTLEMENT_ROWS)
}


def export_named(name: str) -> Export:
    """The export of this name; raises ValueError for another one."""
    if name not in EXPORTS:
        raise ValueError(f"no export is called {name!r}: {', '.join(EXPORTS)}")
    return EXPORTS[name]


def chosen_by(
    export: Export,
    *,
    first: date | None = None,
    last: date | None = None,
    merchant: str = "",
    account: str = "",
    currency: str = "",
) -> Chosen:
    """What the texts of a person mean; raises ValueError, in a sentence for that person.

    Without days it is yesterday (UTC), and one day is both. `merchant` is a public id.
    """
    yesterday = now_utc().date() - timedelta(1)
    if export.period is Period.NOW:
        if first or last:
            raise ValueError(f"{export.name} is about the present: it has no days")
        first = last = now_utc().date()
    chosen = Chosen(
        first=first or last or yesterday,
        last=last or first or yesterday,
        merchant_id=_merchant(merchant),
        account=_account(account),
        currency=_currency(currency),
    )
    if export.period is Period.DAY and chosen.first != chosen.last:
        raise ValueError(f"{export.name} is about the end of one day")
    export.refuse_unknown_limits(chosen)
    return chosen


def _merchant(public_id: str) -> UUID | None:
    if not public_id:
        return None
    identifier = public_ids.decode(public_ids.MERCHANT, public_id)
    if identifier is None or not Merchant.objects.filter(pk=identifier).exists():
        raise ValueError("no such merchant: write the id that `merchant list` shows, acct_…")
    return identifier


def _account(code: str) -> int | None:
    if not code:
        return None
    if not code.isascii() or not code.isdigit() or int(code) not in CHART:
        raise ValueError("no such account: write a code of the chart, such as 1110")
    return int(code)


def _currency(currency: str) -> str:
    if currency and currency.upper() not in CURRENCY_EXPONENTS:
        raise ValueError("no such currency: write a code such as EUR")
    return currency.upper()
