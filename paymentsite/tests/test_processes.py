"""Several processes play each test once, and tell of each what pytest in one process would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paymentsite.launcher.state import PROJECT
from paymentsite.tests.fixtures.processes import Shares

MODULE = """
import os, signal, time, warnings
import pytest

@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    yield tmp_path_factory.mktemp("shared")
    print("the shared fixture ends", file=open(os.environ["ENDS"], "a"))

@pytest.mark.parametrize("number", range(30))
def test_passes(number, shared, capfd):
    time.sleep(0.01)
    print(number)
    assert capfd.readouterr().out == f"{number}\\n"

def test_fails():
    print("said before it failed")
    two = 1
    assert two == 2

def test_warns():
    warnings.warn("be careful", FutureWarning)

def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, *options: str) -> str:
    (folder / "test_module.py").write_text(MODULE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rA", "-n", "3", *options),
            *("-p", "no:django", "-p", "no:xdist", "-p", "paymentsite.tests.fixtures.processes"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "ENDS": str(folder / "ends")},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_each_test_is_played_once_and_reported_whatever_becomes_of_its_process(
    tmp_path: Path,
) -> None:
    said = run(tmp_path)
    passed, failed = (
        [line.split()[1] for line in said.splitlines() if line.startswith(word)]
        for word in ("PASSED", "FAILED")
    )
    assert len(passed) == len(set(passed)), "each once"
    assert len(set(passed) | set(failed)) == 33, said
    assert 2 <= len(failed) <= 3, "what was next of the process that died is not passed over"
    for shown in (
        "assert 1 == 2",
        "said before it failed",
        "1 warning",
        "FutureWarning: be careful",
        "the process that had taken it ended with -9",
    ):
        assert shown in said, said
    ends = (tmp_path / "ends").read_text().splitlines()
    assert len(ends) >= 2, "what a process shares is ended there, unless the process was killed"


def test_what_is_left_is_shared_until_all_is_taken() -> None:
    shares = Shares(10, 3)
    assert [shares.take(0) for _ in range(3)] == [0, 1, 2], "its own part first"
    assert shares.take(0) == 8, "then half of the largest rest"
    taken = [shares.take(process) for process in (1, 1, 2, 0, 1, 0)]
    assert sorted(taken) == [3, 4, 5, 6, 7, 9]
    assert [shares.take(process) for process in range(3)] == [None] * 3


def test_nothing_is_taken_after_a_stop() -> None:
    shares = Shares(10, 2)
    shares.stop()
    assert shares.take(0) is None
