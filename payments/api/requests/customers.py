"""Parameters of /v1/customers."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    Email,
    Expand,
    Metadata,
    Parameter,
    Parameters,
    Phone,
    Text,
    Unsupported,
)
from payments.api.requests.paging import list_parameters
from payments.api.requests.people import address, shipping

_METADATA_INSTEAD: Final = Unsupported("Put it into metadata.")
_ATTACH_INSTEAD: Final = Unsupported(
    "Attach a payment method with POST /v1/payment_methods/{id}/attach."
)
_NO_INVOICES: Final = Unsupported("There are no invoices and no balances here: remove it.")

_UNSUPPORTED: Final[dict[str, Parameter]] = {
    "balance": _NO_INVOICES,
    "business_name": _METADATA_INSTEAD,
    "cash_balance": _NO_INVOICES,
    "individual_name": _METADATA_INSTEAD,
    "invoice_prefix": _NO_INVOICES,
    "invoice_settings": _NO_INVOICES,
    "next_invoice_sequence": _NO_INVOICES,
    "preferred_locales": _METADATA_INSTEAD,
    "source": _ATTACH_INSTEAD,
    "tax": _METADATA_INSTEAD,
    "tax_exempt": _METADATA_INSTEAD,
    "validate": _ATTACH_INSTEAD,
}


def _who() -> dict[str, Parameter]:
    return {
        "address": address(),
        "description": Text(max_length=1000, lines=True),
        "email": Email(),
        "expand": Expand("customer"),
        "name": Text(max_length=256),
        "phone": Phone(),
        "shipping": shipping(can_unset=True),
        **_UNSUPPORTED,
    }


CREATE_CUSTOMER: Final = Parameters(
    {
        **_who(),
        "metadata": Metadata(),
        "payment_method": _ATTACH_INSTEAD,
        "tax_id_data": _METADATA_INSTEAD,
        "test_clock": Unsupported("There are no test clocks here: remove it."),
    }
)

UPDATE_CUSTOMER: Final = Parameters(
    {**_who(), "metadata": Metadata(merges=True), "default_source": _ATTACH_INSTEAD}
)

RETRIEVE_CUSTOMER: Final = Parameters({"expand": Expand("customer")})

DELETE_CUSTOMER: Final = Parameters({})

LIST_CUSTOMERS: Final = list_parameters(
    public_ids.CUSTOMER,
    "customer",
    {
        "email": Email(can_unset=False, description="Exactly this address, in any case."),
        "test_clock": Unsupported("There are no test clocks here: remove it."),
    },
    noun="customer",
)
