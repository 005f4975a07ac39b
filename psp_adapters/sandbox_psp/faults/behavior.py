"""Settings and scripts for the simulator's faults, and the plan of one request drawn from them.

Not durable: a restart ends all faults.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, fields
from typing import Any, Final

from psp_adapters.sandbox_psp.faults.chance import parse_webhooks
from psp_adapters.sandbox_psp.refusals import invalid
from psp_adapters.sandbox_psp.tokens import Decline

FAULTS: Final = (
    "down",  # 503, no effect
    "rate_limit",  # 429, no effect
    "error_before",  # 500, no effect
    "drop_before",  # connection reset, no effect
    "hang_before",  # no answer, no effect
    "late",  # effect and answer come `late_seconds` after the request
    "error_after",  # 500 although it happened
    "drop_after",  # connection reset although it happened
    "hang",  # no answer although it happened
    "truncate",  # half an answer
    "contradict",  # a readable answer with a wrong amount
)
_Z99: Final = 2.3263478740408408


@dataclass(slots=True, kw_only=True)
class Behavior:
    """What `PUT /control/behavior` sets. The defaults are a healthy PSP that answers at once."""

    latency_ms: dict[str, float] = field(default_factory=dict)
    """`median` and `p99` of a log-normal distribution; empty: at once."""
    down: float = 0.0
    rate_limit: float = 0.0
    error_before: float = 0.0
    drop_before: float = 0.0
    hang_before: float = 0.0
    late: float = 0.0
    error_after: float = 0.0
    drop_after: float = 0.0
    hang: float = 0.0
    truncate: float = 0.0
    contradict: float = 0.0
    cache_errors: float = 0.0
    """How often an injected 500 is stored as the answer of its idempotency key."""
    leaky_fences: float = 0.0
    """How often a fence forbids nothing, although it answers that it does."""
    kinds: list[str] = field(default_factory=list)
    """The kinds of call that latency and faults apply to; empty: all."""
    webhooks: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    not_found_lag_seconds: float = 0.0
    idempotency_window_seconds: float = 86_400.0
    authorization_seconds: float = 7 * 86_400.0
    settle_delay_seconds: float = 2.0
    dispute_deadline_seconds: float = 7 * 86_400.0
    settlement_period_seconds: float = 86_400.0
    late_lines: float = 0.0
    """The share of lines of payments that are not in the report of their batch, but in the next."""
    available_after_seconds: float = 0.0
    """How long after its report is closed the money of a line is available."""
    late_seconds: float = 15.0
    hang_seconds: float = 60.0


@dataclass(slots=True)
class Plan:
    """Delays, fault and decline of one request."""

    fault: str = ""
    delay_seconds: float = 0.0
    """Before the effect."""
    delay_after_seconds: float = 0.0
    """Between the effect and the answer."""
    decline: Decline | None = None
    hold: bool = False
    """Whether the answer waits until it is released."""
    hold_before: bool = False
    """Whether the request waits for that before it has an effect."""
    cache_error: bool = False


@dataclass(slots=True)
class Script:
    """The behavior for the next `times` requests that match."""

    match: dict[str, str]
    behavior: dict[str, Any]
    times: int | None


_MATCHABLE: Final = ("reference", "order_id", "token", "kind", "path", "api_key")
_SCRIPTABLE: Final = (*FAULTS, "decline", "latency_ms", "hold", "hold_before", "cache_errors")


class Faults:
    """Plans each request: by a script if one matches, else at random."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self._behavior = Behavior()
        self._random = random.Random()  # repeatable, not secret
        self._possible: list[str] = []
        self._mu = self._sigma = 0.0

    def set_behavior(self, behavior: Behavior) -> None:
        self._behavior = behavior
        self._possible = [fault for fault in FAULTS if getattr(behavior, fault) > 0]
        self._random = random.Random(behavior.seed)
        if behavior.latency_ms:
            median, p99 = behavior.latency_ms["median"], behavior.latency_ms["p99"]
            self._mu = math.log(median / 1000)
            self._sigma = math.log(p99 / median) / _Z99

    def plan(self, facts: dict[str, str]) -> Plan | None:
        """Plan the request described by `facts`. Returns None if nothing unusual happens."""
        if self.scripts:
            plan = self._scripted(facts)
            if plan is not None:
                return plan
        behavior = self._behavior
        if not self._possible and not behavior.latency_ms:
            return None
        if behavior.kinds and facts["kind"] not in behavior.kinds:
            return None
        plan = Plan()
        if behavior.latency_ms:
            whole = self._random.lognormvariate(self._mu, self._sigma)
            plan.delay_seconds = whole * self._random.random()
            plan.delay_after_seconds = whole - plan.delay_seconds
        for fault in self._possible:
            if self._random.random() < getattr(behavior, fault):
                plan.fault = fault
                break
        if plan.fault == "late":
            plan.delay_seconds += behavior.late_seconds
        if behavior.cache_errors:
            plan.cache_error = self._random.random() < behavior.cache_errors
        return plan

    def fence_leaks(self) -> bool:
        """Draw whether the next fence forbids nothing, although it answers that it does."""
        share = self._behavior.leaky_fences
        return bool(share) and self._random.random() < share

    def _scripted(self, facts: dict[str, str]) -> Plan | None:
        for script in self.scripts:
            if all(_matches(name, value, facts) for name, value in script.match.items()):
                if script.times is not None:
                    script.times -= 1
                    if script.times == 0:
                        self.scripts.remove(script)
                return self._plan_of(script.behavior)
        return None

    def _plan_of(self, scripted: dict[str, Any]) -> Plan:
        plan = Plan(hold=bool(scripted.get("hold")), cache_error=bool(scripted.get("cache_errors")))
        plan.hold_before = bool(scripted.get("hold_before"))
        plan.delay_seconds = float(scripted.get("latency_ms", 0)) / 1000
        plan.fault = next((fault for fault in FAULTS if scripted.get(fault)), "")
        if plan.fault == "late":
            plan.delay_seconds += self._behavior.late_seconds
        if "decline" in scripted:
            decline = scripted["decline"]
            message = decline.get("message", "Your card was declined.")
            plan.decline = Decline(decline["code"], decline.get("decline_code", ""), message)
        return plan


