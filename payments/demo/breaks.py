"""Breaks of a settlement day: what the PSP's files do wrong, and what becomes of it.

Files that overlap, and a line that comes twice, are explained without an operator: each line counts
once. A file that was cut is a case, which an operator works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Final

from django.core.management import call_command

from payments.demo.web import SandboxPsp
from payments.models import Case
from payments.states import CaseStatus

OPERATOR: Final = "staff:finance"
"""A login of the demo (`seed_demo`)."""
WAIT_SECONDS: Final = 30.0
_EVERY_SECONDS: Final = 0.5
_CUT: Final = "FILE_UNREADABLE"
_CHANGED: Final = "FILE_CHANGED"
_WORKED: Final = {
    _CUT: "The PSP sent the whole file.",
    _CHANGED: "The file that came first was cut; the whole one counts.",
}
"""By code: how the operator explains a case."""

Say = Callable[[str], None]


def repeat_lines_in_overlapping_files(psp: SandboxPsp, api_keys: Sequence[str]) -> None:
    """Let the next report of each account come in two files, with a line twice."""
    for api_key in api_keys:
        for defect in ("repeated_line", "overlapping"):
            psp.spoil_report(api_key, defect)


def cut_files(psp: SandboxPsp, api_keys: Sequence[str]) -> None:
    """Let the file of the next report of each account be cut."""
    for api_key in api_keys:
        psp.spoil_report(api_key, "truncated")


def work_cases_of_cut_files(
    psp: SandboxPsp, api_keys: Sequence[str], cut: Sequence[tuple[str, str]], say: Say
) -> bool:
    """Find the cut files, have the PSP send whole ones, and close the cases; False if none came.

    `cut` are the API key and the name of each of these files.
    """
    if not _come(_CUT, len(cut)):
        return False
    for api_key in api_keys:
        psp.spoil_report(api_key, "none")
    for api_key, name in cut:
        psp.mend_report(api_key, name)
    if not _come(_CHANGED, len(cut)):
        return False
    for case in _open_cases():
        say(f"  ok found {case.discrepancy}: {case.summary}")
        call_command(
            "cases",
            case.public_id,
            close=True,
            by=OPERATOR,
            resolution=_WORKED[case.discrepancy],
            stdout=StringIO(),
        )
        say(f"     closed by {OPERATOR}: {_WORKED[case.discrepancy]}")
    return True


def _come(code: str, count: int) -> bool:
    """Fetch until so many cases have this code; a worker may be fetching, too."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        call_command("settlement_reports", fetch=True, stdout=StringIO())
        if sum(case.discrepancy == code for case in _open_cases()) >= count:
            return True
        time.sleep(_EVERY_SECONDS)
    return False


def _open_cases() -> list[Case]:
    rows = Case.objects.filter(status=CaseStatus.OPEN, discrepancy__in=sorted(_WORKED))
    return list(rows.order_by("id"))
