"""The tables of payments, re-exported: everybody imports models from here. No definitions."""

from payments.models.case import Case
from payments.models.customer import Customer, PaymentMethod
from payments.models.dispatch import Dispatch
from payments.models.dispute import Dispute, DisputeResponse
from payments.models.event import Event
from payments.models.idempotency import IdempotencyKey
from payments.models.merchant import (
    ApiKey,
    DisputedRefundPolicy,
    LossPolicy,
    Merchant,
    PspAccount,
    books_of,
)
from payments.models.notification import PspNotification
from payments.models.operation import Operation
from payments.models.payment_intent import PaymentIntent
from payments.models.refund import Refund

__all__ = [
    "ApiKey",
    "Case",
    "Customer",
    "Dispatch",
    "Dispute",
    "DisputeResponse",
    "DisputedRefundPolicy",
    "Event",
    "IdempotencyKey",
    "LossPolicy",
    "Merchant",
    "Operation",
    "PaymentIntent",
    "PaymentMethod",
    "PspAccount",
    "PspNotification",
    "Refund",
    "books_of",
]
