"""Reads /metrics as Prometheus does. No tests."""

from __future__ import annotations

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families


def read(**headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    answer = Client().get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return read()[name, tuple(sorted(labels.items()))]
