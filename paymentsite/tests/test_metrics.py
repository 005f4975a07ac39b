"""/metrics adds up the counts of every process of the machine, and needs permission."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from payments import metrics
from payments.services.psp_gateway import circuit_breaker
from payments.services.psp_gateway.circuit_breaker import CallKind, guarded_call
from payments.tasks import check_recent_payments, verify_books
from payments.tests.support.metrics_scrape import read, value
from paymentsite.launcher import state
from paymentsite.launcher.state import PROJECT
from paymentsite.tidy import observability

pytestmark = pytest.mark.usefixtures("database")


def test_the_state_of_a_breaker_and_its_refusals_are_seen() -> None:
    account = "an-account-that-fails"
    for _ in range(circuit_breaker.CALLS_MIN):
        with guarded_call(account, CallKind.MODIFY):
            pass
    with pytest.raises(circuit_breaker.CallRefused), guarded_call(account, CallKind.MODIFY):
        pytest.fail("the circuit is open")
    labels = {"account": account, "kind": "modify"}
    samples = read()
    named = tuple(sorted(labels.items()))
    assert samples["payments_psp_breaker_state", named] == metrics.BREAKER_STATES["open"]
    assert samples["payments_psp_breaker_opened_total", named] == 1
    refused = tuple(sorted({**labels, "reason": "open"}.items()))
    assert samples["payments_psp_refusals_total", refused] == 1
    with guarded_call(account, CallKind.QUERY) as verdict:
        verdict.healthy = True
        assert value("payments_psp_calls_under_way", account=account, kind="query") == 1
    labels["kind"] = "query"
    assert value("payments_psp_breaker_state", **labels) == metrics.BREAKER_STATES["closed"]


def test_an_open_circuit_without_calls_is_half_open_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = "an-account-without-traffic"
    for name in ("OPEN_SECONDS_FIRST", "OPEN_SECONDS_MAX"):  # far above what one scrape takes
        monkeypatch.setattr(circuit_breaker, name, 3.0)
    fail(account, CallKind.MODIFY, circuit_breaker.CALLS_MIN)
    labels = {"account": account, "kind": "modify"}
    assert value("payments_psp_breaker_state", **labels) == metrics.BREAKER_STATES["open"]
    until = value("payments_psp_breaker_open_until_seconds", **labels)
    assert abs(until - time.time()) < 5
    time.sleep(max(0, until - time.time()))
    wait_until(lambda: value("payments_psp_breaker_state", **labels) == 1)

    # The next call is the probe: it opens it anew, which counts, or closes it.
    fail(account, CallKind.MODIFY, 1)
    assert value("payments_psp_breaker_state", **labels) == metrics.BREAKER_STATES["open"]
    assert value("payments_psp_breaker_opened_total", **labels) == 2
    until = value("payments_psp_breaker_open_until_seconds", **labels)
    time.sleep(max(0, until - time.time()))
    wait_until(lambda: value("payments_psp_breaker_state", **labels) == 1)
    with guarded_call(account, CallKind.MODIFY) as verdict:
        verdict.healthy = True
        assert value("payments_psp_breaker_state", **labels) == 1, "it is being probed"
    assert value("payments_psp_breaker_state", **labels) == metrics.BREAKER_STATES["closed"]
    assert value("payments_psp_breaker_open_until_seconds", **labels) == 0


def fail(account: str, kind: CallKind, times: int) -> None:
    for _ in range(times):
        with guarded_call(account, kind):
            pass


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_without_the_database_only_its_own_metrics_are_missing() -> None:
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], "1"
    try:
        samples = read()
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port
    assert samples["payments_database_up", ()] == 0
    assert ("payments_operations_unknown", ()) not in samples
    assert value("payments_database_up") == 1


def test_a_scrape_without_permission_is_404() -> None:
    client = Client()
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 404
    for proxied in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert client.get("/metrics", headers={proxied: "127.0.0.1"}).status_code == 404


def test_in_production_even_this_machine_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/metrics").status_code == 200
    monkeypatch.setattr(settings, "IN_DEVELOPMENT", False)
    assert Client().get("/metrics").status_code == 404


def test_with_a_token_set_only_requests_with_the_token_see_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "METRICS_TOKEN", "a token that is hard to guess")
    client = Client()
    assert client.get("/metrics").status_code == 404
    for wrong in ("Bearer ", "Bearer wrong", "a token that is hard to guess", "Bearer é"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404
    right = {"Authorization": "Bearer a token that is hard to guess"}
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3", headers=right).status_code == 200


COUNT_ONE_EACH = """
import os
from payments import metrics
if os.fork():
    assert os.wait()[1] == 0
