"""The world of the model test: merchants, a faulty PSP, and the invariants over both.

Real PostgreSQL, the real sandbox PSP, the real services; only time is moved (`virtual_time`). What
may not live here: which step comes next (`test_model`).
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.test import Client

from payments.exceptions import PaymentRefused
from payments.models import Operation, PaymentIntent, PspNotification
from payments.services.automatic_actions import retention
from payments.services.callers.caller import Answer
from payments.services.psp_gateway import references, sending
from payments.services.psp_notifications import processing
from payments.services.recovery import sweep as recovery_sweep
from payments.services.routing.rules import forget_rules
from payments.services.verification.rebuild import differences
from payments.states import OPERATION_OUTCOME_UNKNOWN
from payments.tests.support.crashes import crash_at_moment
from payments.tests.support.factories import credentials_of, set_credentials
from payments.tests.support.notices import notice_of, sign
from payments.tests.support.shop import Shop, another_account, fail_over, open_shop
from payments.tests.support.virtual_time import VirtualTime
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

ORDERS_PER_SHOP = 2
SHOPS = 2
HOUR = 3600
DAY = 24 * HOUR
LAG_SECONDS = 8
"""How long the PSP does not find what it did; the longest lag an adapter may declare."""
# Holds that end by themselves, and money that comes back by itself, are not in this model yet.
_NEVER = 10_000 * DAY
_LATE_MS = 400
_FAULTS: dict[str, dict[str, Any]] = {
    **{
        each: {each: 1}
        for each in (
            *("drop_before", "drop_after", "error_before", "error_after"),
            *("truncate", "contradict", "rate_limit", "down"),
        )
    },
    # The bank was not reached: the charge goes on at the second account.
    "busy": {"decline": {"code": "card_declined", "decline_code": "issuer_not_available"}},
    "error_before_kept": {"error_before": 1, "cache_errors": 1},
    "error_after_kept": {"error_after": 1, "cache_errors": 1},
}
FAULTS = (*_FAULTS, "late")


@dataclass
class Request:
    """One request of a merchant, to be sent again under its key."""

    shop: Shop
    key: str
    command: Callable[[str], Answer]
    sent_at: int
    """In seconds of the world's own time."""
    answer: str | None = None


@dataclass(frozen=True)
class Fate:
    """What goes wrong with a request, apart from the PSP's result."""

    crash_at: int = 0
    """The moment at which our process is killed; 0: not at all."""
    fault: str = ""
    """A fault of the PSP; `late`: it acts after our deadline."""
    looked_up_after: int = 0
    """Seconds until recovery looks it up (a late PSP: before it acts); 0: not at once."""


