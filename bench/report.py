"""The table that a person reads, the verdicts, and the JSON that a program reads.

The figures to reach are those of the design, section 9. What may not live here: measuring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

RATIO_LEAST = 0.6
OVERHEAD_RATIO_MOST = 1.5
OVERHEAD_P95_MS_MOST = 60.0
TOTAL_P95_MS_MOST = 300.0
HANGING_P95_MS_MOST = 300.0
OPEN_BREAKER_P95_MS_MOST = 50.0
PROBES_MOST = 4
STATEMENTS_MOST = 10
WRITING_COMMITS_MOST = 2
PSP_SHARE_MOST = 0.15
HOT_COST_MOST = 0.10
POSTING_RATIO_LEAST = 0.6


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure of the table."""

    what: str
    figure: str
    target: str
    reached: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "figure": self.figure,
            "target": self.target,
            "reached": self.reached,
        }


def verdicts_of(figures: dict[str, Any]) -> list[Verdict]:
    """What the figures say, row by row."""
    return [
        *_rate_verdicts(figures["rate"]),
        *_overhead_verdicts(figures["overhead"]),
        *_hanging_verdicts(figures["hanging"]),
        *_breaker_verdicts(figures["open_breaker"]),
        *_database_verdicts(figures["database"]),
        *_ledger_verdicts(figures["ledger"]),
    ]


def void_because(figures: dict[str, Any]) -> list[str]:
    """Why this run proves nothing; empty for a valid one."""
    reasons = []
    share = figures["rate"]["platform"]["processor_shares"]["sandbox PSP"]
    if share > PSP_SHARE_MOST:
        reasons.append(
            f"the sandbox PSP took {share:.0%} of the processor time ({PSP_SHARE_MOST:.0%} at most)"
        )
    settings = figures["machine"]["postgresql"]
    for name in ("fsync", "synchronous_commit"):
        if settings[name] != "on":
            reasons.append(f"PostgreSQL runs with {name}={settings[name]}")
    return reasons


def lines_of(figures: dict[str, Any]) -> Iterator[str]:
    """The report, line by line."""
    machine = figures["machine"]
    yield (
        f"{machine['cores']} cores, PostgreSQL {machine['postgresql']['server_version']}, "
        f"fsync {machine['postgresql']['fsync']}, {figures['clients']} clients, "
        f"{figures['rounds']} rounds of {figures['seconds']:g} s; medians"
    )
    yield ""
    yield f"{'create + confirm + capture':<30}{'per s':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"
    for name in ("platform", "reference"):
        yield f"  {name:<28}" + _window_cells(figures["rate"][name]["window"])
    yield f"PSP of {figures['overhead']['psp_ms']:g} ms, at {figures['overhead']['rate']:.0f}/s"
    for name in ("platform", "reference"):
        cells = _window_cells(figures["overhead"][name]["overhead"])
        yield f"  {name + ', without the PSP':<28}{cells}"
    yield ""
    yield from _shares_lines(figures["rate"])


def verdict_lines(verdicts: Sequence[Verdict], void: Sequence[str]) -> Iterator[str]:
    """Each verdict, and why the run is void, if it is."""
    width = max(len(verdict.what) for verdict in verdicts) + 2
    for verdict in verdicts:
        mark = "ok" if verdict.reached else "!!"
        yield f"  {mark} {verdict.what:<{width}}{verdict.figure:>12}   {verdict.target}"
    for reason in void:
        yield f"  VOID: {reason}"


def _window_cells(window: dict[str, float]) -> str:
    return (
        f"{window['per_second']:>8.0f}{window['p50_ms']:>9.1f}{window['p95_ms']:>9.1f}"
        f"{window['p99_ms']:>9.1f}"
    )


def _shares_lines(rate: dict[str, Any]) -> Iterator[str]:
    yield f"{'processor time':<30}{'platform':>18}{'reference':>18}"
    for name in rate["platform"]["processor_shares"]:
        cells = "".join(
            f"{rate[side]['processor_shares'][name]:>9.0%}"
            f"{rate[side]['microseconds_per_payment'][name]:>6.0f} µs"
            for side in ("platform", "reference")
        )
        yield f"  {name:<28}{cells}"