metrics.RETRIES.labels("shared", "charge").inc()
metrics.BREAKER_OPEN_UNTIL.labels("shared", "charge").set(4e9)
metrics.PLACES_IN_USE.labels("shared", "charge").inc()
"""
SHOW = """
import django, sys; django.setup()
from prometheus_client import generate_latest
from paymentsite.metrics import _registry
for _ in sys.stdin:
    print(generate_latest(_registry()).decode() + "# end", flush=True)
"""


@pytest.fixture
def scrape(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Asks a process of its own what all processes that count in `tmp_path` have counted."""
    with subprocess.Popen(
        [sys.executable, "-c", SHOW],
        cwd=PROJECT,
        env=_environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, shown = process.stdin, process.stdout
        assert asked is not None
        assert shown is not None

        def ask() -> list[str]:
            print(file=asked, flush=True)
            return list(iter(lambda: shown.readline().rstrip("\n"), "# end"))

        yield ask


def test_processes_add_up_and_dead_ones_hold_no_permits(
    tmp_path: Path, scrape: Callable[[], list[str]]
) -> None:
    _count_one_each(tmp_path)
    shown = scrape()
    assert 'payments_psp_retries_total{account="shared",kind="charge"} 2.0' in shown
    # Those processes are gone: their open circuits and places went with them.
    assert not [line for line in shown if line.startswith("payments_psp_breaker_state{")]
    assert not [line for line in shown if line.startswith("payments_psp_calls_under_way{")]


OPEN_AND_STAY = """
import os, sys
from payments.services.psp_gateway import circuit_breaker

def open_circuits(seconds, accounts):
    circuit_breaker.OPEN_SECONDS_FIRST = seconds
    for account in accounts:
        for _ in range(circuit_breaker.CALLS_MIN):
            with circuit_breaker.guarded_call(account, circuit_breaker.CallKind.CHARGE):
                pass
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece: both write here

child = os.fork()
if child:
    open_circuits(2.0, ["shared", "own"])
    os.waitpid(child, 0)
else:
    open_circuits(3600.0, ["shared"])
sys.stdin.read()
"""
"""Two processes open circuits, the child for an hour, and live on without a call."""


def test_an_open_circuit_of_a_living_process_that_does_nothing_does_not_stay_open(
    tmp_path: Path, scrape: Callable[[], list[str]]
) -> None:
    """Each writes until when it is open; the process that answers derives the state much later."""
    shared = 'payments_psp_breaker_state{account="shared",kind="charge"}'
    own = 'payments_psp_breaker_state{account="own",kind="charge"}'
    # Leaving the block closes their input, at which both end.
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_STAY],
        cwd=PROJECT,
        env=_environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = {int(parent.stdout.readline()) for _ in range(2)}
        [child] = pids - {parent.pid}
        try:
            wait_until(lambda: f"{own} 1.0" in scrape())
            assert f"{shared} 2.0" in scrape(), "the other process keeps it open: the worst counts"
        finally:
            os.kill(child, signal.SIGKILL)
        # Not at once: the time for which a circuit is open differs by up to 40 % (jitter).
        wait_until(lambda: f"{shared} 1.0" in scrape())


def test_a_launcher_begins_with_an_empty_folder(tmp_path: Path) -> None:
    old = tmp_path / "metrics-1"
    old.mkdir()
    folder = state.metrics_folder(tmp_path)
    assert folder.is_dir()
    assert not old.exists()
    (folder / "counter_1.db").touch()
    assert state.metrics_folder(tmp_path) == folder
    assert (folder / "counter_1.db").exists()


def _count_one_each(folder: Path) -> None:
    """Two processes count, and end."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT_ONE_EACH],
        cwd=PROJECT,
        env=_environment(folder),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "paymentsite.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }


def test_every_metric_that_is_shown_is_declared_with_its_type_and_labels_and_described() -> None:
    """Alert rules and the dashboard are checked against what is declared."""
    check_recent_payments()
    verify_books()
    answer = Client().get("/metrics").content.decode()
    shown = [
        family
        for family in text_string_to_metric_families(answer)
        if family.name.startswith("payments_") and not family.name.endswith("_created")
    ]
    assert len(shown) > 20
    for family in shown:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        name = f"{name}_bucket" if family.type == "histogram" else name
        assert observability.types()[name] == family.type
        for sample in family.samples:
            if sample.name == name:
                assert set(sample.labels) == observability.labels()[name], name
    page = observability.PAGE.read_text().split("## Alerts")[0]
    described = set(re.findall(r"`(payments_[a-z_]+)(?:\{[a-z_,]*\})?`", page))
    names = {name.removesuffix("_bucket") for name in observability.types()}
    assert described == {name for name in names if not name.endswith(("_seconds_count", "_sum"))}
