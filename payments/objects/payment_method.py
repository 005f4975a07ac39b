"""Payment methods: the object, and the snapshot of one that a charge keeps.

Tokens are never shown: they are a secret between the PSP and us.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from payments import public_ids
from payments.models import PaymentMethod
from payments.objects.fields import (
    Field,
    ObjectType,
    always,
    always_null,
    created,
    example_id,
    id_of,
    integer,
    list_of,
    livemode,
    metadata,
    named,
    one_of,
    own_id,
    record,
    second,
    text,
)
from payments.objects.parts import (
    billing_details_field,
    billing_details_object,
    public_id,
    reference,
    unix_seconds_of,
)

_CHECKS: Final = record(
    "Not told by PSPs yet.",
    always_null("address_line1_check", "address_postal_code_check", "cvc_check"),
    nullable=True,
)
_BRAND: Final = "Such as `visa`, `mastercard` or `amex`; `unknown` if the PSP does not say."
_CARD: Final = {
    "brand": text(_BRAND, "visa", nullable=True),
    "checks": _CHECKS,
    "country": text("Where it was issued.", "DE", nullable=True),
    "exp_month": integer("The month of its expiry.", 12, nullable=True),
    "exp_year": integer("The year of its expiry.", 2034, nullable=True),
    "fingerprint": text("The same for the same card.", "F2c9a81d", nullable=True),
    "funding": text("`credit`, `debit`, `prepaid` or `unknown`.", "credit", nullable=True),
    "last4": text("Its last four digits.", "4242", nullable=True),
}
CARD: Final = {
    **_CARD,
    "brand": _CARD["brand"].but(nullable=False),
    "funding": _CARD["funding"].but(nullable=False),
    "display_brand": text("As `brand`.", "visa"),
    "networks": record(
        "The networks that take it.",
        {
            "available": list_of("As `brand`.", text("A network."), ["visa"]),
            **always_null("preferred"),
        },
    ),
    "three_d_secure_usage": record(
        "3-D Secure.", {"supported": always("The PSP decides when it is needed.", True)}
    ),
    **always_null("generated_from", "regulated_status", "wallet"),
}
_BANK: Final = {
    "country": text("Of the bank.", "DE", nullable=True),
    "fingerprint": text("The same for the same account.", "F7d01b3e", nullable=True),
    "last4": text("The last four characters of the account.", "3000", nullable=True),
}
_NOT_TOLD: Final = {
    "bancontact": (
        *("bank_code", "bank_name", "bic", "generated_sepa_debit"),
        *("generated_sepa_debit_mandate", "iban_last4", "preferred_language", "verified_name"),
    ),
    "ideal": ("bank", "bic"),
    "paypal": (
        *("country", "payer_email", "payer_id", "payer_name"),
        *("seller_protection", "transaction_id"),
    ),
}
"""Types that the customer pays by on another page: PSPs tell nothing of what was entered there."""
_SEPA_DEBIT: Final = {
    **_BANK,
    **always_null("bank_code", "branch_code", meaning="Not told by PSPs."),
}
_CHARGED_SEPA_DEBIT: Final = {
    **_SEPA_DEBIT,
    **always_null("expected_debit_date", meaning="Not told by PSPs."),
    "mandate": text(
        "The id of the mandate by which it was debited.",
        sample=example_id(public_ids.MANDATE),
        nullable=True,
    ),
}
OTHER_TYPES: Final = {
    **{
        method_type: always_null(*names, meaning="Not told by PSPs.")
        for method_type, names in _NOT_TOLD.items()
    },
    "sepa_debit": {
        **_SEPA_DEBIT,
        **always_null("generated_from", meaning="A payment by another type keeps its own type."),
    },
    "us_bank_account": _BANK,
}


def details_of_other_types(*, charged: bool = False) -> dict[str, Field]:
    """The field of each type but card, there only if the method is of that type."""
    types = {**OTHER_TYPES, "sepa_debit": _CHARGED_SEPA_DEBIT} if charged else OTHER_TYPES
    return {
        name: record("Details, if `type` says so.", fields).but(absent=True, example=None)
        for name, fields in types.items()
    }


METHOD_TYPE: Final = one_of("What it is; the field of this name tells more.", "card", *OTHER_TYPES)

PAYMENT_METHOD: Final = ObjectType(
    "payment_method",
    "A card or bank account, known by a token of the PSP. Its number is never seen here.",
    {
        "id": own_id(public_ids.PAYMENT_METHOD),
        "object": named("payment_method"),
        "allow_redisplay": one_of(
            "Whether pages may show it to its customer again. The checkout page does if `always`.",
            *("always", "limited", "unspecified"),
            example="unspecified",
        ),
        "billing_details": billing_details_field(),
        "card": record("The card, if `type` says so.", CARD).but(absent=True),
        **details_of_other_types(),
        "created": created("the payment method"),
        "customer": id_of(
            "customer", "Whose it is; null if it is not attached to a customer.", nullable=True
        ),
        "livemode": livemode(),
        "metadata": metadata(),
        "radar_options": always("The operator decides how risk is judged.", {}),
        "type": METHOD_TYPE,
        **always_null("customer_account"),
    },
)


def _availability_field(meaning: str) -> Field:
    return record(meaning, {"status": one_of("Whether it is.", "available", "unavailable")})


CHARGED_CARD: Final = {
    **_CARD,
    "capture_before": second("Until when a held card can be captured.").but(absent=True),
    "extended_authorization": record(
        "Longer holds.", {"status": always("They are not supported.", "disabled")}
    ),
    "incremental_authorization": _availability_field(
        "Whether the authorization can be raised with `increment_authorization`."
    ),
    "multicapture": _availability_field(
        "Whether it can be captured in several parts (`final_capture=false`)."
    ),
    "network": text("As `brand`.", "visa", nullable=True),
    "network_token": record("Network tokens.", {"used": always("The PSP does not say.", False)}),
    "overcapture": record(
        "Capturing more than was authorized.",
        {
            "maximum_amount_capturable": integer("What was authorized.", 1250).but(absent=True),
            "status": always("It is not supported.", "unavailable"),
        },
    ),
    "mandate": text(
        "The id of the mandate with which the PSP keeps it, if it makes one.",
        sample=example_id(public_ids.MANDATE),
        nullable=True,
    ),
    "network_transaction_id": text(
        "The charge's own id at the card network; null where the PSP does not state it.",
        sample="snt_…",
        nullable=True,
    ),
    **always_null("amount_authorized", "installments"),
    **always_null("regulated_status", "three_d_secure", "wallet"),
}
CHARGED_METHOD: Final = record(
    "The payment method as it was when it was charged.",
    {
        "card": record("The card, if `type` says so.", CHARGED_CARD).but(absent=True),
        **details_of_other_types(charged=True),
        "type": METHOD_TYPE,
    },
    nullable=True,
)


def payment_method_object(method: PaymentMethod) -> dict[str, Any]:
    """A payment method as the merchant sees it."""
    return _method_object(
        method.id,
        method_type=method.method_type,
        details=_details(method.method_type, _facts(method)),
        billing_details=method.billing_details,
        customer_id=method.customer_id,
        livemode=method.livemode,
        metadata=method.metadata,
        allow_redisplay=method.allow_redisplay,
    )


def payment_method_snapshot(
    method: PaymentMethod, *, multiple_captures: bool = False, increments: bool = False
) -> dict[str, Any]:
    """What a charge shows of its method for ever: the type, what is known of it, and the billing
    details.

    Of a charge that is captured later, also what the PSP allows until then.
    """
    return {
        "type": method.method_type,
        method.method_type: _facts(method),
        "billing_details": method.billing_details,
        "multiple_captures": multiple_captures,
        "increments": increments,
    }


def charged_method_details(
    snapshot: dict[str, Any] | None, *, mandate_id: UUID | None
) -> dict[str, Any] | None:
    """The `payment_method_details` of a charge, from the snapshot it was sent with."""
    if not snapshot:
        return None
    method_type = snapshot["type"]
    details = snapshot.get(method_type) or {}
    if method_type == "sepa_debit":
        return {"type": method_type, method_type: _debited(details, mandate_id)}
    if method_type != "card":
        return {"type": method_type, method_type: _details(method_type, details)}
    return {
        "type": "card",
        "card": {
            "amount_authorized": None,
            "brand": details.get("brand"),
            "checks": _checks(),
            "country": details.get("country"),
            "exp_month": details.get("exp_month"),
            "exp_year": details.get("exp_year"),
            "extended_authorization": {"status": "disabled"},
            "fingerprint": details.get("fingerprint"),
            "funding": details.get("funding"),
            "incremental_authorization": _availability(snapshot, "increments"),
            "installments": None,
            "last4": details.get("last4"),
            "mandate": reference(public_ids.MANDATE, mandate_id),
            "multicapture": _availability(snapshot, "multiple_captures"),
            "network": details.get("brand"),
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"status": "unavailable"},
            "regulated_status": None,
            "three_d_secure": None,
            "wallet": None,
        },
    }


def _availability(snapshot: dict[str, Any], name: str) -> dict[str, str]:
    return {"status": "available" if snapshot.get(name) else "unavailable"}


def charged_method_object(
    identifier: UUID,
    snapshot: dict[str, Any],
    *,
    customer_id: UUID | None,
    livemode: bool,
) -> dict[str, Any]:
    """The method of a failed charge, as errors show it, rebuilt from the charge's snapshot."""
    method_type = snapshot["type"]
    return _method_object(
        identifier,
        method_type=method_type,
        details=_details(method_type, snapshot.get(method_type) or {}),
        billing_details=snapshot.get("billing_details"),
        customer_id=customer_id,
        livemode=livemode,
        metadata={},
    )


