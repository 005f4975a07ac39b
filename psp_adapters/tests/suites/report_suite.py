"""What every adapter must make of settlement reports, as tests to inherit; nothing of any PSP.

`ReportReadingContract` is about bytes alone: subclass it, say what reports of the PSP look like,
and provide the fixture `adapter`. `ReportFetchingContract` is for adapters that can list and fetch
reports, against a PSP that runs.
"""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.report_files import ReadingProgress, ReportFile
from psp_adapters.contract.settlement_reports import (
    LineKind,
    ReportLine,
    ReportListing,
    ReportUnreadable,
)
from psp_adapters.tests.support.report_bytes import fetched, lines_in

DEADLINE_SECONDS = 5.0
# The adapter that reads is the same for every example: it keeps nothing. Each adapter's class
# inherits the same function, in one process or in several.
_EXAMPLES = settings(
    max_examples=200,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
    deadline=None,
)
_FRAGMENTS = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [
            *(b",", b"\n", b"\r", b"\r\n", b'"', b'""', b"\0", b";", b"-", b" "),
            *(b"0", b"9" * 40, b"1e3", b"\xd9\xa3", b"total", b"usd", b"XXY", b"=1+1"),
            *(b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xc2\x85", b"x" * 200_000),
            b"9999-12-31T23:59:59-23:59",
        ]
    ),
)


class ReportReadingContract:
    """Inherit, and implement the first four."""

    def whole(self) -> bytes:
        """A good report: several kinds, two currencies, a fee, a line of which money went away."""
        raise NotImplementedError

    def large(self, line_count: int) -> bytes:
        """A good report with so many lines."""
        raise NotImplementedError

    def of_type(self, psp_type: str) -> bytes:
        """A good report with one line, of a kind that the PSP calls so."""
        raise NotImplementedError

    def broken(self) -> dict[str, bytes]:
        """Reports that must be refused, by what is wrong with them; each differs little from a
        good one."""
        raise NotImplementedError

    def read(self, adapter: PspAdapter, body: bytes) -> list[ReportLine]:
        return list(lines_in(adapter, body))

    def refused(self, adapter: PspAdapter, body: bytes) -> str:
        with pytest.raises(ReportUnreadable) as refusal:
            self.read(adapter, body)
        return str(refusal.value)

    def test_a_whole_report_is_read(self, adapter: PspAdapter) -> None:
        lines = self.read(adapter, self.whole())
        assert len({line.kind for line in lines}) > 2
        assert len({line.gross.currency for line in lines}) == 2
        assert any(line.fee for line in lines)
        assert any(line.net.minor < 0 for line in lines)
        for line in lines:
            assert line.net == line.gross - line.fee
            assert line.occurred_at.utcoffset() == timedelta(0)
            assert line.psp_type

    def test_reading_again_gives_the_same_lines(self, adapter: PspAdapter) -> None:
        assert self.read(adapter, self.whole()) == self.read(adapter, self.whole())

    def test_an_unknown_type_is_a_line_of_unknown_kind(self, adapter: PspAdapter) -> None:
        [line] = self.read(adapter, self.of_type("something_new"))
        assert (line.kind, line.psp_type) == (LineKind.UNKNOWN, "something_new")
        [line] = self.read(adapter, self.of_type("x" * 200))
        assert (line.kind, line.psp_type) == (LineKind.UNKNOWN, "x" * 64)

    def test_lines_are_read_as_they_come(self, adapter: PspAdapter) -> None:
        """Also of a report of which the end is missing: only then is it refused."""
        body = self.large(2000)
        lines = lines_in(adapter, body[: len(body) // 2])
        assert len(list(islice(lines, 500))) == 500
        with pytest.raises(ReportUnreadable):
            list(lines)

    def test_reading_can_stop_after_any_line_and_go_on(self, adapter: PspAdapter) -> None:
        body = self.whole()
        lines = self.read(adapter, body)
        for count in range(len(lines) + 1):
            file = ReportFile(io.BytesIO(body))
            first = list(islice(adapter.read_report(file), count))
            kept = ReadingProgress(**json.loads(json.dumps(asdict(file.progress))))
            others = adapter.read_report(ReportFile(io.BytesIO(body), kept))
            assert [*first, *others] == lines
            with pytest.raises(ReportUnreadable):
                cut = ReportFile(io.BytesIO(body[:-2]), ReadingProgress(**asdict(file.progress)))
                list(adapter.read_report(cut))

    def test_memory_stays_flat(self, adapter: PspAdapter) -> None:
        body = self.large(5_000)
        tracemalloc.start()
        try:
            count = sum(1 for _ in lines_in(adapter, body))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == 5_000
        assert peak_bytes < 256 * 1024, f"{peak_bytes} bytes for {len(body)} of text"

    def test_a_corrupted_report_is_refused(self, adapter: PspAdapter) -> None:
        broken = self.broken()
        assert broken
        accepted = []
        for what, body in broken.items():
            assert body != self.whole(), what
            with suppress(ReportUnreadable):
                self.read(adapter, body)
                accepted.append(what)
        assert not accepted

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\n",
            b"\0",
            b"{}",
            b"hello",
            b"\xff\xfe\x00",
            b"\xef\xbb\xbf",
            b'"' * 100_001,
            b"," * 300_000,
            b"\n" * 100_000,
            b"\r" * 100_000,
            b"a" * 1_000_000,
            b'"a\n' * 100_000,
        ],
        ids=range(13),
    )
    def test_a_file_that_is_no_report_is_refused(self, adapter: PspAdapter, body: bytes) -> None:
        self.refused(adapter, body)

    def test_a_cut_report_is_refused_wherever_it_was_cut(self, adapter: PspAdapter) -> None:
        whole = self.whole()
        accepted = []
        for length in range(len(whole)):
            with suppress(ReportUnreadable):
                self.read(adapter, whole[:length])
                accepted.append(length)
        assert not accepted

    @_EXAMPLES
    @given(body=st.binary(max_size=2000))
    def test_random_bytes_are_refused(self, adapter: PspAdapter, body: bytes) -> None:
        self.refused(adapter, body)

    @_EXAMPLES
    @given(data=st.data())
    def test_a_changed_report_is_read_whole_or_refused(
        self, adapter: PspAdapter, data: st.DataObject
    ) -> None:
        body = self.whole()
        for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
            begin = data.draw(st.integers(min_value=0, max_value=len(body)))
            length = data.draw(st.integers(min_value=0, max_value=40))
            body = body[:begin] + data.draw(_FRAGMENTS) + body[begin + length :]
        with suppress(ReportUnreadable):
            self.read(adapter, body)

    @_EXAMPLES
    @given(data=st.data())
    def test_a_lost_or_doubled_line_is_noticed(
        self, adapter: PspAdapter, data: st.DataObject
    ) -> None:
        header, *rows = self.whole().splitlines(keepends=True)
        place = data.draw(st.integers(min_value=0, max_value=len(rows) - 1))
        copies = data.draw(st.sampled_from([0, 2, 3]))
        changed = [*rows[:place], *rows[place : place + 1] * copies, *rows[place + 1 :]]
        self.refused(adapter, b"".join([header, *changed]))

    def test_a_refusal_quotes_nothing_of_the_report(self, adapter: PspAdapter) -> None:
        secret = b"a-secret@example.com"
        body = self.whole()
        for place in range(0, len(body), 7):
            with suppress(ReportUnreadable):
                self.read(adapter, body[:place] + secret + body[place:])
                continue
            assert "a-secret" not in self.refused(adapter, body[:place] + secret + body[place:])


