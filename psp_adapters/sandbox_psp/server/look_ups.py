"""Answers look-ups, lists, tokens and fences: requests that move no money."""

from __future__ import annotations

import bisect
from typing import Any

from psp_adapters.sandbox_psp.faults.behavior import Faults
from psp_adapters.sandbox_psp.refusals import Refusal, found
from psp_adapters.sandbox_psp.rules.disputes import dispute_view
from psp_adapters.sandbox_psp.rules.payments import Rules
from psp_adapters.sandbox_psp.rules.setups import setup_view
from psp_adapters.sandbox_psp.server.requests import Call
from psp_adapters.sandbox_psp.server.views import operation_view, payment_view
from psp_adapters.sandbox_psp.state.records import Account
from psp_adapters.sandbox_psp.tokens import TOKENS, token_view


def look_up(
    rules: Rules, faults: Faults, account: Account, call: Call, *, now_ms: int, base_url: str
) -> dict[str, Any]:
    """Answer look-ups, lists, tokens and fences."""
    if call.kind == "token":
        return _token(account, call.subject, now_ms=now_ms)
    if call.kind == "fence":
        holds = not faults.fence_leaks()
        arrived = rules.fence(account, call.subject, holds=holds)
        view = operation_view(arrived, base_url=base_url) if arrived else None
        return {"object": "fence", "reference": call.subject, "operation": view}
    if call.kind == "list":
        return _list(account, call, base_url=base_url)
    if call.by == "payment":
        payment = found(rules.payment(account, call.subject, now_ms=now_ms), "payment")
        return payment_view(payment, base_url=base_url)
    if call.by == "setup":
        setup = found(account.setups.get(call.subject), "setup")
        return setup_view(setup, base_url=base_url)
    if call.by == "dispute":
        return dispute_view(found(account.disputes.get(call.subject), "dispute"))
    if call.by == "operation":
        operation = found(account.operations.get(call.subject), "operation")
        return operation_view(operation, base_url=base_url)
    if call.by == "setup_reference":
        return _setups_of(account, call.subject, base_url=base_url)
    visible_until = now_ms - int(rules.behavior.not_found_lag_seconds * 1000)
    visible = [
        operation_view(operation, base_url=base_url)
        for operation in account.by_reference.get(call.subject, [])
        if operation.at_ms <= visible_until
    ]
    if not visible:
        raise Refusal(404, "not_found", "nothing of that reference", code="reference_unknown")
    return {"object": "list", "data": visible, "has_more": False}


def _token(account: Account, name: str, *, now_ms: int) -> dict[str, Any]:
    """A test token, or one of the card fields while it can be charged."""
    made = account.field_tokens.get(name)
    if made is None:
        return token_view(found(TOKENS.get(name), "token"))
    usable = made.is_usable(now_ms=now_ms)
    view = token_view(TOKENS[found(made if usable else None, "token").stands_for])
    expiry = {"exp_month": made.exp_month, "exp_year": made.exp_year} if made.exp_year else {}
    return {**view, "token": name, **expiry}


def _setups_of(account: Account, reference: str, *, base_url: str) -> dict[str, Any]:
    setups = [each for each in account.setups.values() if each.reference == reference]
    if not setups:
        raise Refusal(404, "not_found", "nothing of that reference", code="reference_unknown")
    data = [setup_view(each, base_url=base_url) for each in setups]
    return {"object": "list", "data": data, "has_more": False}


def _list(account: Account, call: Call, *, base_url: str) -> dict[str, Any]:
    start = bisect.bisect_right(account.in_order, call.after, key=lambda each: each.seq)
    page = account.in_order[start : start + call.limit]
    return {
        "object": "list",
        "data": [operation_view(each, base_url=base_url) for each in page],
        "has_more": start + len(page) < len(account.in_order),
    }
