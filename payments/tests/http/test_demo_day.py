"""The demo day against the real server: it adds up, and it would notice if it did not."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections

from ledger.money import Money
from payments.demo import browser
from payments.demo.checkout import paid_on_the_page
from payments.demo.reckoning import orders_of_no_shop, reckon
from payments.demo.shop import Shop, WentWrong
from payments.demo.web import SandboxPsp
from payments.management.commands import play_demo_day
from payments.models import Case, PaymentIntent, PspAccount
from payments.services.disputes import sync
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery import sweep as recovery_sweep
from payments.services.routing.rules import RULES_SECONDS
from payments.tests.http.support.checkout import why_no_browser
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.storefront import Storefront
from payments.tests.support.shop import uuid_of
from paymentsite.launcher.ports import HOST, hold_any_port
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest
from psp_adapters.registry import new_adapter
from psp_adapters.tests.support.sandbox_process import SandboxProcess

Broken = Callable[[str], None]


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """Slow hashes are for real passwords; the seed makes three each time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@contextmanager
def _sweeping(psp: SandboxProcess) -> Iterator[None]:
    """What the worker does every two seconds; here more often, and without notifications."""
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(0.3):
            recovery_sweep.resolve_due_operations()
            _sync_disputes(psp)
        connections.close_all()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


def _sync_disputes(psp: SandboxProcess) -> None:
    """Sync every dispute of the demo day but one, as their notifications would cause."""
    account = PspAccount.objects.filter(code="sandbox").first()
    for dispute in psp.control("GET", "disputes"):
        order_id = dispute["order_id"]
        if order_id.endswith("-no-notification"):
            continue
        if account is not None and order_id.startswith("day-"):
            with suppress(Inconclusive):
                sync.sync_dispute(account=account, psp_dispute_id=dispute["id"], actor="test")


def _shop(storefront: Storefront, server: ApiServer, psp: SandboxProcess, day: str) -> Shop:
    return Shop.open(
        name="Storefront",
        secret_key=storefront.secret_key,
        base_url=server.base_url,
        psp=SandboxPsp(psp.base_url),
        day=day,
    )


def _refund_at_the_psp(intent_id: str, amount: Money) -> None:
    """Make an operation in the PSP's dashboard."""
    reference = f"behind-{uuid.uuid4().hex}"
    intent = PaymentIntent.objects.get(pk=uuid_of(intent_id))
    result = new_adapter("sandbox", settings.SANDBOX_PSP_CREDENTIALS, livemode=False).refund(
        PspRequest(
            kind=OperationKind.REFUND,
            psp_key=reference,
            reference=reference,
            amount=amount,
            psp_payment_id=intent.psp_reference,
        ),
        deadline_seconds=10,
    )
    assert result.outcome is Outcome.SUCCEEDED, result


@pytest.fixture(autouse=True)
def _exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play_demo_day, "EXPORTS", tmp_path)


def _play(server: ApiServer, psp: SandboxProcess) -> str:
    """Seed and play the day. Returns its output; raises SystemExit with a bad verdict."""
    out, seeded = StringIO(), StringIO()
    call_command("seed_demo", stdout=seeded)
    keys = [each["secret_key"] for each in json.loads(seeded.getvalue())["merchants"]]
    time.sleep(RULES_SECONDS)  # The server runs already: now it has read the rules of the seed.
    try:
        call_command(
            "play_demo_day",
            base_url=server.base_url,
            sandbox_psp_url=psp.base_url,
            key=keys,
            no_browser=True,
            stdout=out,
        )
    except SystemExit as end:
        end.args = (end.code, out.getvalue())
        raise
    finally:  # Other tests share this PSP.
        psp.control("PUT", "processing_fee", {"basis_points": 0, "fixed_minor": 0})
    return out.getvalue()


def test_the_payments_of_the_demo_day_add_up(
    server: ApiServer, sandbox_psp: SandboxProcess, same_database: None
) -> None:
    with _sweeping(sandbox_psp):
        told = _play(server, sandbox_psp)
    assert "28 payments, 7 refunds" in told
    assert "finance gets 14 files, each as its manifest says" in told
    assert "waited for a support lead, who approved it and rejected one more" in told
    assert "books balance: yes" in told
    assert "unexplained: 0" in told
    assert "the settlement report shows it" in told
    assert "on the checkout page over HTTP (no browser is wanted here)" in told
    assert "everything is here, read and explained" in told
    assert "1120 payout_in_transit" not in told
    assert told.count(" on its way to the bank 0") == told.count(" on its way to the bank ") > 0
    assert told.count(", proven") >= 4
    assert "!!" not in told
    remainders = [line.split()[-2:] for line in told.splitlines() if "UNEXPLAINED" in line]
    assert {float(amount) for amount, _ in remainders} <= {0.0}
    empty = {"EUR", "JPY", "KWD", "USD"} - {currency for _, currency in remainders}
    assert all(f"{currency}: nothing held" in told or f"{currency}, " in told for currency in empty)
    assert "ok found FILE_UNREADABLE" in told
    assert "ok found FILE_CHANGED" in told
    assert "closed through " in told.splitlines()[-2]
    worked = Case.objects.exclude(discrepancy="")
    assert {(case.status, case.closed_by) for case in worked} == {("closed", "staff:finance")}
    for currency in ("USD", "EUR", "JPY", "KWD"):
        assert f"{currency} captured" in told


