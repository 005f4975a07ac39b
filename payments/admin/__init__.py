"""The console's pages of payments, to read and to search; one module per noun.

Nothing here changes a row. Buttons will call the commands of the services.
"""

from django.contrib import admin

from payments.admin import (
    api_key,
    books_check,
    case,
    customer,
    deadline,
    delivery,
    dispute,
    event,
    idempotency_key,
    merchant,
    notification,
    operation,
    payment_intent,
    payment_method,
    psp_account,
    refund,
    staff,
    streaming,
    webhook_endpoint,
)

admin.site.index_title = "Overview"

__all__ = [
    "api_key",
    "books_check",
    "case",
    "customer",
    "deadline",
    "delivery",
    "dispute",
    "event",
    "idempotency_key",
    "merchant",
    "notification",
    "operation",
    "payment_intent",
    "payment_method",
    "psp_account",
    "refund",
    "staff",
    "streaming",
    "webhook_endpoint",
]
