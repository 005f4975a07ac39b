"""The adapter of Acorn, a made-up PSP: the least that docs/writing-an-adapter.md asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

from psp_adapters.contract.adapter import Capabilities, PspAdapter
from psp_adapters.contract.answers import Answer, Json, readable, view_of
from psp_adapters.contract.credentials import (
    WEBHOOK_SECRETS,
    CredentialFault,
    CredentialField,
    CredentialsRefused,
    require_mode,
)
from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.contract.operations import (
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
    PspUnavailable,
)
from psp_adapters.contract.payments import (
    PaymentToken,
    PspPayment,
    UnknownToken,
    refuse_card_number,
)
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportLine
from psp_adapters.contract.signed_notifications import (
    TimedSignature,
    identifier,
    refusing_what_is_unreadable,
)
from psp_adapters.http import AnswerUnknown, NotSent, PspHttp
from psp_adapters.tests.guide import mapping, reports

SIGNATURE: Final = TimedSignature(header="acorn-signature", scheme="v1")


class AcornAdapter(PspAdapter):
    """One account at Acorn."""

    name = "acorn"
    capabilities = Capabilities(
        idempotency_window_seconds=24 * 3600,
        look_up_by_reference=True,
        fence_by_reference=False,
        consistency_lag_seconds=10.0,
        caches_errors=False,
        async_captures=False,
        multiple_captures=False,
        increments=False,
        method_types=("card",),
        holdable_method_types=frozenset({"card"}),
    )
    credential_fields = (
        CredentialField(name="base_url", meaning="address of Acorn", is_secret=False),
        CredentialField(name="api_key", meaning="begins with acorn_test_ or acorn_live_"),
        CredentialField(name="shop", meaning="our name in its notifications", is_secret=False),
        WEBHOOK_SECRETS,
    )

    def __init__(self, *, base_url: str, api_key: str, shop: str) -> None:
        self._shop = shop
        self._http = PspHttp(base_url, {"Authorization": f"Bearer {api_key}"})

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, str], *, livemode: bool) -> AcornAdapter:
        key, base_url = credentials["api_key"], credentials["base_url"]
        is_live = key.startswith("acorn_live_")
        require_mode("api_key", "a {} key", is_live=is_live, livemode=livemode)
        if livemode and not base_url.lower().startswith("https://"):
            raise CredentialsRefused("base_url of a live account begins with https://")
        return cls(base_url=base_url, api_key=key, shop=credentials["shop"])

    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        status = self._get("/pay?ref=none", deadline_seconds).status
        return (CredentialFault("api_key", "Acorn does not know it"),) if status == 401 else ()

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        body = {
            "ref": request.reference,
            "cents": mapping.AMOUNTS.to_psp(request.amount),
            "cur": request.amount.currency,
            "card": request.token,
            "take": request.capture,
            "may_ask": request.challenge_allowed,
            "back": request.return_url,
        }
        return self._send(request, "/pay", body, deadline_seconds)

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        return self._change(request, deadline_seconds)

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        if request.psp_payment_id:
            return self._change(request, deadline_seconds)
        end = time.monotonic() + deadline_seconds
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.payment_reference)
        try:
            arrived = self.look_up(query, deadline_seconds=deadline_seconds)
        except PspUnavailable as error:
            return PspResult(outcome=Outcome.UNKNOWN, detail=f"looking the payment up: {error}")
        if arrived is None:
            return PspResult(outcome=Outcome.UNKNOWN, detail="not found, and may still arrive")
        found = replace(request, psp_payment_id=arrived.psp_payment_id)
        return self._change(found, end - time.monotonic())

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        return self._change(request, deadline_seconds)

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        payment_id = query.psp_payment_id or (
            query.psp_id if query.kind is OperationKind.AUTHORIZE else ""
        )
        path = (
            f"/pay/{_quoted(payment_id)}" if payment_id else f"/pay?ref={_quoted(query.reference)}"
        )
        answer = self._get(path, deadline_seconds)
        if answer.status == 404:
            return None
        view = view_of(answer)
        return readable(mapping.result_of, view, kind=query.kind, reference=query.reference)

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        answer = self._get(f"/pay/{_quoted(psp_payment_id)}", deadline_seconds)
        return None if answer.status == 404 else readable(mapping.payment_of, view_of(answer))

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        refuse_card_number(token)
        answer = self._get(f"/card/{_quoted(token)}", deadline_seconds)
        if answer.status == 404:
            raise UnknownToken
        return readable(mapping.token_of, view_of(answer), token=token)

    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        return (read_notification(request, secrets=secrets, now=now, shop=self._shop),)

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        return reports.read(file)

    def close(self) -> None:
        self._http.close()

    def _change(self, request: PspRequest, deadline_seconds: float) -> PspResult:
        path = f"/pay/{_quoted(request.psp_payment_id)}/{mapping.VERBS[request.kind]}"
        body = {"ref": request.reference, "cents": mapping.AMOUNTS.to_psp(request.amount)}
        return self._send(request, path, body, deadline_seconds)

    def _send(
        self, request: PspRequest, path: str, body: Json, deadline_seconds: float
    ) -> PspResult:
        headers = {"Once": request.psp_key}
        try:
            answer = self._http.send(
                "POST", path, json=body, headers=headers, deadline_seconds=deadline_seconds
            )
            whole = Answer(answer.status, answer.headers, answer.json())
        except NotSent as error:
            return PspResult(outcome=Outcome.NOT_SENT, detail=f"not sent: {error}")
        except AnswerUnknown as error:
            return PspResult(outcome=Outcome.UNKNOWN, detail=f"no whole answer: {error}")
        return mapping.result_of_answer(request, whole)

    def _get(self, path: str, deadline_seconds: float) -> Answer:
        try:
            answer = self._http.send("GET", path, deadline_seconds=deadline_seconds)
            return Answer(answer.status, answer.headers, answer.json())
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None


def read_notification(
    request: WebhookRequest, *, secrets: Sequence[str], now: datetime, shop: str
) -> Notification:
    with refusing_what_is_unreadable():
        header = SIGNATURE.require(request, secrets=secrets, now_seconds=now.timestamp())
        event = json.loads(request.body.decode())
        if event["shop"] != shop:
            raise NotificationRefused("it is about another account")
        return Notification(
            event_id=identifier(event["id"]),
            type=identifier(event["type"]),
            account=event["shop"],
            psp_payment_id=identifier(event["pay"]),
            references=(identifier(event["ref"]),),
            claims=None,
            occurred_at=mapping.moment_of(event["at"]),
            known=event["type"] == "pay.changed",
            signature_headers={SIGNATURE.header: header},
        )


def _quoted(identifier: str) -> str:
    return quote(identifier, safe="")
