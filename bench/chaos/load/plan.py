"""Draws from a seed what will happen in a run: which payments, which faults, and when.

Pure: the same seed gives the same plan (the interleaving is the machine's own).
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

SECONDS_PER_KILL: Final = 2.5
"""A restart takes processor time; with more kills than this the servers would only restart."""
LARGE_SECONDS_PER_KILL: Final = 4.0
"""Of a large run, whose recovery times are judged. A kill costs two to six seconds of processor
time in restarts: on two slow processors 2.5 s of them leave too little for payments."""
PAYMENTS_PER_SECOND: Final = 12.0
MERCHANTS: Final = 4
LEASE_SECONDS: Final = 30.0
"""The lease of an operation, after which another worker takes it over."""
LARGE_FROM_KILLS: Final = 120
"""From here on a run is long enough for stops longer than a lease."""
_LONG_RUN_SECONDS: Final = 80.0
_SUSPENSION_SECONDS: Final = (35.0, 58.0)
"""Above a lease, below the time limit of a background job (60 s), after which Celery kills it."""
_OUTAGE_SECONDS: Final = (15.0, 40.0)

_DECLINES: Final = (
    *("pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"),
    "pm_card_chargeDeclinedProcessingError",  # Declined by one account after the other.
)
_KILLS: Final = (
    *(["api worker"] * 7 + ["api server"] * 3 + ["worker"] * 4),
    *(["worker child"] * 3 + ["beat"] * 2 + ["relay-1", "relay-2", "publisher"]),
    "worker-routine",
)
_STOPS: Final = (
    *("api worker", "api server", "worker", "worker child", "worker-routine"),
    *("beat", "relay-1", "relay-2", "publisher"),
)
# Processes that hold leases of operations.
_SUSPENDED: Final = ("api worker", "api worker", "worker child")
DASHBOARD_ACTS: Final = (
    *("refund", "capture fails later", "capture", "capture succeeds after all"),
    *("refund fails later", "raise hold", "void"),
)
SETTLEMENT_ACTS: Final = ("report", "reserve", "report", "payout", "fee", "report", "release")
_HABITS: Final = (
    *(["plain"] * 14 + ["returns"] * 30 + ["sends twice"] * 20 + ["gives up"] * 10),
    *(["other key"] * 8),
    *(["concurrent"] * 6 + ["changed body"] * 6 + ["late repeat"] * 6),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of a client for a payment that exists."""

    verb: str
    """`capture`, `cancel`, `refund`, `get`, `list` or `another payment` (that of another
    client)."""
    share: float | None = None
    """Of the payment's amount; None for all that is left."""
    final: bool = True
    concurrent: str = ""
    """What another client does to the same payment at the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPayment:
    """One payment, from its order to its refunds."""

    number: int
    due_seconds: float
    merchant: int
    order: str
    amount_minor: int
    currency: str
    token: str
    habit: str
    manual: bool
    two_calls: bool
    """Create first, confirm in a second request."""
    steps: tuple[Step, ...]
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One fault."""

    at_seconds: float
    kind: str
    """`kill`, `stop`, `long stop` (longer than a lease), `postgres`, `redis`, `psp`, `bank`
    (a chargeback, or the decision of one), `dashboard` (an external operation, or a late
    outcome) or `settlement` (a report, a payout, or other money of the account)."""
    target: str = ""
    choice: int = 0
    """Selects one of several targets, modulo their number."""
    seconds: float = 0.0
    behavior: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is drawn before a run."""

    seed: int
    main_seconds: float
    payments: tuple[PlannedPayment, ...]
    acts: tuple[Act, ...]

    def fingerprint(self) -> str:
        """Equal for equal plans."""
        content = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]


def plan_of(*, seed: int, payments: int, kills: int) -> Plan:
    """Draw a plan."""
    per_kill = LARGE_SECONDS_PER_KILL if kills >= LARGE_FROM_KILLS else SECONDS_PER_KILL
    main_seconds = max(15.0, kills * per_kill, payments / PAYMENTS_PER_SECOND)
    source = random.Random(f"chaos {seed}")
    planned = _payments(random.Random(source.random()), payments, main_seconds, seed)
    acts = _acts(random.Random(source.random()), kills, main_seconds)
    acts += _bank_acts(random.Random(source.random()), kills, main_seconds)
    acts += _dashboard_acts(random.Random(source.random()), kills, main_seconds)
    acts += _settlement_acts(random.Random(source.random()), kills, main_seconds)
    acts = tuple(sorted(acts, key=lambda act: act.at_seconds))
    return Plan(seed=seed, main_seconds=main_seconds, payments=planned, acts=acts)


def with_psp_behavior(plan: Plan, behavior: dict[str, Any]) -> Plan:
    """The same plan, with these additions to the PSP's behavior all the time."""
    acts = [
        replace(act, behavior=act.behavior | behavior) if act.target == "usual" else act
        for act in plan.acts
    ]
    return replace(plan, acts=tuple(acts))


