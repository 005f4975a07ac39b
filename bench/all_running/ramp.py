"""Finds the highest rate that is sustained with everything running, and by the bare view alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.all_running.processes import Running, all_running
from bench.all_running.steps import P95_MS_MOST, PSP_LATENCY_MS, Plan, idle, run_step
from bench.rounds import OPEN_LOOP_CONNECTIONS, run_window
from bench.stage import Stage

_FIRST_RATE: Final = 20
_LAST_RATE: Final = 400
_WARM_UP_SECONDS: Final = 4.0
_IDLE_SECONDS: Final = 10.0
_VARIANTS_RATE: Final = 40.0
"""Of the steps without an endpoint, and with notifications lost."""
_BARE_VIEW_SHARES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the rate that the bare view reaches with a PSP that answers at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long, and which rates."""

    rates: Sequence[float]
    """Empty: 20, 40, 60 … until something falls behind."""
    seconds: float = 10.0
    """Of one step."""
    counted_seconds: float = 4.0
    """Of the same rate again, with every statement logged."""


def measure(stage: Stage, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """The bare view with nothing beside it, then the platform with everything."""
    bare = _bare_view(stage, seconds=min(options.seconds, 5.0), say=say)
    with all_running(stage) as running:
        return {"bare_view": bare, **_platform(running, options, say)}


def _platform(running: Running, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    def step(rate: float, **settings: Any) -> dict[str, Any]:
        plan = Plan(
            rate=rate,
            seconds=options.seconds,
            counted_seconds=options.counted_seconds,
            **{"shop": running.listening, **settings},
        )
        figures = run_step(running, plan)
        behind = ", ".join(figures["behind"]) or "sustained"
        say(f"     {plan.name:<44} p95 {figures['window']['p95_ms']:6.0f} ms  {behind}")
        return figures

    warm_up = Plan(rate=10, seconds=_WARM_UP_SECONDS, counted_seconds=0, shop=running.listening)
    run_step(running, warm_up)
    idle_ms = idle(running, _IDLE_SECONDS)
    variants = [
        step(_variants_rate(options), shop=running.silent, notifications_lost=lost)
        for lost in (False, True)
    ]
    steps: list[dict[str, Any]] = []
    for rate in _rates(options):
        steps.append(step(rate))
        if steps[-1]["behind"]:
            break
    return {
        "processes": [each.name for each in running.processes],
        "idle_ms_per_second": idle_ms,
        "steps": steps,
        "variants": variants,
        "sustained_per_second": sustained(steps),
    }


def _rates(options: Options) -> Iterator[float]:
    yield from options.rates or range(_FIRST_RATE, _LAST_RATE + 1, _FIRST_RATE)


def _variants_rate(options: Options) -> float:
    """One of the rates of the run, so that a step with an endpoint can be compared."""
    usual = not options.rates or _VARIANTS_RATE in options.rates
    return _VARIANTS_RATE if usual else options.rates[0]


def sustained(steps: Sequence[dict[str, Any]]) -> float:
    """The highest rate before the first step that fell behind; 0 if the first one did."""
    found = 0.0
    for step in steps:
        if step["behind"]:
            break
        found = max(found, step["rate"])
    return found


def _bare_view(stage: Stage, *, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """The rate that it sustains by the same rule: p95 of payments that arrive at a fixed rate."""
    fastest = run_window(stage, stage.reference, seconds=seconds, connections=16).window
    steps = []
    stage.set_psp_latency(median_ms=PSP_LATENCY_MS["median"], p99_ms=PSP_LATENCY_MS["p99"])
    try:
        for share in _BARE_VIEW_SHARES:
            rate = round(fastest.per_second * share)
            window = run_window(
                stage,
                stage.reference,
                seconds=seconds,
                connections=OPEN_LOOP_CONNECTIONS,
                rate=rate,
            ).window
            behind = [f"p95 {window.p95_ms:.0f} ms"] if window.p95_ms >= P95_MS_MOST else []
            say(f"     bare view alone, {rate}/s p95 {window.p95_ms:.0f} ms")
            steps.append({"rate": rate, "window": asdict(window), "behind": behind})
            if behind:
                break
    finally:
        stage.set_psp_latency(median_ms=0, p99_ms=0)
    return {
        "fastest_per_second": fastest.per_second,
        "steps": steps,
        "sustained_per_second": sustained(steps),
    }
