"""The tables of payments, re-exported: everybody imports models from here. No definitions."""

from payments.models.books_check import BooksCheck
from payments.models.case import Case
from payments.models.customer import Customer, PaymentMethod
from payments.models.deadline import Deadline
from payments.models.delivery import Delivery, DeliveryAttempt
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
from payments.models.streaming import (
    CardVelocity,
    ConsumedEvent,
    FailedEvent,
    StreamEntry,
    StreamGroup,
)
from payments.models.webhook_endpoint import WebhookEndpoint

__all__ = [
    "ApiKey",
    "BooksCheck",
    "CardVelocity",
    "Case",
    "ConsumedEvent",
    "Customer",
    "Deadline",
    "Delivery",
    "DeliveryAttempt",
    "Dispatch",
    "Dispute",
    "DisputeResponse",
    "DisputedRefundPolicy",
    "Event",
    "FailedEvent",
    "IdempotencyKey",
    "LossPolicy",
    "Merchant",
    "Operation",
    "PaymentIntent",
    "PaymentMethod",
    "PspAccount",
    "PspNotification",
    "Refund",
    "StreamEntry",
    "StreamGroup",
    "WebhookEndpoint",
    "books_of",
]
