"""Formats values for the console: masked, escaped, linked. No queries.

Secrets are masked here, once, for every page.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from ledger.money import Money
from payments import public_ids

NOTHING: Final = "–"
MASK: Final = "••••"
# The first lets its holder finish the customer's payment; the second belongs to the return page.
_SECRET_KEYS: Final = frozenset({"client_secret", "token", "payment_method_token"})

_PAGES: Final = {
    public_ids.PAYMENT_INTENT: "admin:payments_paymentintent_change",
    public_ids.CHARGE: "admin:payments_operation_change",
    public_ids.OPERATION: "admin:payments_operation_change",
    public_ids.REFUND: "admin:payments_refund_change",
    public_ids.CUSTOMER: "admin:payments_customer_change",
    public_ids.PAYMENT_METHOD: "admin:payments_paymentmethod_change",
    public_ids.SETUP_INTENT: "admin:payments_setupintent_change",
    public_ids.SETUP_ATTEMPT: "admin:payments_setupattempt_change",
    public_ids.MANDATE: "admin:payments_mandate_change",
    public_ids.EVENT: "admin:payments_event_change",
    public_ids.MERCHANT: "admin:payments_merchant_change",
    public_ids.WEBHOOK_ENDPOINT: "admin:payments_webhookendpoint_change",
    public_ids.DELIVERY: "admin:payments_delivery_change",
    public_ids.DISPUTE: "admin:payments_dispute_change",
    public_ids.DISPUTE_RESPONSE: "admin:payments_disputeresponse_change",
    public_ids.CHECKOUT_SESSION: "admin:payments_checkoutsession_change",
    public_ids.PAYMENT_LINK: "admin:payments_paymentlink_change",
    public_ids.CASE: "admin:payments_case_change",
    public_ids.APPROVAL: "admin:payments_approval_change",
    public_ids.BALANCE: "admin:payments_merchantbalance_change",
    public_ids.BALANCE_TRANSACTION: "admin:ledger_ledgertransaction_change",
}

# unfold's label colors by status.
STATUS_LABELS: Final = {
    "initiated": "info",
    "processing": "warning",
    "requires action": "warning",
    "requires confirmation": "info",
    "requires payment method": "info",
    "authorized": "primary",
    "captured": "success",
    "partially refunded": "info",
    "refunded": "info",
    "failed": "danger",
    "canceled": "default",
    "sending": "warning",
    "unknown": "danger",
    "pending": "warning",
    "succeeded": "success",
    "declined": "danger",
    "not sent": "default",
    "reversed": "danger",
    "excess": "danger",
    "active": "success",
    "inactive": "default",
}


def link(prefix: str, identifier: UUID | None) -> SafeString | str:
    """The public id as a link to the row's page."""
    if identifier is None:
        return NOTHING
    url = reverse(_PAGES[prefix], args=[identifier])
    return link_to(url, public_ids.encode(prefix, identifier))


def link_to(url: str, text: str) -> SafeString:
    """The text as a link."""
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, text
    )


def subject(public_id: str) -> SafeString | str:
    """A public id of any kind as a link; any other text as it is."""
    for prefix in _PAGES:
        identifier = public_ids.decode(prefix, public_id)
        if identifier is not None:
            return link(prefix, identifier)
    return public_id


def actor(name: str) -> SafeString | str:
    """The actor: an API key as a link to its page, any other as text."""
    kind, _, identifier = name.partition(":")
    if kind != "api_key":
        return in_one_line(name)
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500 whitespace-nowrap" href="{}">API key</a>',
        reverse("admin:payments_apikey_change", args=[identifier]),
    )


def time(moment: datetime) -> str:
    """A moment to the second, in the console's time zone."""
    return str(localize(localtime(moment)))


def moment(at: datetime) -> SafeString:
    """A moment to the second, without line breaks."""
    return in_one_line(time(at))


def in_one_line(text: str) -> SafeString:
    """The text without line breaks; for amounts and times."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def money(minor: int | None, currency: str) -> SafeString | str:
    """An amount of minor units with its currency."""
    return NOTHING if minor is None else in_one_line(str(Money(minor, currency)))


def amount(value: Money) -> SafeString:
    """An amount with its currency, without line breaks."""
    return in_one_line(str(value))


def masked(secret: str) -> str:
    """The last four characters of a secret, masked."""
    return f"{MASK}{secret[-4:]}" if len(secret) > 8 else MASK if secret else NOTHING


def card(method: Any) -> SafeString | str:
    """Brand and last four digits, if known."""
    name = in_words(method.brand or method.method_type)
    return in_one_line(f"{name} {MASK} {method.last4}") if method.last4 else name


def expiry(method: Any) -> str:
    """Month and year, if it expires."""
    if not (method.expiry_month and method.expiry_year):
        return NOTHING
    return f"{method.expiry_month:02d}/{method.expiry_year}"


def in_words(value: str) -> str:
    """A stored value for display: `partially refunded`."""
    return value.replace("_", " ").lower()


def address_without_query(url: str) -> str:
    """A URL without query and fragment, which may carry tokens."""
    if not url:
        return NOTHING
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def shown_json(value: Any) -> SafeString | str:
    """JSON, indented and escaped, secrets masked."""
    if value in (None, {}, []):
        return NOTHING
    text = json.dumps(without_secrets(value), indent=2, ensure_ascii=False, sort_keys=True)
    return preformatted(text)


def preformatted(text: str) -> SafeString:
    """Text as it is, wrapped to the page and scrolled where it is long."""
    # A style: the stylesheet of the console has no classes for this.
    style = "white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24rem; overflow: auto"
    return format_html('<pre class="text-xs" style="{}">{}</pre>', style, text)


def shown_bytes_of_json(text: bytes) -> SafeString | str:
    """JSON bytes, indented and escaped, secrets masked."""
    return shown_json(json.loads(text))


def without_secrets(value: Any) -> Any:
    """The same JSON with every secret masked, at any depth."""
    if isinstance(value, dict):
        return {
            key: MASK if key in _SECRET_KEYS and each else without_secrets(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    return value
