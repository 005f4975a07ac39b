"""`python -m bench.chaos.selftest`: the test of the test. Every seeded bug must be found.

Each bug runs in a process of its own, in up to three runs of different seeds, and must violate an
invariant that it breaks; a run without a bug must pass. Exit 0 only if all were found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.faults.bugs import BUGS
from bench.chaos.verdict.report import FAIL, PASS
from paymentsite.launcher import state
from paymentsite.launcher.progress import say

RUNS_MOST = 3
PAYMENTS, KILLS, CLIENTS = 150, 6, 12


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one bug was found."""

    bug: str
    runs: int
    verdict: str
    violated: dict[str, int]
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the bug was found by its own invariants, or the run without a bug passed."""
        if not self.bug:
            return self.verdict == PASS
        return self.verdict == FAIL and not BUGS[self.bug].found_by.isdisjoint(self.violated)


def main() -> int:
    """Hunt all bugs, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos.selftest", description=__doc__)
    parser.add_argument("bugs", nargs="*", metavar="BUG", help=", ".join(BUGS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=state.VAR / "chaos")
    options = parser.parse_args()
    unknown = set(options.bugs) - set(BUGS)
    if unknown:
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    findings = []
    for bug in options.bugs or ["", *BUGS]:
        finding = _hunt(bug, options.seed, options.folder)
        findings.append(finding)
        say(_line(finding))
    say()
    for finding in findings:
        say(_line(finding))
    bugs = [finding for finding in findings if finding.bug]
    say(f"  {sum(each.is_right for each in bugs)} of {len(bugs)} seeded bugs were found")
    return 0 if all(finding.is_right for finding in findings) else 1


def _hunt(bug: str, seed: int, folder: Path) -> Finding:
    begun = time.monotonic()
    for number in range(RUNS_MOST):
        content = _run(bug, seed + number, folder)
        verdict = str(content.get("verdict", "none"))
        violations = content.get("violations", {})
        violated = {name: len(each) for name, each in violations.items() if each}
        finding = Finding(bug, number + 1, verdict, violated, time.monotonic() - begun)
        # Without a bug one failure is enough.
        if finding.is_right or (verdict == FAIL and not bug):
            break
    return finding


def _run(bug: str, seed: int, folder: Path) -> dict[str, Any]:
    result = folder / (f"{seed}-{bug}.json" if bug else f"{seed}.json")
    result.unlink(missing_ok=True)
    arguments = ["--seed", seed, "--payments", PAYMENTS, "--kills", KILLS, "--clients", CLIENTS]
    arguments += ["--folder", folder, *(["--bug", bug] if bug else [])]
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos", *map(str, arguments)],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
    )
    if not result.exists():
        say("\n".join((done.stderr or done.stdout).splitlines()[-15:]))
        return {}
    content: dict[str, Any] = json.loads(result.read_text())
    return content


def _line(finding: Finding) -> str:
    mark = "ok" if finding.is_right else "!!"
    what = finding.bug or "(no bug)"
    by = ", ".join(f"{name} {count}" for name, count in finding.violated.items())
    wanted = f" of {'/'.join(sorted(BUGS[finding.bug].found_by))}" if finding.bug else ""
    return (
        f"  {mark} {what:<28} {finding.verdict:<8} run {finding.runs}, "
        f"{finding.seconds:.0f} s  {by or '-'}{wanted}"
    )


if __name__ == "__main__":
    sys.exit(main())
