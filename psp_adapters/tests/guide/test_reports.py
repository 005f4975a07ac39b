"""Acorn's reports are read whole or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from psp_adapters.tests.guide.adapter import AcornAdapter
from psp_adapters.tests.guide.reports import HEADER
from psp_adapters.tests.suites.report_suite import ReportReadingContract

Movement = tuple[str, str, int, int]
MOVEMENTS: Sequence[Movement] = (
    ("take", "USD", 1000, 30),
    ("return", "USD", -400, 0),
    ("take", "JPY", 500, 20),
    ("costs", "USD", -10, 0),
    ("to_bank", "USD", -300, 0),
)


def report(movements: Sequence[Movement]) -> bytes:
    rows, sums = [HEADER.decode()], dict[str, list[int]]()
    for number, (what, currency, cents, fee) in enumerate(movements):
        net = cents - fee
        ids = f"m{number},{what},step{number},pay{number},op_{number}"
        rows.append(f"{ids},{currency},{cents},{fee},{net},1772366400\n")
        before = sums.get(currency, [0, 0, 0, 0])
        sums[currency] = [a + b for a, b in zip(before, (1, cents, fee, net), strict=True)]
    rows += [f"sum,{each},{','.join(map(str, of))}\n" for each, of in sums.items()]
    return "".join(rows).encode()


class TestReadingReports(ReportReadingContract):
    @pytest.fixture
    def adapter(self) -> Iterator[AcornAdapter]:
        adapter = AcornAdapter(base_url="http://127.0.0.1:1", api_key="k", shop="s")
        yield adapter
        adapter.close()

    def whole(self) -> bytes:
        return report(MOVEMENTS)

    def large(self, line_count: int) -> bytes:
        return report(MOVEMENTS[:1] * line_count)

    def of_type(self, psp_type: str) -> bytes:
        return report([(psp_type, "USD", 100, 0)])

    def broken(self) -> dict[str, bytes]:
        whole = self.whole()
        return {
            "another amount": whole.replace(b",1000,30,970,", b",1001,30,971,"),
            "an amount that does not add up": whole.replace(b",970,", b",971,"),
            "a column less": whole.replace(b",op_0,", b","),
            "a column of another name": whole.replace(b"id,what", b"id,kind"),
            "a sum twice": whole + whole.splitlines(keepends=True)[-1],
            "a movement after the sums": whole + whole.splitlines(keepends=True)[1],
        }
