"""/v1/refunds."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

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
from payments.api.parameters.groups import list_parameters
from payments.api.renderers import render_refund
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Refund as RefundRow
from payments.objects.fields import example_id
from payments.objects.refund import refund_object
from payments.selectors.payments import one_refund, page_of_refunds
from payments.selectors.scope import CHARGE, INTENT, REFUND, Kind, id_of
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult

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
        "reason": Enum(
            *("duplicate", "fraudulent", "requested_by_customer"),
            description="Why; shown with the refund.",
        ),
        "currency": _BALANCE,
        "customer": _BALANCE,
        "instructions_email": Unsupported("Refunds go back to the payment method: remove it."),
        "origin": _BALANCE,
        "refund_application_fee": _CONNECT,
        "reverse_transfer": _CONNECT,
    },
    at_least_one=(("payment_intent", "charge"),),
    example={
        "payment_intent": example_id(public_ids.PAYMENT_INTENT),
        "amount": 500,
        "reason": "requested_by_customer",
    },
)

UPDATE_REFUND: Final = Parameters(
    {"expand": Expand("refund"), "metadata": Metadata(merges=True)},
    example={"metadata": {"order_id": "6735", "ticket": "T-118"}},
)

CANCEL_REFUND: Final = Parameters({"expand": Expand("refund")})

RETRIEVE_REFUND: Final = Parameters({"expand": Expand("refund")})

LIST_REFUNDS: Final = list_parameters(
    public_ids.REFUND,
    "refund",
    {"charge": _CHARGE, "payment_intent": _PAYMENT_INTENT},
    noun="refund",
    example={"payment_intent": example_id(public_ids.PAYMENT_INTENT), "limit": 3},
)


_CANCELED: Final = {"balance_transaction": None, "status": "canceled"}
"""What differs in the example of the answer."""


def _shown(refund: RefundRow) -> dict[str, Any]:
    return refund_object(refund, refund.intent, refund.operation)


def _given_id(call: Call, name: str, kind: Kind) -> UUID | None:
    public_id = call.given.get(name)
    return id_of(kind, public_id, param=name) if public_id else None


class Refunds(MerchantView):
    """The refunds of a merchant."""

    @documented(CREATE_REFUND, "refund", "Refund a payment", moves_money=True)
    def post(self, call: Call) -> CommandResult:
        return commands.refund_payment(
            CommandRequest(call.caller, render=render_refund),
            intent_id=_given_id(call, "payment_intent", INTENT),
            charge_id=_given_id(call, "charge", CHARGE),
            amount_minor=call.given.get("amount"),
            reason=call.given.get("reason", ""),
            metadata=call.given.get("metadata", {}),
        )

    @documented(LIST_REFUNDS, "refund", "List refunds", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "charge")
        return call.list_of("refund", page_of_refunds(call.scope, call.paging, **filters), _shown)


class Refund(MerchantView):
    """One refund."""

    @documented(RETRIEVE_REFUND, "refund", "Retrieve a refund")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(REFUND, public_id)
        return call.expanded("refund", _shown(one_refund(call.scope, public_id)))

    @documented(
        UPDATE_REFUND, "refund", "Change a refund's metadata", example=UPDATE_REFUND.example
    )
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.update_refund(
            CommandRequest(call.caller, render=render_refund),
            refund_id=path_id(REFUND, public_id),
            metadata=call.given.get("metadata"),
        )


class CancelRefund(MerchantView):
    """Cancel a refund that was not sent to the PSP yet."""

    @documented(CANCEL_REFUND, "refund", "Cancel a refund", example=_CANCELED)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.cancel_refund(
            CommandRequest(call.caller, render=render_refund), refund_id=path_id(REFUND, public_id)
        )