def test_the_demo_day_fails_while_a_payment_is_still_processing(
    server: ApiServer,
    sandbox_psp: SandboxProcess,
    same_database: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("payments.demo.shop.WAIT_SECONDS", 0.1)
    # The bank confirms the debit only after the day, however long that takes on this machine.
    sandbox_psp.set_behavior(settle_delay_seconds=3600)
    try:
        with pytest.raises(SystemExit) as ended:
            _play(server, sandbox_psp)  # without a sweep
    finally:
        sandbox_psp.set_behavior(settle_delay_seconds=2)
    assert ended.value.code == 1
    told = ended.value.args[1]
    assert "is processing, not succeeded" in told
    assert "unexplained: 0" not in told
    assert "waited for a support lead, who approved it and rejected one more" in told
    assert "books balance: yes" in told


def test_money_moved_in_the_dashboard_is_reported_as_unexplained(
    storefront: Storefront, server: ApiServer, sandbox_psp: SandboxProcess
) -> None:
    shop = _shop(storefront, server, sandbox_psp, "behind-our-back")
    intent = shop.create(shop.order("one"), 4_000, "USD")
    assert not reckon([shop]).unexplained
    _refund_at_the_psp(intent.id, Money(1_500, "USD"))
    (only,) = reckon([shop]).unexplained
    assert intent.id in only
    assert "refunded is 0 here and 1500 at the PSP" in only


def test_a_payment_that_ends_otherwise_than_planned_is_reported_as_unexplained(
    storefront: Storefront, server: ApiServer, sandbox_psp: SandboxProcess
) -> None:
    shop = _shop(storefront, server, sandbox_psp, "left-open")
    intent = shop.create(shop.order("one"), 4_000, "USD", manual=True)
    (only,) = reckon([shop]).unexplained
    assert only == f"{intent.id} is requires_capture, not succeeded"


def test_a_charge_at_the_psp_without_a_payment_is_named(
    storefront: Storefront, server: ApiServer, sandbox_psp: SandboxProcess
) -> None:
    shop = _shop(storefront, server, sandbox_psp, "forgotten")
    since = len(shop.psp.effects_after(0))
    shop.create(shop.order("one"), 4_000, "USD")
    assert orders_of_no_shop([shop], since=since) == []
    shop.sales.clear()
    named = orders_of_no_shop([shop], since=since)
    assert len(named) == 2
    assert all(shop.order("one") in each for each in named)


@pytest.mark.parametrize("missing", ["base_url", "sandbox_psp_url", "key"])
def test_without_a_running_server_the_command_says_what_to_do(
    missing: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payments.management.commands import play_demo_day

    monkeypatch.setattr(play_demo_day, "DEMO_FILE", tmp_path / "demo.json")
    given = {"base_url": "http://x", "sandbox_psp_url": "http://x", "key": ["sk_test_x"]}
    with pytest.raises(CommandError, match="make serve"):
        call_command("play_demo_day", **{**given, missing: None})


def test_a_server_that_does_not_answer_is_named() -> None:
    url = f"http://{HOST}:{hold_any_port()}"
    with pytest.raises(CommandError, match=f"does not answer at {url}"):
        call_command("play_demo_day", base_url=url, sandbox_psp_url=url, key=["sk_test_x"])


@pytest.fixture
def shop(storefront: Storefront) -> Shop:
    return _shop(storefront, storefront.server, storefront.psp, f"day-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Broken:
    """In place of the process with the browser: a shell script."""

    def broken(script: str) -> None:
        (tmp_path / "browser").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "browser").chmod(0o755)
        monkeypatch.setattr(browser, "COMMAND", (str(tmp_path / "browser"),))

    return broken


def _charges(shop: Shop) -> list[str]:
    return [each["kind"] for each in shop.psp.effects(shop.order("checkout-page"))]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no display >&2; exit 3", "the browser did not start: no display"),
        ("exec sleep 60", "a browser took more than 1 s"),
    ],
)
def test_a_browser_that_does_not_work_is_named_and_the_customer_pays_over_http(
    shop: Shop, broken: Broken, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr("payments.demo.checkout.what_is_missing", lambda: "")
    monkeypatch.setattr(browser, "LIMIT_SECONDS", 1.0)
    broken(script)
    assert f"over HTTP ({said})" in paid_on_the_page(shop)
    assert _charges(shop) == ["authorize", "capture"]


def test_without_a_browser_the_output_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "over HTTP (none of chromium" in paid_on_the_page(shop)


def test_a_page_that_fails_in_the_browser_is_no_reason_to_pay_otherwise(
    shop: Shop, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.demo.checkout.what_is_missing", lambda: "")
    broken("echo Timeout >&2; exit 1")
    with pytest.raises(WentWrong, match="the page in the browser: Timeout"):
        paid_on_the_page(shop)
    assert _charges(shop) == []


@pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())
def test_where_chromium_is_installed_the_customer_pays_in_it(shop: Shop) -> None:
    assert paid_on_the_page(shop).endswith("on the checkout page in Chromium")
    assert _charges(shop) == ["authorize", "capture"]
