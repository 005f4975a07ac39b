"""Every state of every payment machine, and every legal move, as tables.

The FSM decorators, the PostgreSQL triggers and the tests are all held to these tables. What may not
live here: functions that change anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from psp_adapters.contract.disputes import DisputeStatus as DisputeStatus


class IntentStatus(StrEnum):
    """The status of a payment intent; the merchant sees one of Stripe's seven instead."""

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
    """The status of one instruction to a PSP."""

    SENDING = "SENDING"
    """Stored; it may be on its way to the PSP right now."""
    UNKNOWN = "UNKNOWN"
    """The PSP may or may not have done it; recovery finds out."""
    PENDING = "PENDING"
    """The PSP accepted it, and reports the outcome later."""
    REQUIRES_ACTION = "REQUIRES_ACTION"
    """The PSP waits for the customer."""
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    """It never reached the PSP and never will."""
    CANCELED = "CANCELED"
    """Withdrawn before it took effect: an abandoned challenge."""
    REVERSED = "REVERSED"
    """It had succeeded, and the PSP reversed it: a refund or capture that failed late."""
    EXCESS = "EXCESS"
    """A duplicate charge: reversed, for another one holds the payment or its order."""


class RefundStatus(StrEnum):
    """What the merchant sees of a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class ResponseStatus(StrEnum):
    """The status of one response to a dispute: evidence, or acceptance."""

    SENDING = "SENDING"
    """Stored; it may be on its way to the PSP right now."""
    UNKNOWN = "UNKNOWN"
    """The PSP may or may not have it; a look-up finds out. It is never sent under another key."""
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"


class SetupStatus(StrEnum):
    """The status of a setup intent, as merchants see it too."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    """An attempt is at the PSP, or its outcome is unknown."""
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class SetupAttemptStatus(StrEnum):
    """The status of one setup at a PSP, as of an operation."""

    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    CANCELED = "CANCELED"
    """Its challenge was given up. If it is completed all the same, nothing is kept."""


class NotificationStatus(StrEnum):
    """The status of a notification of a PSP."""

    STORED = "stored"
    """Stored and acknowledged; to be processed, for the first time or again."""
    PROCESSED = "processed"
    FAILING = "failing"
    """Processing failed; it is tried again later."""
    DEAD = "dead"
    """Dead letter: an operator must inspect it, and may replay it."""


class LateSuccessPolicy(StrEnum):
    """What a merchant wants done with a charge that succeeds after its payment had ended."""

    REVERSE = "reverse"
    """Release the hold, or refund the money."""
    KEEP = "keep"


class DeliveryOrder(StrEnum):
    """Whether an endpoint gets the events of a payment one after the other."""

    ORDERED = "ordered"
    """An event waits until the earlier ones of its payment were accepted or given up."""
    UNORDERED = "unordered"
    """Each event is sent at once, whatever became of the others."""


class EndpointStatus(StrEnum):
    """Does a merchant's webhook endpoint get events?"""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryStatus(StrEnum):
    """The status of the delivery of one event to one endpoint."""

    PENDING = "pending"
    """Waiting for an earlier delivery or the next attempt, or being sent right now."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Dead letter: the last attempt failed, or the endpoint was disabled."""


class PspAccountStatus(StrEnum):
    """Does a PSP account take new charges? All else goes on in each status."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Until an operator resumes it."""
    CLOSING = "closing"
    """Never again: what was charged is captured, refunded, disputed and settled."""


class CheckoutStatus(StrEnum):
    """Does the page of a checkout session take a payment, is it done, or is its time over?"""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class CaseStatus(StrEnum):
    """The status of a case."""

    OPEN = "open"
    CLOSED = "closed"


class CaseKind(StrEnum):
    """Why an operator must decide; services.cases has the advice for each."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    """An operation's outcome has been unknown for a day."""
    LATE_SUCCESS = "late_success"
    """The PSP did it after all, although we had closed it without success."""
    OUTCOME_REVERSED = "outcome_reversed"
    """The PSP reversed what it had done."""
    EXTERNAL_OPERATION = "external_operation"
    """The PSP, or a person in its dashboard, moved more money than was held or left."""
    NOT_CARRIED_OUT = "not_carried_out"
    """A capture, void, increment or refund that was accepted from the merchant was never made."""
    CONTRADICTION = "contradiction"
    """What the PSP says and what we recorded cannot both be true."""
    DISPUTED_AND_REFUNDED = "disputed_and_refunded"
    """The customer may get the money twice: refunded by us, and charged back by the bank."""
    DISPUTED_TOO_MUCH = "disputed_too_much"
    """Banks have charged back more than the payment brought."""
    NOT_SETTLED = "not_settled"
    """What should be in a settlement report by now is in none."""
    BANK_DIFFERS = "bank_differs"
    """A bank statement and what PSPs paid out do not agree, or a statement is missing."""
    BOOKS_DIFFER = "books_differ"
    """A payment does not follow from the books, or the books contradict themselves."""


