"""Looks up one operation at Stripe: by its id, or by our reference in the metadata of a list.

A list shows at once what was made; Stripe's search lags behind, so it is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar

from psp_adapters.contract.answers import UNREADABLE, Contradiction, view_of
from psp_adapters.contract.operations import LookUp, OperationKind, PspResult, PspUnavailable
from psp_adapters.stripe import intents, mapping
from psp_adapters.stripe.connection import Connection, in_path
from psp_adapters.stripe.mapping import Json

K = OperationKind
R = TypeVar("R")
_CLOCKS_DIFFER: Final = timedelta(minutes=5)


def operation(
    connection: Connection, query: LookUp, *, deadline_seconds: float
) -> PspResult | None:
    """One operation, or None if Stripe shows none of it.

    Raises PspUnavailable, also if the payment's id is missing where Stripe needs it.
    """
    end = time.monotonic() + deadline_seconds
    if query.kind is K.REFUND:
        return _refund(connection, query, end)
    intent_id = mapping.intent_id_of(query.psp_id) or query.psp_payment_id
    if intent_id:
        view = connection.intent(intent_id, deadline_seconds=end - time.monotonic())
        if view is not None:
            return _read(connection, _in_intent, view, query)
    if query.kind is not K.AUTHORIZE:
        if intent_id:
            return None
        raise PspUnavailable("without the payment's id this operation cannot be looked up")
    if not query.reference:
        return None
    params: Json = {"expand": ["data.latest_charge"]}
    if query.sent_at is not None:
        params["created"] = {"gte": int((query.sent_at - _CLOCKS_DIFFER).timestamp())}
    pages = connection.pages(connection.api.payment_intents.list, params, end)
    return _found(connection, pages, query)


def _refund(connection: Connection, query: LookUp, end: float) -> PspResult | None:
    if query.psp_id:
        path = in_path(query.psp_id)
        answer = connection.get(
            lambda: connection.api.refunds.retrieve(path),
            deadline_seconds=end - time.monotonic(),
        )
        if answer.status != 404:
            return _read(connection, _object, view_of(answer), query)
    if not query.reference:
        return None
    if not query.psp_payment_id:
        raise PspUnavailable("without the payment's id a refund cannot be looked up")
    pages = iter([connection.refunds_of(query.psp_payment_id, end)])
    return _found(connection, pages, query)


def _read(
    connection: Connection, read: Callable[[Json, LookUp], R], view: Json, query: LookUp
) -> R | PspResult:
    """What `read` makes of an object; UNKNOWN for a contradiction, which no repeat resolves.

    Raises PspUnavailable if the object is unreadable.
    """
    try:
        mapping.require_mode(view, livemode=connection.livemode)
        return read(view, query)
    except Contradiction as contradiction:
        return mapping.unknown(f"contradictory answer: {contradiction}", contradicts_us=True)
    except UNREADABLE as error:
        raise PspUnavailable(f"unreadable answer: {type(error).__name__}") from None


def _found(connection: Connection, pages: Iterator[list[Json]], query: LookUp) -> PspResult | None:
    """The objects under our reference; every page is read, since there may be several."""
    found = []
    for page in pages:
        for view in page:
            metadata = view.get("metadata")
            if isinstance(metadata, dict) and metadata.get(mapping.REFERENCE) == query.reference:
                found.append(_read(connection, _object, view, query))
    if not found:
        return None
    # A list has the newest first: the first that was made is ours.
    *others, first = found
    if not others:
        return first
    detail = f"{len(found)} operations carry this reference"
    return replace(first, also_found=tuple(others), detail=detail)


def _in_intent(view: Json, query: LookUp) -> PspResult | None:
    """What an intent shows of the operation that was asked for."""
    intent = intents.Intent(view)
    if query.kind is not K.AUTHORIZE:
        return intents.change_of(intent, kind=query.kind, reference=query.reference)
    if query.reference and intent.reference != query.reference:
        raise Contradiction("another reference")
    return intents.authorization_of(intent)


def _object(view: Json, query: LookUp) -> PspResult:
    if query.kind is K.REFUND:
        return intents.refund_of(view, reference=query.reference)
    return intents.authorization_of(intents.Intent(view))
