"""/v1/disputes: opened by banks, answered by merchants."""

from __future__ import annotations

from typing import Any

from payments.api.expansion import expand
from payments.api.pagination import list_answer, paging_of
from payments.api.renderers import render_dispute
from payments.api.requests.disputes import (
    CLOSE_DISPUTE,
    LIST_DISPUTES,
    RETRIEVE_DISPUTE,
    UPDATE_DISPUTE,
)
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.clock import now_utc
from payments.models import Dispute as DisputeRow
from payments.objects.dispute import dispute_object
from payments.selectors.disputes import one_dispute, page_of_disputes
from payments.selectors.scope import DISPUTE
from payments.services import commands
from payments.services.callers.caller import CommandRequest, CommandResult


def _shown(dispute: DisputeRow) -> dict[str, Any]:
    return dispute_object(dispute, now=now_utc())


class Disputes(MerchantView):
    """Charges that customers' banks dispute."""

    @documented(LIST_DISPUTES, "dispute", "List disputes", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        filters = call.only("payment_intent", "charge")
        return list_answer(
            page_of_disputes(call.scope, paging_of(call.given), **filters),
            _shown,
            url="/v1/disputes",
            kind="dispute",
            paths=call.expand,
            scope=call.scope,
        )


class Dispute(MerchantView):
    """One dispute."""

    @documented(RETRIEVE_DISPUTE, "dispute", "Retrieve a dispute")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(DISPUTE, public_id)
        shown = _shown(one_dispute(call.scope, public_id))
        expand([shown], "dispute", call.expand, call.scope)
        return shown

    @documented(UPDATE_DISPUTE, "dispute", "Update a dispute", moves_money=True)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.update_dispute(
            CommandRequest(call.caller, render=render_dispute),
            dispute_id=path_id(DISPUTE, public_id),
            evidence=call.given.get("evidence"),
            metadata=call.given.get("metadata"),
            submit=call.given.get("submit"),
        )


class CloseDispute(MerchantView):
    """Accept a dispute as lost."""

    @documented(CLOSE_DISPUTE, "dispute", "Close a dispute", moves_money=True)
    def post(self, call: Call, public_id: str) -> CommandResult:
        return commands.close_dispute(
            CommandRequest(call.caller, render=render_dispute),
            dispute_id=path_id(DISPUTE, public_id),
        )
