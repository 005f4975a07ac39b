"""A PSP's answer as it came, and what tells a readable one from every other. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from ledger.exceptions import LedgerError
from psp_adapters.contract.operations import OperationKind, PspRequest, PspResult, PspUnavailable

P = ParamSpec("P")
T = TypeVar("T")
Json = dict[str, Any]

UNREADABLE: Final = (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, LedgerError)
"""What reading raises where something is missing, or is of another form."""


class Contradiction(Exception):
    """The answer is readable but is not about what was requested."""


class OtherMode(Contradiction):
    """The answer is about test payments under a live key, or the reverse."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a PSP, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: Any


def view_of(answer: Answer) -> Json:
    """The object of a 200 answer. Raises PspUnavailable for every other answer."""
    if answer.status != 200:
        raise PspUnavailable(f"answered {answer.status}")
    if not isinstance(answer.body, dict):
        raise PspUnavailable("the answer is not an object")
    return answer.body


def readable(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `read` makes of an answer.

    Raises PspUnavailable if the answer is unreadable, or contradicts what was asked for.
    """
    try:
        return read(*args, **kwargs)
    except Contradiction as contradiction:
        raise PspUnavailable(f"contradictory answer: {contradiction}") from None
    except UNREADABLE as error:
        raise PspUnavailable(f"unreadable answer: {type(error).__name__}") from None


def require_request(result: PspResult, request: PspRequest) -> PspResult:
    """The same result, once it is certain that it is about this request; raises Contradiction."""
    if request.psp_payment_id and result.psp_payment_id != request.psp_payment_id:
        raise Contradiction("another payment")
    if result.amount is None or result.amount.currency != request.amount.currency:
        raise Contradiction("another currency")
    # A void sends no amount: the caller compares what the PSP says it released.
    if request.kind is not OperationKind.VOID and result.amount != request.amount:
        raise Contradiction("another amount")
    return result


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait by the Retry-After header; 1 if it is missing or unreadable."""
    said = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else 1.0


def text(value: Any) -> str:
    """A text that must be there."""
    if not isinstance(value, str) or not value:
        raise TypeError("a text is missing")
    return value
