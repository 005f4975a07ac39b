"""Settlement at the simulator: which effects make which lines, and when a batch is closed."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from psp_adapters.contract.settlement_reports import DISPUTE_LINES, LineKind
from psp_adapters.sandbox import reports
from psp_adapters.sandbox.webhook import account_of
from psp_adapters.tests.support.receiver import SECRET, Receiver
from psp_adapters.tests.support.report_bytes import file_of
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop, error_of

DAY = 86_400
# What each kind of effect does to what the PSP owes the account; all others do nothing.
SIGNS = {
    "capture": 1,
    "capture_failed": -1,
    "refund": -1,
    "refund_failed": 1,
    "dispute": -1,
    "dispute_reversed": 1,
    "dispute_fee": -1,
    "dispute_fee_returned": 1,
}


@pytest.fixture
def buyer(own_sandbox: SandboxProcess) -> Shop:
    """A shop at the beginning of a day, so that no test falls across the end of one by accident."""
    offset_seconds = own_sandbox.control("POST", "advance", {"seconds": 0})["offset_seconds"]
    own_sandbox.advance(DAY - (time.time() + offset_seconds) % DAY + 1)
    return Shop(own_sandbox.base_url)


def rows(body: bytes) -> list[dict[str, str]]:
    """The rows with their columns, without control rows; read without the adapter."""
    found = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    return [row for row in found if row["type"] != "total"]


def short(body: bytes) -> list[tuple[str, int, int]]:
    return [(row["type"], int(row["gross_minor"]), int(row["fee_minor"])) for row in rows(body)]


def closed(psp: SandboxProcess, shop: Shop) -> bytes:
    """What one closing makes of what the shop did."""
    made = psp.close_settlement()
    [mine] = [each for each in made if each["account"] == account_of(shop.api_key)]
    return shop.report(mine["name"])


def test_every_effect_that_moves_money_is_one_line(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    payment = buyer.pay(minor=1000, reference="op-auth")[1]["payment_id"]
    buyer.modify(payment, "increment", 500)
    capture = buyer.modify(payment, "capture", 1200, reference="op-capture")[1]["id"]
    own_sandbox.revise("op-capture", "fail")
    own_sandbox.revise("op-capture", "succeed")
    refund = buyer.modify(payment, "refund", 300, reference="op-refund")[1]["id"]
    own_sandbox.revise("op-refund", "fail")
    dispute = own_sandbox.open_dispute(payment_id=payment, amount_minor=900)["id"]
    own_sandbox.move_dispute(dispute, "win", return_fee=True)
    body = closed(own_sandbox, buyer)
    assert [
        (row["type"], row["id"], row["reference"], row["gross_minor"], row["fee_minor"])
        for row in rows(body)
    ] == [
        ("charge", capture, "op-capture", "1200", "0"),
        ("charge_failure", capture, "op-capture", "-1200", "0"),
        ("charge", capture, "op-capture", "1200", "0"),
        ("refund", refund, "op-refund", "-300", "0"),
        ("refund_failure", refund, "op-refund", "300", "0"),
        ("dispute", dispute, "op-auth", "-900", "0"),
        ("dispute_fee", dispute, "op-auth", "0", "1500"),
        ("dispute_reversal", dispute, "op-auth", "900", "0"),
        ("dispute_fee", dispute, "op-auth", "0", "-1500"),
    ]
    effects = {f"sln_{e['seq']}": e for e in own_sandbox.effects() if e["kind"] in SIGNS}
    assert [row["line"] for row in rows(body)] == list(effects)
    for row in rows(body):
        effect = effects[row["line"]]
        assert row["occurred_at"] == effect["at"]
        assert (row["payment_id"], row["order_id"]) == (payment, buyer.order_id)
        net = SIGNS[effect["kind"]] * effect["amount_minor"]
        assert (row["currency"], row["net_minor"]) == ("USD", str(net))


def test_authorizations_have_no_settlement_lines(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    voided = buyer.pay()[1]["payment_id"]
    buyer.modify(voided, "increment", 10)
    buyer.modify(voided, "void")
    buyer.pay("pm_card_authorizationExpiresNow")
    buyer.pay("pm_card_chargeDeclined")
    own_sandbox.advance(3)
    assert {each["kind"] for each in own_sandbox.effects()} == {
        "authorize",
        "increment",
        "void",
        "expire",
    }
    assert own_sandbox.close_settlement() == []
    own_sandbox.advance(3 * DAY)
    assert buyer.reports() == []
    buyer.pay(capture=True)
    assert short(closed(own_sandbox, buyer)) == [("charge", 1000, 0)]
    assert [each["number"] for each in buyer.reports()] == [1]


def test_a_sale_that_is_returned_is_a_charge_and_its_failure(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    sale = buyer.pay("pm_card_captureFails", capture=True, reference="op-sale")[1]["id"]
    own_sandbox.advance(3)
    body = closed(own_sandbox, buyer)
    assert short(body) == [("charge", 1000, 0), ("charge_failure", -1000, 0)]
    assert {(row["id"], row["reference"]) for row in rows(body)} == {(sale, "op-sale")}


def test_the_control_rows_give_count_and_sums_of_each_currency(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True, minor=1000)
    buyer.pay(capture=True, minor=500, currency="JPY")
    buyer.pay("pm_card_createDispute", capture=True, minor=300)
    own_sandbox.advance(3)
    body = closed(own_sandbox, buyer)
    assert [row.rstrip(",") for row in body.decode().splitlines()[-2:]] == [
        "total,total,,1,,,JPY,500,0,500",
        "total,total,,4,,,USD,1000,1500,-500",
    ]
    assert len(list(reports.read(file_of(body)))) == 5


def test_no_order_id_of_a_client_can_break_a_report(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    order_id = 'a,"b"\r\ntotal,total\x00\x85é'
    buyer.pay(capture=True, order_id=order_id, reference='r "1",\n=2', key="key-1")
    body = closed(own_sandbox, buyer)
    [row] = rows(body)
    assert row["order_id"] == 'a,"b"  total,total  é'
    [line] = reports.read(file_of(body))
    assert line.reference == 'r "1", =2'


def test_dashboard_operations_are_in_the_report_without_a_reference(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay()
    capture = own_sandbox.act("capture", order_id=buyer.order_id)["id"]
    [line] = reports.read(file_of(closed(own_sandbox, buyer)))
    assert (line.kind, line.psp_id, line.reference) == (LineKind.CHARGE, capture, "")


def test_a_second_closing_contains_only_new_effects(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True, minor=100)
    other = Shop(own_sandbox.base_url)
    other.pay(capture=True, minor=200)
    made = own_sandbox.close_settlement()
    assert sorted((each["account"], each["name"], each["lines"]) for each in made) == sorted(
        (account_of(shop.api_key), "settlement_1.csv", 1) for shop in (buyer, other)
    )
    assert own_sandbox.close_settlement() == []
    buyer.pay(capture=True, minor=300)
    assert short(closed(own_sandbox, buyer)) == [("charge", 300, 0)]
    assert [each["name"] for each in buyer.reports()] == ["settlement_1.csv", "settlement_2.csv"]
    assert [each["name"] for each in other.reports()] == ["settlement_1.csv"]
    assert short(other.report("settlement_1.csv")) == [("charge", 200, 0)]


def test_a_period_is_closed_when_it_is_over(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    buyer.pay(capture=True, minor=100)
    own_sandbox.advance(DAY / 2)
    buyer.pay(capture=True, minor=200)
    assert buyer.reports() == []
    own_sandbox.advance(DAY / 2)
    [report] = buyer.reports()
    assert report["object"] == "settlement_report"
    assert (report["name"], report["number"], report["lines"]) == ("settlement_1.csv", 1, 2)
    assert report["closed_at"].endswith("T00:00:00.000Z")
    assert short(buyer.report(report["name"])) == [("charge", 100, 0), ("charge", 200, 0)]
    assert buyer.reports() == [report]


def test_each_of_several_periods_has_its_own_report(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    own_sandbox.set_behavior(settlement_period_seconds=3600)
    for minor in (100, 0, 300, 0, 0, 600):
        if minor:
            buyer.pay(capture=True, minor=minor)
        else:
            buyer.pay()  # a hold: a period without lines
        own_sandbox.advance(3600)
    found = buyer.reports()
    assert [each["number"] for each in found] == [1, 2, 3]
    assert [short(buyer.report(each["name"])) for each in found] == [
        [("charge", minor, 0)] for minor in (100, 300, 600)
    ]
    ends = [datetime.fromisoformat(each["closed_at"]) for each in found]
    assert [(b - a).total_seconds() for a, b in pairwise(ends)] == [7200, 10800]
    for report, end in zip(found, ends, strict=True):
        for line in reports.read(file_of(buyer.report(report["name"]))):
            assert end - timedelta(hours=1) <= line.occurred_at < end


def test_a_scheduled_effect_is_in_the_period_of_its_time(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    """Although the next request comes days later."""
    own_sandbox.set_behavior(settle_delay_seconds=1.5 * DAY)
    buyer.pay("pm_card_createDisputeMultipleDisputes", capture=True)
    own_sandbox.advance(10 * DAY)
    bodies = [buyer.report(each["name"]) for each in buyer.reports()]
    dispute = [("dispute", -500, 0), ("dispute_fee", 0, 1500)]
    assert [short(body) for body in bodies] == [[("charge", 1000, 0)], dispute, dispute]


def test_a_control_closing_leaves_the_rest_of_the_period(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True, minor=100)
    own_sandbox.advance(DAY)
    buyer.pay(capture=True, minor=200)
    assert [each["lines"] for each in own_sandbox.close_settlement()] == [1, 1]
    buyer.pay(capture=True, minor=300)
    own_sandbox.advance(DAY)
    found = buyer.reports()
    bodies = [short(buyer.report(each["name"])) for each in found]
    assert bodies == [[("charge", minor, 0)] for minor in (100, 200, 300)]
    assert [each["closed_at"] for each in found] == sorted(each["closed_at"] for each in found)


def test_a_period_of_zero_is_never_over(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    own_sandbox.set_behavior(settlement_period_seconds=0)
    buyer.pay(capture=True)
    own_sandbox.advance(30 * DAY)
    assert buyer.reports() == []
    assert [each["lines"] for each in own_sandbox.close_settlement()] == [1]


def test_the_list_since_a_moment_includes_a_report_closed_then(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    for _ in range(3):
        buyer.pay(capture=True)
        own_sandbox.close_settlement()
        own_sandbox.advance(1)
    found = buyer.reports()
    at = found[1]["closed_at"]
    assert buyer.reports(f"?since={at}") == found[1:]
    plus = f"{datetime.fromisoformat(at).astimezone(UTC) + timedelta(milliseconds=1):%FT%T.%f}Z"
    assert buyer.reports(f"?since={plus}") == found[2:]
    assert buyer.reports("?since=2100-01-01T00:00:00Z") == []
    assert buyer.reports("?since=1900-01-01T00:00:00%2B05:30") == found


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-03-01T00:00:00", "since=5", "after=1", "since=٢"]
)
def test_a_malformed_query_is_refused(shop: Shop, query: str) -> None:
    quoted = query.replace("٢", "%D9%A2")
    assert shop.request("GET", f"/v1/settlement_reports?{quoted}")[0] == 400


def test_reports_of_others_and_unknown_ones_are_not_found(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True)
    own_sandbox.close_settlement()
    stranger = Shop(own_sandbox.base_url)
    for shop, name in (
        (stranger, "settlement_1.csv"),
        (buyer, "settlement_2.csv"),
        (buyer, "settlement_01.csv"),
        (buyer, "..%2Fsettlement_1.csv"),
    ):
        answer = shop.request("GET", f"/v1/settlement_reports/{name}")
        assert error_of(answer) == (404, "report_unknown")
    assert stranger.reports() == []
    stranger.api_key = "no key"
    assert stranger.request("GET", "/v1/settlement_reports")[0] == 401


def test_after_a_kill_the_reports_have_the_same_bytes(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay("pm_card_createDispute", capture=True)
    own_sandbox.advance(3)
    own_sandbox.close_settlement()
    buyer.pay(capture=True)
    own_sandbox.advance(2 * DAY)
    found = buyer.reports()
    bodies = [buyer.report(each["name"]) for each in found]
    assert len(found) == 2
    buyer.pay(capture=True, minor=77)
    own_sandbox.kill()
    own_sandbox.start()
    assert buyer.reports() == found
    assert [buyer.report(each["name"]) for each in found] == bodies
    assert short(closed(own_sandbox, buyer)) == [("charge", 77, 0)]


def test_a_closed_report_never_changes(own_sandbox: SandboxProcess, buyer: Shop) -> None:
    payment = buyer.pay(capture=True, reference="op-sale")[1]["payment_id"]
    body = closed(own_sandbox, buyer)
    buyer.modify(payment, "refund", 400)
    own_sandbox.open_dispute(payment_id=payment)
    own_sandbox.revise("op-sale", "fail")
    assert buyer.report("settlement_1.csv") == body
    assert [kind for kind, _, _ in short(closed(own_sandbox, buyer))] == [
        "refund",
        "dispute",
        "dispute_fee",
        "charge_failure",
    ]


def test_a_dispute_is_in_the_report_although_every_notice_of_it_was_lost(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    own_sandbox.set_behavior(webhooks={"lose": 1})
    with Receiver() as receiver:
        body = {"url": receiver.url, "secret": SECRET}
        assert buyer.request("PUT", "/v1/webhook_endpoint", body)[0] == 200
        buyer.pay("pm_card_createDispute", capture=True, reference="op-sale")
        own_sandbox.advance(3)
        [dispute] = own_sandbox.disputes(buyer.order_id)
        lines = list(reports.read(file_of(closed(own_sandbox, buyer))))
        assert [(line.psp_id, line.reference) for line in lines if line.kind in DISPUTE_LINES] == [
            (dispute["id"], "op-sale")
        ] * 2
        assert receiver.deliveries == []
        assert own_sandbox.control("GET", "webhooks")["lost"] > 0
    buyer.request("DELETE", "/v1/webhook_endpoint")


def test_faults_hit_reports_and_the_call_log_shows_them(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True)
    own_sandbox.close_settlement()
    own_sandbox.script({"down": 1}, kind="report")
    assert buyer.request("GET", "/v1/settlement_reports")[0] == 503
    own_sandbox.set_behavior(error_before=1, kinds=["report"])
    assert buyer.request("GET", "/v1/settlement_reports/settlement_1.csv")[0] == 500
    assert buyer.pay(capture=True)[0] == 200
    own_sandbox.heal()
    own_sandbox.script({"drop_after": 1}, kind="report", reference="settlement_1.csv")
    assert len(buyer.reports()) == 1
    with pytest.raises(ConnectionError):
        buyer.report("settlement_1.csv")
    assert short(buyer.report("settlement_1.csv")) == [("charge", 1000, 0)]
    seen = own_sandbox.calls(kind="report")
    assert [(call["status"], call["fault"]) for call in seen] == [
        (503, "down"),
        (500, "error_before"),
        (200, ""),
        (200, "drop_after"),
        (200, ""),
    ]


def test_a_report_closed_with_its_answer_lost_exists(
    own_sandbox: SandboxProcess, buyer: Shop
) -> None:
    buyer.pay(capture=True)
    own_sandbox.advance(DAY)
    own_sandbox.script({"drop_after": 1}, kind="report")
    with pytest.raises(ConnectionError):
        buyer.reports()
    own_sandbox.kill()
    own_sandbox.start()
    assert [each["lines"] for each in buyer.reports()] == [1]
