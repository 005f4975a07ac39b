"""Every state of every payment machine, and every legal move, as tables.

The FSM decorators, the PostgreSQL triggers and the tests are all held to these tables. What may not
live here: functions that change anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from psp_adapters.contract.disputes import DisputeStatus as DisputeStatus


class IntentStatus(StrEnum):
    """Where a payment intent stands (the merchant sees Stripe's seven words instead)."""

    INITIATED = "INITIATED"
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class OperationStatus(StrEnum):
    """Where one instruction to a PSP stands."""

    SENDING = "SENDING"
    """Written down; it may be on its way to the PSP right now."""
    UNKNOWN = "UNKNOWN"
    """The PSP may or may not have done it; recovery finds out."""
    PENDING = "PENDING"
    """The PSP took it and will say later."""
    REQUIRES_ACTION = "REQUIRES_ACTION"
    """The PSP waits for the customer."""
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    """It never reached the PSP and never will."""
    CANCELED = "CANCELED"
    """Withdrawn before it took effect: an abandoned challenge."""
    TAKEN_BACK = "TAKEN_BACK"
    """It had succeeded, and the PSP undid it: a refund or capture that failed late."""
    EXCESS = "EXCESS"
    """A charge that the PSP made although another one holds the payment or the order: it is given
    back, and never counts as the payment's own."""


class RefundStatus(StrEnum):
    """What the merchant sees of a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class ResponseStatus(StrEnum):
    """Where one response to a dispute (evidence, or giving in) stands at the PSP."""

    SENDING = "SENDING"
    """Written down; it may be on its way to the PSP right now."""
    UNKNOWN = "UNKNOWN"
    """The PSP may or may not have it; asking finds out, and it is never sent under another key."""
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    """It never reached the PSP and never will."""


class NotificationStatus(StrEnum):
    """How far we are with something that a PSP told us."""

    STORED = "stored"
    """Written down and acknowledged; nobody has looked yet (or it is to be looked at again)."""
    PROCESSED = "processed"
    FAILING = "failing"
    """Looked at in vain; tried again later."""
    DEAD = "dead"
    """Given up: a person must look, and may have it replayed."""


class LateSuccessPolicy(StrEnum):
    """What a merchant wants done with money of a payment that it had been told is over."""

    REVERSE = "reverse"
    """Let the hold go, or give the money back."""
    KEEP = "keep"


class EndpointStatus(StrEnum):
    """Does a merchant's webhook endpoint get events?"""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """How far one event is on its way to one endpoint."""

    PENDING = "pending"
    """Waiting for its turn, for its next try, or being sent right now."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: the last try failed, or the endpoint was disabled."""


class CaseStatus(StrEnum):
    """How far a person is with something that no rule may decide."""

    OPEN = "open"
    CLOSED = "closed"


class CaseKind(StrEnum):
    """Why a person must look; what to do about each is in services.cases."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    """Nobody could find out for a day what became of an operation."""
    LATE_SUCCESS = "late_success"
    """The PSP did it after all, although we had closed it as never done."""
    TAKEN_BACK = "taken_back"
    """The PSP undid what it had done."""
    OWN_ACT = "own_act"
    """The PSP, or somebody in its dashboard, moved money beyond what there was."""
    CONTRADICTION = "contradiction"
    """The PSP's word and ours cannot both be true."""
    DISPUTED_AND_REFUNDED = "disputed_and_refunded"
    """The customer may get the money twice: refunded by us, and charged back by the bank."""
    DISPUTED_TOO_MUCH = "disputed_too_much"
    """Banks have charged back more than the payment brought."""
    BOOKS_DIFFER = "books_differ"
    """A payment does not follow from the books, or the books contradict themselves."""


I = IntentStatus
O = OperationStatus
R = RefundStatus
N = NotificationStatus
C = CaseStatus
E = EndpointStatus
W = DeliveryStatus
D = DisputeStatus
S = ResponseStatus

Table = dict[str, frozenset[str]]


def _table(rows: dict[str, tuple[str, ...]]) -> Table:
    return {source: frozenset(targets) for source, targets in rows.items()}


def sources_of(table: Table, target: str) -> list[str]:
    """From where a machine may go to `target`."""
    return [source for source, targets in table.items() if target in targets]


INTENT_TRANSITIONS: Final[Table] = _table(
    {
        I.INITIATED: (I.PROCESSING, I.FAILED, I.CANCELED),
        I.PROCESSING: (
            I.INITIATED,
            I.REQUIRES_ACTION,
            I.AUTHORIZED,
            I.CAPTURED,
            I.FAILED,
            I.CANCELED,
        ),
        I.REQUIRES_ACTION: (
            I.PROCESSING,
            I.AUTHORIZED,
            I.CAPTURED,
            I.FAILED,
            I.CANCELED,
        ),
        I.FAILED: (I.PROCESSING, I.CANCELED),
        I.AUTHORIZED: (I.PROCESSING, I.CAPTURED, I.PARTIALLY_REFUNDED, I.CANCELED),
        I.CAPTURED: (I.PARTIALLY_REFUNDED, I.REFUNDED, I.AUTHORIZED, I.FAILED),
        I.PARTIALLY_REFUNDED: (I.CAPTURED, I.REFUNDED, I.AUTHORIZED, I.FAILED),
        I.REFUNDED: (I.CAPTURED, I.PARTIALLY_REFUNDED, I.AUTHORIZED, I.FAILED),
        I.CANCELED: (I.AUTHORIZED, I.CAPTURED),
    }
)
INTENT_BORN: Final = frozenset({I.INITIATED, I.PROCESSING})
INTENT_CAPTURED: Final = frozenset({I.CAPTURED, I.PARTIALLY_REFUNDED, I.REFUNDED})

OPERATION_TRANSITIONS: Final[Table] = _table(
    {
        O.SENDING: (
            O.UNKNOWN,
            O.PENDING,
            O.REQUIRES_ACTION,
            O.SUCCEEDED,
            O.DECLINED,
            O.NOT_SENT,
        ),
        O.UNKNOWN: (O.PENDING, O.REQUIRES_ACTION, O.SUCCEEDED, O.DECLINED, O.NOT_SENT),
        O.PENDING: (O.SUCCEEDED, O.DECLINED, O.CANCELED),
        O.REQUIRES_ACTION: (O.PENDING, O.SUCCEEDED, O.DECLINED, O.CANCELED),
        O.SUCCEEDED: (O.TAKEN_BACK,),
        O.DECLINED: (O.SUCCEEDED, O.EXCESS),
        O.NOT_SENT: (O.SUCCEEDED, O.EXCESS),
        O.CANCELED: (O.SUCCEEDED, O.EXCESS),
        O.TAKEN_BACK: (O.SUCCEEDED, O.EXCESS),
        O.EXCESS: (O.TAKEN_BACK,),
    }
)
OPERATION_BORN: Final = frozenset({O.SENDING})
OPERATION_OPEN: Final = frozenset({O.SENDING, O.UNKNOWN, O.PENDING, O.REQUIRES_ACTION})
OPERATION_IN_DOUBT: Final = frozenset({O.SENDING, O.UNKNOWN})
BLOCKING_CHARGE: Final = OPERATION_OPEN | {O.SUCCEEDED}
"""A charging operation in one of these forbids a second one for the same intent."""

REFUND_TRANSITIONS: Final[Table] = _table(
    {
        R.PENDING: (R.SUCCEEDED, R.FAILED, R.CANCELED),
        R.SUCCEEDED: (R.FAILED,),
        R.FAILED: (R.SUCCEEDED,),
        R.CANCELED: (R.SUCCEEDED,),
    }
)
REFUND_BORN: Final = frozenset({R.PENDING})

DISPUTE_TRANSITIONS: Final[Table] = _table(
    {
        D.WARNING_NEEDS_RESPONSE: (
            D.WARNING_UNDER_REVIEW,
            D.WARNING_CLOSED,
            D.NEEDS_RESPONSE,
            D.PREVENTED,
        ),
        D.WARNING_UNDER_REVIEW: (D.WARNING_CLOSED, D.NEEDS_RESPONSE, D.PREVENTED),
        D.WARNING_CLOSED: (),
        D.NEEDS_RESPONSE: (D.UNDER_REVIEW, D.WON, D.LOST, D.PREVENTED),
        D.UNDER_REVIEW: (D.WON, D.LOST, D.PREVENTED),
        D.WON: (),
        D.LOST: (),
        D.PREVENTED: (),
    }
)
DISPUTE_BORN: Final = frozenset({D.WARNING_NEEDS_RESPONSE, D.NEEDS_RESPONSE, D.PREVENTED})
DISPUTE_INQUIRY: Final = frozenset(
    {D.WARNING_NEEDS_RESPONSE, D.WARNING_UNDER_REVIEW, D.WARNING_CLOSED}
)
DISPUTE_UNANSWERED: Final = frozenset({D.WARNING_NEEDS_RESPONSE, D.NEEDS_RESPONSE})
DISPUTE_OPEN: Final = DISPUTE_UNANSWERED | {D.WARNING_UNDER_REVIEW, D.UNDER_REVIEW}
DISPUTE_CHARGED_BACK: Final = frozenset({D.NEEDS_RESPONSE, D.UNDER_REVIEW, D.LOST})
"""The bank has, or keeps, what it took: giving it back as well would pay the customer twice."""

RESPONSE_TRANSITIONS: Final[Table] = _table(
    {
        S.SENDING: (S.UNKNOWN, S.SUCCEEDED, S.DECLINED, S.NOT_SENT),
        S.UNKNOWN: (S.SUCCEEDED, S.DECLINED, S.NOT_SENT),
        S.SUCCEEDED: (),
        S.DECLINED: (),
        S.NOT_SENT: (),
    }
)
RESPONSE_BORN: Final = frozenset({S.SENDING})
RESPONSE_OPEN: Final = frozenset({S.SENDING, S.UNKNOWN})
BLOCKING_RESPONSE: Final = RESPONSE_OPEN | {S.SUCCEEDED}
"""Evidence in one of these spends the only slot of its stage."""

NOTIFICATION_TRANSITIONS: Final[Table] = _table(
    {
        N.STORED: (N.PROCESSED, N.FAILING, N.DEAD),
        N.FAILING: (N.PROCESSED, N.DEAD, N.STORED),
        N.PROCESSED: (N.STORED,),
        N.DEAD: (N.STORED,),
    }
)
NOTIFICATION_BORN: Final = frozenset({N.STORED})
NOTIFICATION_WAITING: Final = frozenset({N.STORED, N.FAILING})

ENDPOINT_TRANSITIONS: Final[Table] = _table({E.ENABLED: (E.DISABLED,), E.DISABLED: (E.ENABLED,)})
ENDPOINT_BORN: Final = frozenset({E.ENABLED})

DELIVERY_TRANSITIONS: Final[Table] = _table(
    {W.PENDING: (W.DELIVERED, W.DEAD), W.DELIVERED: (W.PENDING,), W.DEAD: (W.PENDING,)}
)
DELIVERY_BORN: Final = frozenset({W.PENDING})

CASE_TRANSITIONS: Final[Table] = _table({C.OPEN: (C.CLOSED,), C.CLOSED: ()})
CASE_BORN: Final = frozenset({C.OPEN})