@dataclass
class World:
    """The model's merchants, requests, PSP and clock."""

    sandbox: SandboxProcess
    shops: list[Shop] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    client: Client = field(default_factory=Client)

    def begin(self) -> None:
        """Merchants with two accounts each; the PSP finds at first nothing of what it did."""
        self.time = VirtualTime(self.sandbox)
        effects = self.sandbox.effects()
        self._effects_before = effects[-1]["seq"] if effects else 0
        self._calls_before = 0
        self.shops = [open_shop(self.sandbox) for _ in range(SHOPS)]
        for shop in self.shops:
            further = another_account(shop)
            fail_over(shop, further)
            for account in (shop.account, further):
                set_credentials(account, webhook_secrets=SECRET)
        self.sandbox.set_behavior(not_found_lag_seconds=LAG_SECONDS, authorization_seconds=_NEVER)

    def end(self) -> None:
        """Restore the clock and the PSP's behavior."""
        self.time.close()
        self.sandbox.heal()
        forget_rules()

    def send(self, shop: Shop, command: Callable[[str], Answer], fate: Fate, kind: str) -> None:
        """A new request with a key of its own."""
        key = f"k-{len(self.requests)}-{uuid.uuid4().hex[:8]}"
        request = Request(shop, key, command, self.time.elapsed)
        self.requests.append(request)
        if fate.crash_at:
            crash_at_moment(fate.crash_at, lambda: _attempt(request))
        elif fate.fault == "late":
            self._send_late(request, kind, fate)
        else:
            if fate.fault:
                self._script(shop, kind, _FAULTS[fate.fault])
            self._note(request, _attempt(request))
        self.sandbox.control("DELETE", "scripts")
        if fate.looked_up_after and fate.fault != "late":
            self.time.pass_by(fate.looked_up_after)
            self.sweep()

    def repeat(self, request: Request) -> None:
        """The same request again; it gets the answer that it got, for as long as keys are kept."""
        kept_seconds = settings.IDEMPOTENCY_KEYS_KEPT_DAYS * DAY
        if self.time.elapsed - request.sent_at >= kept_seconds:
            request.answer = None
        answer = _attempt(request)
        assert answer is not None or request.answer is None, f"{request.key} lost its answer"
        self._note(request, answer)

    def tell(self, operation: Operation, *, how: str) -> None:
        """Post a notification about an operation: signed by the PSP, doubled, or forged."""
        code = operation.psp_account.code
        body = self._notice(operation, credentials_of(operation.psp_account)["api_key"])
        proof = sign(body, secret="a guess that is wrong") if how == "forged" else sign(body)
        for _ in range(2 if how == "doubled" else 1):
            answer = self.client.post(
                f"/psp/{code}/webhook",
                body,
                content_type="application/json",
                headers={"Sandbox-Signature": proof},
            )
            assert answer.status_code == (400 if how == "forged" else 200)

    def sweep(self) -> None:
        """Run the sweeps that beat runs."""
        recovery_sweep.resolve_due_operations()
        processing.process_due_notifications()
        retention.purge_old_idempotency_keys()

    def check(self) -> None:
        """Assert the invariants that hold at every moment."""
        assert list(differences()) == []
        for order_id, effects in self._effects_by("order_id").items():
            live: dict[str, int] = {}
            for effect in effects:
                intent = self._intent_of(effect)
                if effect["kind"] == "authorize":
                    holding = [each for each, minor in live.items() if minor]
                    assert not holding, f"{order_id} is charged again"
                live[intent] = live.get(intent, 0) + _held(effect)

    def settle(self) -> None:
        """End all faults and let hours pass: no outcome stays unknown."""
        self.sandbox.control("DELETE", "scripts")
        rounds = 0
        while self._unknown() or rounds < 2:
            rounds += 1
            assert rounds < 12, [(o.public_id, o.detail) for o in self._unknown()]
            self.time.pass_by(2 * HOUR)
            self.sweep()
        self.check()
        self._equals_the_psp()
        waiting = PspNotification.objects.exclude(status__in=("processed", "dead", "failing"))
        assert not waiting.exists()

    def _equals_the_psp(self) -> None:
        effects = self._effects_by("reference")
        for intent in PaymentIntent.objects.all():
            sums: dict[str, int] = defaultdict(int)
            for operation in intent.operations.all():
                for effect in effects.get(references.reference_of(operation.id), ()):
                    sums[effect["kind"]] += effect["amount_minor"]
            assert (
                intent.amount_authorized_minor,
                intent.amount_captured_minor,
                intent.amount_refunded_minor,
            ) == (sums["authorize"] + sums["increment"], sums["capture"], sums["refund"]), sums
            is_over = bool(sums["void"]) and not sums["capture"]
            assert (intent.status == "CANCELED") or not is_over, intent.status

    def _unknown(self) -> list[Operation]:
        return list(Operation.objects.filter(status__in=OPERATION_OUTCOME_UNKNOWN))

    def _effects_by(self, name: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        ours = tuple(shop.order_id for shop in self.shops)
        for effect in self.sandbox.effects(after=self._effects_before):
            if effect["order_id"].startswith(ours):  # a debit of an earlier life may settle now
                found[effect[name]].append(effect)
        return found

    def _intent_of(self, effect: dict[str, Any]) -> str:
        operation_id = references.operation_id_of(effect["reference"])
        return str(Operation.objects.values_list("intent_id", flat=True).get(pk=operation_id))

    def _send_late(self, request: Request, kind: str, fate: Fate) -> None:
        """Time out, and perhaps look up, before the PSP executes the request."""
        seen = self._last_call()
        self._script(request.shop, kind, {"latency_ms": _LATE_MS})
        before = sending.CALL_DEADLINE_SECONDS
        sending.CALL_DEADLINE_SECONDS = 0.1  # type: ignore[misc]
        try:
            self._note(request, _attempt(request))
        finally:
            sending.CALL_DEADLINE_SECONDS = before  # type: ignore[misc]
        if fate.looked_up_after:
            self.time.pass_by(fate.looked_up_after)
            self.sweep()
        end = time.monotonic() + 10
        while not all(call["status"] for call in self.sandbox.calls(after=seen)):
            assert time.monotonic() < end, "the PSP never ends"
            time.sleep(0.02)

    def _script(self, shop: Shop, kind: str, behavior: dict[str, Any]) -> None:
        api_key = credentials_of(shop.account)["api_key"]
        self.sandbox.script(behavior, api_key=api_key, kind=kind)

    def _last_call(self) -> int:
        calls = self.sandbox.calls(after=self._calls_before)
        self._calls_before = calls[-1]["seq"] if calls else self._calls_before
        return self._calls_before

    def _notice(self, operation: Operation, api_key: str) -> bytes:
        reference = references.reference_of(operation.id)
        happened = reference in self._effects_by("reference")
        return notice_of(
            api_key,
            id=f"sev_{operation.id.hex}_{happened}",
            type="payment.authorized" if operation.is_charge else "payment.captured",
            data={
                "payment_id": operation.psp_payment_id,
                "references": [reference],
                "operation": {"status": "succeeded" if happened else "pending"},
            },
        )

    def _note(self, request: Request, answer: Answer | None) -> None:
        if answer is None:
            return
        if request.answer is None:
            request.answer = answer.body
        assert answer.body == request.answer, f"{request.key} has two answers"


def _attempt(request: Request) -> Answer | None:
    try:
        return request.command(request.key)
    except PaymentRefused:
        return None


def _held(effect: dict[str, Any]) -> int:
    """What an effect adds to the money of the customer that is held or kept."""
    kind, minor = effect["kind"], int(effect["amount_minor"])
    if kind in ("authorize", "increment"):
        return minor
    if kind in ("void", "refund"):
        return -minor
    return 0
