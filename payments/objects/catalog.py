"""Every type of object there is, and what the ids in each can be expanded to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from payments.objects.account import ACCOUNT
from payments.objects.amount_details import AMOUNT_DETAILS, LINE_ITEM
from payments.objects.balance import BALANCE, BALANCE_TRANSACTION
from payments.objects.charge import CHARGE
from payments.objects.checkout_session import CHECKOUT_SESSION, PAYMENT_LINK
from payments.objects.checkout_session import LINE_ITEM as CHECKOUT_LINE_ITEM
from payments.objects.customer import CUSTOMER, DELETED_CUSTOMER, INVOICE_SETTINGS
from payments.objects.dispute import DISPUTE
from payments.objects.event import DELETED_WEBHOOK_ENDPOINT, EVENT, WEBHOOK_ENDPOINT
from payments.objects.fields import NOTHING, Field, ObjectType, integer, named, text
from payments.objects.mandate import MANDATE
from payments.objects.parts import page_of
from payments.objects.payment_intent import PAYMENT_INTENT
from payments.objects.payment_method import PAYMENT_METHOD
from payments.objects.refund import REFUND
from payments.objects.setup_intent import SETUP_ATTEMPT, SETUP_INTENT

OBJECT_TYPES: Final[dict[str, ObjectType]] = {
    each.name: each
    for each in (
        *(PAYMENT_INTENT, CHARGE, REFUND, DISPUTE, CUSTOMER, PAYMENT_METHOD),
        *(SETUP_INTENT, SETUP_ATTEMPT, MANDATE),
        *(BALANCE, BALANCE_TRANSACTION, EVENT, WEBHOOK_ENDPOINT, ACCOUNT),
        *(CHECKOUT_SESSION, PAYMENT_LINK, CHECKOUT_LINE_ITEM),
        *(DELETED_CUSTOMER, DELETED_WEBHOOK_ENDPOINT, LINE_ITEM),
    )
}
"""By name, in the order of the reference."""

_NOT_CARRIED: Final = {
    "charge": {"transfer": NOTHING},
    "customer": dict.fromkeys(
        (
            *("cash_balance", "invoice_credit_balance", "sources", "subscriptions"),
            *("tax", "tax_ids", "test_clock"),
        ),
        NOTHING,
    ),
    "payment_intent": {"payment_record": NOTHING},
}
"""Fields that answers leave out, and that a request may expand all the same."""


def _expandable(of: ObjectType) -> dict[str, str]:
    return _expands(of.fields) | _NOT_CARRIED.get(of.name, {})


def _expands(fields: Mapping[str, Field]) -> dict[str, str]:
    return {name: field.expands for name, field in fields.items() if field.expands}


EXPANDABLE: Final[dict[str, dict[str, str]]] = {
    **{name: _expandable(of) for name, of in OBJECT_TYPES.items()},
    "refund_list": {"data": "refund"},
    "invoice_settings": _expands(INVOICE_SETTINGS),
    "amount_details": _expands(AMOUNT_DETAILS),
    "line_item_list": {},
    "balance_source": {},
    NOTHING: {},
}
"""By object and field: the object that replaces the id when the field is expanded, or the object
that the field holds in any case (`invoice_settings`)."""


def search_page_of(name: str, *, example: list[Any] | None = None) -> ObjectType:
    """The declaration of a page of search results whose rows are objects of this type."""
    fields = {
        **page_of(name, example=example).fields,
        "object": named("search_result"),
        "next_page": text("Ask for the next page with `page`; null at the end.", nullable=True),
        "total_count": integer("How many there are, at most 10,000; if it is expanded.").but(
            absent=True
        ),
    }
    return ObjectType("search_result", "One page of what a search has found.", fields)
