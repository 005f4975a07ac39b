"""The sandbox adapter lists and fetches settlement reports; everything else is no answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract import report_files
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest, PspUnavailable
from psp_adapters.contract.settlement_reports import ReportUnreadable
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.tests.suites.report_suite import DEADLINE_SECONDS, ReportFetchingContract
from psp_adapters.tests.support.peer import Peer
from psp_adapters.tests.support.report_bytes import fetched, lines_in
from psp_adapters.tests.support.sandbox_process import SandboxProcess

AT = "2026-01-31T12:00:00.123Z"


class TestFetchingSandboxReports(ReportFetchingContract):
    @pytest.fixture(autouse=True)
    def _psp(self, sandbox: SandboxProcess) -> None:
        sandbox.set_behavior(settlement_period_seconds=0)  # No midnight ends a period.
        self.psp = sandbox

    def make_report(self, adapter: PspAdapter) -> int:
        reference = f"op-{uuid.uuid4().hex}"
        sale = PspRequest(
            kind=OperationKind.AUTHORIZE,
            psp_key=f"key-{reference}",
            reference=reference,
            amount=Money(1000, "USD"),
            order_id=f"order-{reference}",
            token="pm_card_visa",
            capture=True,
        )
        done = adapter.authorize(sale, deadline_seconds=DEADLINE_SECONDS)
        assert done.outcome is Outcome.SUCCEEDED
        self.psp.close_settlement()
        return 1

    def break_next_answer(self) -> Iterator[str]:
        for fault in ("down", "rate_limit", "error_before", "error_after", "drop_before"):
            self.psp.script({fault: 1}, kind="report")
            yield fault
        for fault in ("drop_after", "truncate", "hang"):
            self.psp.script({fault: 1}, kind="report")
            yield fault


def test_a_contradictory_report_is_fetched_but_not_read(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    suite = TestFetchingSandboxReports()
    suite.psp = sandbox
    suite.make_report(adapter)
    [listing] = adapter.list_reports(since=None, deadline_seconds=DEADLINE_SECONDS)
    sandbox.script({"contradict": 1}, kind="report")
    body = fetched(adapter, listing.name, deadline_seconds=DEADLINE_SECONDS)
    with pytest.raises(ReportUnreadable, match="other sums"):
        list(lines_in(adapter, body))


class Canned:
    """A PSP that gives every request one answer, and keeps the requests."""

    def __init__(self, body: bytes, *, status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()

        def act(connection: Any, peer: Peer) -> None:
            while peer.read_request(connection):
                connection.sendall(head + body)

        self.peer = Peer(act)
        self.adapter = SandboxAdapter(
            base_url=f"http://127.0.0.1:{self.peer.port}", api_key="sandbox_canned"
        )

    def close(self) -> None:
        self.adapter.close()
        self.peer.close()


@pytest.fixture
def canned() -> Iterator[Any]:
    made: list[Canned] = []

    def make(body: bytes, **more: Any) -> Canned:
        made.append(Canned(body, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


GOOD_ENTRY = {"name": "settlement_1.csv", "number": 1, "closed_at": AT, "lines": 3}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": None},
        {"data": {"a": 1}},
        {"data": [5]},
        {"data": [GOOD_ENTRY, GOOD_ENTRY]},
        *[
            {"data": [{**GOOD_ENTRY, **change}]}
            for change in (
                {"name": "../../etc/passwd"},
                {"name": "."},
                {"name": ""},
                {"name": None},
                {"closed_at": "2026-01-31T12:00:00"},
                {"closed_at": 1769860800},
                {"closed_at": "0001-01-01T00:00:00+23:59"},
                {"lines": -1},
                {"lines": True},
                {"lines": "3"},
                {"lines": 1.5},
            )
        ],
    ],
)
def test_an_unreadable_list_is_no_answer(canned: Any, body: Any) -> None:
    psp = canned(json.dumps(body).encode())
    with pytest.raises(PspUnavailable):
        psp.adapter.list_reports(since=None, deadline_seconds=DEADLINE_SECONDS)


def test_reports_are_listed_oldest_first_whatever_their_order(canned: Any) -> None:
    later = {**GOOD_ENTRY, "name": "settlement_2.csv", "closed_at": AT.replace("01-31", "02-01")}
    psp = canned(json.dumps({"data": [later, GOOD_ENTRY]}).encode())
    listings = psp.adapter.list_reports(since=None, deadline_seconds=DEADLINE_SECONDS)
    assert [each.name for each in listings] == ["settlement_1.csv", "settlement_2.csv"]


def test_since_is_sent_in_utc_and_rounded_down(canned: Any) -> None:
    psp = canned(json.dumps({"data": [GOOD_ENTRY]}).encode())
    zone = timezone(timedelta(hours=5, minutes=30))
    since = datetime(2026, 3, 1, 0, 0, 0, 999_999, tzinfo=zone)
    [listing] = psp.adapter.list_reports(since=since, deadline_seconds=DEADLINE_SECONDS)
    assert (listing.name, listing.line_count) == ("settlement_1.csv", 3)
    path = psp.peer.requests[0].split(b" ")[1]
    assert path == b"/v1/settlement_reports?since=2026-02-28T18:30:00.999Z"


def test_a_report_may_be_larger_than_other_answers(canned: Any) -> None:
    body = b"x" * (3 * 1024 * 1024)
    psp = canned(body)
    assert fetched(psp.adapter, "settlement_1.csv", deadline_seconds=30) == body
    with pytest.raises(PspUnavailable):
        psp.adapter.list_reports(since=None, deadline_seconds=30)


def test_a_report_without_end_is_not_read_to_its_end(
    canned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_files, "REPORT_BYTES_MAX", 2 * 1024 * 1024)
    psp = canned(b"x" * (2 * 1024 * 1024 + 1))
    with pytest.raises(PspUnavailable):
        fetched(psp.adapter, "settlement_1.csv", deadline_seconds=30)


@pytest.mark.parametrize("status", ["204 No Content", "302 Found", "404 Not Found", "500 Oops"])
def test_an_answer_with_another_status_is_no_report(canned: Any, status: str) -> None:
    psp = canned(b"", status=status)
    with pytest.raises(PspUnavailable):
        fetched(psp.adapter, "settlement_1.csv", deadline_seconds=DEADLINE_SECONDS)


@pytest.mark.parametrize("name", ["..", "a/b", "a?b=c", "%2e%2e", "a b", "\n", ""])
def test_an_invalid_report_name_is_not_requested(canned: Any, name: str) -> None:
    psp = canned(b"a report")
    with pytest.raises(PspUnavailable):
        fetched(psp.adapter, name, deadline_seconds=DEADLINE_SECONDS)
    assert psp.peer.requests == []


def test_the_balance_is_what_reports_say_and_what_the_next_one_will(
    sandbox: SandboxProcess, adapter: SandboxAdapter
) -> None:
    def stated() -> tuple[Money, ...]:
        return adapter.look_up_balance(deadline_seconds=DEADLINE_SECONDS)

    suite = TestFetchingSandboxReports()
    suite.psp = sandbox
    sandbox.set_behavior(settlement_period_seconds=0)
    assert stated() == ()
    suite.make_report(adapter)
    [listing] = suite.listed(adapter)
    body = fetched(adapter, listing.name, deadline_seconds=DEADLINE_SECONDS)
    [line] = lines_in(adapter, body)
    assert stated() == (line.net,)
    suite.make_report(adapter)
    assert stated() == (line.net + line.net,)
    sandbox.script({"truncate": 1}, kind="report")
    with pytest.raises(PspUnavailable):
        stated()
