"""The console's pages of payments, to read and to search; one module per noun.

Nothing here changes a row. Buttons will call the commands of the services. The ledger knows no
public ids: the console learns here to search the books by them.
"""

from functools import partial

from django.contrib import admin

from ledger.admin import ID_READERS
from payments import public_ids
from payments.admin import (  # noqa: F401  (importing a module registers its pages)
    case,
    checkout,
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
    routing,
    staff,
    streaming,
    webhook_endpoint,
)
from payments.admin.story import STORY_SECTIONS, SectionOfApp

STORY_SECTIONS.insert(
    1,
    SectionOfApp(permission="payments.view_routingdecision", build=routing.routing_of_payment),
)

admin.site.index_title = "Overview"

ID_READERS.extend(
    partial(public_ids.decode, prefix)
    for prefix in (
        public_ids.PAYMENT_INTENT,
        public_ids.BALANCE_TRANSACTION,
        public_ids.CHARGE,
        public_ids.OPERATION,
        public_ids.REFUND,
        public_ids.MERCHANT,
    )
)
