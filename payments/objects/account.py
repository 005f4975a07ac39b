"""The account: the merchant itself, as a key of its own sees it."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Merchant
from payments.objects.fields import (
    ObjectType,
    always,
    always_null,
    created,
    flag,
    named,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import unix_seconds

_SETTINGS: Final = {
    "branding": record(
        "Not kept.", always_null("icon", "logo", "primary_color", "secondary_color")
    ),
    "card_payments": record("Not kept.", always_null("statement_descriptor_prefix")),
    "dashboard": record(
        "The console.",
        {
            "display_name": text("The merchant's name.", "Two Books"),
            "timezone": always("Days begin in UTC.", "Etc/UTC"),
        },
    ),
    "payments": record("Not kept.", always_null("statement_descriptor")),
}
_NO_PROFILE: Final = always_null(
    *("mcc", "product_description", "support_address", "support_email", "support_phone"),
    *("support_url", "url"),
)
_CAPABILITY: Final = "`active` once the merchant has a PSP account in the key's mode."

ACCOUNT: Final = ObjectType(
    "account",
    "The merchant whose key is used. Every merchant has one account, and no other is visible.",
    {
        "id": own_id(public_ids.MERCHANT),
        "object": named("account"),
        "business_profile": record(
            "The merchant's business.",
            {"name": text("The merchant's name.", "Two Books"), **_NO_PROFILE},
        ),
        "capabilities": record(
            "What the merchant may do.",
            {"card_payments": one_of(_CAPABILITY, "active", "inactive")},
        ),
        "charges_enabled": flag("Whether payments can be made in the key's mode.", example=True),
        "created": created("the merchant"),
        "details_submitted": always("The operator has set up every merchant that exists.", True),
        "metadata": always("Always empty.", {}),
        "payouts_enabled": always("Payouts are made outside this API.", False),
        "settings": record("Settings that Stripe shows here.", _SETTINGS),
        "type": always("As of an account with its own dashboard.", "standard"),
        **always_null("business_type", "country", "default_currency", "email"),
    },
)


def account_object(merchant: Merchant, *, livemode: bool) -> dict[str, Any]:
    """The merchant in one mode. What this platform does not keep (address, payouts) is null."""
    psp_account_id = merchant.live_psp_account_id if livemode else merchant.test_psp_account_id
    takes_payments = psp_account_id is not None
    return {
        "id": merchant.public_id,
        **ACCOUNT.constants,
        "business_profile": {"name": merchant.name, **dict.fromkeys(_NO_PROFILE)},
        "capabilities": {"card_payments": "active" if takes_payments else "inactive"},
        "charges_enabled": takes_payments,
        "created": unix_seconds(merchant.created_at),
        "metadata": {},
        "settings": {
            "branding": {
                "icon": None,
                "logo": None,
                "primary_color": None,
                "secondary_color": None,
            },
            "card_payments": {"statement_descriptor_prefix": None},
            "dashboard": {"display_name": merchant.name, "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": None},
        },
    }
