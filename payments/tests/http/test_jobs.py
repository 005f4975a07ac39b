"""Jobs with real processes: losing Redis loses nothing, and an idle worker is noticed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import redis

from payments.models import Merchant, Operation
from payments.services.commands.operators import merchants
from payments.tests.http.conftest import ServerDatabase
from payments.tests.http.support.jobs import Platform, kill_hard, running
from payments.tests.http.support.servers import is_dead, variables_of
from payments.tests.http.support.storefront import Storefront, new_order
from payments.tests.http.support.wire import Wire
from payments.tests.support.factories import TESTS, sandbox_account
from paymentsite.models import SweepRun
from paymentsite.sweeps import SWEEPS
from psp_adapters.tests.support.sandbox_process import SandboxProcess

ONCE = [("authorize", 10_000), ("capture", 10_000)]


@pytest.fixture(scope="module")
def platform(
    server_database: ServerDatabase,
    sandbox_psp: SandboxProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    with running(folder, variables_of(server_database.application_url)) as platform:
        yield platform


@pytest.fixture
def storefront(
    platform: Platform, sandbox_psp: SandboxProcess, same_database: None
) -> Iterator[Storefront]:
    account = sandbox_account()
    merchant: Merchant = merchants.create_merchant(
        name="Jobs", test_psp_account=account, author=TESTS
    )
    _, secret_key = merchants.issue_api_key(merchant=merchant, livemode=False, author=TESTS)
    yield Storefront(platform.api, sandbox_psp, merchant, secret_key)
    sandbox_psp.heal()


def test_every_sweep_of_the_table_is_run(platform: Platform, same_database: None) -> None:
    soon = {s.name for s in SWEEPS if s.every_seconds is None or s.every_seconds <= 2}

    def have_run() -> bool:
        finished = SweepRun.objects.filter(last_finished_at__isnull=False)
        return soon <= set(finished.values_list("name", flat=True))

    platform.look_until(have_run, within_seconds=60)
    assert not SweepRun.objects.filter(failures__gt=0).exists()


def test_an_unknown_outcome_is_resolved_and_the_jobs_are_healthy(
    platform: Platform, storefront: Storefront
) -> None:
    intent_id = doubtful(storefront)
    platform.look_until(lambda: settled(storefront), within_seconds=60)
    assert storefront.stripe.v1.payment_intents.retrieve(intent_id).status == "succeeded"
    answer = jobs_health(platform)
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert set(answer.json["seconds_since_heartbeat"]) == {"money", "routine"}


def test_redis_flushed_while_work_is_due_loses_nothing(
    platform: Platform, storefront: Storefront
) -> None:
    orders = [doubtful_order(storefront) for _ in range(5)]
    client = redis.Redis.from_url(platform.variables["REDIS_URL"])
    client.flushall()
    client.close()
    platform.look_until(lambda: settled(storefront), within_seconds=60)
    assert [storefront.effects(order) for order in orders] == [ONCE] * 5


def test_the_platform_recovers_by_itself_from_a_redis_outage(
    platform: Platform, storefront: Storefront
) -> None:
    orders = [doubtful_order(storefront) for _ in range(3)]
    before = {name: platform.pid_of(name) for name in platform.processes}
    kill_hard(platform.redis)
    # The API takes payments without Redis: only the wake-up is lost.
    paid = storefront.pay()
    assert paid.status == "succeeded"
    orders += [doubtful_order(storefront) for _ in range(3)]
    gone = redis.Redis.from_url(platform.variables["REDIS_URL"])
    with pytest.raises(redis.ConnectionError):
        gone.ping()

    # Heartbeats are late, and the health check says so.
    platform.look_until(lambda: jobs_health(platform).status == 503, within_seconds=30)
    platform.redis.start()

    platform.look_until(lambda: settled(storefront), within_seconds=90)
    platform.look_until(lambda: jobs_health(platform).status == 200, within_seconds=60)
    assert [storefront.effects(order) for order in orders] == [ONCE] * 6
    # kombu ends a worker that gives its messages back to a broker that is gone, or acknowledges
    # one there: ours do neither.
    assert {name: platform.pid_of(name) for name in platform.processes} == before


def test_a_worker_that_hangs_is_killed_and_restarted(
    platform: Platform, storefront: Storefront
) -> None:
    platform.look_until(lambda: jobs_health(platform).status == 200, within_seconds=60)
    before = {name: platform.pid_of(name) for name in platform.processes}
    family = psutil.Process(before["worker"]).children(recursive=True)
    for each in (psutil.Process(before["worker"]), *family):
        os.kill(each.pid, signal.SIGSTOP)
    intent_id = doubtful(storefront)

    platform.look_until(
        lambda: jobs_health(platform).json.get("silent") == ["money"], within_seconds=30
    )
    platform.look_until(lambda: platform.pid_of("worker") != before["worker"], within_seconds=60)
    platform.look_until(lambda: settled(storefront), within_seconds=60)
    platform.look_until(lambda: jobs_health(platform).status == 200, within_seconds=60)

    assert storefront.stripe.v1.payment_intents.retrieve(intent_id).status == "succeeded"
    assert all(is_dead(each) for each in family)
    unharmed = ("worker-routine", "beat")
    assert [platform.pid_of(name) for name in unharmed] == [before[name] for name in unharmed]


def doubtful(storefront: Storefront) -> str:
    """A payment whose answer is lost at the PSP; its id."""
    storefront.order_id = new_order()
    storefront.psp.script({"drop_after": True}, order_id=storefront.order_id)
    intent = storefront.stripe.v1.payment_intents.create(storefront.order())  # type: ignore[arg-type]
    assert intent.status == "processing"
    return str(intent.id)


def doubtful_order(storefront: Storefront) -> str:
    doubtful(storefront)
    return storefront.order_id


def settled(storefront: Storefront) -> bool:
    """No outcome of this merchant is unknown any more."""
    return not Operation.objects.filter(
        merchant=storefront.merchant, closed_at__isnull=True
    ).exists()


def jobs_health(platform: Platform) -> Any:
    return Wire(platform.api.base_url).send("GET", "/healthz/jobs", timeout_seconds=5)
