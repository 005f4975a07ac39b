"""Every line is stored once, whichever files contain it; an unreadable file stores none."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from payments.models import Case
from payments.tests.support.factories import lose_credentials, move_to_psp
from payments.tests.support.shop import Shop, open_shop
from paymentsite.tests.fixtures.matrix import examples
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportLine, ReportUnreadable
from reconciliation.models import SettlementLine, SettlementReport, StagedLine
from reconciliation.services.reports import reading, taking
from reconciliation.services.reports.archive import name_of_report, store_report
from reconciliation.services.reports.reading import read_again, read_due_reports, read_report
from reconciliation.states import LineStatus, ReportStatus
from reconciliation.tests.support.settling import (
    CHARGES,
    PlainReports,
    Settling,
    money_rows,
    speak_plainly,
)


@pytest.fixture
def plain(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settling:
    """A shop whose PSP's reports a test can write by hand."""
    speak_plainly(shop, monkeypatch)
    return Settling(shop)


def stored_lines(settling: Settling) -> list[tuple[Any, ...]]:
    """The stored lines, without the report that each came in first."""
    rows = SettlementLine.objects.filter(psp_account=settling.shop.account)
    names = ("content_sha256", "occurrence", "kind", "gross_minor", "fee_minor")
    return sorted(rows.values_list(*names))


def test_a_report_of_the_psp_is_stored_line_by_line(settling: Settling) -> None:
    intent_id = settling.disputed(25_000)
    settling.close()
    [report] = settling.take_in()
    assert (report.status, report.lines_read, report.lines_new) == (ReportStatus.READ, 3, 3)
    charge, dispute, fee = settling.lines()
    assert [line.number for line in (charge, dispute, fee)] == [1, 2, 3]
    assert (str(charge.gross), str(charge.net)) == ("250.00 USD", "250.00 USD")
    assert (str(dispute.gross), str(dispute.net)) == ("-250.00 USD", "-250.00 USD")
    assert (str(fee.gross), str(fee.fee), str(fee.net)) == ("0.00 USD", "15.00 USD", "-15.00 USD")
    [operation] = settling.shop.operations(intent_id)
    assert charge.psp_payment_id == operation.psp_payment_id
    assert dispute.psp_id == settling.desk.dispute().psp_dispute_id
    assert fee.reported.fee == fee.fee


def test_every_line_is_due_once_it_is_stored(plain: Settling) -> None:
    report = plain.read(CHARGES)
    assert report.read_at is not None
    for line in plain.lines():
        assert line.status == LineStatus.OPEN
        assert line.next_attempt_at is not None
        assert line.next_attempt_at <= report.read_at


@pytest.mark.parametrize(
    "files",
    [
        [CHARGES, CHARGES + b"l4 charge cap_3 1 0\n"],
        [b"l1 charge cap_1 1000 0\n", CHARGES, b"l4 charge cap_3 1 0\n"],
        [CHARGES + b"l4 charge cap_3 1 0\n", b"l2 charge cap_2 2000 0\n"],
        [b"l3 refund ref_1 -500 0\nl4 charge cap_3 1 0\n", CHARGES],
        [b"l1 charge cap_1 1000 0\n" * 2 + CHARGES, b"l4 charge cap_3 1 0\n"],
    ],
)
def test_overlapping_or_partial_files_store_every_line_once(
    plain: Settling, files: list[bytes]
) -> None:
    for number, body in enumerate(files):
        plain.read(body, f"{number}.csv")
    assert sorted(line.identity for line in plain.lines()) == ["l1", "l2", "l3", "l4"]
    assert Case.objects.count() == 0
    assert sum(r.lines_new for r in SettlementReport.objects.all()) == 4


def test_equal_lines_without_an_identity_are_both_stored(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "TAKEN_AT_ONCE", 2)
    fees = b"- monthly_fee - 0 100\n" * 2 + b"- monthly_fee - 0 200\n"
    plain.read(fees, "first.csv")
    assert plain.read(fees + b"- monthly_fee - 0 200\n", "again.csv").lines_new == 1
    assert [(line.fee_minor, line.occurrence) for line in plain.lines()] == [
        (100, 1),
        (100, 2),
        (200, 1),
        (200, 2),
    ]


