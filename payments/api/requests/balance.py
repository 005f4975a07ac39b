"""Parameters of /v1/balance and /v1/balance_transactions."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    CreatedRange,
    Currency,
    Expand,
    Parameters,
    PublicId,
    Text,
    Unsupported,
)
from payments.api.requests.paging import list_parameters

RETRIEVE_BALANCE: Final = Parameters({"expand": Expand("balance")})

RETRIEVE_BALANCE_TRANSACTION: Final = Parameters({"expand": Expand("balance_transaction")})

LIST_BALANCE_TRANSACTIONS: Final = list_parameters(
    public_ids.BALANCE_TRANSACTION,
    "balance_transaction",
    {
        "currency": Currency(),
        "source": PublicId(public_ids.CHARGE, public_ids.REFUND, public_ids.DISPUTE, noun="source"),
        "type": Text(
            max_length=40, pattern="[a-z_]+", rule="such as charge or refund", can_unset=False
        ),
        "available_on": CreatedRange(description="Unix seconds, or a range; days begin in UTC."),
        "payout": Unsupported(
            "Which payout paid a transaction is known once settlement reports are read. Filter by "
            "available_on, created or source."
        ),
    },
    noun="balance_transaction",
)
