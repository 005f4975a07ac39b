"""Checks alert rules and dashboard: what they query exists, and docs/operations.md explains it.

The queries are read by a small parser of metric names, label names and functions, no more. Where
`promtool` is installed it checks the rules as well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import yaml

from paymentsite.launcher.progress import say
from paymentsite.launcher.state import PROJECT

FOLDER: Final = PROJECT / "paymentsite" / "observability"
RULES: Final = FOLDER / "alerts.yml"
DASHBOARD: Final = FOLDER / "dashboard.json"
PAGE: Final = PROJECT / "docs" / "operations.md"

SEVERITIES: Final = {"page", "ticket"}
_OF_COUNTERS: Final = {"rate", "irate", "increase"}
_OF_GAUGES: Final = {"delta", "idelta", "deriv", "predict_linear"} | {
    f"{word}_over_time" for word in ("avg", "min", "max", "last")
}
_SET_BY_PROMETHEUS: Final = {"instance", "job"}
_QUERIED: Final = re.compile(r"(?:(\w+)\()?\b(payments_[a-z_]+)(?:\{([^}]*)\})?(\[)?")
_MATCHER: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED: Final = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_LEGEND: Final = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")

Labels = dict[str, frozenset[str]]


@cache
def types() -> dict[str, str]:
    """The type of each metric of the code by the name that a query has."""
    return {name: kind for name, (kind, _) in _declared().items()}


@cache
def labels() -> Labels:
    """The labels of each metric of the code by the name that a query has."""
    return {name: frozenset(labels) for name, (_, labels) in _declared().items()}


def _declared() -> dict[str, tuple[str, tuple[str, ...]]]:
    from payments import metrics
    from paymentsite.database_metrics import FIGURES

    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, metrics.Counter | metrics.Gauge | metrics.Histogram):
            name, kind, names = metric._name, metric._type, tuple(metric._labelnames)
            if kind == "histogram":
                found[f"{name}_bucket"] = kind, (*names, "le")
                found[f"{name}_count"] = found[f"{name}_sum"] = kind, names
            else:
                found[f"{name}_total" if kind == "counter" else name] = kind, names
    for figure in FIGURES.values():
        kind = "counter" if figure.is_counter else "gauge"
        found[f"{figure.name}_total" if figure.is_counter else figure.name] = kind, figure.labels
    return found


@cache
def _values() -> dict[str, tuple[str, ...]]:
    """The values of labels whose values are known."""
    from payments.selectors.waiting import AGES, DAYS_LEFT
    from paymentsite.sweeps import BY_NAME

    ages, days = (*AGES, "older"), (*DAYS_LEFT, "7+", "none")
    return {"sweep": tuple(BY_NAME), "age": ages, "days_left": days}


def findings() -> list[str]:
    """Every fault of the rules, the dashboard and their page, a line each."""
    page = PAGE.read_text()
    rules, dashboard = RULES.read_text(), DASHBOARD.read_text()
    return [*of_rules(rules, page=page), *of_dashboard(dashboard, page=page)]


def of_rules(text: str, *, page: str) -> list[str]:
    """Faults of the alert rules; `page` has to say what to do about each, and about no other."""
    try:
        rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        return [f"{RULES.name} cannot be read: {error!r}"]
    found = []
    for rule in rules:
        where = f"alert {rule.get('alert')}"
        found += [f"{where}: {fault}" for fault in _of_rule(rule, page=page)]
    alerts = [str(rule.get("alert")) for rule in rules]
    explained = set(re.findall(r"`([A-Z]\w+)`", _first_cells(page, "## Alerts")))
    found += [f"alert {name} is there twice" for name in {*alerts} if alerts.count(name) > 1]
    found += [f"alert {name}: {PAGE.name} has no row" for name in {*alerts} - explained]
    found += [f"{PAGE.name} explains {name}: no such alert" for name in explained - {*alerts}]
    return sorted(found)


def _of_rule(rule: dict[str, Any], *, page: str) -> Iterator[str]:
    query = str(rule.get("expr", ""))
    summary = str(rule.get("annotations", {}).get("summary", ""))
    if not summary:
        yield "say in annotations.summary what is wrong"
    if rule.get("labels", {}).get("severity") not in SEVERITIES:
        yield f"labels.severity is one of {', '.join(sorted(SEVERITIES))}"
    yield from of_query(query, page=page, shown=summary)


def of_dashboard(text: str, *, page: str) -> list[str]:
    """Faults of the dashboard's panels."""
    try:
        panels = json.loads(text)["panels"]
        graphs = [panel for panel in panels if panel["type"] != "row"]
        queried = [(graph["title"], each) for graph in graphs for each in graph["targets"]]
        ids = [panel["id"] for panel in panels]
    except (ValueError, KeyError, TypeError) as error:
        return [f"{DASHBOARD.name} cannot be read: {error!r}"]
    found = [f"panel {number} is there twice" for number in {*ids} if ids.count(number) > 1]
    for title, target in queried:
        faults = of_query(target["expr"], page=page, shown=target["legendFormat"])
        found += [f"panel '{title}': {fault}" for fault in faults]
    return found


def of_query(query: str, *, page: str, shown: str = "") -> Iterator[str]:
    """Faults of one PromQL expression, and of the labels that its result is shown with."""
    parts = _QUERIED.findall(query)
    if not parts:
        yield "no metric is queried"
    usable = set(_SET_BY_PROMETHEUS)
    for function, name, matchers, has_range in parts:
        if name not in types():
            yield f"{name} is no metric"
            continue
        usable |= labels()[name]
        yield from _of_matchers(name, matchers)
        # What is counted is only as large as the process is old; a gauge goes both ways.
        counted = types()[name] in ("counter", "histogram")
        if has_range and function not in (_OF_COUNTERS if counted else _OF_GAUGES):
            yield f"{function}({name}) of a {types()[name]}"
        if bool(has_range) != (function in _OF_COUNTERS | _OF_GAUGES) or counted > bool(has_range):
            yield f"{name} is queried without its range, or with a function that takes none"
        if re.sub("_(bucket|sum|count)$", "", name) not in _described(page):
            yield f"{PAGE.name} does not describe {name}"
    grouped = {each.strip() for inside in _GROUPED.findall(query) for each in inside.split(",")}
    for label in sorted((grouped | set(_LEGEND.findall(shown))) - usable):
        yield f"no metric of it has the label {label}"


def _of_matchers(name: str, matchers: str) -> Iterator[str]:
    for label, value in _MATCHER.findall(matchers):
        if label not in labels()[name] | _SET_BY_PROMETHEUS:
            yield f"{name} has no label {label}"
        for pattern in value.split("|") if label in _values() else ():
            if not any(re.fullmatch(pattern, known) for known in _values()[label]):
                yield f"{label} is never {pattern}"


@cache
def _described(page: str) -> frozenset[str]:
    return frozenset(re.findall(r"`(payments_[a-z_]+)", _first_cells(page, "## Metrics")))


def _first_cells(page: str, heading: str) -> str:
    section = page.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE))


def main() -> int:
    """Print every fault, or what was checked and how; 1 if there are faults."""
    import django

    django.setup()
    found = findings()
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
        found += [done.stdout + done.stderr] * bool(done.returncode)
    say("\n".join(found) or f"rules and dashboard: {_count()} queries; {_by(promtool)}")
    return bool(found)


def _count() -> int:
    return RULES.read_text().count("expr: ") + DASHBOARD.read_text().count('"expr"')


def _by(promtool: str | None) -> str:
    return "by our own parser" + (" and promtool" if promtool else "; promtool is not installed")


if __name__ == "__main__":
    sys.exit(main())
