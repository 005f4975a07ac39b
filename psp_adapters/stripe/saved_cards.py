"""Cards kept for later payments: setup intents at Stripe, and the customer that each card needs.

Stripe charges a card again only together with the customer that it is attached to. So each card
that is kept gets a customer of its own there, and both together are the token from then on.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Final

from psp_adapters.contract.answers import (
    UNREADABLE,
    Answer,
    Contradiction,
    Json,
    readable,
    retry_after,
    text,
    view_of,
)
from psp_adapters.contract.operations import REQUEST_REFUSED, Outcome, PspUnavailable
from psp_adapters.contract.setups import CustomerNotMade, SetupLookUp, SetupRequest, SetupResult
from psp_adapters.http import AnswerUnknown, NotSent
from psp_adapters.stripe import mapping, vocabulary
from psp_adapters.stripe.connection import Connection, in_path

_OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "requires_action": Outcome.REQUIRES_ACTION,
    "requires_payment_method": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
_FAILED_CHALLENGE: Final = "setup_intent_authentication_failure"
_GONE: Final = "resource_missing"
_NOT_ATTACHED: Final = "payment_method_unexpected_state"
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


def new_customer(
    connection: Connection, *, psp_key: str, reference: str, deadline_seconds: float
) -> str:
    """Make the customer of a card that is to be kept; the same for every repeat of one request.

    Raises CustomerNotMade. A customer of which the answer is lost is left over, and holds nothing.
    """
    body = {"metadata": {mapping.REFERENCE: reference}}
    try:
        answer = connection.post(
            lambda o: connection.api.customers.create(body, o),
            key=f"{psp_key}:customer",
            deadline_seconds=deadline_seconds,
        )
    except (NotSent, AnswerUnknown) as error:
        raise CustomerNotMade(str(error)) from None
    if answer.status != 200:
        wait_seconds = retry_after(answer.headers) if answer.status == 429 else None
        raise CustomerNotMade(f"answered {answer.status}", wait_seconds)
    try:
        mapping.require_mode(answer.body, livemode=connection.livemode)
        return text(answer.body["id"])
    except (Contradiction, *UNREADABLE) as error:
        raise CustomerNotMade(type(error).__name__) from None


def set_up(
    connection: Connection, request: SetupRequest, *, deadline_seconds: float
) -> SetupResult:
    """Verify a card with a setup intent, confirmed at once; never raises."""
    end = time.monotonic() + deadline_seconds
    try:
        customer, method = mapping.token_parts(request.token)
        customer = customer or new_customer(
            connection,
            psp_key=request.psp_key,
            reference=request.reference,
            deadline_seconds=deadline_seconds,
        )
        body = _body_of(request, customer=customer, method=method)
        answer = connection.post(
            lambda o: connection.api.setup_intents.create(body, o),
            key=request.psp_key,
            deadline_seconds=end - time.monotonic(),
        )
    except CustomerNotMade as error:
        return replace(
            _not_sent(f"not sent: {error}"), retry_after_seconds=error.retry_after_seconds
        )
    except NotSent as error:
        return _not_sent(f"not sent: {error}")
    except AnswerUnknown as error:
        return _unknown(f"no whole answer: {error}")
    return result_of_answer(request, answer, livemode=connection.livemode)


def look_up(
    connection: Connection, query: SetupLookUp, *, deadline_seconds: float
) -> SetupResult | None:
    """One setup, by Stripe's id or else by our reference in a list; raises PspUnavailable."""
    end = time.monotonic() + deadline_seconds
    if query.psp_id:
        path = in_path(query.psp_id)
        answer = connection.get(
            lambda: connection.api.setup_intents.retrieve(path), deadline_seconds=deadline_seconds
        )
        if answer.status != 404:
            return readable(_result_of, view_of(answer), reference=query.reference)
    params: Json = {}
    if query.sent_at is not None:
        params["created"] = {"gte": int((query.sent_at - _CLOCKS_DIFFER).timestamp())}
    for page in connection.pages(connection.api.setup_intents.list, params, end):
        for view in page:
            if (view.get("metadata") or {}).get(mapping.REFERENCE) == query.reference:
                return readable(_result_of, view, reference=query.reference)
    return None


def release(connection: Connection, token: str, *, deadline_seconds: float) -> None:
    """Detach a kept card from its customer; done before is done. Raises PspUnavailable.

    Each try has a key of its own: Stripe would repeat a stored 5xx for as long as it keeps a key.
    """
    path = in_path(mapping.token_parts(token)[1])
    try:
        answer = connection.post(
            lambda o: connection.api.payment_methods.detach(path, None, o),
            key=str(uuid.uuid4()),
            deadline_seconds=deadline_seconds,
        )
    except (NotSent, AnswerUnknown) as error:
        raise PspUnavailable(f"{type(error).__name__}: {error}") from None
    if answer.status != 200 and not _was_released(answer):
        raise PspUnavailable(f"answered {answer.status}")


