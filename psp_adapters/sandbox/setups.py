"""Maps setups to the sandbox PSP's JSON and back. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from psp_adapters.contract.answers import Contradiction, retry_after
from psp_adapters.contract.operations import REQUEST_REFUSED, Outcome
from psp_adapters.contract.setups import SetupRequest, SetupResult
from psp_adapters.http import AnswerUnknown, HttpAnswer
from psp_adapters.sandbox.mapping import Json, decline_of, may_try_elsewhere, redacted

_OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "requires_action": Outcome.REQUIRES_ACTION,
    "declined": Outcome.DECLINED,
}
_FAILED_CHALLENGE: Final = "payment_intent_authentication_failure"
_STILL_OPEN: Final = frozenset({"idempotency_mismatch", "in_flight"})


def body_of(request: SetupRequest) -> Json:
    """The body of POST /v1/setups."""
    return {
        "reference": request.reference,
        "token": request.token,
        "usage": request.usage,
        "challenge": "request" if request.three_d_secure else "allow",
        "return_url": request.return_url,
        **({"mandate": request.mandate} if request.mandate else {}),
    }


def result_of_answer(request: SetupRequest, answer: HttpAnswer) -> SetupResult:
    """Read the answer to a setup; every doubt is UNKNOWN."""
    status = answer.status
    if status == 429:
        return SetupResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if not (status == 200 or 400 <= status < 500):
        return unknown(f"answered {status}")
    try:
        body = answer.json()
        if status in (200, 402):
            view = body if status == 200 else body["setup"]
            result = result_of(view, reference=request.reference)
            is_declined = result.outcome is Outcome.DECLINED
            elsewhere = is_declined and may_try_elsewhere(view.get("error") or {})
            return replace(result, elsewhere=elsewhere)
        return _refused(status, body["error"])
    except Contradiction as contradiction:
        return unknown(f"answered {status}, contradictory: {contradiction}")
    except (AnswerUnknown, KeyError, TypeError, ValueError) as error:
        return unknown(f"answered {status}, unreadable: {type(error).__name__}")


def result_of(view: Json, *, reference: str) -> SetupResult:
    """Read one setup as the PSP shows it.

    Raises Contradiction if it is another one, KeyError, TypeError or ValueError if it is not
    readable.
    """
    if view["reference"] != reference:
        raise Contradiction("another reference")
    if not (isinstance(view["id"], str) and view["id"]):
        raise Contradiction("no id")
    outcome = _OUTCOMES[view["status"]]
    code, decline_code, message = "", "", ""
    if outcome is Outcome.DECLINED:
        code, decline_code, message = decline_of(view.get("error") or {})
    if code == _FAILED_CHALLENGE:
        code = "setup_intent_authentication_failure"
    redirect_url = view["challenge_url"] if outcome is Outcome.REQUIRES_ACTION else ""
    if not isinstance(redirect_url, str):
        raise Contradiction("no address of the challenge")
    return SetupResult(
        outcome=outcome,
        psp_id=view["id"],
        network_transaction_id=str(view["network_transaction_id"]),
        code=code,
        decline_code=decline_code,
        message=message,
        redirect_url=redirect_url,
    )


def unknown(detail: str) -> SetupResult:
    """It may or may not have happened."""
    return SetupResult(outcome=Outcome.UNKNOWN, detail=redacted(detail))


def not_sent(detail: str) -> SetupResult:
    """It certainly did not happen."""
    return SetupResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))


def _refused(status: int, error: Json) -> SetupResult:
    """A 4xx without a setup."""
    kind = str(error["type"])
    detail = redacted(f"answered {status} {kind} {error.get('code', '')}: {error.get('message')}")
    if status in (408, 425) or kind in _STILL_OPEN:
        return SetupResult(outcome=Outcome.UNKNOWN, detail=detail)
    if status in (401, 403):
        # Our credentials are refused; the customer's card was not even tried.
        return SetupResult(outcome=Outcome.NOT_SENT, detail=detail)
    return SetupResult(
        outcome=Outcome.DECLINED,
        code=REQUEST_REFUSED,
        message="The payment provider did not accept the request as valid.",
        detail=detail,
    )
