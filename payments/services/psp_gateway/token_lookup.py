"""Looks a payment token up at its PSP and remembers the description for a while."""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from django.db import connection

from payments.selectors.scope import PAYMENT_METHOD, refuse_missing
from payments.services.callers.caller import Caller
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.psp_gateway.circuit_breaker import (
    CallKind,
    CallRefused,
    Verdict,
    guarded_call,
)
from payments.services.psp_gateway.retries import TryAgain, call_with_retries
from payments.services.psp_gateway.sending import LOOKUP_DEADLINE_SECONDS
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import PaymentToken, UnknownToken
from psp_adapters.registry import BadCredentials

_DESCRIBED_FOR_SECONDS: Final = 300
_DESCRIPTIONS_MAX: Final = 4096
_LOOKUP_SECONDS_MIN: Final = 0.1
_descriptions: dict[tuple[UUID, str], tuple[float, PaymentToken]] = {}


def described_token(caller: Caller, token: str, *, param: str) -> PaymentToken:
    """The PSP's description of a token; raises ResourceMissing if it knows none, PspUnavailable."""
    try:
        return _look_up(caller, token)
    except UnknownToken:
        refuse_missing(PAYMENT_METHOD, token, param=param)


def _look_up(caller: Caller, token: str) -> PaymentToken:
    """Look it up within the caller's budget; remembered for a while, as it does not change."""
    remembered = (caller.psp_account.id, token)
    known = _descriptions.get(remembered)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    try:
        adapter = adapter_of(caller.psp_account)
    except BadCredentials as reason:
        raise PspUnavailable(str(reason)) from reason
    connection.close()  # not held during the call
    end = time.monotonic() + LOOKUP_DEADLINE_SECONDS
    described = call_with_retries(
        lambda: _look_up_once(caller, adapter, token, end),
        lambda found: TryAgain() if isinstance(found, PspUnavailable) else None,
        account_code=caller.psp_account.code,
        kind=CallKind.QUERY.value,
        until_monotonic=min(end, caller.answer_by_monotonic or end),
    )
    if isinstance(described, PspUnavailable):
        raise described
    if len(_descriptions) >= _DESCRIPTIONS_MAX:
        _descriptions.clear()
    _descriptions[remembered] = (time.monotonic() + _DESCRIBED_FOR_SECONDS, described)
    return described


def _look_up_once(
    caller: Caller, adapter: PspAdapter, token: str, end: float
) -> PaymentToken | PspUnavailable:
    """One look-up; may be repeated unless our own breaker refused it, which raises."""
    try:
        with guarded_call(caller.psp_account.code, CallKind.QUERY) as verdict:
            return _find_token(caller, adapter, token, verdict, end)
    except PspUnavailable as unavailable:
        return unavailable
    except CallRefused as refusal:
        raise PspUnavailable(refusal.reason) from refusal


def _find_token(
    caller: Caller, adapter: PspAdapter, token: str, verdict: Verdict, end: float
) -> PaymentToken:
    deadline_seconds = end - time.monotonic()
    if caller.answer_by_monotonic is not None:
        left_seconds = max(caller.answer_by_monotonic - time.monotonic(), _LOOKUP_SECONDS_MIN)
        deadline_seconds = min(left_seconds, deadline_seconds)
    try:
        described = adapter.find_token(token, deadline_seconds=deadline_seconds)
    except UnknownToken:
        verdict.healthy = True
        raise
    verdict.healthy = True
    return described
