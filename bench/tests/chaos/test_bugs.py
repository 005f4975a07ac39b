"""Every seeded bug still finds what it changes: one that does not would be hunted for nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.chaos.faults.bugs import BUGS
from bench.chaos.verdict.invariants import INVARIANTS
from paymentsite.launcher import state

# In a process of their own, and one more each: planted is planted.
_PLANT_ALL = """
import os, sys, traceback
import paymentsite.wsgi
from bench.chaos.faults.bugs import BUGS
from bench.chaos.faults.bugs.planted import plant
for bug in BUGS:
    child = os.fork()
    if not child:
        try:
            plant(bug)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        sys.exit(bug)
print(len(BUGS), "planted")
"""


def test_a_bug_breaks_invariants_that_there_are_and_is_listed_once() -> None:
    listed = [bug.listed for bug in BUGS.values() if bug.listed is not None]
    assert len(listed) == len(set(listed)) == 10
    for bug in BUGS.values():
        assert bug.found_by
        assert bug.found_by <= set(INVARIANTS)


def test_relays_and_publisher_begin_with_a_bug_too(database_urls: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos.faults.bugs.entry_manage", "publish_events", "--help"],
        cwd=state.PROJECT,
        env={**os.environ, "CHAOS_BUG": "no_line_per_payment"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "--status" in done.stdout


def test_every_bug_can_be_planted(database_urls: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PLANT_ALL],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{len(BUGS)} planted"
