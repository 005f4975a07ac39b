"""Money of an account and of no payment at the simulator: what the next report says of it."""

from __future__ import annotations

from typing import Any

import pytest

from psp_adapters.contract.settlement_reports import ACCOUNT_LINES, LineKind, ReportLine
from psp_adapters.sandbox import reports
from psp_adapters.sandbox.webhook import account_of
from psp_adapters.tests.support.report_bytes import file_of
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop

MOVEMENT = {"type": "fee", "currency": "USD", "gross_minor": -5, "fee_minor": 0}


@pytest.fixture
def buyer(own_sandbox: SandboxProcess) -> Shop:
    """A shop of which 10.00 were captured, in a PSP whose periods do not end by themselves."""
    own_sandbox.set_behavior(settlement_period_seconds=0)
    shop = Shop(own_sandbox.base_url)
    payment = shop.pay(minor=1000)[1]["payment_id"]
    shop.modify(payment, "capture", 1000)
    return shop


def reported(psp: SandboxProcess, shop: Shop) -> list[ReportLine]:
    """The lines of the one report that a closing makes for the shop."""
    made = psp.close_settlement()
    [mine] = [each for each in made if each["account"] == account_of(shop.api_key)]
    lines = list(reports.read(file_of(shop.report(mine["name"]))))
    assert len(lines) == mine["lines"]
    return lines


def test_movements_are_lines_of_the_next_report_after_those_of_payments(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    own_sandbox.move_money(buyer.api_key, "fee", 0, fee_minor=30)
    own_sandbox.move_money(buyer.api_key, "risk_reserved_funds", -100)
    own_sandbox.move_money(buyer.api_key, "other_adjustment", 7)
    lines = reported(own_sandbox, buyer)
    assert [(line.kind, line.net.minor) for line in lines] == [
        (LineKind.CHARGE, 1000),
        (LineKind.FEE, -30),
        (LineKind.RESERVE, -100),
        (LineKind.UNKNOWN, 7),
    ]
    assert len({line.identity for line in lines}) == 4
    assert {line.psp_payment_id for line in lines[1:]} == {""}
    assert own_sandbox.close_settlement() == []


def test_a_payout_takes_what_closed_reports_show_and_no_more(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    assert own_sandbox.pay_out(buyer.api_key) == []
    reported(own_sandbox, buyer)
    own_sandbox.move_money(buyer.api_key, "risk_reserved_funds", -100)
    [paid] = own_sandbox.control("POST", "payouts", {})
    assert (paid["type"], paid["currency"], paid["gross_minor"]) == ("payout", "USD", -900)
    assert own_sandbox.pay_out(buyer.api_key) == []
    lines = reported(own_sandbox, buyer)
    assert [line.kind for line in lines] == [LineKind.RESERVE, LineKind.PAYOUT]
    assert {line.kind for line in lines} <= ACCOUNT_LINES
    own_sandbox.kill()
    own_sandbox.start()
    assert own_sandbox.pay_out(buyer.api_key) == []
    assert own_sandbox.close_settlement() == []


def test_a_period_in_which_only_the_account_moved_money_ends_with_a_report(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    reported(own_sandbox, buyer)
    own_sandbox.set_behavior(settlement_period_seconds=60)
    own_sandbox.move_money(buyer.api_key, "fee", -5)
    own_sandbox.advance(120)
    newest = buyer.reports()[-1]
    assert newest["lines"] == 1
    [line] = reports.read(file_of(buyer.report(newest["name"])))
    assert (line.kind, line.net.minor) == (LineKind.FEE, -5)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"type": "charge"}, 400),
        ({"gross_minor": 1.5}, 400),
        ({"gross_minor": True}, 400),
        ({"fee_minor": 10**13}, 400),
        ({"currency": "usd"}, 400),
        ({"more": 1}, 400),
        ({"api_key": "sandbox_stranger"}, 404),
    ],
)
def test_a_movement_that_cannot_be_is_refused(
    own_sandbox: SandboxProcess, buyer: Shop, change: dict[str, Any], status: int
) -> None:
    body = MOVEMENT | {"api_key": buyer.api_key} | change
    with pytest.raises(AssertionError, match=f"answered {status}"):
        own_sandbox.control("POST", "movements", body)
    assert [line.kind for line in reported(own_sandbox, buyer)] == [LineKind.CHARGE]


def test_defects_are_kept_over_a_restart_and_taken_away_again(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    own_sandbox.spoil_report(buyer.api_key, "wrong_amount")
    [line] = reported(own_sandbox, buyer)
    name = buyer.reports()[-1]["name"]
    own_sandbox.spoil_report(buyer.api_key, "split", report=name)
    own_sandbox.kill()
    own_sandbox.start()
    assert line.gross.minor == 1001
    assert [(each["name"], each["lines"]) for each in buyer.reports()] == [
        ("settlement_1_1.csv", 1),
        ("settlement_1_2.csv", 0),
    ]
    assert own_sandbox.pay_out(buyer.api_key)[0]["gross_minor"] == -1000, "the truth stays"
    own_sandbox.spoil_report(buyer.api_key, "none", report=name)
    [line] = reports.read(file_of(buyer.report(name)))
    assert line.gross.minor == 1000


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"defect": "odd"}, 400),
        ({"line": 0}, 400),
        ({"line": True}, 400),
        ({"report": 1}, 400),
        ({"more": 1}, 400),
        ({"report": "settlement_9.csv"}, 404),
        ({"api_key": "sandbox_stranger"}, 404),
    ],
)
def test_a_defect_that_cannot_be_is_refused(
    own_sandbox: SandboxProcess, buyer: Shop, change: dict[str, Any], status: int
) -> None:
    body = {"api_key": buyer.api_key, "defect": "wrong_amount"} | change
    with pytest.raises(AssertionError, match=f"answered {status}"):
        own_sandbox.control("POST", "report_defects", body)
    [line] = reported(own_sandbox, buyer)
    assert line.gross.minor == 1000
