"""/v1/refunds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from payments.api.expansion import expand
from payments.api.pagination import list_answer, paging_of
from payments.api.renderers import render_refund
from payments.api.requests.refunds import (
    CREATE_REFUND,
    LIST_REFUNDS,
    RETRIEVE_REFUND,
    UPDATE_REFUND,
)
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import Refund as RefundRow
from payments.objects.refund import refund_object
from payments.selectors.payments import one_refund, page_of_refunds
from payments.selectors.scope import CHARGE, INTENT, REFUND, Kind, id_of
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult


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
        return list_answer(
            page_of_refunds(call.scope, paging_of(call.given), **filters),
            _shown,
            url="/v1/refunds",
            kind="refund",
            paths=call.expand,
            scope=call.scope,
        )


class Refund(MerchantView):
    """One refund."""

    @documented(RETRIEVE_REFUND, "refund", "Retrieve a refund")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(REFUND, public_id)
        shown = _shown(one_refund(call.scope, public_id))
        expand([shown], "refund", call.expand, call.scope)
        return shown

    @documented(UPDATE_REFUND, "refund", "Change a refund's metadata")
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.update_refund(
            CommandRequest(call.caller, render=render_refund),
            refund_id=path_id(REFUND, public_id),
            metadata=call.given.get("metadata"),
        )