def _method_object(
    identifier: UUID,
    *,
    method_type: str,
    details: dict[str, Any],
    billing_details: dict[str, Any] | None,
    customer_id: UUID | None,
    livemode: bool,
    metadata: dict[str, str],
    allow_redisplay: str = "unspecified",
) -> dict[str, Any]:
    return {
        "id": public_id(public_ids.PAYMENT_METHOD, identifier),
        **PAYMENT_METHOD.constants,
        "allow_redisplay": allow_redisplay,
        "billing_details": billing_details_object(billing_details),
        method_type: details,
        "created": unix_seconds_of(identifier),
        "customer": reference(public_ids.CUSTOMER, customer_id),
        "livemode": livemode,
        "metadata": metadata,
        "radar_options": {},
        "type": method_type,
    }


def _facts(method: PaymentMethod) -> dict[str, Any]:
    """What is known of the method: all that its details are made of, and no nulls."""
    known: dict[str, Any] = {
        "country": method.country,
        "fingerprint": method.fingerprint,
        "last4": method.last4,
    }
    if method.method_type == "card":
        known |= {
            "brand": method.brand or "unknown",
            "exp_month": method.expiry_month,
            "exp_year": method.expiry_year,
            "funding": method.funding or "unknown",
        }
    return {name: value for name, value in known.items() if value}


def _details(method_type: str, facts: dict[str, Any]) -> dict[str, Any]:
    if method_type in _NOT_TOLD:
        return dict.fromkeys(_NOT_TOLD[method_type])
    if method_type == "sepa_debit":
        return {name: facts.get(name) for name in OTHER_TYPES[method_type]}
    known = {name: facts.get(name) for name in ("country", "fingerprint", "last4")}
    if method_type != "card":
        return known
    brand = facts.get("brand")
    return {
        **known,
        "brand": brand,
        "checks": _checks(),
        "display_brand": brand,
        "exp_month": facts.get("exp_month"),
        "exp_year": facts.get("exp_year"),
        "funding": facts.get("funding"),
        "generated_from": None,
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": None,
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _debited(facts: dict[str, Any], mandate_id: UUID | None) -> dict[str, Any]:
    own = {name: facts.get(name) for name in _CHARGED_SEPA_DEBIT}
    return own | {"mandate": reference(public_ids.MANDATE, mandate_id)}


def _checks() -> dict[str, None]:
    return dict.fromkeys(("address_line1_check", "address_postal_code_check", "cvc_check"))