def _was_released(answer: Answer) -> bool:
    refusal = answer.body.get("error") if isinstance(answer.body, dict) else None
    return isinstance(refusal, dict) and refusal.get("code") in (_GONE, _NOT_ATTACHED)


def _body_of(request: SetupRequest, *, customer: str, method: str) -> Json:
    body: Json = {
        "confirm": True,
        "customer": customer,
        "payment_method": method,
        "payment_method_types": ["card"],
        "usage": request.usage,
        "metadata": {mapping.REFERENCE: request.reference},
    }
    if request.return_url:
        body["return_url"] = request.return_url
    if request.three_d_secure:
        options = {"request_three_d_secure": request.three_d_secure}
        body["payment_method_options"] = {"card": options}
    return body


def result_of_answer(request: SetupRequest, answer: Answer, *, livemode: bool) -> SetupResult:
    """Read the answer to a setup; every doubt is UNKNOWN."""
    try:
        if answer.status != 200:
            return _failure_of(request, answer)
        mapping.require_mode(answer.body, livemode=livemode)
        return _result_of(answer.body, reference=request.reference)
    except Contradiction as contradiction:
        return _unknown(f"answered {answer.status}, contradictory: {contradiction}")
    except UNREADABLE as error:
        return _unknown(f"answered {answer.status}, unreadable: {type(error).__name__}")


def _result_of(view: Json, *, reference: str) -> SetupResult:
    """Read a setup intent; raises Contradiction if it is another one, or one of UNREADABLE."""
    if view["object"] != "setup_intent" or view["metadata"].get(mapping.REFERENCE) != reference:
        raise Contradiction("another reference")
    outcome = _OUTCOMES.get(view["status"], Outcome.UNKNOWN)
    result = SetupResult(outcome=outcome, psp_id=text(view["id"]))
    if outcome is Outcome.SUCCEEDED:
        token = mapping.kept_token(view)
        if not token:
            raise Contradiction("it does not say what was kept")
        return replace(result, stored_token=token)
    if outcome is Outcome.REQUIRES_ACTION:
        action = view["next_action"].get("redirect_to_url") or {}
        return replace(result, redirect_url=str(action.get("url") or ""))
    if outcome is Outcome.DECLINED:
        return _declined(result, view.get("last_setup_error") or {})
    return replace(result, detail=f"its status is {mapping.redacted(str(view['status']))}")


def _declined(result: SetupResult, error: Json) -> SetupResult:
    code, decline_code, message = mapping.decline_of(error)
    if error.get("code") == _FAILED_CHALLENGE:
        code = _FAILED_CHALLENGE
    return replace(result, code=code, decline_code=decline_code, message=message)


def _failure_of(request: SetupRequest, answer: Answer) -> SetupResult:
    """Read an answer that was no success."""
    status = answer.status
    if status == 429 and not vocabulary.is_in_use(answer.body):
        wait_seconds = retry_after(answer.headers)
        return replace(_not_sent("429 rate limited"), retry_after_seconds=wait_seconds)
    if not 400 <= status < 500:
        return _unknown(f"answered {status}")
    error = answer.body["error"]
    kind, code = str(error["type"]), str(error.get("code") or "")
    detail = f"answered {status} {kind} {code}: {error.get('message')}"
    if status == 401:
        return _not_sent(f"answered {status} {kind} {code}")
    in_doubt = kind == "idempotency_error" or code in vocabulary.IN_USE_CODES
    if in_doubt or status in (403, 408, 409, 424, 425, 429):
        return _unknown(detail)
    if kind == "card_error" or status == 402:
        view = error.get("setup_intent")
        psp_id = "" if view is None else _result_of(view, reference=request.reference).psp_id
        elsewhere = mapping.may_try_elsewhere(error)
        declined = SetupResult(outcome=Outcome.DECLINED, psp_id=psp_id, elsewhere=elsewhere)
        return _declined(replace(declined, detail=mapping.redacted(detail)), error)
    return SetupResult(
        outcome=Outcome.DECLINED,
        code=REQUEST_REFUSED,
        message="The payment provider did not accept the request as valid.",
        elsewhere=code in vocabulary.ACCOUNT_REFUSALS,
        detail=mapping.redacted(detail),
    )


def _unknown(detail: str) -> SetupResult:
    return SetupResult(outcome=Outcome.UNKNOWN, detail=mapping.redacted(detail))


def _not_sent(detail: str) -> SetupResult:
    return SetupResult(outcome=Outcome.NOT_SENT, detail=mapping.redacted(detail))