class ReportFetchingContract:
    """Inherit, and implement the first two; `adapter` is of an account of its own."""

    def make_report(self, adapter: PspAdapter) -> int:
        """Let money move, and the PSP close one report of it; how many lines it must have."""
        raise NotImplementedError

    def break_next_answer(self) -> Iterator[str]:
        """Spoil the next answer about reports, so that none came: the connection ends, or an error
        of the PSP; yields the way. (What is no report is refused by `read_report` alone.)"""
        raise NotImplementedError

    def listed(self, adapter: PspAdapter, since: datetime | None = None) -> list[ReportListing]:
        return adapter.list_reports(since=since, deadline_seconds=DEADLINE_SECONDS)

    def test_the_adapter_declares_settlement_reports(self, adapter: PspAdapter) -> None:
        assert adapter.capabilities.settlement_reports

    def test_without_effects_no_report_is_listed(self, adapter: PspAdapter) -> None:
        assert self.listed(adapter) == []

    def test_a_report_is_listed_fetched_and_read(self, adapter: PspAdapter) -> None:
        line_count = self.make_report(adapter)
        [listing] = self.listed(adapter)
        assert listing.closed_at.utcoffset() == timedelta(0)
        assert listing.line_count in (None, line_count)
        assert "/" not in listing.name
        body = fetched(adapter, listing.name, deadline_seconds=DEADLINE_SECONDS)
        assert len(list(lines_in(adapter, body))) == line_count
        assert fetched(adapter, listing.name, deadline_seconds=DEADLINE_SECONDS) == body

    def test_reports_are_listed_from_the_given_moment_on_inclusive(
        self, adapter: PspAdapter
    ) -> None:
        self.make_report(adapter)
        [first] = self.listed(adapter)
        self.make_report(adapter)
        both = self.listed(adapter)
        assert both[0] == first
        assert both == sorted(both, key=lambda each: each.closed_at)
        assert len({each.name for each in both}) == 2
        assert self.listed(adapter, since=first.closed_at) == both
        last = both[-1].closed_at
        assert both[-1] in self.listed(adapter, since=last)
        assert self.listed(adapter, since=last + timedelta(seconds=1)) == []

    @pytest.mark.parametrize("name", ["no_such_report", "..", ".", "", "a/b", "?", "ü", "a" * 500])
    def test_a_report_of_no_such_name_is_unavailable(self, adapter: PspAdapter, name: str) -> None:
        with pytest.raises(PspUnavailable):
            fetched(adapter, name, deadline_seconds=DEADLINE_SECONDS)

    def test_a_list_without_an_answer_is_unavailable(self, adapter: PspAdapter) -> None:
        self.make_report(adapter)
        [listing] = self.listed(adapter)
        for _ in self.break_next_answer():
            with pytest.raises(PspUnavailable):
                adapter.list_reports(since=None, deadline_seconds=0.5)
        for _ in self.break_next_answer():
            with pytest.raises(PspUnavailable):
                fetched(adapter, listing.name, deadline_seconds=0.5)
        assert self.listed(adapter) == [listing]
