"""/v1/charges; payment intents create charges, and a charge is captured as its payment intent."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import (
    Amount,
    Email,
    Expand,
    Metadata,
    Parameters,
    PublicId,
    StatementDescriptor,
    Text,
    Unsupported,
)
from payments.api.parameters.groups import list_parameters, search_parameters, shipping
from payments.api.renderers import render_charge
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Operation
from payments.objects.charge import charge_object
from payments.selectors.payments import one_charge, page_of_charges
from payments.selectors.scope import CHARGE
from payments.selectors.search import search_charges
from payments.selectors.search_fields import CHARGE_FIELDS
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult
from payments.services.commands import IntentDetails

_NO_GROUPS: Final = Unsupported("There are no connected accounts here: remove it.")
_FEE: Final = Unsupported("Platform fees are set per merchant by the operator: remove it.")

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

UPDATE_CHARGE: Final = Parameters(
    {
        "customer": Unsupported("Set it on the payment intent, before it is charged."),
        "description": Text(
            max_length=1000, lines=True, description="Your own text, kept with the payment."
        ),
        "expand": Expand("charge"),
        "fraud_details": Unsupported("The operator's settings decide how risk is judged."),
        "metadata": Metadata(merges=True),
        "receipt_email": Email(description="Kept for you: no receipts are sent."),
        "shipping": shipping(can_unset=True),
        "transfer_group": _NO_GROUPS,
    },
    example={"description": "Order 6735, as a gift"},
)

CAPTURE_CHARGE: Final = Parameters(
    {
        "amount": Amount(description="All that is left, if not given. The rest is released."),
        "application_fee": _FEE,
        "application_fee_amount": _FEE,
        "expand": Expand("charge"),
        "receipt_email": Email(description="Kept for you: no receipts are sent."),
        "statement_descriptor": StatementDescriptor(),
        "statement_descriptor_suffix": StatementDescriptor(),
        "transfer_data": _NO_GROUPS,
        "transfer_group": _NO_GROUPS,
    },
    example={"amount": 1000},
)


SEARCH_CHARGES: Final = search_parameters("charge", CHARGE_FIELDS)


def _shown(operation: Operation) -> dict[str, Any]:
    return charge_object(operation, operation.intent)


def _of_path(call: Call, public_id: str) -> dict[str, Any]:
    """Which payment intent a command is about, and by which of its charges it is named."""
    path_id(CHARGE, public_id)
    charge = one_charge(call.scope, public_id)
    return {"intent_id": charge.intent_id, "charge_id": charge.id}


class Charges(MerchantView):
    """Attempts to charge, successful or not."""

    @documented(LIST_CHARGES, "charge", "List charges", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "customer")
        return call.list_of("charge", page_of_charges(call.scope, call.paging, **filters), _shown)


class SearchCharges(MerchantView):
    """Charges by a query."""

    @documented(SEARCH_CHARGES, "charge", "Search charges", is_search=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.search_result_of("charge", search_charges, _shown)


class Charge(MerchantView):
    """One charge."""

    @documented(RETRIEVE_CHARGE, "charge", "Retrieve a charge")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(CHARGE, public_id)
        return call.expanded("charge", _shown(one_charge(call.scope, public_id)))

    @documented(UPDATE_CHARGE, "charge", "Change a charge", example=UPDATE_CHARGE.example)
    def post(self, call: Call, public_id: str) -> CommandResult:
        """Change its payment intent, whose details the charge shows."""
        return commands.update_intent(
            CommandRequest(call.caller, render=render_charge),
            **_of_path(call, public_id),
            details=call.details(IntentDetails),
        )


class CaptureCharge(MerchantView):
    """Capture the authorization that a charge holds."""

    @documented(CAPTURE_CHARGE, "charge", "Capture a charge", moves_money=True)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.capture_payment(
            CommandRequest(call.caller, render=render_charge),
            **_of_path(call, public_id),
            amount_minor=call.given.get("amount"),
            amount_param="amount",
            details=call.details(IntentDetails),
        )
