"""Reads /metrics as Prometheus does. No tests."""

from __future__ import annotations

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families


def read(**headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    return _parsed(_page(**headers))


def _page(**headers: str) -> str:
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def _parsed(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    """One sample; the others are not parsed, which takes longer than the request."""
    lines = [line for line in _page().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return _parsed("\n".join(lines) + "\n")[name, tuple(sorted(labels.items()))]
