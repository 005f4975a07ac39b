"""/v1/charges; read-only, since payment intents create charges."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import Expand, Parameters, PublicId, Unsupported
from payments.api.parameters.groups import list_parameters
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Operation
from payments.objects.charge import charge_object
from payments.selectors.payments import one_charge, page_of_charges
from payments.selectors.scope import CHARGE

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


def _shown(operation: Operation) -> dict[str, Any]:
    return charge_object(operation, operation.intent)


class Charges(MerchantView):
    """Attempts to charge, successful or not."""

    @documented(LIST_CHARGES, "charge", "List charges", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "customer")
        return call.list_of("charge", page_of_charges(call.scope, call.paging, **filters), _shown)


class Charge(MerchantView):
    """One charge."""

    @documented(RETRIEVE_CHARGE, "charge", "Retrieve a charge")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CHARGE, public_id)
        return call.expanded("charge", _shown(one_charge(call.scope, public_id)))
