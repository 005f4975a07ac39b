"""Settlement reports as bytes, for tests: what adapters read from files and write into them."""

from __future__ import annotations

import io
from collections.abc import Iterator

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportLine


def lines_in(adapter: PspAdapter, body: bytes) -> Iterator[ReportLine]:
    """The lines that an adapter reads in a report, as it reads them."""
    return adapter.read_report(file_of(body))


def fetched(adapter: PspAdapter, name: str, *, deadline_seconds: float) -> bytes:
    """What an adapter writes of a report that it fetches."""
    file = io.BytesIO()
    adapter.fetch_report(name, into=file, deadline_seconds=deadline_seconds)
    return file.getvalue()


def file_of(body: bytes) -> ReportFile:
    """The bytes as a file, from its beginning."""
    return ReportFile(io.BytesIO(body))