def _rate_verdicts(rate: dict[str, Any]) -> Iterator[Verdict]:
    ratio = rate["ratio"]
    yield Verdict(
        "payments/s ÷ bare Django REST view",
        f"{ratio:.2f}",
        f"at least {RATIO_LEAST}",
        ratio >= RATIO_LEAST,
    )
    yield Verdict(
        "processor time of that view ÷ ours, per payment",
        f"{rate['processor_ratio']:.2f}",
        "shown beside the rate: it holds on a busy machine too",
        rate["processor_ratio"] >= RATIO_LEAST,
    )
    share = rate["platform"]["processor_shares"]["sandbox PSP"]
    yield Verdict(
        "processor time of the sandbox PSP",
        f"{share:.0%}",
        f"at most {PSP_SHARE_MOST:.0%}",
        share <= PSP_SHARE_MOST,
    )


def _overhead_verdicts(overhead: dict[str, Any]) -> Iterator[Verdict]:
    ours = overhead["platform"]["overhead"]["p95_ms"]
    ratio = overhead["p95_ratio"]
    yield Verdict(
        "overhead p95 ÷ that view's",
        f"{ratio:.2f}",
        f"at most {OVERHEAD_RATIO_MOST}",
        ratio <= OVERHEAD_RATIO_MOST,
    )
    yield Verdict(
        "overhead p95",
        f"{ours:.1f} ms",
        f"under {OVERHEAD_P95_MS_MOST:g} ms",
        ours < OVERHEAD_P95_MS_MOST,
    )
    total = overhead["total_p95_ms"]
    yield Verdict(
        "total p95, PSP of median 80 ms",
        f"{total:.1f} ms",
        f"under {TOTAL_P95_MS_MOST:g} ms",
        total < TOTAL_P95_MS_MOST,
    )


def _hanging_verdicts(hanging: dict[str, Any]) -> Iterator[Verdict]:
    p95_ms = hanging["window"]["p95_ms"]
    yield Verdict(
        "PSP hangs: p95 of checkouts with a budget of 250 ms",
        f"{p95_ms:.1f} ms",
        f"under {HANGING_P95_MS_MOST:g} ms",
        p95_ms < HANGING_P95_MS_MOST,
    )
    count, failed, lost = hanging["checkouts"], hanging["failed"], hanging["lost"]
    yield Verdict(
        "of these checkouts failed, lost",
        f"{failed}, {lost}",
        f"none of {count}; all told {hanging['settled_seconds']:.0f} s after the PSP was well",
        not failed and not lost,
    )


def _breaker_verdicts(breaker: dict[str, Any]) -> Iterator[Verdict]:
    p95_ms = breaker["window"]["p95_ms"]
    # A process whose circuit is half open lets one call through: that one is in doubt, 200.
    answered = dict(breaker["statuses"])
    probes = answered.pop("200", 0)
    as_told = set(answered) == {"503"} and probes <= PROBES_MOST
    yield Verdict(
        "circuit open: p95 of the answer that nothing was sent",
        f"{p95_ms:.1f} ms",
        f"503, under {OPEN_BREAKER_P95_MS_MOST:g} ms",
        as_told and p95_ms < OPEN_BREAKER_P95_MS_MOST,
    )


def _database_verdicts(database: dict[str, Any]) -> Iterator[Verdict]:
    yield Verdict(
        "statements of a payment",
        str(database["statements"]),
        f"at most {STATEMENTS_MOST}",
        database["statements"] <= STATEMENTS_MOST,
    )
    yield Verdict(
        "writing commits of a payment",
        f"{database['writing_commits']:g}",
        f"at most {WRITING_COMMITS_MOST}",
        # A vacuum in the background may take a transaction id too.
        round(database["writing_commits"], 1) <= WRITING_COMMITS_MOST,
    )
    growing = [name for name, (few, many) in database["reads"].items() if many > few]
    if database["statements"] > database["statements_before"]:
        growing.append("a payment")
    yield Verdict(
        "query counts that grow with data",
        ", ".join(growing) or "none",
        f"none, after {database['payments_between']} payments",
        not growing,
    )


def _ledger_verdicts(ledger: dict[str, Any]) -> Iterator[Verdict]:
    cost = 1 - ledger["hot_ratio"]
    yield Verdict(
        "cost of one hot PSP account against fifty",
        f"{cost:.0%}",
        f"under {HOT_COST_MOST:.0%}",
        cost < HOT_COST_MOST,
    )
    ratio = ledger["post_ratio"]
    yield Verdict(
        "post() ÷ psycopg writing the same rows",
        f"{ratio:.2f}",
        f"at least {POSTING_RATIO_LEAST}",
        ratio >= POSTING_RATIO_LEAST,
    )