def zipf_rank(source: random.Random, count: int) -> int:
    """A rank below `count`, small ones far more often."""
    return min(count - 1, int(count ** source.random()) - 1)


def _payments(
    source: random.Random, count: int, main_seconds: float, seed: int
) -> tuple[PlannedPayment, ...]:
    planned: list[PlannedPayment] = []
    for number in range(count):
        merchant, order = source.randrange(MERCHANTS), f"s{seed}-o{number}"
        if planned and source.random() < 0.15:
            popular = planned[-1 - zipf_rank(source, min(len(planned), 200))]
            merchant, order = popular.merchant, popular.order
        habit = source.choice(_HABITS)
        manual = source.random() < 0.55
        declined = source.random() < 0.04
        planned.append(
            PlannedPayment(
                number=number,
                due_seconds=number * main_seconds / count,
                merchant=merchant,
                order=order,
                amount_minor=source.randrange(200, 50_000),
                currency=source.choice(("usd", "usd", "eur")),
                token=source.choice(_DECLINES) if declined else "pm_card_visa",
                habit=habit,
                manual=manual,
                two_calls=source.random() < 0.25,
                steps=_steps(source, manual=manual, habit=habit),
                seed=source.randrange(2**32),
            )
        )
    return tuple(planned)


def _steps(source: random.Random, *, manual: bool, habit: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    if manual:
        steps += _steps_of_a_hold(source, habit)
    draw = source.random()
    if draw < 0.2:
        concurrent = "refund" if habit == "concurrent" else ""
        steps.append(Step(verb="refund", share=0.6 if concurrent else 0.4, concurrent=concurrent))
    elif draw < 0.35:
        steps.append(Step(verb="refund"))
    elif draw < 0.45:
        steps += [Step(verb="refund", share=0.3), Step(verb="refund", share=0.3)]
    if source.random() < 0.3:
        steps.insert(source.randrange(len(steps) + 1), Step(verb="get"))
    if source.random() < 0.05:
        steps.append(Step(verb="list"))
    if source.random() < 0.12:
        steps.append(Step(verb="another payment"))
    return tuple(steps)


def _steps_of_a_hold(source: random.Random, habit: str) -> list[Step]:
    draw = source.random()
    if habit == "concurrent":
        return [Step(verb="capture", concurrent=source.choice(("cancel", "capture")))]
    if draw < 0.35:
        return [Step(verb="capture")]
    if draw < 0.55:
        return [Step(verb="capture", share=0.5)]
    if draw < 0.7:
        return [Step(verb="capture", share=0.3, final=False), Step(verb="capture")]
    return [Step(verb="cancel")] if draw < 0.9 else []


def _acts(source: random.Random, kills: int, main_seconds: float) -> tuple[Act, ...]:
    acts: list[Act] = []
    is_long = main_seconds > _LONG_RUN_SECONDS
    is_large = kills >= LARGE_FROM_KILLS
    for number in range(kills):
        at = (number + source.random()) * main_seconds / kills
        acts.append(_act(source, at, "kill", _KILLS, seconds=source.uniform(0.1, 1.5)))
    longest = 20.0 if is_long else 8.0
    for number, at in enumerate(_moments(source, max(1, kills // 10), main_seconds)):
        if is_large and number % 5 in (0, 2):
            begin = min(at, main_seconds - _SUSPENSION_SECONDS[1])  # continues before the end
            seconds = source.uniform(*_SUSPENSION_SECONDS)
            acts.append(_act(source, begin, "long stop", _SUSPENDED, seconds=seconds))
        else:
            acts.append(_act(source, at, "stop", _STOPS, seconds=source.uniform(5.0, longest)))
    for number, at in enumerate(_moments(source, max(2, kills // 25), main_seconds)):
        how = ("fast", "immediate")[number % 2]
        acts.append(_act(source, at, "postgres", (how,), seconds=source.uniform(0, 1)))
    for number, at in enumerate(_moments(source, max(2, kills // 25), main_seconds)):
        how = ("flush", "kill")[number % 2]
        acts.append(_act(source, at, "redis", (how,), seconds=source.uniform(0, 4)))
    acts += _psp_acts(source, kills, main_seconds, is_long=is_long, is_large=is_large)
    return tuple(sorted(acts, key=lambda act: act.at_seconds))


def _act(
    source: random.Random, at: float, kind: str, targets: tuple[str, ...], *, seconds: float
) -> Act:
    return Act(
        at_seconds=at,
        kind=kind,
        target=source.choice(targets),
        choice=source.randrange(1000),
        seconds=seconds,
    )


def _moments(source: random.Random, count: int, main_seconds: float) -> list[float]:
    return [(number + source.random()) * main_seconds / count for number in range(count)]


def _psp_acts(
    source: random.Random, kills: int, main_seconds: float, *, is_long: bool, is_large: bool
) -> list[Act]:
    """The PSP's behavior changes all the time; sometimes it is down or hangs for some seconds."""
    behaviors: list[Act] = []
    at, every = 0.0, 20.0 if is_long else 6.0
    while at < main_seconds:
        behaviors.append(
            Act(at_seconds=at, kind="psp", target="usual", behavior=_usual_behavior(source))
        )
        at += every * source.uniform(0.5, 1.5)
    outages: list[Act] = []
    count = max(1, kills * 30 // 500)
    for number, begin in enumerate(_moments(source, count, main_seconds * 0.9)):
        seconds = source.uniform(3, 15 if is_long else 5)
        if is_large and number % 4 == 3:
            seconds = source.uniform(*_OUTAGE_SECONDS)
        how = ("down", "hang", "drop_before", "down", "hang")[number % 5]
        behavior = {how: 1.0, "hang_seconds": seconds, "seed": source.randrange(2**31)}
        outage = Act(at_seconds=begin, kind="psp", target=how, seconds=seconds, behavior=behavior)
        outages.append(outage)
        behaviors.append(
            Act(
                at_seconds=begin + seconds,
                kind="psp",
                target="usual",
                behavior=_usual_behavior(source),
            )
        )
    return outages + [
        behavior for behavior in behaviors if not _is_within(behavior.at_seconds, outages)
    ]


def _bank_acts(source: random.Random, kills: int, main_seconds: float) -> tuple[Act, ...]:
    """Banks charge payments back, and decide some of these disputes."""
    acts: list[Act] = []
    begin = main_seconds * 0.25  # something was sold by then
    for at in _moments(source, max(4, kills // 4), main_seconds - begin):
        acts.append(_act(source, begin + at, "bank", ("dispute",), seconds=0.0))
        if source.random() < 0.6:
            later = min(begin + at + source.uniform(0.0, 20.0), main_seconds)
            acts.append(_act(source, later, "bank", ("win", "lose"), seconds=0.0))
    return tuple(acts)


def _dashboard_acts(source: random.Random, kills: int, main_seconds: float) -> tuple[Act, ...]:
    """Staff work in the PSP's dashboard, and what had succeeded fails later."""
    begin = main_seconds * 0.25  # something was sold by then
    count = max(len(DASHBOARD_ACTS), kills // 4)
    return tuple(
        Act(
            at_seconds=begin + at,
            kind="dashboard",
            target=DASHBOARD_ACTS[number % len(DASHBOARD_ACTS)],
            choice=source.randrange(1000),
        )
        for number, at in enumerate(_moments(source, count, main_seconds - begin))
    )


def _settlement_acts(source: random.Random, kills: int, main_seconds: float) -> tuple[Act, ...]:
    """The PSP closes reports while payments go on, pays out, charges and withholds."""
    begin = main_seconds * 0.25  # something was sold by then
    count = max(len(SETTLEMENT_ACTS), kills // 8)
    return tuple(
        Act(
            at_seconds=begin + at,
            kind="settlement",
            target=SETTLEMENT_ACTS[number % len(SETTLEMENT_ACTS)],
            choice=source.randrange(1000),
            seconds=source.uniform(0.5, 4.0),
        )
        for number, at in enumerate(_moments(source, count, main_seconds - begin))
    )


def _is_within(at_seconds: float, outages: list[Act]) -> bool:
    """Another behavior would end the outage too early."""
    return any(each.at_seconds <= at_seconds < each.at_seconds + each.seconds for each in outages)


def _usual_behavior(source: random.Random) -> dict[str, Any]:
    behavior: dict[str, Any] = {
        "latency_ms": {"median": 50, "p99": 400},
        "seed": source.randrange(2**31),
    }
    if source.random() < 0.15:
        return behavior  # a time without faults
    most = {
        "rate_limit": 0.03,
        "error_before": 0.05,
        "error_after": 0.05,
        "drop_before": 0.05,
        "drop_after": 0.05,
        "hang": 0.02,
        "hang_before": 0.01,
        "late": 0.03,
        "truncate": 0.02,
        "contradict": 0.01,
    }
    behavior |= {name: round(source.uniform(0, top), 4) for name, top in most.items()}
    behavior["webhooks"] = {
        **{
            name: round(source.uniform(0, top), 4)
            for name, top in (("lose", 0.1), ("double", 0.3), ("reorder", 0.5), ("forge", 0.1))
        },
        "delay_seconds": [0, source.choice((0, 0, 5, 20))],
    }
    behavior["cache_errors"] = 0.1
    behavior["hang_seconds"] = 15.0
    behavior["not_found_lag_seconds"] = source.choice((0.0, 1.0, 2.0, 4.0))
    behavior["late_lines"] = source.choice((0.0, 0.3))
    return behavior