def _matches(name: str, value: str, facts: dict[str, str]) -> bool:
    seen = facts.get(name, "")
    return seen.startswith(value) if name == "path" else seen == value


def _number(name: str, value: object, *, most: float = math.inf) -> float:
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int | float) or not 0 <= value <= most or not math.isfinite(value):
        raise invalid(f"{name} must be a number from 0 to {most}")
    return float(value)


def parse_behavior(body: object) -> Behavior:
    """Parse a behavior from decoded JSON; absent fields get defaults. Refuses unknown fields."""
    if not isinstance(body, dict):
        raise invalid("behavior must be an object")
    known = {item.name for item in fields(Behavior)}
    values: dict[str, Any] = {}
    for name, value in body.items():
        if name not in known:
            raise invalid(f"unknown behavior: {name}")
        if name == "latency_ms":
            values[name] = _parse_latency(value)
        elif name == "webhooks":
            values[name] = parse_webhooks(value)
        elif name == "kinds":
            if not isinstance(value, list) or not all(isinstance(kind, str) for kind in value):
                raise invalid("kinds must be a list of strings")
            values[name] = value
        elif name == "seed":
            if value is not None and type(value) is not int:
                raise invalid("seed must be an integer")
            values[name] = value
        elif name.endswith("_seconds"):
            values[name] = _number(name, value)
        else:
            values[name] = _number(name, value, most=1.0)
    return Behavior(**values)


def _parse_latency(value: object) -> dict[str, float]:
    if value in (None, {}):
        return {}
    if not isinstance(value, dict) or set(value) - {"median", "p99"} or "median" not in value:
        raise invalid("latency_ms must have a median and a p99")
    median = _number("latency_ms.median", value["median"])
    p99 = _number("latency_ms.p99", value.get("p99", median))
    if median == 0 and p99 == 0:
        return {}
    if median <= 0 or p99 < median:
        raise invalid("latency_ms.p99 must be at least the median, and the median above 0")
    return {"median": median, "p99": p99}


def parse_script(body: object) -> Script:
    """Parse a script from decoded JSON."""
    if not isinstance(body, dict) or set(body) - {"match", "behavior", "times"}:
        raise invalid("a script has match, behavior and times")
    match, behavior, times = body.get("match", {}), body.get("behavior"), body.get("times", 1)
    if not isinstance(match, dict) or set(match) - set(_MATCHABLE):
        raise invalid(f"match takes {', '.join(_MATCHABLE)}")
    if not all(isinstance(value, str) for value in match.values()):
        raise invalid("match values are strings")
    if not isinstance(behavior, dict) or not behavior or set(behavior) - set(_SCRIPTABLE):
        raise invalid(f"behavior takes {', '.join(_SCRIPTABLE)}")
    if sum(bool(behavior.get(fault)) for fault in FAULTS) > 1:
        raise invalid("one fault at a time")
    _number("latency_ms", behavior.get("latency_ms", 0))
    if "decline" in behavior:
        decline = behavior["decline"]
        if not isinstance(decline, dict) or not isinstance(decline.get("code"), str):
            raise invalid("decline must have a code")
        if not all(isinstance(value, str) for value in decline.values()):
            raise invalid("decline values are strings")
    if times is not None and (type(times) is not int or times < 1):
        raise invalid("times must be a positive integer, or null for always")
    return Script(match, behavior, times)