I, O, R, N = IntentStatus, OperationStatus, RefundStatus, NotificationStatus
C, K, E, W = CaseStatus, CheckoutStatus, EndpointStatus, DeliveryStatus
D, S, T, A, P = DisputeStatus, ResponseStatus, SetupStatus, SetupAttemptStatus, PspAccountStatus
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
        I.REQUIRES_ACTION: (I.PROCESSING, I.AUTHORIZED, I.CAPTURED, I.FAILED, I.CANCELED),
        I.FAILED: (I.PROCESSING, I.CANCELED),
        I.AUTHORIZED: (I.PROCESSING, I.CAPTURED, I.PARTIALLY_REFUNDED, I.CANCELED),
        I.CAPTURED: (I.PARTIALLY_REFUNDED, I.REFUNDED, I.AUTHORIZED, I.FAILED),
        I.PARTIALLY_REFUNDED: (I.CAPTURED, I.REFUNDED, I.AUTHORIZED, I.FAILED),
        I.REFUNDED: (I.CAPTURED, I.PARTIALLY_REFUNDED, I.AUTHORIZED, I.FAILED),
        I.CANCELED: (I.AUTHORIZED, I.CAPTURED),
    }
)
INTENT_INITIAL: Final = frozenset({I.INITIATED, I.PROCESSING})
INTENT_CAPTURED: Final = frozenset({I.CAPTURED, I.PARTIALLY_REFUNDED, I.REFUNDED})

INTENT_SHOWN_AS: Final[dict[str, str]] = {
    I.PROCESSING: "processing",
    I.REQUIRES_ACTION: "requires_action",
    I.AUTHORIZED: "requires_capture",
    I.CAPTURED: "succeeded",
    I.PARTIALLY_REFUNDED: "succeeded",
    I.REFUNDED: "succeeded",
    I.CANCELED: "canceled",
}
"""What merchants see. The payment method decides for the rest, and a published status stays."""

OPERATION_TRANSITIONS: Final[Table] = _table(
    {
        O.SENDING: (O.UNKNOWN, O.PENDING, O.REQUIRES_ACTION, O.SUCCEEDED, O.DECLINED, O.NOT_SENT),
        O.UNKNOWN: (O.PENDING, O.REQUIRES_ACTION, O.SUCCEEDED, O.DECLINED, O.NOT_SENT),
        O.PENDING: (O.REQUIRES_ACTION, O.SUCCEEDED, O.DECLINED, O.CANCELED),
        O.REQUIRES_ACTION: (O.PENDING, O.SUCCEEDED, O.DECLINED, O.CANCELED),
        O.SUCCEEDED: (O.REVERSED,),
        O.DECLINED: (O.SUCCEEDED, O.EXCESS),
        O.NOT_SENT: (O.SUCCEEDED, O.EXCESS),
        O.CANCELED: (O.SUCCEEDED, O.EXCESS),
        O.REVERSED: (O.SUCCEEDED, O.EXCESS),
        O.EXCESS: (O.REVERSED,),
    }
)
OPERATION_INITIAL: Final = frozenset({O.SENDING, O.DECLINED})
"""DECLINED for a second charge that the PSP made under one reference, until it is synced."""
OPERATION_OPEN: Final = frozenset({O.SENDING, O.UNKNOWN, O.PENDING, O.REQUIRES_ACTION})
OPERATION_OUTCOME_UNKNOWN: Final = frozenset({O.SENDING, O.UNKNOWN})
BLOCKING_CHARGE: Final = OPERATION_OPEN | {O.SUCCEEDED}
"""A charging operation in one of these forbids a second one for the same intent."""

CHARGE_SHOWN_AS: Final[dict[str, str]] = {
    O.SUCCEEDED: "succeeded",
    O.EXCESS: "succeeded",
    O.DECLINED: "failed",
    O.NOT_SENT: "failed",
    O.CANCELED: "failed",
    O.REVERSED: "failed",
}
"""What merchants see of a charging operation; the others are pending."""
CHARGE_WITH_OWN_AMOUNT: Final = frozenset(
    {O.DECLINED, O.NOT_SENT, O.CANCELED, O.REVERSED, O.EXCESS}
)
"""The amount of such a charge may differ from that of its intent."""

REFUND_TRANSITIONS: Final[Table] = _table(
    {
        R.PENDING: (R.SUCCEEDED, R.FAILED, R.CANCELED),
        R.SUCCEEDED: (R.FAILED,),
        R.FAILED: (R.SUCCEEDED,),
        R.CANCELED: (R.SUCCEEDED,),
    }
)
REFUND_INITIAL: Final = frozenset({R.PENDING})

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
DISPUTE_INITIAL: Final = frozenset({D.WARNING_NEEDS_RESPONSE, D.NEEDS_RESPONSE, D.PREVENTED})
DISPUTE_INQUIRY: Final = frozenset(
    {D.WARNING_NEEDS_RESPONSE, D.WARNING_UNDER_REVIEW, D.WARNING_CLOSED}
)
DISPUTE_UNANSWERED: Final = frozenset({D.WARNING_NEEDS_RESPONSE, D.NEEDS_RESPONSE})
DISPUTE_OPEN: Final = DISPUTE_UNANSWERED | {D.WARNING_UNDER_REVIEW, D.UNDER_REVIEW}
DISPUTE_CHARGED_BACK: Final = frozenset({D.NEEDS_RESPONSE, D.UNDER_REVIEW, D.LOST})
"""The bank holds or keeps the amount: a refund as well would pay the customer twice."""

