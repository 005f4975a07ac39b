"""External operations and late outcomes at the PSP, on payments that merchants work with.

Staff capture, refund, void and raise holds in the PSP's dashboard; captures and refunds fail after
they had succeeded, and some captures succeed after all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench.chaos.platform.psp_control import PspControl
from bench.chaos.platform.psp_payments import Effect, MovedMoney, by_payment, moved_by

_NEWEST: Final = 400
"""Acts choose among so many of the newest payments: merchants still work with these."""
_RAISED_MINOR: Final = 500


Payments = Mapping[str, Sequence[Effect]]


def act_at_the_psp(psp: PspControl, act: str, choice: int) -> bool:
    """Do one act, or the next one that a payment allows; False if none does."""
    payments = _undisputed(psp)
    acts = list(_ACTS)
    start = acts.index(act)
    return any(_ACTS[each](psp, payments, choice) for each in acts[start:] + acts[:start])


def charge_back(psp: PspControl, choice: int) -> bool:
    """Have a bank charge back a payment that is not disputed yet; False if there is none."""
    found = _chosen(_undisputed(psp), choice, lambda moved: moved.captured_minor > 0)
    return found is not None and psp.dispute(found)


def _undisputed(psp: PspControl) -> dict[str, Sequence[Effect]]:
    """The newest of the PSP's payments without a dispute, oldest first, with their effects."""
    disputed = {each["payment_id"] for each in psp.disputes()}
    found = by_payment(psp.effects())
    return {each: found[each] for each in list(found)[-_NEWEST:] if each not in disputed}


def _refund(psp: PspControl, payments: Payments, choice: int) -> bool:
    """A part, or every third time all that is left."""
    found = _chosen(payments, choice, lambda moved: moved.refundable_minor > 100)
    if found is None:
        return False
    left_minor = moved_by(payments[found]).refundable_minor
    amount_minor = left_minor if choice % 3 == 0 else left_minor // 4
    return psp.act(found, "refund", amount_minor=amount_minor)


def _capture(psp: PspControl, payments: Payments, choice: int) -> bool:
    """A part that leaves the rest held, or every other time a final part."""
    found = _chosen(payments, choice, lambda moved: moved.held_minor > 100)
    if found is None:
        return False
    amount_minor = moved_by(payments[found]).held_minor // 2
    return psp.act(found, "capture", amount_minor=amount_minor, final=choice % 2 == 0)


def _void(psp: PspControl, payments: Payments, choice: int) -> bool:
    found = _chosen(payments, choice, lambda moved: moved.held_minor > 0)
    return found is not None and psp.act(found, "void")


def _raise_hold(psp: PspControl, payments: Payments, choice: int) -> bool:
    found = _chosen(payments, choice, lambda moved: moved.held_minor > 0)
    return found is not None and psp.act(found, "increment", amount_minor=_RAISED_MINOR)


def _fail_capture(psp: PspControl, payments: Payments, choice: int) -> bool:
    """Only of what was not refunded; every other time the hold is not open again."""
    found = _chosen(
        payments, choice, lambda moved: moved.captured_minor > 0 and not moved.refunded_minor
    )
    if found is None:
        return False
    reference = _last_reference(payments[found], "capture")
    return psp.revise(reference, "fail", keep_hold=choice % 2 == 0)


def _fail_refund(psp: PspControl, payments: Payments, choice: int) -> bool:
    """Only of a part: after a full refund the order may have been charged again."""
    found = _chosen(
        payments, choice, lambda moved: moved.refunded_minor > 0 and moved.refundable_minor > 0
    )
    return found is not None and psp.revise(_last_reference(payments[found], "refund"), "fail")


def _reinstate_capture(psp: PspControl, payments: Payments, choice: int) -> bool:
    """Only while its hold is open: else the order may have been charged again."""
    found = _chosen(
        payments,
        choice,
        lambda moved: "capture_failed" in moved.kinds and moved.held_minor > 0,
    )
    if found is None:
        return False
    return psp.revise(_last_reference(payments[found], "capture_failed"), "succeed")


_ACTS: Final[Mapping[str, Callable[[PspControl, Payments, int], bool]]] = {
    "refund": _refund,
    "capture fails later": _fail_capture,
    "capture": _capture,
    "capture succeeds after all": _reinstate_capture,
    "refund fails later": _fail_refund,
    "raise hold": _raise_hold,
    "void": _void,
}


def _chosen(payments: Payments, choice: int, allows: Callable[[MovedMoney], bool]) -> str | None:
    found = [each for each, effects in payments.items() if allows(moved_by(effects))]
    return found[choice % len(found)] if found else None


def _last_reference(effects: Sequence[Effect], kind: str) -> str:
    """Of the platform's own operations; empty if only staff did such a thing."""
    return next((e["reference"] for e in reversed(effects) if e["kind"] == kind), "")
