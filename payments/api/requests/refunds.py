"""Parameters of /v1/refunds."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    Amount,
    Enum,
    Expand,
    Metadata,
    Parameters,
    PublicId,
    Unsupported,
)
from payments.api.requests.paging import list_parameters

_CHARGE: Final = PublicId(public_ids.CHARGE, noun="charge")
_PAYMENT_INTENT: Final = PublicId(public_ids.PAYMENT_INTENT, noun="payment_intent")
_BALANCE: Final = Unsupported("Customers have no balance here: refund a payment_intent or charge.")
_CONNECT: Final = Unsupported("Every merchant has an account of its own here: remove it.")

CREATE_REFUND: Final = Parameters(
    {
        "amount": Amount(description="All that is left, if not given."),
        "charge": _CHARGE,
        "expand": Expand("refund"),
        "metadata": Metadata(),
        "payment_intent": _PAYMENT_INTENT,
        "reason": Enum("duplicate", "fraudulent", "requested_by_customer"),
        "currency": _BALANCE,
        "customer": _BALANCE,
        "instructions_email": Unsupported("Refunds go back to the payment method: remove it."),
        "origin": _BALANCE,
        "refund_application_fee": _CONNECT,
        "reverse_transfer": _CONNECT,
    },
    at_least_one=(("payment_intent", "charge"),),
)

UPDATE_REFUND: Final = Parameters({"expand": Expand("refund"), "metadata": Metadata(merges=True)})

RETRIEVE_REFUND: Final = Parameters({"expand": Expand("refund")})

LIST_REFUNDS: Final = list_parameters(
    public_ids.REFUND,
    "refund",
    {"charge": _CHARGE, "payment_intent": _PAYMENT_INTENT},
    noun="refund",
)