def test_a_line_that_comes_again_with_other_content_opens_a_case_and_is_kept(
    plain: Settling,
) -> None:
    plain.read(CHARGES)
    again = plain.read(b"l1 charge cap_1 999 0\nl4 charge cap_3 1 0\n", "changed.csv")
    assert (again.lines_read, again.lines_new) == (2, 1)
    assert plain.lines(identity="l1")[0].gross_minor == 1000
    [case] = Case.objects.all()
    assert (case.kind, case.psp_account) == ("contradiction", plain.shop.account)
    assert "such as l1: charge 9.99 USD" in case.summary
    assert "first charge 10.00 USD" in case.summary
    assert "(1 of lines 1 to 2)" in case.summary


def test_the_same_identity_at_another_account_is_another_line(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Settling(open_shop(plain.shop.psp))
    speak_plainly(other.shop, monkeypatch)
    plain.read(CHARGES)
    assert other.read(CHARGES).lines_new == 3
    assert Case.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (CHARGES + b"cut", "row 4 is cut"),
        (b"x" * 129 + b" charge cap_1 1 0", "line 1 has an id of more than 128 characters"),
        (b"l1 charge " + b"x" * 129 + b" 1 0", "line 1 has an id of more than 128 characters"),
        (
            b"l1 charge cap\x01 1 0",
            "line 1 has a control character in an id, a type or a reference",
        ),
    ],
)
def test_an_unreadable_file_stores_no_line_and_opens_a_case(
    plain: Settling, body: bytes, why: str
) -> None:
    before = money_rows()
    report = plain.read(body)
    assert (report.status, report.last_error) == (ReportStatus.UNREADABLE, why)
    assert plain.lines() == []
    [case] = Case.objects.all()
    assert (case.kind, case.subject) == ("contradiction", name_of_report(report))
    assert plain.shop.account.code in case.subject
    assert why in case.summary
    assert money_rows() == before
    assert read_due_reports() == 0


def test_a_report_with_fewer_lines_than_announced_is_unreadable(plain: Settling) -> None:
    report = store_report(
        account=plain.shop.account,
        name="n",
        file=io.BytesIO(CHARGES),
        imported_by="job",
        lines_announced=4,
    ).report
    assert read_due_reports() == 1
    report.refresh_from_db()
    assert report.last_error == "it has 3 lines, and the provider announced 4"
    assert plain.lines() == []


