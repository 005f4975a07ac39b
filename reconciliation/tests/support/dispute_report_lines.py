"""Settlement lines of disputes as a report has them, one for each effect at the PSP. No tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from ledger.money import Money
from payments.services.psp_gateway.queries import Inconclusive
from payments.tests.support.factories import move_to_psp
from payments.tests.support.shop import Shop
from psp_adapters import registry
from psp_adapters.contract.settlement_reports import LineKind, ReportLine
from psp_adapters.sandbox.adapter import SandboxAdapter
from reconciliation.services.matching import dispute_lines
from reconciliation.services.matching.dispute_lines import MatchedLine

_KINDS: Final = {
    "dispute": LineKind.DISPUTE,
    "dispute_reversed": LineKind.DISPUTE_REVERSAL,
    "dispute_fee": LineKind.DISPUTE_FEE,
    "dispute_fee_returned": LineKind.DISPUTE_FEE,
}
_SIGNS: Final = {"dispute": -1, "dispute_reversed": 1}
_FEES: Final = {"dispute_fee": 1, "dispute_fee_returned": -1}


class ReportsOnly(SandboxAdapter):
    """A PSP that reports disputes in settlement reports only, and has no look-up of them."""

    name = "reports-only"
    capabilities = replace(SandboxAdapter.capabilities, disputes=False)

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> Any:
        raise AssertionError("this provider cannot be asked about disputes")


def disable_look_ups_of_disputes(shop: Shop, monkeypatch: Any) -> None:
    """Let the shop's PSP have no look-up of disputes from now on."""
    monkeypatch.setitem(registry._ADAPTERS, ReportsOnly.name, f"{__name__}:ReportsOnly")
    move_to_psp(shop.account, ReportsOnly.name)


def lines_of(shop: Shop) -> list[ReportLine]:
    """The report lines of the disputes of the shop's order, oldest first."""
    return [_line(shop, effect) for effect in shop.effects() if effect["kind"] in _KINDS]


def _line(shop: Shop, effect: dict[str, Any]) -> ReportLine:
    kind, currency = effect["kind"], effect["currency"]
    [dispute] = [each for each in shop.psp.disputes(shop.order_id) if each["id"] == effect["id"]]
    return ReportLine(
        identity=f"line-{effect['seq']}",
        kind=_KINDS[kind],
        psp_type=kind,
        psp_id=effect["id"],
        psp_payment_id=dispute["payment_id"],
        reference=effect["reference"],
        gross=Money(_SIGNS.get(kind, 0) * effect["amount_minor"], currency),
        fee=Money(_FEES.get(kind, 0) * effect["amount_minor"], currency),
        occurred_at=datetime.fromisoformat(effect["at"]),
    )


def account_for(shop: Shop, line: ReportLine) -> MatchedLine:
    """Match one line of the shop's account."""
    return dispute_lines.match_dispute_line(account=shop.account, line=line, actor="test")


def account_for_all(shop: Shop, lines: Iterable[ReportLine]) -> Iterator[MatchedLine]:
    """Match lines in their order, and retry those that came too early, as the sweep does."""
    waiting = list(lines)
    while waiting:
        too_early = []
        for line in waiting:
            try:
                yield account_for(shop, line)
            except Inconclusive:
                too_early.append(line)
        assert len(too_early) < len(waiting), f"none of {too_early} comes to an end"
        waiting = too_early
