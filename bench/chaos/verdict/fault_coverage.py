"""How often each fault of the catalogue really happened in a run. Pure.

A run in which a fault never happened says nothing about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bench.chaos.load.plan import LARGE_FROM_KILLS
from bench.chaos.platform.stops import Suspension
from bench.chaos.verdict.final_state import FinalState, unix_seconds

LEAST_IN_A_LARGE_RUN: Final = 10
LARGE_RUN_KILLS: Final = 500
SMALLEST_COUNTED_KILLS: Final = 40
"""Below this many kills a run is too short to demand anything of chance."""

# Fault of the sandbox PSP, as its call log names it, to the fault of the catalogue.
_OF_THE_PSP: Final = {
    "late": "C6",
    "hang_before": "D14",
    "hang": "D14",
    "error_before": "D15",
    "drop_before": "D15",
    "error_after": "D15",
    "drop_after": "C7",
    "rate_limit": "D17",
    "truncate": "D18",
    "contradict": "D18",
    "down": "D20",
}
_OF_THE_NEMESIS: Final = {
    "postgres fast": "D1",
    "postgres immediate": "C24",
    "redis kill": "D10",
    "redis flush": "D11",
}
# Effect without a reference of ours, and late failure, to the fault of the catalog.
_OF_STAFF: Final = {"refund": "X1", "capture": "X2", "void": "X3", "increment": "X3"}
_FAILED_LATER: Final = {"capture_failed": "X4", "refund_failed": "X5"}
NAMES: Final = {
    "M1": "one request twice at once",
    "M2": "one key, another body",
    "M3": "one order, another key",
    "M5": "notification doubled",
    "M6": "notification lost",
    "M7": "notification late or out of order",
    "M9": "notification forged",
    "C6": "the PSP acts after our timeout",
    "C7": "the PSP has acted, its answer is cut",
    "C20": "stopped in a call, its operation taken over after its lease, continued",
    "C24": "PostgreSQL ends at once, with recovery",
    "D1": "PostgreSQL restarted",
    "D10": "Redis killed",
    "D11": "Redis emptied",
    "D14": "the PSP hangs",
    "D15": "the PSP answers 5xx or cuts",
    "D17": "the PSP limits the rate",
    "D18": "the PSP's answer is half or wrong",
    "D19": "the PSP does not find what it did",
    "D20": "the PSP is down",
    "F1": "a charge goes on at another account",
    "X1": "a refund in the PSP's dashboard",
    "X2": "a capture in the PSP's dashboard",
    "X3": "a hold voided or raised in the PSP's dashboard",
    "X4": "a capture fails after it had succeeded",
    "X5": "a refund fails after it had succeeded",
    "stop": "a process stopped for less than a lease, or with no call",
}


def coverage_of(
    truth: FinalState, acts_done: Mapping[str, int], suspensions: Sequence[Suspension] = ()
) -> dict[str, int]:
    """How often, by the catalogue's name; every name has its entry."""
    found: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
    for call in truth.calls:
        if call["fault"] in _OF_THE_PSP:
            found[_OF_THE_PSP[call["fault"]]] += 1
    for name, count in acts_done.items():
        if name in _OF_THE_NEMESIS:
            found[_OF_THE_NEMESIS[name]] += count
        elif name.startswith(("stop", "long stop")):
            found["stop"] += count
    found["C20"] = len(overtaken(suspensions, truth.operations))
    found["stop"] -= found["C20"]
    found["D19"] = _found_later(truth.calls)
    found["F1"] = truth.charges_elsewhere
    for effect in truth.effects:
        if effect["kind"] in _FAILED_LATER:
            found[_FAILED_LATER[effect["kind"]]] += 1
        elif not effect["reference"] and effect["kind"] in _OF_STAFF:
            found[_OF_STAFF[effect["kind"]]] += 1
    _count_messages(truth, found)
    return dict(found)


def too_seldom(coverage: Mapping[str, int], *, kills: int) -> list[str]:
    """The faults that happened less often than a run of so many kills must show."""
    if kills < SMALLEST_COUNTED_KILLS:
        return []
    least = max(1, LEAST_IN_A_LARGE_RUN * kills // LARGE_RUN_KILLS)
    needed = dict.fromkeys(NAMES, least)
    if kills < LARGE_FROM_KILLS:
        del needed["C20"]  # such a run has no time for stops of a lease
    return [
        f"{name} ({NAMES[name]}) happened {coverage[name]} times, {least} are needed"
        for name in needed
        if coverage[name] < least
    ]


def overtaken(
    suspensions: Iterable[Suspension], operations: Iterable[Mapping[str, Any]]
) -> list[Suspension]:
    """The stops longer than a lease in which another process took over or closed an operation."""
    ended = {
        row["reference"]: unix_seconds(row["closed_at"])
        for row in operations
        if row["closed_at"] is not None
    }
    return [
        each
        for each in suspensions
        if each.continued_at is not None
        and each.outlasted_lease
        and (
            each.taken_over
            or any(
                each.began_at < ended.get(reference, 0.0) < each.continued_at
                for reference in each.references
            )
        )
    ]


def _found_later(calls: list[dict[str, Any]]) -> int:
    """Look-ups of what the PSP had done already that it answered with 404."""
    done: set[str] = set()
    count = 0
    for call in calls:
        if call["executed"] and call["reference"]:
            done.add(call["reference"])
        elif call["kind"] == "look_up" and call["status"] == 404 and call["reference"] in done:
            count += 1
    return count


def _count_messages(truth: FinalState, found: Counter[str]) -> None:
    first_by_order: dict[str, set[str]] = {}
    last_of_key: dict[str, set[str]] = {}
    for record in truth.records:
        if record.type != "invoke" or not record.key:
            continue
        if record.verb == "changed":
            found["M2"] += 1
            continue
        clients = last_of_key.setdefault(record.key, set())
        if record.client not in clients and clients:
            found["M1"] += 1
        clients.add(record.client)
        if record.verb == "create":
            first_by_order.setdefault(record.order, set()).add(record.key)
    found["M3"] = sum(len(keys) - 1 for keys in first_by_order.values())
    notices = truth.notice_counts
    found["M5"], found["M6"] = notices.get("doubled", 0), notices.get("lost", 0)
    found["M7"], found["M9"] = notices.get("delayed", 0), notices.get("forged", 0)