def test_an_unreadable_file_is_read_again_after_its_adapter_was_fixed(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = plain.read(CHARGES + b"cut")
    whole = PlainReports.read_report

    def mended(self: PlainReports, file: ReportFile) -> Iterator[ReportLine]:
        with suppress(ReportUnreadable):
            yield from whole(self, file)

    monkeypatch.setattr(PlainReports, "read_report", mended)
    read_again(report)
    assert read_due_reports() == 1
    report.refresh_from_db()
    assert (report.status, report.last_error, report.lines_new) == (ReportStatus.READ, "", 3)
    read_again(report)
    report.refresh_from_db()
    assert report.status == ReportStatus.READ, "what was read is not read again"


def many(count: int) -> bytes:
    return b"".join(f"l{n} charge cap_{n} {n + 1} 0\n".encode() for n in range(count))


def test_a_report_whose_reader_was_killed_continues_after_its_last_batch(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 10)
    report = plain.store(many(95))
    assert not read_report(report.pk, until_monotonic=time.monotonic() - 1)
    assert StagedLine.objects.count() == 10, "however little time there is, one batch is read"
    whole = PlainReports.read_report

    def dying(self: PlainReports, file: ReportFile) -> Iterator[ReportLine]:
        for number, line in enumerate(whole(self, file)):
            if number == 25:
                raise MemoryError
            yield line

    monkeypatch.setattr(PlainReports, "read_report", dying)
    with pytest.raises(MemoryError):
        read_report(report.pk)
    monkeypatch.setattr(PlainReports, "read_report", whole)
    report.refresh_from_db()
    assert (report.status, report.lines_read) == (ReportStatus.STORED, 30)
    assert plain.lines() == [], "what was read so far may be cut off"
    assert read_due_reports() == 1
    report.refresh_from_db()
    assert (report.status, report.lines_read, report.lines_new) == (ReportStatus.READ, 95, 95)
    assert [line.number for line in plain.lines()] == list(range(1, 96))
    assert StagedLine.objects.count() == 0


def test_two_concurrent_readers_store_every_line_once(
    plain: Settling, run_together: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 7)
    monkeypatch.setattr(taking, "TAKEN_AT_ONCE", 11)
    report = plain.store(many(50))
    results = run_together(*[lambda: read_report(report.pk)] * 3)
    assert all(isinstance(result, bool) for result in results), results
    assert read_report(report.pk)
    report.refresh_from_db()
    assert (report.status, report.lines_read, report.lines_new) == (ReportStatus.READ, 50, 50)
    assert len(plain.lines()) == 50
    assert Case.objects.count() == 0


LINES = st.lists(
    st.tuples(st.sampled_from("abc-"), st.integers(1, 2), st.integers(0, 2)), max_size=8
)


@pytest.mark.matrix(most=1)
@hypothesis.settings(
    max_examples=examples(10, whole=25),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(rows=LINES, cuts=st.lists(st.integers(0, 8), max_size=2))
def test_a_full_file_after_partial_ones_adds_the_missing_lines_once(
    plain: Settling, rows: list[tuple[str, int, int]], cuts: list[int]
) -> None:
    account = Settling(open_shop(plain.shop.psp))
    move_to_psp(account.shop.account, PlainReports.name)
    account.shop.account.refresh_from_db()
    texts = [
        f"{who}{'' if who == '-' else gross} charge c {gross} {fee}" for who, gross, fee in rows
    ]
    for number, cut in enumerate(cuts):
        if texts[:cut]:
            account.read("\n".join(texts[:cut]).encode(), f"part-{number}")
    if not texts:
        return
    account.read("\n".join(texts).encode(), "whole")
    first = stored_lines(account)
    identities = {text.split()[0] for text in texts} - {"-"}
    anonymous = sum(text.startswith("- ") for text in texts)
    assert len(first) == len(identities) + anonymous
    assert account.read("\n".join(texts).encode() + b"\n", "again").lines_new == 0
    assert stored_lines(account) == first


def test_a_report_that_cannot_be_read_delays_no_other(
    plain: Settling, other_plain: Settling, owner_cursor: Any
) -> None:
    bad, good = plain.store(CHARGES), other_plain.store(CHARGES)
    lose_credentials(plain.shop.account)
    assert read_due_reports() == 1
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.status == ReportStatus.READ
    assert (bad.status, bad.attempts) == (ReportStatus.STORED, 1)
    assert bad.failing_since is not None
    assert bad.next_attempt_at is not None
    assert bad.next_attempt_at > bad.failing_since
    assert "decrypts" in bad.last_error
    assert Case.objects.count() == 0
    owner_cursor.execute(
        "UPDATE reconciliation_settlement_report SET failing_since = now() - interval '4 days', "
        "attempts = 9, next_attempt_at = now() WHERE status = 'stored'"
    )
    assert read_due_reports() == 0
    assert [case.subject for case in Case.objects.all()] == [name_of_report(bad)]


def test_a_large_report_is_read_in_slices_between_others(
    plain: Settling, other_plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 10)
    monkeypatch.setattr(reading, "SLICE_SECONDS", 0.0)
    large, small = plain.store(many(35)), other_plain.store(CHARGES)
    order_read: list[Any] = []
    read = reading.read_report

    def noted(report_id: Any, **words: Any) -> bool:
        order_read.append(report_id)
        return read(report_id, **words)

    monkeypatch.setattr(reading, "read_report", noted)
    assert read_due_reports() == 2
    assert order_read[:3] == [large.pk, small.pk, large.pk]


def test_a_changed_report_is_one_case_however_many_lines_changed(plain: Settling) -> None:
    plain.read(many(50))
    changed = b"".join(f"l{n} charge cap_{n} {n + 2} 0\n".encode() for n in range(50))
    plain.read(changed, "changed.csv")
    [case] = Case.objects.all()
    assert "(50 of lines 1 to 50)" in case.summary


def test_an_overlong_reference_does_not_make_a_report_unreadable(
    plain: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PlainReports.read_report

    def with_reference(self: PlainReports, file: ReportFile) -> Iterator[ReportLine]:
        for line in whole(self, file):
            yield replace(line, reference="invoice " * 60)

    monkeypatch.setattr(PlainReports, "read_report", with_reference)
    assert plain.read(CHARGES).status == ReportStatus.READ
    assert [len(line.reference) for line in plain.lines()] == [128] * 3


def test_a_second_version_that_is_unreadable_is_two_cases(plain: Settling) -> None:
    plain.read(CHARGES)
    plain.read(b"cut")
    assert sorted("cannot be read" in case.summary for case in Case.objects.all()) == [False, True]


@pytest.fixture
def other_plain(plain: Settling, monkeypatch: pytest.MonkeyPatch) -> Settling:
    other = Settling(open_shop(plain.shop.psp))
    speak_plainly(other.shop, monkeypatch)
    return other
