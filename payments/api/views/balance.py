"""/v1/balance and /v1/balance_transactions."""

from __future__ import annotations

from typing import Any, Final

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
from payments.api.parameters.groups import list_parameters
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.objects.balance import balance_object, balance_transaction_object
from payments.selectors.balance import (
    balance_of,
    one_balance_transaction,
    page_of_balance_transactions,
)
from payments.selectors.scope import BALANCE_TRANSACTION

RETRIEVE_BALANCE: Final = Parameters({"expand": Expand("balance")})

RETRIEVE_BALANCE_TRANSACTION: Final = Parameters({"expand": Expand("balance_transaction")})

LIST_BALANCE_TRANSACTIONS: Final = list_parameters(
    public_ids.BALANCE_TRANSACTION,
    "balance_transaction",
    {
        "currency": Currency(),
        "source": PublicId(
            public_ids.CHARGE,
            public_ids.REFUND,
            public_ids.DISPUTE,
            noun="source",
            description="What is behind it: a charge, refund or dispute.",
        ),
        "type": Text(
            max_length=40,
            pattern="[a-z_]+",
            rule="such as charge or refund",
            can_unset=False,
            description="Such as `charge`, `refund` or `adjustment`.",
        ),
        "available_on": CreatedRange(description="Unix seconds, or a range; days begin in UTC."),
        "payout": Unsupported(
            "Which payout paid a transaction is known once settlement reports are read. Filter by "
            "available_on, created or source."
        ),
    },
    noun="balance_transaction",
    example={"type": "charge", "created": {"gte": 1_767_225_600}},
)


class Balance(MerchantView):
    """What we owe the merchant, by currency."""

    @documented(RETRIEVE_BALANCE, "balance", "Retrieve the balance")
    def get(self, call: Call) -> dict[str, Any]:
        return balance_object(balance_of(call.scope), livemode=call.scope.livemode)


class BalanceTransactions(MerchantView):
    """Every change of the balance."""

    @documented(
        LIST_BALANCE_TRANSACTIONS, "balance_transaction", "List balance transactions", is_list=True
    )
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_balance_transactions(
            call.scope,
            call.paging,
            transaction_type=call.given.get("type", ""),
            source=call.given.get("source", ""),
            currency=call.given.get("currency", ""),
            available_on=call.given.get("available_on"),
        )
        return call.list_of("balance_transaction", page, balance_transaction_object)


class BalanceTransaction(MerchantView):
    """One change of the balance."""

    @documented(
        RETRIEVE_BALANCE_TRANSACTION, "balance_transaction", "Retrieve a balance transaction"
    )
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(BALANCE_TRANSACTION, public_id)
        return call.expanded(
            "balance_transaction",
            balance_transaction_object(one_balance_transaction(call.scope, public_id)),
        )
