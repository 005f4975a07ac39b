"""Reading processor time."""

import os
import subprocess
import sys
import time

from bench.processor_time import Meter, seconds_of_line, seconds_of_tree


def test_a_name_with_blanks_and_parentheses_does_not_shift_the_fields() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    line = f"7 (odd ) name) S 1 7 7 0 -1 0 0 0 0 0 {ticks} {ticks} {2 * ticks} 0 20 0 1"
    assert seconds_of_line(line) == 4.0


def test_a_process_that_has_ended_counts_as_zero() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert seconds_of_tree(child.pid) == 0.0


def test_work_of_a_child_counts_for_its_parent() -> None:
    work = "sum(range(10**7))"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{work}']); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert parent.stdin is not None
    try:
        meter = Meter({"parent": parent.pid})
        deadline = time.monotonic() + 60
        while meter.used()["parent"] < 0.05 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert meter.used()["parent"] >= 0.05
    finally:
        parent.stdin.close()
        parent.wait(60)