RESPONSE_TRANSITIONS: Final[Table] = _table(
    {
        S.SENDING: (S.UNKNOWN, S.SUCCEEDED, S.DECLINED, S.NOT_SENT),
        S.UNKNOWN: (S.SUCCEEDED, S.DECLINED, S.NOT_SENT),
        S.SUCCEEDED: (),
        S.DECLINED: (),
        S.NOT_SENT: (),
    }
)
RESPONSE_INITIAL: Final = frozenset({S.SENDING})
RESPONSE_OPEN: Final = frozenset({S.SENDING, S.UNKNOWN})
BLOCKING_RESPONSE: Final = RESPONSE_OPEN | {S.SUCCEEDED}
"""Evidence in one of these spends the only slot of its stage."""

SETUP_TRANSITIONS: Final[Table] = _table(
    {
        T.REQUIRES_PAYMENT_METHOD: (T.REQUIRES_CONFIRMATION, T.PROCESSING, T.CANCELED),
        T.REQUIRES_CONFIRMATION: (T.PROCESSING, T.CANCELED),
        T.PROCESSING: (
            T.REQUIRES_CONFIRMATION,
            T.REQUIRES_ACTION,
            T.SUCCEEDED,
            T.REQUIRES_PAYMENT_METHOD,
        ),
        T.REQUIRES_ACTION: (T.PROCESSING, T.SUCCEEDED, T.REQUIRES_PAYMENT_METHOD, T.CANCELED),
        T.SUCCEEDED: (),
        T.CANCELED: (),
    }
)
SETUP_INITIAL: Final = frozenset({T.REQUIRES_PAYMENT_METHOD, T.REQUIRES_CONFIRMATION, T.PROCESSING})

SETUP_ATTEMPT_TRANSITIONS: Final[Table] = _table(
    {
        A.SENDING: (A.UNKNOWN, A.REQUIRES_ACTION, A.SUCCEEDED, A.DECLINED, A.NOT_SENT),
        A.UNKNOWN: (A.REQUIRES_ACTION, A.SUCCEEDED, A.DECLINED, A.NOT_SENT),
        A.REQUIRES_ACTION: (A.SUCCEEDED, A.DECLINED, A.CANCELED),
        A.SUCCEEDED: (),
        A.DECLINED: (),
        A.NOT_SENT: (),
        A.CANCELED: (),
    }
)
SETUP_ATTEMPT_INITIAL: Final = frozenset({A.SENDING})
SETUP_ATTEMPT_OPEN: Final = frozenset({A.SENDING, A.UNKNOWN, A.REQUIRES_ACTION})
SETUP_ATTEMPT_SHOWN_AS: Final[dict[str, str]] = {
    A.SENDING: "processing",
    A.UNKNOWN: "processing",
    A.REQUIRES_ACTION: "requires_action",
    A.SUCCEEDED: "succeeded",
    A.DECLINED: "failed",
    A.NOT_SENT: "failed",
    A.CANCELED: "abandoned",
}

NOTIFICATION_TRANSITIONS: Final[Table] = _table(
    {
        N.STORED: (N.PROCESSED, N.FAILING, N.DEAD),
        N.FAILING: (N.PROCESSED, N.DEAD, N.STORED),
        N.PROCESSED: (N.STORED,),
        N.DEAD: (N.STORED,),
    }
)
NOTIFICATION_INITIAL: Final = frozenset({N.STORED})
NOTIFICATION_WAITING: Final = frozenset({N.STORED, N.FAILING})

ENDPOINT_TRANSITIONS: Final[Table] = _table({E.ENABLED: (E.DISABLED,), E.DISABLED: (E.ENABLED,)})
ENDPOINT_INITIAL: Final = frozenset({E.ENABLED})

DELIVERY_TRANSITIONS: Final[Table] = _table(
    {W.PENDING: (W.DELIVERED, W.DEAD), W.DELIVERED: (W.PENDING,), W.DEAD: (W.PENDING,)}
)
DELIVERY_INITIAL: Final = frozenset({W.PENDING})

PSP_ACCOUNT_TRANSITIONS: Final[Table] = _table(
    {P.ACTIVE: (P.PAUSED, P.CLOSING), P.PAUSED: (P.ACTIVE, P.CLOSING), P.CLOSING: ()}
)
PSP_ACCOUNT_INITIAL: Final = frozenset({P.ACTIVE, P.PAUSED})

CHECKOUT_TRANSITIONS: Final[Table] = _table(
    {K.OPEN: (K.COMPLETE, K.EXPIRED), K.COMPLETE: (), K.EXPIRED: ()}
)
CHECKOUT_INITIAL: Final = frozenset({K.OPEN})

CASE_TRANSITIONS: Final[Table] = _table({C.OPEN: (C.CLOSED,), C.CLOSED: ()})
CASE_INITIAL: Final = frozenset({C.OPEN})
