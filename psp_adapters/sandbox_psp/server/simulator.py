"""Handles a request of the merchant API: authentication, planned fault, execution, answer.

One thread, one event loop: a request changes the state between two awaits or not at all. A change
is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import deque
from typing import NamedTuple

import orjson

from psp_adapters.sandbox_psp.faults.behavior import Behavior, Faults, Plan
from psp_adapters.sandbox_psp.notifications.sender import Sender
from psp_adapters.sandbox_psp.refusals import Refusal, found
from psp_adapters.sandbox_psp.rules.disputes import dispute_view
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.rules.recorder import Instruction
from psp_adapters.sandbox_psp.rules.settlement import contradicted_csv, report_csv, report_views
from psp_adapters.sandbox_psp.rules.setups import SetupOrder, setup_answer
from psp_adapters.sandbox_psp.server.http_server import JSON, HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.look_ups import look_up
from psp_adapters.sandbox_psp.server.requests import (
    Call,
    SeenCall,
    account_of,
    api_key_of,
    parse_call,
    refuse_card_numbers,
)
from psp_adapters.sandbox_psp.server.views import declined_view, operation_view
from psp_adapters.sandbox_psp.state.journal import Store
from psp_adapters.sandbox_psp.state.records import Account, Clock, Operation, StoredAnswer
from psp_adapters.sandbox_psp.state.truth import Truth
from psp_adapters.sandbox_psp.tokens import TOKENS

_KEPT_CALLS = 200_000
_CSV = "text/csv"


class Answer(NamedTuple):
    """The answer to a call, before a fault changes it."""

    status: int
    body: bytes
    content_type: str = JSON


class Simulator:
    """Answers the merchant API; the control API and the challenge page use its parts."""

    def __init__(self, store: Store, *, keep_calls: bool) -> None:
        self.store = store
        self.truth = Truth()
        for record in store.load():
            self.truth.apply(record)
        self.clock = Clock()
        self.clock.offset_ms = self.truth.clock_offset_ms
        self.rules = Rules(self.truth)
        self.truth.outbox.fresh.clear()  # the sender starts with all open notices
        self.sender = Sender(self.rules, self.clock, store)
        self.faults = Faults()
        self.base_url = ""
        self.calls: deque[SeenCall] = deque(maxlen=_KEPT_CALLS if keep_calls else 0)
        self.call_count = 0
        self.held: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def behavior(self) -> Behavior:
        return self.rules.behavior

    def set_behavior(self, behavior: Behavior) -> None:
        self.rules.behavior = behavior
        self.faults.set_behavior(behavior)
        self.sender.chance.set(behavior.webhooks, behavior.seed)

    def settle(self) -> int:
        """Execute what is due. Returns the time in milliseconds."""
        now_ms = self.clock.now_ms()
        due = self.truth.due
        if due and due[0][0] <= now_ms:
            self.rules.settle_due(now_ms)
        return now_ms

    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer one request of the merchant API, now or later."""
        api_key = api_key_of(request)
        refuse_card_numbers(request)
        call = parse_call(request, account_of(api_key))
        if call.order is not None and call.subject in self.truth.payments:
            payment = self.truth.payments[call.subject]
            if payment.account.id == call.account_id:
                call.order_id = payment.order_id
        elif call.response is not None or call.by == "dispute":
            dispute = self.truth.account(call.account_id).disputes.get(call.subject)
            call.order_id = dispute.payment.order_id if dispute else ""
        self.call_count += 1
        seen = SeenCall(self.call_count, self.clock.now_ms(), call, api_key)
        seen.peer_port = connection.peer_port
        self.calls.append(seen)
        plan = self.faults.plan(call.facts(api_key))
        if plan is None and not self._token_fault(call):
            self.reply_when_durable(connection, *self._execute(call, seen, None))
            return
        task = asyncio.get_running_loop().create_task(
            self._run(call, seen, plan or Plan(), connection)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reply_when_durable(
        self, connection: HttpConnection, status: int, body: bytes, content_type: str = JSON
    ) -> None:
        """Answer once all changes so far are on disk."""
        self.store.when_durable(
            self.truth.take_unsaved(),
            lambda: connection.reply(status, body, content_type=content_type),
        )

    def release_held(self) -> int:
        """Send the held answers, execute the held requests. Returns their number."""
        count = len(self.held)
        for event in self.held:
            event.set()
        return count

    async def _run(
        self, call: Call, seen: SeenCall, plan: Plan, connection: HttpConnection
    ) -> None:
        """Execute a request with a plan."""
        try:
            await self._run_plan(call, seen, plan, connection)
        except Exception:  # noqa: BLE001 - a bug must not leave the client waiting
            traceback.print_exc(file=sys.stderr)
            connection.reply(500, b'{"error":{"type":"simulator_bug"}}')

    async def _run_plan(
        self, call: Call, seen: SeenCall, plan: Plan, connection: HttpConnection
    ) -> None:
        account = self.truth.account(call.account_id)
        key = call.idempotency_key
        fault = seen.fault = plan.fault or self._token_fault(call)
        if fault in ("down", "rate_limit"):
            self._refuse_early(fault, seen, connection)
            return
        if plan.delay_seconds or plan.hold_before:
            if key in account.in_flight:
                self._finish(seen, connection, 409, _IN_FLIGHT)
                return
            if key:
                account.in_flight.add(key)
            try:
                await asyncio.sleep(plan.delay_seconds)
                if plan.hold_before:
                    await self._hold()
            finally:
                account.in_flight.discard(key)
        if fault == "error_before":
            if plan.cache_error and key and self._stored(account, call) is None:
                self._store_answer(account, call, 500, _INTERNAL)
            self._finish(seen, connection, 500, _INTERNAL)
            return
        if fault == "drop_before":
            connection.drop()
            return
        if fault == "hang_before":
            await self._hang(connection)
            return
        answer = self._execute(call, seen, plan)
        if fault == "error_after" and plan.cache_error and key:
            self._store_answer(account, call, 500, _INTERNAL)
        await self._durable()
        if plan.hold:
            await self._hold()
        if plan.delay_after_seconds:
            await asyncio.sleep(plan.delay_after_seconds)
        if fault in ("drop_after", "hang") and seen.replayed and not plan.fault:
            fault = ""  # a token's own fault hits the charge, not a repeat of it
        await self._answer_with(fault, connection, answer)

    async def _answer_with(self, fault: str, connection: HttpConnection, answer: Answer) -> None:
        status, body, content_type = answer
        match fault:
            case "error_after":
                connection.reply(500, _INTERNAL)
            case "drop_after":
                connection.drop()
            case "hang":
                await self._hang(connection)
            case "truncate":
                connection.reply_truncated(status, body, content_type=content_type)
            case "contradict":
                connection.reply(status, _contradicted(answer), content_type=content_type)
            case _:
                connection.reply(status, body, content_type=content_type)

    def _refuse_early(self, fault: str, seen: SeenCall, connection: HttpConnection) -> None:
        if fault == "rate_limit":
            seen.status = 429
            connection.reply(429, _RATE_LIMITED, headers={"Retry-After": "1"})
        else:
            seen.status = 503
            connection.reply(503, _DOWN)

    def _finish(self, seen: SeenCall, connection: HttpConnection, status: int, body: bytes) -> None:
        seen.status = status
        self.reply_when_durable(connection, status, body)

    async def _durable(self) -> None:
        done = asyncio.Event()
        self.store.when_durable(self.truth.take_unsaved(), done.set)
        await done.wait()

    async def _hold(self) -> None:
        event = asyncio.Event()
        self.held.add(event)
        try:
            await event.wait()
        finally:
            self.held.discard(event)

    async def _hang(self, connection: HttpConnection) -> None:
        """Wait until the client disconnects or the hang is over, then reset the connection."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.behavior.hang_seconds
        while connection.is_open and loop.time() < end:
            await asyncio.sleep(0.1)
        connection.drop()

    def _token_fault(self, call: Call) -> str:
        charged = call.order if call.kind == "authorize" else call.setup
        if charged is None:
            return ""
        token = TOKENS.get(charged.token)
        return token.fault if token else ""

    def _execute(self, call: Call, seen: SeenCall, plan: Plan | None) -> Answer:
        """Execute the call, or replay its stored answer."""
        try:
            answer = self._answer(call, seen, plan)
        except Refusal as refusal:
            answer = Answer(refusal.status, orjson.dumps(refusal.body()))
        seen.status = answer.status
        return answer

    def _answer(self, call: Call, seen: SeenCall, plan: Plan | None) -> Answer:
        now_ms = self.settle()
        account = self.truth.account(call.account_id)
        order = call.order
        if call.kind == "report":
            return self._report(account, call, now_ms)
        response = call.response
        if order is None and response is None and call.setup is None:
            shown = look_up(
                self.rules, self.faults, account, call, now_ms=now_ms, base_url=self.base_url
            )
            return Answer(200, orjson.dumps(shown))
        stored = self._stored(account, call)
        if stored is not None:
            seen.replayed = True
            return Answer(stored.status, stored.body)
        if response is not None:
            dispute = found(account.disputes.get(call.subject), "dispute")
            self.rules.disputes.respond(dispute, response, now_ms=now_ms, behavior=self.behavior)
            body = orjson.dumps(dispute_view(dispute))
            seen.executed = True
            self._store_answer(account, call, 200, body)
            return Answer(200, body)
        if call.setup is not None:
            return self._set_up(account, call, call.setup, seen, plan)
        assert order is not None, "it is neither a look-up nor a response"
        operation = self._execute_instruction(account, call.subject, order, now_ms, plan)
        seen.executed = True
        status = 402 if operation.status == "declined" else 200
        view = declined_view if status == 402 else operation_view
        body = orjson.dumps(view(operation, base_url=self.base_url))
        self._store_answer(account, call, status, body)
        return Answer(status, body)

    def _set_up(
        self, account: Account, call: Call, order: SetupOrder, seen: SeenCall, plan: Plan | None
    ) -> Answer:
        decline = plan.decline if plan else None
        now_ms = self.clock.now_ms()
        setup = self.rules.setups.set_up(account, order, now_ms=now_ms, decline=decline)
        seen.executed = True
        status, view = setup_answer(setup, base_url=self.base_url)
        body = orjson.dumps(view)
        self._store_answer(account, call, status, body)
        return Answer(status, body)

    def _stored(self, account: Account, call: Call) -> StoredAnswer | None:
        """The stored answer of the call's key. Refuses a key in flight or with other parameters."""
        if call.idempotency_key in account.in_flight:
            raise Refusal(409, "in_flight", "a request with this key is under way")
        stored = account.answers.get(call.idempotency_key)
        if stored is None:
            return None
        window_ms = self.behavior.idempotency_window_seconds * 1000
        if self.clock.now_ms() - stored.at_ms >= window_ms:
            return None
        if stored.fingerprint != call.fingerprint:
            raise Refusal(400, "idempotency_mismatch", "this key was used with other parameters")
        return stored

    def _execute_instruction(
        self, account: Account, payment_id: str, order: Instruction, now_ms: int, plan: Plan | None
    ) -> Operation:
        if order.reference in account.fenced:
            raise Refusal(409, "fenced", "this reference has been forbidden")
        decline = plan.decline if plan else None
        if order.kind == "authorize":
            return self.rules.authorize(account, order, now_ms=now_ms, decline=decline)
        payment = found(self.rules.payment(account, payment_id, now_ms=now_ms), "payment")
        return self.rules.modify(payment, order, now_ms=now_ms, decline=decline)

    def _store_answer(self, account: Account, call: Call, status: int, body: bytes) -> None:
        self.truth.record(
            {
                "t": "answer",
                "account": account.id,
                "key": call.idempotency_key,
                "fingerprint": call.fingerprint,
                "status": status,
                "body": body.decode(),
                "at": self.clock.now_ms(),
            }
        )

    def _report(self, account: Account, call: Call, now_ms: int) -> Answer:
        """The list of an account's settlement reports, one of them, or the account's balance."""
        settlement = self.rules.settlement
        if call.by == "balance":
            held = settlement.balances(account.id)
            data = [{"currency": each, "amount_minor": minor} for each, minor in held.items()]
            return Answer(200, orjson.dumps({"object": "balance", "data": data}))
        if call.by == "name":
            return Answer(200, report_csv(settlement.file(account.id, call.subject)), _CSV)
        behavior = self.behavior
        settlement.close_periods(
            now_ms,
            behavior.settlement_period_seconds,
            late_lines=behavior.late_lines,
            available_after_seconds=behavior.available_after_seconds,
        )
        closed = settlement.closed_since(account.id, call.since_ms)
        data = [view for report in closed for view in report_views(report)]
        return Answer(200, orjson.dumps({"object": "list", "data": data}))


_INTERNAL = b'{"error":{"type":"internal","code":"","message":"something went wrong"}}'
_RATE_LIMITED = b'{"error":{"type":"rate_limited","code":"","message":"too many requests"}}'
_DOWN = b'{"error":{"type":"unavailable","code":"","message":"try again later"}}'
_IN_FLIGHT = (
    b'{"error":{"type":"in_flight","code":"","message":"a request with this key is under way"}}'
)


def _contradicted(answer: Answer) -> bytes:
    """The same answer with another amount in it."""
    if answer.content_type == _CSV:
        return contradicted_csv(answer.body)
    body = orjson.loads(answer.body)
    operation = body.get("operation") or body
    if isinstance(operation, dict) and "amount_minor" in operation:
        operation["amount_minor"] += 1
    return orjson.dumps(body)
