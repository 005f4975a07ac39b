"""The account: the merchant itself, as a key of its own sees it."""

from __future__ import annotations

from typing import Any

from payments.models import Merchant
from payments.objects.parts import unix_seconds


def account_object(merchant: Merchant, *, livemode: bool) -> dict[str, Any]:
    """The merchant in one mode. What this platform does not keep (address, payouts) is null."""
    psp_account_id = merchant.live_psp_account_id if livemode else merchant.test_psp_account_id
    takes_payments = psp_account_id is not None
    return {
        "id": merchant.public_id,
        "object": "account",
        "business_profile": {
            "mcc": None,
            "name": merchant.name,
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {"card_payments": "active" if takes_payments else "inactive"},
        "charges_enabled": takes_payments,
        "country": None,
        "created": unix_seconds(merchant.created_at),
        "default_currency": None,
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": False,
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
        "type": "standard",
    }
