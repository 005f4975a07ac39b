"""The end of a process is explained only by a fault and its own log."""

from __future__ import annotations

import pytest

from bench.chaos.platform.process_ends import (
    CAUSED_WITHIN_SECONDS,
    SAID_WITHIN_SECONDS,
    EndKind,
    Fault,
    end_of,
)

LOOP = "[ERROR] Unexpected exit from worker-2\n[ERROR] Worker crash loop detected, exiting\n"
NO_CHILD = "Unrecoverable error: WorkerLostError('Could not start worker processes')"


def kind_of(
    name: str,
    code: int,
    content: str,
    *fault: Fault,
    seconds: float = 3.0,
    time_factor: float = 1.0,
) -> EndKind:
    since = dict.fromkeys(fault, seconds)
    return end_of(
        name, code, last_output=content, seconds_since=since, time_factor=time_factor
    ).kind


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("api-1", LOOP, Fault.CHILD),
        ("worker", NO_CHILD, Fault.CHILD),
        ("worker-routine", NO_CHILD, Fault.CHILD),
    ],
)
def test_an_end_whose_reason_is_said_is_explained(name: str, content: str, fault: Fault) -> None:
    assert kind_of(name, 1, content, fault) is EndKind.EXPLAINED
    other = next(each for each in Fault if each is not fault)
    assert kind_of(name, 1, content, other) is EndKind.UNEXPLAINED
    assert kind_of(name, 1, "nothing", fault) is EndKind.UNEXPLAINED
    assert kind_of(name, 0, content, fault) is EndKind.UNEXPLAINED
    assert kind_of("beat", 1, content, fault) is EndKind.UNEXPLAINED
    assert kind_of(name, 1, content) is EndKind.UNPROVOKED


def test_a_worker_that_ends_without_redis_is_not_explained() -> None:
    lost = """Unrecoverable error: AttributeError("'NoneType' object has no attribute 'client'")"""
    assert kind_of("worker", 1, lost, Fault.REDIS) is EndKind.UNEXPLAINED


def test_a_fault_long_before_the_end_does_not_explain_it() -> None:
    long_ago = CAUSED_WITHIN_SECONDS + 1
    assert kind_of("relay-1", 0, "", Fault.STOPPED) is EndKind.UNEXPLAINED
    assert kind_of("relay-1", 0, "", Fault.STOPPED, seconds=long_ago) is EndKind.UNPROVOKED
    assert kind_of("api-0", 1, LOOP, Fault.CHILD, seconds=long_ago) is EndKind.EXPLAINED
    longer_ago = SAID_WITHIN_SECONDS + 1
    assert kind_of("api-0", 1, LOOP, Fault.CHILD, seconds=longer_ago) is EndKind.UNPROVOKED


def test_a_time_factor_applies_only_to_explained_ends() -> None:
    late = {"seconds": SAID_WITHIN_SECONDS + 1, "time_factor": 5.0}
    assert kind_of("api-0", 1, LOOP, Fault.CHILD, **late) is EndKind.EXPLAINED
    assert kind_of("relay-1", 0, "", Fault.STOPPED, **late) is EndKind.UNPROVOKED


def test_the_end_of_a_process_names_the_faults_before_it() -> None:
    end = end_of("relay-1", 0, last_output="", seconds_since={Fault.STOPPED: -2.0}, time_factor=1.0)
    assert end.text == "relay-1 ended with code 0 soon after it was stopped"
