"""Parameters of /v1/charges; read-only, since payment intents create charges."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import Expand, Parameters, PublicId, Unsupported
from payments.api.requests.paging import list_parameters

RETRIEVE_CHARGE: Final = Parameters({"expand": Expand("charge")})

LIST_CHARGES: Final = list_parameters(
    public_ids.CHARGE,
    "charge",
    {
        "customer": PublicId(public_ids.CUSTOMER, noun="customer"),
        "payment_intent": PublicId(public_ids.PAYMENT_INTENT, noun="payment_intent"),
        "transfer_group": Unsupported("Filter by payment_intent or customer."),
    },
    noun="charge",
)
