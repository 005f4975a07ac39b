"""Sends a setup attempt to its PSP, and looks it up. No decisions, and no money."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from ledger.database.statements import release_connection
from payments.models import SetupAttempt
from payments.services.psp_gateway.accounts import AccountIdentity, adapter_of, identity_of
from payments.services.psp_gateway.circuit_breaker import CallKind, CallRefused, guarded_call
from payments.services.psp_gateway.queries import query_psp
from payments.services.psp_gateway.references import mandate_reference
from payments.services.psp_gateway.retries import TryAgain, call_with_retries
from payments.services.psp_gateway.sending import CALL_DEADLINE_SECONDS, LOOKUP_DEADLINE_SECONDS
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.registry import BadCredentials

_KIND: Final = CallKind.CHARGE
"""The bank is asked as for a charge: what slows the one slows the other."""


def request_of(attempt: SetupAttempt) -> SetupRequest:
    """The request of an attempt; always the same for the same attempt."""
    return SetupRequest(
        psp_key=attempt.psp_key,
        reference=attempt.public_id,
        token=attempt.token,
        usage=attempt.usage,
        three_d_secure=attempt.three_d_secure,
        return_url=attempt.return_url,
        mandate=mandate_reference(attempt.mandate_id),
    )


def send(attempt: SetupAttempt, *, retry_until: float | None = None) -> SetupResult:
    """Send an attempt to its PSP. Holds no pooled database connection meanwhile.

    Once, unless `retry_until` (a time of time.monotonic()) is given: then a call that certainly
    did nothing is made again until then, with the same key. Never raises for what the PSP or the
    network does.
    """
    account = identity_of(attempt.psp_account_id)
    try:
        adapter = adapter_of(account)
    except BadCredentials as reason:
        return _refused(str(reason))
    release_connection()
    deadline = time.monotonic() + CALL_DEADLINE_SECONDS
    if retry_until is None:
        return _send_once(attempt, account, adapter, deadline)
    return call_with_retries(
        lambda: _send_once(attempt, account, adapter, deadline),
        _verdict,
        account_code=account.code,
        kind=_KIND.value,
        until_monotonic=min(retry_until, deadline),
    )


def look_up(
    attempt: SetupAttempt, *, returned: Mapping[str, str] | None = None
) -> SetupResult | None:
    """The attempt's present result at the PSP. Returns None if it has none of it (yet).

    `returned` is what a customer brought back from a challenge. Raises PspUnavailable or
    CallRefused. Holds no pooled database connection meanwhile.
    """
    account = identity_of(attempt.psp_account_id)
    query = SetupLookUp(
        reference=attempt.public_id,
        psp_id=attempt.psp_id,
        sent_at=attempt.created_at,
        returned=returned or {},
    )
    try:
        adapter = adapter_of(account)
    except BadCredentials as reason:
        raise PspUnavailable(str(reason)) from reason
    release_connection()
    return query_psp(
        account, lambda: adapter.look_up_setup(query, deadline_seconds=LOOKUP_DEADLINE_SECONDS)
    )


def _send_once(
    attempt: SetupAttempt, account: AccountIdentity, adapter: PspAdapter, deadline: float
) -> SetupResult:
    try:
        with guarded_call(account.code, _KIND) as verdict:
            left_seconds = deadline - time.monotonic()
            result = adapter.set_up(request_of(attempt), deadline_seconds=left_seconds)
            verdict.healthy = _is_healthy(result)
            verdict.outcome = result.outcome.value
    except CallRefused as refusal:
        return _refused(refusal.reason, refusal.retry_after_seconds)
    return result


def _refused(detail: str, retry_after_seconds: float | None = None) -> SetupResult:
    """Certainly not sent, since we did not try."""
    return SetupResult(
        outcome=Outcome.NOT_SENT,
        detail=detail,
        retry_after_seconds=retry_after_seconds,
        refused_by_us=True,
    )


def _verdict(result: SetupResult) -> TryAgain | None:
    """Only what certainly did nothing, and not what our own breaker refused."""
    if result.outcome is not Outcome.NOT_SENT or result.refused_by_us:
        return None
    return TryAgain(after_seconds=result.retry_after_seconds)


def _is_healthy(result: SetupResult) -> bool:
    """A decline is an answer, and so is a rate limit; UNKNOWN or a refused connection is not."""
    if result.outcome is Outcome.NOT_SENT:
        return result.retry_after_seconds is not None
    return result.outcome is not Outcome.UNKNOWN
