"""The console's pages of payments, to read and to search; one module per noun.

Nothing here changes a row. Buttons will call the commands of the services.
"""

from django.contrib import admin

from payments.admin import (  # noqa: F401  (importing a module registers its pages)
    case,
    customer,
    delivery,
    dispute,
    event,
    idempotency_key,
    merchant,
    notification,
    operation,
    payment_intent,
    refund,
    staff,
    streaming,
    webhook_endpoint,
)

admin.site.index_title = "Overview"
