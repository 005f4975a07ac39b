"""/v1/account and /v1/accounts: the merchant whose key is used, and no other."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import Expand, Parameters
from payments.api.parameters.groups import list_parameters
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.objects.account import account_object
from payments.selectors.paging import empty_page
from payments.selectors.scope import Kind, refuse_missing

ACCOUNT: Final = Kind(public_ids.MERCHANT, "account")

RETRIEVE_ACCOUNT: Final = Parameters({"expand": Expand("account")})

LIST_ACCOUNTS: Final = list_parameters(public_ids.MERCHANT, "account", {}, noun="account")


def _shown(call: Call) -> dict[str, Any]:
    return account_object(call.identity.merchant, livemode=call.identity.livemode)


class OwnAccount(MerchantView):
    """The merchant of the API key."""

    @documented(RETRIEVE_ACCOUNT, "account", "Retrieve your account")
    def get(self, call: Call) -> dict[str, Any]:
        return _shown(call)


class Accounts(MerchantView):
    """The connected accounts, of which there are none."""

    @documented(LIST_ACCOUNTS, "account", "List connected accounts", is_list=True, is_empty=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.list_of("account", empty_page(call.paging, kind=ACCOUNT), dict)


class Account(MerchantView):
    """The merchant of the API key, by its id. Every other account is missing."""

    @documented(RETRIEVE_ACCOUNT, "account", "Retrieve an account")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(ACCOUNT, public_id)
        if public_id != call.identity.merchant.public_id:
            refuse_missing(ACCOUNT, public_id)
        return _shown(call)
