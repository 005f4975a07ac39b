"""/v1/payment_links."""

from __future__ import annotations

from typing import Any

from payments.api.renderers import render_payment_link
from payments.api.views.call import Call, path_id
from payments.api.views.checkout_parameters import LIST_LINES, lines_of
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.api.views.payment_link_parameters import (
    CREATE_LINK,
    LIST_LINKS,
    RETRIEVE_LINK,
    UPDATE_LINK,
)
from payments.models import PaymentLink as LinkRow
from payments.objects.checkout_session import LINE_ITEM, link_lines_object, payment_link_object
from payments.selectors.checkout import one_payment_link, page_of_payment_links
from payments.selectors.scope import PAYMENT_LINK
from payments.services.callers.caller import CommandRequest
from payments.services.checkout import links as service
from payments.services.idempotency.direct_requests import DirectResult


class PaymentLinks(MerchantView):
    """The payment links of a merchant."""

    @documented(CREATE_LINK, "payment_link", "Create a payment link")
    def post(self, call: Call) -> DirectResult[LinkRow]:
        given = call.given
        return service.create_link(
            CommandRequest(call.caller, render=render_payment_link),
            lines=lines_of(given),
            method_types=given.get("payment_method_types", []),
            intent_details=given.get("payment_intent_data", {}),
            submit_type=given.get("submit_type", "auto"),
            details=_details(call),
        )

    @documented(LIST_LINKS, "payment_link", "List payment links", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_payment_links(call.scope, call.paging, **call.only("active"))
        return call.list_of("payment_link", page, payment_link_object)


class PaymentLink(MerchantView):
    """One payment link."""

    @documented(RETRIEVE_LINK, "payment_link", "Retrieve a payment link")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(PAYMENT_LINK, public_id)
        shown = payment_link_object(one_payment_link(call.scope, public_id))
        return call.expanded("payment_link", shown)

    @documented(UPDATE_LINK, "payment_link", "Change a payment link", example={"active": False})
    def post(self, call: Call, public_id: str) -> DirectResult[LinkRow]:
        return service.update_link(
            CommandRequest(call.caller, render=render_payment_link),
            link_id=path_id(PAYMENT_LINK, public_id),
            details=_details(call),
        )


class LinkLines(MerchantView):
    """The lines of what a payment link sells."""

    @documented(LIST_LINES, LINE_ITEM.name, "List the lines of a payment link", is_list=True)
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(PAYMENT_LINK, public_id)
        return call.page_of_lines(link_lines_object(one_payment_link(call.scope, public_id)))


def _details(call: Call) -> service.LinkDetails:
    given = call.only("active", "inactive_message", "metadata")
    after = call.given.get("after_completion")
    if after is not None:
        given["redirect_url"] = after.get("redirect", {}).get("url", "")
    return service.LinkDetails(**given)
