"""Looks up one operation at Mollie: in its payment, or by our reference in the list of payments.

Mollie has no filter by metadata: payments are listed from the newest on, until those that are older
than the operation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from psp_adapters.contract.answers import UNREADABLE, Contradiction
from psp_adapters.contract.operations import LookUp, OperationKind, PspResult, PspUnavailable
from psp_adapters.mollie import mapping, results
from psp_adapters.mollie.connection import Connection
from psp_adapters.mollie.mapping import Json
from psp_adapters.mollie.payments import Payment

K = OperationKind
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


def operation(
    connection: Connection, query: LookUp, *, livemode: bool, deadline_seconds: float
) -> PspResult | None:
    """One operation, or None if Mollie shows none of it.

    Raises PspUnavailable, also if the payment's id is missing where Mollie needs it.
    """
    end = time.monotonic() + deadline_seconds
    is_charge = query.kind is K.AUTHORIZE
    payment_id = query.psp_payment_id or (query.psp_id if is_charge else "")
    if payment_id:
        view = connection.payment(payment_id, deadline_seconds=end - time.monotonic())
        if view is not None:
            return _read(_in_payment, view, query, livemode=livemode)
    if not is_charge:
        if payment_id:
            return None
        raise PspUnavailable("without the payment's id this operation cannot be looked up")
    if not query.reference:
        return None
    return _in_list(connection, query, end, livemode=livemode)


def _read(
    read: Callable[[Json, LookUp], PspResult | None], view: Json, query: LookUp, *, livemode: bool
) -> PspResult | None:
    """What `read` makes of a payment; UNKNOWN for a contradiction, which no repeat resolves.

    Raises PspUnavailable if the payment is unreadable.
    """
    try:
        mapping.require_mode(view, livemode=livemode)
        return read(view, query)
    except Contradiction as contradiction:
        return mapping.unknown(f"contradictory answer: {contradiction}", contradicts_us=True)
    except UNREADABLE as error:
        raise PspUnavailable(f"unreadable answer: {type(error).__name__}") from None


def _in_payment(view: Json, query: LookUp) -> PspResult | None:
    payment = Payment(view)
    if query.kind is not K.AUTHORIZE:
        return results.change_of(
            payment, kind=query.kind, reference=query.reference, psp_id=query.psp_id
        )
    if query.reference and payment.reference != query.reference:
        raise Contradiction("another reference")
    return results.authorization_of(payment)


def _in_list(
    connection: Connection, query: LookUp, end: float, *, livemode: bool
) -> PspResult | None:
    """The payments under our reference; every page is read, since there may be several."""
    found = []
    for page in connection.pages(connection.api.payments, "payments", end):
        for view in page:
            if mapping.reference_of(view) == query.reference:
                found.append(_read(_in_payment, view, query, livemode=livemode))
        if page and _is_older(page[-1], query):
            break
    if not found:
        return None
    # The newest come first: the first that was made is ours.
    *others, first = (each for each in found if each is not None)
    if not others:
        return first
    detail = f"{len(found)} operations carry this reference"
    return replace(first, also_found=tuple(others), detail=detail)


def _is_older(view: Json, query: LookUp) -> bool:
    """Whether a payment was made before the operation can have been; raises PspUnavailable."""
    if query.sent_at is None:
        return False
    try:
        return mapping.moment_of(view["createdAt"]) < query.sent_at - _CLOCKS_DIFFER
    except UNREADABLE as error:
        raise PspUnavailable(f"unreadable answer: {type(error).__name__}") from None
