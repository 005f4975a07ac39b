"""The merchants: threads that take planned payments and carry them out, whatever happens."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from bench.chaos.load.history import History, Record
from bench.chaos.load.plan import Plan, PlannedPayment, Step, zipf_rank
from bench.chaos.load.requests import Request, Sender

_KNOWN_MOST: Final = 1_000
_RETURNS_WITHIN_SECONDS: Final = 12.0
_POLL_SECONDS: Final = 0.4
_PAYS_AGAIN_MOST: Final = 2
_VERBS_ON_ANOTHER_PAYMENT: Final = ("get", "get", "refund", "capture", "cancel")
_OTHER_METADATA: Final = {"metadata[changed]": "yes"}
_OTHER_PARAMETERS: Final = {
    "confirm": {"payment_method": "pm_card_mastercard"},
    "cancel": {"cancellation_reason": "duplicate"},
}


class Clients:
    """All client threads, and the payments that they share."""

    def __init__(
        self,
        plan: Plan,
        *,
        count: int,
        ports: tuple[int, ...],
        secret_keys: list[str],
        history: History,
    ) -> None:
        self._plan = plan
        self._ports = ports
        self._secret_keys = secret_keys
        self._history = history
        self._waiting = iter(plan.payments)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._begun = 0.0
        self._known: list[tuple[PlannedPayment, str]] = []
        self.taken = 0
        self.failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Begin; payments are taken when they are due."""
        self._begun = time.monotonic()
        for thread in self._threads:
            thread.start()

    def are_done(self) -> bool:
        """Whether every payment is finished."""
        return not any(thread.is_alive() for thread in self._threads)

    def finish(self, *, within_seconds: float) -> bool:
        """Wait until every payment is finished; False if time is over and they were stopped."""
        end = time.monotonic() + within_seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        done = not any(thread.is_alive() for thread in self._threads)
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        return done

    def _work(self, number: int) -> None:
        sender = self._sender(f"c{number}", seed=self._plan.seed * 1000 + number)
        try:
            while (payment := self._next()) is not None:
                _Play(payment, self, sender).run()
        except Exception as error:  # a bug of this test: the verdict is unknown
            self.failures.append(f"client {number}: {type(error).__name__}: {error}")
            raise
        finally:
            sender.close()

    def _next(self) -> PlannedPayment | None:
        with self._lock:
            payment = next(self._waiting, None)
            if payment is None:
                return None
            self.taken += 1
        self._stop.wait(max(0.0, self._begun + payment.due_seconds - time.monotonic()))
        return None if self._stop.is_set() else payment

    def _sender(self, name: str, *, seed: int) -> Sender:
        return Sender(
            name,
            ports=self._ports,
            secret_keys=self._secret_keys,
            history=self._history,
            seed=seed,
            stopped=self._stop.is_set,
        )

    def both(self, sender: Sender, first: Request, second: Request) -> Record | None:
        """Send two requests at the same moment, the second from a client of its own."""
        twin = self._sender(f"{sender.name}'", seed=crc32(first.key.encode()))

        def send_second() -> None:
            try:
                twin.send(second)
            finally:
                twin.close()

        thread = threading.Thread(target=send_second, daemon=True)
        thread.start()
        ended = sender.send(first)
        thread.join()
        return ended

    def know(self, payment: PlannedPayment, intent: str) -> None:
        """Remember a payment, so that other clients can use it."""
        with self._lock:
            self._known = [*self._known[-_KNOWN_MOST:], (payment, intent)]

    def popular(self, source: random.Random) -> tuple[PlannedPayment, str] | None:
        """A payment of any client, recent ones far more often."""
        known: Sequence[tuple[PlannedPayment, str]] = self._known
        return known[-1 - zipf_rank(source, len(known))] if known else None


