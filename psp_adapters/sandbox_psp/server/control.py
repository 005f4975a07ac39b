"""The control API, on loopback only: tests read the effects and set the behavior."""

from __future__ import annotations

from dataclasses import asdict, fields
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import orjson

from psp_adapters.sandbox_psp.faults.behavior import Behavior, parse_behavior, parse_script
from psp_adapters.sandbox_psp.refusals import Refusal, invalid
from psp_adapters.sandbox_psp.rules import late_outcomes
from psp_adapters.sandbox_psp.server.body_fields import query_integer, read_object
from psp_adapters.sandbox_psp.server.control_disputes import disputes_of, move_dispute, open_dispute
from psp_adapters.sandbox_psp.server.control_movements import OF_ACCOUNTS, movement_view
from psp_adapters.sandbox_psp.server.dashboard import act_in_dashboard
from psp_adapters.sandbox_psp.server.http_server import HttpConnection, HttpRequest
from psp_adapters.sandbox_psp.server.simulator import Simulator
from psp_adapters.sandbox_psp.server.views import effect_view, operation_view
from psp_adapters.sandbox_psp.state.batches import Report
from psp_adapters.sandbox_psp.state.records import ProcessingFee

_ALL = 2**53


def handle_control(simulator: Simulator, request: HttpRequest, connection: HttpConnection) -> None:
    """Answer one control request; refuses other machines and unknown addresses."""
    if not connection.peer_is_local:
        raise Refusal(403, "forbidden", "the control API answers this machine only")
    path, _, query_text = request.target.partition("?")
    query = dict(parse_qsl(query_text))
    match (request.method, path.removeprefix("/control/")):
        case ("GET", "effects"):
            answer: Any = _effects(simulator, query)
        case ("GET", "calls"):
            answer = _calls(simulator, query)
        case ("GET", "behavior"):
            answer = asdict(simulator.behavior)
        case ("PUT", "behavior"):
            simulator.set_behavior(parse_behavior(read_object(request.body)))
            answer = asdict(simulator.behavior)
        case ("DELETE", "behavior"):
            simulator.set_behavior(Behavior())
            answer = asdict(simulator.behavior)
        case ("PUT", "processing_fee"):
            answer = _set_processing_fee(simulator, read_object(request.body))
        case ("GET", "scripts"):
            answer = [asdict(script) for script in simulator.faults.scripts]
        case ("POST", "scripts"):
            script = parse_script(read_object(request.body))
            simulator.faults.scripts.append(script)
            answer = asdict(script)
        case ("DELETE", "scripts"):
            simulator.faults.scripts.clear()
            answer = []
        case ("GET", "webhooks"):
            answer = {**simulator.sender.counts, "open": simulator.sender.open_count}
        case ("GET", "disputes"):
            answer = disputes_of(simulator, query)
        case ("POST", "disputes"):
            answer = open_dispute(simulator, read_object(request.body))
        case ("POST", address) if address.startswith("disputes/"):
            answer = move_dispute(simulator, address, read_object(request.body))
        case ("POST", "settlement"):
            body = read_object(request.body) if request.body else {}
            answer = [_made(report) for report in _close_settlement(simulator, body)]
        case ("GET", "movements"):
            answer = [movement_view(each) for each in simulator.truth.movements]
        case ("POST", address) if address in OF_ACCOUNTS:
            answer = OF_ACCOUNTS[address](simulator, read_object(request.body))
        case ("POST", "release"):
            answer = {"released": simulator.release_held()}
        case ("POST", "revision"):
            answer = _revise(simulator, read_object(request.body))
        case ("POST", address) if address.startswith(("payments/", "orders/")):
            answer = act_in_dashboard(simulator, address, read_object(request.body))
        case ("POST", "advance"):
            answer = _advance(simulator, read_object(request.body))
        case _:
            raise Refusal(404, "not_found", "no such control address")
    simulator.reply_when_durable(connection, 200, orjson.dumps(answer))


def _effects(simulator: Simulator, query: dict[str, str]) -> list[dict[str, Any]]:
    simulator.settle()
    after = query_integer(query, "after", default=0, most=_ALL)
    limit = query_integer(query, "limit", default=_ALL, most=_ALL)
    effects = simulator.truth.effects[after:]
    if "order_id" in query:
        effects = [each for each in effects if each.payment.order_id == query["order_id"]]
    return [effect_view(effect) for effect in effects[:limit]]


def _calls(simulator: Simulator, query: dict[str, str]) -> list[dict[str, Any]]:
    after = query_integer(query, "after", default=0, most=_ALL)
    first = simulator.calls[0].seq if simulator.calls else 1
    newest = query_integer(query, "newest", default=_ALL, most=_ALL)
    begin = max(0, after + 1 - first, len(simulator.calls) - newest)
    newer = islice(simulator.calls, begin, None)
    api_key = query.get("api_key")
    return [seen.as_json() for seen in newer if api_key in (None, seen.api_key)]


def _set_processing_fee(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Charge this for each capture from now on, also after a restart."""
    known = {each.name for each in fields(ProcessingFee)}
    if not {"basis_points", "fixed_minor"} <= set(body) <= known:
        raise invalid("a processing fee has basis_points, fixed_minor, and perhaps shares of it")
    if not all(type(each) is int and 0 <= each < 10_000 for each in body.values()):
        raise invalid("what a processing fee has are integers from 0 to 9999")
    simulator.truth.record({"t": "processing_fee", "fee": body})
    return asdict(simulator.truth.processing_fee)


def _close_settlement(simulator: Simulator, body: dict[str, Any]) -> list[Report]:
    pay_out = body.get("pay_out", False)
    if not set(body) <= {"pay_out"} or type(pay_out) is not bool:
        raise invalid("a settlement has pay_out, true or false, or nothing")
    now_ms = simulator.settle()
    behavior = simulator.behavior
    return simulator.rules.settlement.close_all(
        now_ms,
        behavior.settlement_period_seconds,
        late_lines=behavior.late_lines,
        pay_out=pay_out,
        available_after_seconds=behavior.available_after_seconds,
    )


def _made(report: Report) -> dict[str, Any]:
    return {"account": report.account_id, "name": report.name, "lines": report.line_count}


def _revise(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Cause a late outcome of the first operation with this reference, in any account."""
    if set(body) - {"reference", "to", "keep_hold"} or body.get("to") not in ("fail", "succeed"):
        raise invalid("a revision has a reference, to (fail or succeed) and keep_hold")
    now_ms = simulator.settle()
    for account in simulator.truth.accounts.values():
        found = account.by_reference.get(str(body.get("reference")))
        if found and body["to"] == "fail":
            keep_hold = bool(body.get("keep_hold", True))
            late_outcomes.fail(simulator.rules, found[0], now_ms, keep_hold=keep_hold)
        elif found:
            late_outcomes.succeed(simulator.rules, found[0], now_ms)
        if found:
            return operation_view(found[0], base_url=simulator.base_url)
    raise Refusal(404, "not_found", "nothing of that reference", code="reference_unknown")


def _advance(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise invalid("seconds must be a number")
    if not 0 <= seconds <= 10 * 366 * 86_400:
        raise invalid("the clock goes forward only, by ten years at most")
    simulator.clock.offset_ms += int(seconds * 1000)
    simulator.truth.record({"t": "clock", "offset": simulator.clock.offset_ms})
    simulator.settle()
    return {"offset_seconds": simulator.clock.offset_ms / 1000}
