"""A shop's settlement in tests: the PSP's reports, fetched, read and matched. No tests."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from ledger.models import LedgerEntry, LedgerTransaction
from ledger.money import Money
from ledger.selectors import balances
from payments.models import Dispute, Event
from payments.tests.support.dispute_desk import LONG_AGO, Desk
from payments.tests.support.factories import credentials_of, move_to_psp
from payments.tests.support.shop import Shop
from psp_adapters import registry
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import LineKind, ReportLine, ReportUnreadable
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.sandbox.webhook import account_of
from reconciliation.models import SettlementLine, SettlementMatch, SettlementReport
from reconciliation.services.matching import sweep as line_sweep
from reconciliation.services.reports import archive, fetching, reading

SETTLED_CODES: Final = (1100, 1110, 1120, 1130, 1990, 2200, 5100, 5110, 5120, 5600)


@dataclass
class Settling:
    """One shop, its disputes, and its PSP's reports."""

    shop: Shop

    @property
    def desk(self) -> Desk:
        return Desk(self.shop)

    def disputed(self, amount_minor: int = 25_000) -> str:
        """A payment of a new order that a bank charges back, without a notification; its id."""
        self.shop.order_id = f"order-{uuid.uuid4().hex[:12]}"
        intent_id = self.desk.pay(amount_minor)
        self.desk.open()
        return intent_id

    def close(self, *, pay_out: bool = False) -> str:
        """The PSP closes the shop's report, perhaps with a payout of all its lines; its name."""
        made = self.shop.psp.close_settlement(pay_out=pay_out)
        names = [each["name"] for each in made if each["account"] == self._account_at_the_psp]
        return str(names[-1])

    def take_in(self) -> list[SettlementReport]:
        """Fetch, read and match everything, as the sweeps do."""
        fetching.make_due()
        fetching.fetch_due_reports()
        reading.read_due_reports()
        line_sweep.match_due_lines()
        return list(SettlementReport.objects.filter(psp_account=self.shop.account).order_by("id"))

    def lines(self, **choice: Any) -> list[SettlementLine]:
        rows = SettlementLine.objects.filter(psp_account=self.shop.account, **choice)
        return list(rows.order_by("id"))

    def fetch(self) -> int:
        """Fetch new reports from the PSP. Returns how many were stored."""
        fetching.make_due()
        return fetching.fetch_due_reports()

    def store(self, body: bytes, name: str = "by-hand.csv") -> SettlementReport:
        """Import a file by hand; its last line need not be ended."""
        whole = body + b"\n" if body and not body.endswith(b"\n") else body
        stored = archive.store_report(
            account=self.shop.account, name=name, file=io.BytesIO(whole), imported_by="staff:ada"
        )
        return stored.report

    def read(self, body: bytes, name: str = "by-hand.csv") -> SettlementReport:
        """Import a file by hand and read it."""
        report = self.store(body, name)
        assert reading.read_report(report.pk)
        report.refresh_from_db()
        return report

    @property
    def api_key(self) -> str:
        """Of the shop's account at the PSP."""
        return str(credentials_of(self.shop.account)["api_key"])

    def booked(self) -> dict[int, int]:
        """Debits minus credits of the shop's PSP account, per code that settlement changes."""
        found = balances(codes=SETTLED_CODES, dimension=self.shop.account.code)
        return {ref.code: money.minor for ref, money in found.items()}

    @property
    def _account_at_the_psp(self) -> str:
        return account_of(self.api_key)


class PlainReports(SandboxAdapter):
    """A PSP whose lines are `identity kind psp_id gross fee`, and may have no identity (`-`).

    They may have one more column: the day on which their money is available.
    """

    name = "plain-reports"
    capabilities = replace(SandboxAdapter.capabilities, settlement_reports=False)

    def read_report(self, file: ReportFile) -> Any:
        for number, raw in file.text_lines():
            row = raw.decode().rstrip("\n")
            if row == "cut":
                raise ReportUnreadable(f"row {number} is cut")
            identity, kind, psp_id, gross, fee, *days = row.split()
            known = kind in set(LineKind)
            yield ReportLine(
                identity="" if identity == "-" else identity,
                kind=LineKind(kind) if known else LineKind.UNKNOWN,
                psp_type=kind,
                psp_id=psp_id,
                psp_payment_id="",
                reference="",
                gross=Money(int(gross), "USD"),
                fee=Money(int(fee), "USD"),
                occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
                available_on=date.fromisoformat(days[0]) if days else None,
            )


def speak_plainly(shop: Shop, monkeypatch: Any) -> None:
    """Let the shop's PSP have plain reports from now on, which only people import."""
    monkeypatch.setitem(registry._ADAPTERS, PlainReports.name, f"{__name__}:PlainReports")
    move_to_psp(shop.account, PlainReports.name)


CHARGES: Final = b"l1 charge cap_1 1000 0\nl2 charge cap_2 2000 0\nl3 refund ref_1 -500 0\n"


def make_due() -> None:
    """Let time pass: every line that waits is due."""
    SettlementLine.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=LONG_AGO)


def money_rows() -> tuple[int, ...]:
    """Per table that a refused report must not change, the number of rows."""
    models = (Dispute, Event, LedgerTransaction, LedgerEntry, SettlementMatch)
    return tuple(model.objects.count() for model in models)