class _Play:
    """One planned payment, carried out by one client."""

    def __init__(self, payment: PlannedPayment, clients: Clients, sender: Sender) -> None:
        self._payment = payment
        self._clients = clients
        self._sender = sender
        self._random = random.Random(payment.seed)
        self._keys = 0

    def run(self) -> None:
        """Create, confirm, and what follows; ends early where the payment did."""
        payment = self._payment
        request = self._create(self._new_key())
        made = self._send_by_habit(request)
        intent = made.seen.get("intent", "") if made is not None else ""
        if not intent:
            return
        self._clients.know(payment, intent)
        if payment.two_calls:
            made = self._send_by_habit(self._confirm(intent))
        if payment.habit == "gives up" or made is None:
            return
        if payment.habit == "returns" and made.status != 402:
            self._return_to_pay(intent)
        for step in payment.steps:
            self._step(step, payment, intent)
        if payment.habit == "late repeat":
            time.sleep(self._random.uniform(3.5, 6.0))
            self._sender.send(request)

    def _send_by_habit(self, request: Request) -> Record | None:
        habit = self._payment.habit
        if habit == "sends twice":
            return self._clients.both(self._sender, request, request)
        if habit == "gives up":
            return self._sender.send(request, attempts=1)
        if habit == "other key":
            return self._clients.both(self._sender, request, self._under_another_key(request))
        ended = self._sender.send(request)
        if habit == "changed body" and ended is not None and ended.status in (200, 402):
            self._sender.send(self._changed(request))
        return ended

    def _return_to_pay(self, intent: str) -> None:
        """Read until the charge has ended; pay again if it failed."""
        end = time.monotonic() + _RETURNS_WITHIN_SECONDS
        paid_again = 0
        while time.monotonic() < end and paid_again < _PAYS_AGAIN_MOST:
            seen = self._sender.send(_read("get", self._payment, intent))
            status = seen.seen.get("status") if seen is not None else None
            if status == "requires_payment_method":
                paid_again += 1
                self._sender.send(self._confirm(intent, payment_method=self._payment.token))
            elif status not in (None, "processing"):
                return
            time.sleep(_POLL_SECONDS)

    def _step(self, step: Step, payment: PlannedPayment, intent: str) -> None:
        verb = step.verb
        if verb == "another payment":
            found = self._clients.popular(self._random)
            if found is None:
                return
            (payment, intent), verb = found, self._random.choice(_VERBS_ON_ANOTHER_PAYMENT)
            step = Step(verb=verb, share=0.2 if verb == "refund" else None)
        if verb in ("get", "list"):
            self._sender.send(_read(verb, payment, intent))
            return
        request = self._change(step, verb, payment, intent)
        if step.concurrent:
            concurrent = self._change(step, step.concurrent, payment, intent)
            self._clients.both(self._sender, request, concurrent)
        else:
            self._send_by_habit(request)

    def _create(self, key: str) -> Request:
        payment = self._payment
        parameters = {
            "amount": str(payment.amount_minor),
            "currency": payment.currency,
            "payment_method": payment.token,
            "capture_method": "manual" if payment.manual else "automatic",
            "metadata[order_id]": payment.order,
        }
        if not payment.two_calls:
            parameters["confirm"] = "true"
        return Request(
            verb="create",
            method="POST",
            path="/v1/payment_intents",
            merchant=payment.merchant,
            order=payment.order,
            key=key,
            parameters=parameters,
        )

    def _confirm(self, intent: str, **parameters: str) -> Request:
        path = f"/v1/payment_intents/{intent}/confirm"
        return self._post("confirm", path, self._payment, intent, **parameters)

    def _change(self, step: Step, verb: str, payment: PlannedPayment, intent: str) -> Request:
        amount = int(payment.amount_minor * step.share) if step.share else None
        if verb == "refund":
            parameters = {"payment_intent": intent}
            if amount:
                parameters["amount"] = str(amount)
            return self._post(verb, "/v1/refunds", payment, intent, **parameters)
        parameters = {}
        if verb == "capture" and amount:
            parameters = {"amount_to_capture": str(amount)}
            if not step.final:
                parameters["final_capture"] = "false"
        path = f"/v1/payment_intents/{intent}/{verb}"
        return self._post(verb, path, payment, intent, **parameters)

    def _post(
        self, verb: str, path: str, payment: PlannedPayment, intent: str, **parameters: str
    ) -> Request:
        return Request(
            verb=verb,
            method="POST",
            path=path,
            merchant=payment.merchant,
            order=payment.order,
            intent=intent,
            key=self._new_key(),
            parameters=parameters,
        )

    def _under_another_key(self, request: Request) -> Request:
        return Request(
            verb=request.verb,
            method="POST",
            path=request.path,
            merchant=request.merchant,
            order=request.order,
            intent=request.intent,
            key=self._new_key(),
            parameters=request.parameters,
        )

    def _changed(self, request: Request) -> Request:
        """The same key with another body: refused every time."""
        return Request(
            verb="changed",
            method="POST",
            path=request.path,
            merchant=request.merchant,
            order=request.order,
            intent=request.intent,
            key=request.key,
            parameters={
                **request.parameters,
                **_OTHER_PARAMETERS.get(request.verb, _OTHER_METADATA),
            },
        )

    def _new_key(self) -> str:
        self._keys += 1
        return f"s{self._clients._plan.seed}-p{self._payment.number}-k{self._keys}"


def _read(verb: str, payment: PlannedPayment, intent: str) -> Request:
    one = verb == "get"
    return Request(
        verb=verb,
        method="GET",
        path=f"/v1/payment_intents/{intent}" if one else "/v1/payment_intents",
        merchant=payment.merchant,
        order=payment.order,
        intent=intent if one else "",
        parameters={} if one else {"limit": "20"},
    )
