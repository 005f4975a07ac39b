"""/metrics adds up what every process of the machine counted, and is not for strangers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from prometheus_client import REGISTRY

from payments.services import breakers, measures
from payments.services.breakers import CallKind, guarded_call
from payments.tasks import check_recent_payments
from payments.tests.scrape import read, value
from paymentsite.launcher import state
from paymentsite.launcher.state import PROJECT

pytestmark = pytest.mark.usefixtures("database")


def test_the_state_of_a_breaker_and_its_refusals_are_seen() -> None:
    account = "an-account-that-fails"
    for _ in range(breakers.CALLS_MIN):
        with guarded_call(account, CallKind.MODIFY):
            pass
    with pytest.raises(breakers.Refusal), guarded_call(account, CallKind.MODIFY):
        pytest.fail("the circuit is open")
    labels = {"account": account, "kind": "modify"}
    assert value("payments_psp_breaker_state", **labels) == measures.BREAKER_STATES["open"]
    assert value("payments_psp_breaker_opened_total", **labels) == 1
    assert value("payments_psp_refusals_total", **labels, reason="open") == 1
    with guarded_call(account, CallKind.QUERY) as verdict:
        verdict.healthy = True
        assert value("payments_psp_calls_under_way", account=account, kind="query") == 1
    labels["kind"] = "query"
    assert (("payments_psp_breaker_state", tuple(sorted(labels.items()))) in read()) is True
    assert value("payments_psp_breaker_state", **labels) == measures.BREAKER_STATES["closed"]


def test_a_database_that_is_gone_takes_only_its_own_part_away() -> None:
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], "1"
    try:
        samples = read()
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port
    assert samples["payments_database_up", ()] == 0
    assert ("payments_operations_in_doubt", ()) not in samples
    assert value("payments_database_up") == 1


def test_strangers_are_told_that_there_is_nothing() -> None:
    client = Client()
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 404
    for proxied in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert client.get("/metrics", headers={proxied: "127.0.0.1"}).status_code == 404


def test_a_token_opens_it_from_elsewhere_and_closes_it_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "METRICS_TOKEN", "a token that nobody guesses")
    client = Client()
    assert client.get("/metrics").status_code == 404
    for wrong in ("Bearer ", "Bearer wrong", "a token that nobody guesses", "Bearer é"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404
    right = {"Authorization": "Bearer a token that nobody guesses"}
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3", headers=right).status_code == 200


COUNT_ONE = """
import django, os; django.setup()
from payments.services import measures
measures.RETRIES.labels("shared", "charge").inc()
measures.BREAKER_STATE.labels("shared", "charge").set(2)
measures.PLACES_IN_USE.labels("shared", "charge").inc()
"""
SHOW = """
import django; django.setup()
from prometheus_client import generate_latest
from paymentsite.metrics import _registry
print(generate_latest(_registry()).decode())
"""


def test_several_processes_count_together_and_the_dead_hold_no_places(tmp_path: Path) -> None:
    for _ in range(3):
        _python(COUNT_ONE, tmp_path)
    shown = _python(SHOW, tmp_path).splitlines()
    assert 'payments_psp_retries_total{account="shared",kind="charge"} 3.0' in shown
    # Those processes are gone: their open circuits and places went with them.
    assert not [line for line in shown if line.startswith("payments_psp_breaker_state{")]
    assert not [line for line in shown if line.startswith("payments_psp_calls_under_way{")]


def test_a_launcher_begins_with_an_empty_folder(tmp_path: Path) -> None:
    old = tmp_path / "metrics-1"
    old.mkdir()
    folder = state.metrics_folder(tmp_path)
    assert folder.is_dir()
    assert not old.exists()
    (folder / "counter_1.db").touch()
    assert state.metrics_folder(tmp_path) == folder
    assert (folder / "counter_1.db").exists()


def _python(code: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "paymentsite.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_metric_of_an_alert_exists_and_is_described() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    rules = page.split("```yaml")[1].split("```")[0]
    named = set(re.findall(r"payments_[a-z_]+", rules))
    assert "payments_oldest_doubt_seconds > 300" in rules, "a doubt alerts after five minutes"
    table = page.split("## Alerts")[0]
    for alert in re.findall(r"alert: (\w+)", rules):
        assert f"`{alert}`" in page.split("```")[2], f"what to do about {alert}"
    check_recent_payments()
    shown = {name for name, _ in read()}
    registered = {family.name for family in REGISTRY.collect()}
    for name in named:
        assert name in shown or name.removesuffix("_total") in registered, name
        assert name in table or name.removeprefix("payments_sweep") in table, name
