"""/v1/charges; read-only, since payment intents create charges."""

from __future__ import annotations

from typing import Any

from payments.api.expansion import expand
from payments.api.pagination import list_answer, paging_of
from payments.api.requests.charges import LIST_CHARGES, RETRIEVE_CHARGE
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Operation
from payments.objects.charge import charge_object
from payments.selectors.payments import one_charge, page_of_charges
from payments.selectors.scope import CHARGE


def _shown(operation: Operation) -> dict[str, Any]:
    return charge_object(operation, operation.intent)


class Charges(MerchantView):
    """Attempts to charge, successful or not."""

    @documented(LIST_CHARGES, "charge", "List charges", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "customer")
        return list_answer(
            page_of_charges(call.scope, paging_of(call.given), **filters),
            _shown,
            url="/v1/charges",
            kind="charge",
            paths=call.expand,
            scope=call.scope,
        )


class Charge(MerchantView):
    """One charge."""

    @documented(RETRIEVE_CHARGE, "charge", "Retrieve a charge")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CHARGE, public_id)
        shown = _shown(one_charge(call.scope, public_id))
        expand([shown], "charge", call.expand, call.scope)
        return shown
