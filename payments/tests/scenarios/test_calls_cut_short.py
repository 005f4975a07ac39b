"""Between the first commit and the PSP's answer: not sent, sent late, or by a paused worker.

Crash points C4 (old), C5, C6, C20 and C22. The steps of a process that dies are in test_crashes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from payments.clock import now_utc
from payments.exceptions import PspNotReached
from payments.models import Operation
from payments.services.automatic_actions import retention
from payments.services.psp_gateway import accounts, sending
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.crashes import be_a_process_of_its_own, crash
from payments.tests.support.factories import credentials_of, set_credentials
from payments.tests.support.money_moves import COMMANDS, Move, end_leases, kind_of
from payments.tests.support.shop import Shop, age_operations, body_of
from paymentsite.launcher.ports import hold_any_port
from psp_adapters.tests.support.sandbox_process import SandboxProcess

OLD_SECONDS = 61


def own_operation(move: Move) -> Operation:
    """The operation of the command under test; not one of its preparation."""
    found = Operation.objects.filter(order_id=move.shop.order_id).order_by("id").last()
    assert found is not None
    return found


def age(move: Move) -> None:
    """Make the payment's operations older than the same key may be sent again."""
    age_operations(own_operation(move).intent.public_id, seconds=OLD_SECONDS)


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("name", COMMANDS)
def test_an_old_request_that_was_never_sent_is_fenced_and_has_its_effect_once(
    shop: Shop, name: str
) -> None:
    move = Move(shop, name)
    crash("before the PSP has it", move.run)
    end_leases()
    age(move)
    fenced = own_operation(move)

    recovery_sweep.resolve_due_operations()

    fenced.refresh_from_db()
    assert fenced.status == "NOT_SENT"
    if name == "create":  # All else is replaced, and sent without the merchant's repeat.
        move.had_no_effect_yet()
    answer = move.run()
    assert (answer.status, move.run().body) == (200, answer.body)
    move.ended_once()


NO_WAY_THERE: dict[str, Callable[[str], str]] = {
    "refused": lambda url: f"http://127.0.0.1:{hold_any_port()}",
    "no such host": lambda url: "http://psp.invalid",
    "no TLS": lambda url: url.replace("http://", "https://"),
}


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize(
    ("name", "way"),
    # The other ways wait for a timeout, which is the same for every command.
    [*((name, "refused") for name in COMMANDS), ("create", "no such host"), ("capture", "no TLS")],
)
def test_a_request_that_could_not_be_sent_is_never_unknown(shop: Shop, name: str, way: str) -> None:
    move = Move(shop, name)
    good_url = credentials_of(shop.account)["base_url"]
    known = accounts.adapter_of(shop.account)
    set_credentials(shop.account, base_url=NO_WAY_THERE[way](good_url))
    if name == "create":
        # The token's look-up is cached, so that only the charge cannot be sent.
        adapter = accounts.adapter_of(shop.account)
        adapter._tokens.update(known._tokens)  # type: ignore[attr-defined]
    with pytest.raises(PspNotReached):
        move.run()
    set_credentials(shop.account, base_url=good_url)

    assert own_operation(move).status == "NOT_SENT"
    assert own_operation(move).next_check_at is None
    move.had_no_effect_yet()
    answer = move.run()
    assert (answer.status, move.run().body) == (200, answer.body)
    move.ended_once()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_psp_that_acts_after_our_timeout_and_our_look_up_acts_once(
    shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Move(shop, name)
    give_up_before_it_acts(move, monkeypatch)
    unknown = own_operation(move)
    assert unknown.status == "UNKNOWN"

    end_leases()
    recovery_sweep.resolve_due_operations()  # not found, and the same key is under way
    unknown.refresh_from_db()
    assert unknown.status == "UNKNOWN"
    assert shop.psp.calls(kind="look_up", reference=unknown.psp_key)[-1]["status"] == 404
    shop.psp.release()
    shop.psp.wait_for(order_id=shop.order_id, kind=move.effects[-1])
    end_leases()
    recovery_sweep.resolve_due_operations()

    move.ended_once()
    again = move.run()
    assert again.replayed
    assert "processing" in again.body or "pending" in again.body


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_request_that_the_psp_reads_after_our_fence_has_no_effect(
    shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Move(shop, name)
    give_up_before_it_acts(move, monkeypatch)
    end_leases()
    age(move)
    fenced = own_operation(move)
    recovery_sweep.resolve_due_operations()
    fenced.refresh_from_db()
    assert fenced.status == "NOT_SENT"

    shop.psp.release()
    wait_until_answered(shop.psp, fenced.psp_key)

    if name == "create":
        move.had_no_effect_yet()
    else:
        end_leases()
        recovery_sweep.resolve_due_operations()
        move.ended_once()


def give_up_before_it_acts(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the command to a PSP that executes it only when it is released."""
    kind = kind_of(move.name)
    move.shop.psp.script({"hold_before": True}, order_id=move.shop.order_id, kind=kind)
    with monkeypatch.context() as shortened:
        shortened.setattr(sending, "CALL_DEADLINE_SECONDS", 0.15)
        answer = move.run()
    assert answer.status == 200
    move.had_no_effect_yet()


def wait_until_answered(sandbox: SandboxProcess, reference: str) -> None:
    end = time.monotonic() + 10
    while not all(call["status"] for call in sandbox.calls(reference=reference)):
        assert time.monotonic() < end, "the PSP never executed it"
        time.sleep(0.02)


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_sender_stopped_before_its_call_changes_nothing_when_it_resumes_after_another_worker(
    shop: Shop, name: str
) -> None:
    move = Move(shop, name)
    with PausedSender(move) as paused:
        end_leases()
        answer = move.run()
        paused.resume_and_end()

    assert answer.status == 200
    assert len(move.calls()) == 2
    assert (move.run().body, move.run().replayed) == (answer.body, True)
    move.ended_once()


class PausedSender:
    """A process that carries out a command and is stopped (SIGSTOP) just before its call."""

    def __init__(self, move: Move) -> None:
        connections.close_all()
        self._pid = os.fork()
        if self._pid == 0:
            self._run_until_the_call(move)
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "it did not reach its call"

    def _run_until_the_call(self, move: Move) -> None:
        real = sending.send

        def pause_and_send(operation: Operation, **more: Any) -> object:
            # To this thread: a signal to the process may stop another thread first.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            return real(operation, **more)

        ended = 1
        try:
            be_a_process_of_its_own()
            sending.send = pause_and_send  # type: ignore[assignment]
            ended = int(move.run().status != 200)
        finally:
            os._exit(ended)

    def resume_and_end(self) -> None:
        """Send SIGCONT; it answers what the worker recorded that finished the operation."""
        os.kill(self._pid, signal.SIGCONT)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        assert os.waitstatus_to_exitcode(status) == 0

    def __enter__(self) -> PausedSender:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def test_a_key_is_never_purged_while_its_operation_is_unknown(shop: Shop) -> None:
    move = Move(shop, "create")
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    first = move.run()
    assert body_of(first)["status"] == "processing"
    later = now_utc() + timedelta(days=401)

    assert retention.purge_old_idempotency_keys(now=later) == 1  # that of the undisturbed run
    assert move.run().body == first.body
    end_leases()
    recovery_sweep.resolve_due_operations()
    move.ended_once()

    assert move.run().body == first.body
    assert retention.purge_old_idempotency_keys(now=later) == 1
