"""One request of a PSP that brings several notifications, and the answer that the PSP demands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import PspNotification
from payments.services.psp_gateway import accounts
from payments.tests.support.factories import credentials_of
from payments.tests.support.notices import Hooks, sign
from psp_adapters import registry
from psp_adapters.contract.notifications import Notification, WebhookRequest
from psp_adapters.sandbox.adapter import SandboxAdapter
from psp_adapters.sandbox.webhook import SIGNATURE


class Batching(SandboxAdapter):
    """A PSP that sends a list of notices, and demands a text as the answer."""

    capabilities = replace(SandboxAdapter.capabilities, notification_answer="[accepted]")

    def read_notifications(self, request: WebhookRequest, **given: Any) -> tuple[Notification, ...]:
        SIGNATURE.require(request, secrets=given["secrets"], now_seconds=given["now"].timestamp())
        items = [json.dumps(each).encode() for each in json.loads(request.body)]
        signed = [WebhookRequest(body=b, headers={SIGNATURE.header: sign(b)}) for b in items]
        read = [super(Batching, self).read_notifications(each, **given)[0] for each in signed]
        return tuple(replace(each, body=b) for each, b in zip(read, items, strict=True))


def test_every_notification_of_one_request_is_stored_once_by_one_statement(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.listen()
    account = hooks.shop.account
    adapter = Batching.from_credentials(credentials_of(account), livemode=False)
    monkeypatch.setattr(registry, "new_adapter", lambda *given, **named: adapter)
    accounts.adapter_of(account)
    monkeypatch.setattr(accounts, "ROW_SECONDS", 600.0)
    items = [json.loads(hooks.notice(id=f"sev_{number}")) for number in (1, 2, 2, 3)]
    assert hooks.deliver(json.dumps([*items, {}]).encode()).status_code == 400
    assert PspNotification.objects.count() == 0

    with CaptureQueriesContext(connection) as queries:
        answer = hooks.deliver(json.dumps(items[:2]).encode())
    assert (answer.status_code, answer.content) == (200, b"[accepted]")
    assert len(queries) <= 1
    assert hooks.deliver(json.dumps(items).encode()).status_code == 200
    adapter.close()

    rows = PspNotification.objects.order_by("event_id")
    assert [row.event_id for row in rows] == ["sev_1", "sev_2", "sev_3"]
    assert [json.loads(bytes(row.body))["id"] for row in rows] == ["sev_1", "sev_2", "sev_3"]
    assert not any(row.conflicting_body for row in rows)
