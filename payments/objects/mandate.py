"""Mandates as the merchant sees them."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.models import Mandate, MandateStatus, PaymentMethod
from payments.models.mandate import OFFLINE, ONLINE, SINGLE_USE
from payments.objects.fields import (
    EXAMPLE_SECOND,
    ObjectType,
    always,
    always_null,
    currency,
    id_of,
    livemode,
    minor,
    named,
    one_of,
    own_id,
    record,
    second,
    text,
)
from payments.objects.parts import public_id, unix_seconds
from payments.objects.payment_method import METHOD_TYPE

_BROWSER: Final = {
    "ip_address": text("The customer's address.", "203.0.113.7", nullable=True),
    "user_agent": text("The customer's browser.", "Mozilla/5.0", nullable=True),
}
_DETAILS: Final = {
    "reference": text("What the customer's bank shows of it.", "mandate-C7JqXm2Zt4bW9sKd1RfYvA"),
    "url": always("Always empty: no page shows it.", ""),
}

MANDATE: Final = ObjectType(
    "mandate",
    "A customer's permission to debit an account: for one payment, or for later ones too.",
    {
        "id": own_id(public_ids.MANDATE),
        "object": named("mandate"),
        "customer_acceptance": record(
            "How the customer accepted it.",
            {
                "accepted_at": second("When.", EXAMPLE_SECOND),
                "offline": record("If `type` says so.", {}).but(absent=True, example=None),
                "online": record("If `type` says so.", _BROWSER).but(absent=True),
                "type": one_of("Where.", ONLINE, OFFLINE),
            },
        ),
        "livemode": livemode(),
        "multi_use": record("If `type` says so.", {}).but(absent=True),
        "payment_method": id_of(
            "payment_method", "What may be debited by it.", public_ids.PAYMENT_METHOD
        ),
        "payment_method_details": record(
            "Its reference.",
            {
                "sepa_debit": record("If `type` says so.", _DETAILS).but(absent=True),
                "type": METHOD_TYPE.but(example="sepa_debit"),
            },
        ),
        "single_use": record(
            "If `type` says so.",
            {"amount": minor("The one payment.", 1250), "currency": currency()},
        ).but(absent=True, example=None),
        "status": one_of(
            "`active`: later payments may be made by it. `pending`: what makes it has yet to "
            "succeed. `inactive`: it was used, revoked, or never active.",
            *sorted(MandateStatus),
            example="active",
        ),
        "type": one_of("Whether it is for later payments too.", "multi_use", SINGLE_USE),
        **always_null("on_behalf_of"),
    },
)


def mandate_object(mandate: Mandate, method: PaymentMethod) -> dict[str, Any]:
    """A mandate, nothing expanded; `method` is its payment method."""
    shown: dict[str, Any] = {
        "id": public_id(public_ids.MANDATE, mandate.id),
        **MANDATE.constants,
        "customer_acceptance": _acceptance(mandate),
        "livemode": mandate.livemode,
        "payment_method": public_id(public_ids.PAYMENT_METHOD, mandate.payment_method_id),
        "payment_method_details": {"type": method.method_type},
        "status": mandate.status,
        "type": mandate.use,
        mandate.use: {},
    }
    if mandate.use == SINGLE_USE:
        shown[SINGLE_USE] = {
            "amount": mandate.single_use_minor,
            "currency": mandate.currency.lower(),
        }
    if method.method_type == "sepa_debit":
        shown["payment_method_details"]["sepa_debit"] = {
            "reference": _reference(mandate),
            "url": "",
        }
    return shown


def _acceptance(mandate: Mandate) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "accepted_at": unix_seconds(mandate.accepted_at),
        "type": mandate.acceptance,
        mandate.acceptance: {},
    }
    if mandate.acceptance == ONLINE:
        shown[ONLINE] = {
            "ip_address": mandate.ip_address or None,
            "user_agent": mandate.user_agent or None,
        }
    return shown


def _reference(mandate: Mandate) -> str:
    """The PSP's, or else ours as banks take it: they know no underscore."""
    return mandate.psp_reference or mandate.public_id.replace("_", "-")
