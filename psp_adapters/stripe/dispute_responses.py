"""Looks a dispute up at Stripe, and sends our responses to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psp_adapters.contract.answers import readable, view_of
from psp_adapters.contract.disputes import (
    DisputeRequest,
    DisputeResult,
    PspDispute,
    result_before_sending,
)
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.http import AnswerUnknown, NotSent
from psp_adapters.stripe import disputes
from psp_adapters.stripe.connection import Connection, in_path


def look_up(
    connection: Connection, psp_dispute_id: str, *, deadline_seconds: float
) -> PspDispute | None:
    """A dispute, or None if there is none of that id; raises PspUnavailable."""
    path = in_path(psp_dispute_id)
    answer = connection.get(
        lambda: connection.api.disputes.retrieve(path, disputes.EXPAND),
        deadline_seconds=deadline_seconds,
    )
    if answer.status == 404:
        return None
    return readable(disputes.dispute_of, view_of(answer), psp_dispute_id=psp_dispute_id)


def send(
    connection: Connection, request: DisputeRequest, *, accepts: bool, deadline_seconds: float
) -> DisputeResult:
    """Answer a dispute, once it is looked up: Stripe takes no stage, and closes any dispute."""
    end = time.monotonic() + deadline_seconds
    try:
        shown = look_up(connection, request.psp_dispute_id, deadline_seconds=deadline_seconds)
    except PspUnavailable as error:
        return disputes.not_sent(f"not sent: the dispute's state is unknown ({error})")
    known = result_before_sending(request, shown, accepts=accepts)
    if known is not None:
        return known
    path = in_path(request.psp_dispute_id)
    body = disputes.response_body(request, accepts=accepts)
    result = _send(
        connection,
        request,
        lambda o: connection.api.disputes.update(path, body, o),
        end,
        is_note=accepts,
    )
    if not accepts:
        return result
    if result.outcome is Outcome.UNKNOWN:
        return disputes.not_sent(f"not sent: storing the note of the response {result.detail}")
    if result.outcome is not Outcome.SUCCEEDED:
        return result
    return _send(
        connection,
        replace(request, psp_key=f"{request.psp_key}:close"),
        lambda o: connection.api.disputes.close(path, disputes.EXPAND, o),
        end,
    )


def _send(
    connection: Connection,
    request: DisputeRequest,
    call: Callable[[Any], Any],
    end: float,
    *,
    is_note: bool = False,
) -> DisputeResult:
    try:
        answer = connection.post(call, key=request.psp_key, deadline_seconds=end - time.monotonic())
    except NotSent as error:
        return disputes.not_sent(f"not sent: {error}")
    except AnswerUnknown as error:
        return disputes.unknown(f"no whole answer: {error}")
    return disputes.result_of_answer(request, answer, is_note=is_note)
