"""/v1/balance and /v1/balance_transactions."""

from __future__ import annotations

from typing import Any

from payments.api.expansion import expand
from payments.api.pagination import list_answer, paging_of
from payments.api.requests.balance import (
    LIST_BALANCE_TRANSACTIONS,
    RETRIEVE_BALANCE,
    RETRIEVE_BALANCE_TRANSACTION,
)
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
            paging_of(call.given),
            transaction_type=call.given.get("type", ""),
            source=call.given.get("source", ""),
            currency=call.given.get("currency", ""),
            available_on=call.given.get("available_on"),
        )
        return list_answer(
            page,
            balance_transaction_object,
            url="/v1/balance_transactions",
            kind="balance_transaction",
            paths=call.expand,
            scope=call.scope,
        )


class BalanceTransaction(MerchantView):
    """One change of the balance."""

    @documented(
        RETRIEVE_BALANCE_TRANSACTION, "balance_transaction", "Retrieve a balance transaction"
    )
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(BALANCE_TRANSACTION, public_id)
        shown = balance_transaction_object(one_balance_transaction(call.scope, public_id))
        expand([shown], "balance_transaction", call.expand, call.scope)
        return shown
