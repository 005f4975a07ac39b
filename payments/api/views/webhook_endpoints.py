"""/v1/webhook_endpoints."""

from __future__ import annotations

from typing import Any

from payments.api.pagination import list_answer, paging_of
from payments.api.renderers import render_new_webhook_endpoint, render_webhook_endpoint
from payments.api.requests.webhook_endpoints import (
    CREATE_WEBHOOK_ENDPOINT,
    DELETE_WEBHOOK_ENDPOINT,
    LIST_WEBHOOK_ENDPOINTS,
    RETRIEVE_WEBHOOK_ENDPOINT,
    UPDATE_WEBHOOK_ENDPOINT,
)
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.models import WebhookEndpoint as EndpointRow
from payments.objects.webhook_endpoint import webhook_endpoint_object
from payments.selectors.scope import WEBHOOK_ENDPOINT
from payments.selectors.webhook_endpoints import one_webhook_endpoint, page_of_webhook_endpoints
from payments.services.callers.caller import CommandRequest
from payments.services.idempotency.direct_requests import DirectResult
from payments.services.merchant_webhooks import endpoints as service

_DETAILS = ("url", "enabled_events", "description", "metadata", "disabled")


def _details(call: Call) -> service.EndpointDetails:
    return service.EndpointDetails(**call.only(*_DETAILS))


class WebhookEndpoints(MerchantView):
    """The URLs to which events are sent."""

    @documented(CREATE_WEBHOOK_ENDPOINT, "webhook_endpoint", "Create a webhook endpoint")
    def post(self, call: Call) -> DirectResult[EndpointRow]:
        return service.create_endpoint(
            CommandRequest(call.caller, render=render_new_webhook_endpoint),
            details=_details(call),
            api_version=call.given.get("api_version") or call.api_version,
        )

    @documented(LIST_WEBHOOK_ENDPOINTS, "webhook_endpoint", "List webhook endpoints", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        return list_answer(
            page_of_webhook_endpoints(call.scope, paging_of(call.given)),
            webhook_endpoint_object,
            url="/v1/webhook_endpoints",
            kind="webhook_endpoint",
            paths=call.expand,
            scope=call.scope,
        )


class WebhookEndpoint(MerchantView):
    """One endpoint; its secret is shown only when it is created."""

    @documented(RETRIEVE_WEBHOOK_ENDPOINT, "webhook_endpoint", "Retrieve a webhook endpoint")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(WEBHOOK_ENDPOINT, public_id)
        return webhook_endpoint_object(one_webhook_endpoint(call.scope, public_id))

    @documented(UPDATE_WEBHOOK_ENDPOINT, "webhook_endpoint", "Change a webhook endpoint")
    def post(self, call: Call, public_id: str) -> DirectResult[EndpointRow]:
        return service.update_endpoint(
            CommandRequest(call.caller, render=render_webhook_endpoint),
            endpoint_id=path_id(WEBHOOK_ENDPOINT, public_id),
            details=_details(call),
        )

    @documented(DELETE_WEBHOOK_ENDPOINT, "webhook_endpoint", "Delete a webhook endpoint")
    def delete(self, call: Call, public_id: str) -> dict[str, Any]:
        return service.delete_endpoint(
            caller=call.caller, endpoint_id=path_id(WEBHOOK_ENDPOINT, public_id)
        )
