"""The adapter of the sandbox PSP: sends requests; `mapping` and its neighbors read the answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from ledger.money import Money
from psp_adapters.contract import report_files
from psp_adapters.contract.adapter import Capabilities, PspAdapter
from psp_adapters.contract.answers import readable
from psp_adapters.contract.credentials import (
    WEBHOOK_SECRETS,
    CredentialFault,
    CredentialField,
)
from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, PspDispute
from psp_adapters.contract.notifications import Notification, WebhookRequest
from psp_adapters.contract.operations import (
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
    PspUnavailable,
)
from psp_adapters.contract.payments import (
    HostedFields,
    PaymentToken,
    PspPayment,
    UnknownToken,
    refuse_card_number,
)
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_calendar import SettlementCalendar
from psp_adapters.contract.settlement_reports import ReportLine, ReportListing
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.http import MAX_BODY_BYTES, AnswerUnknown, HttpAnswer, NotSent, PspHttp
from psp_adapters.sandbox import disputes, mapping, reports, setups, webhook

_REGISTERED_SECONDS: Final = 60.0
"""How long an origin that was registered for the card fields is not registered again."""


class SandboxAdapter(PspAdapter):
    """One account at the sandbox PSP."""

    name = "sandbox"
    capabilities = Capabilities(
        idempotency_window_seconds=24 * 3600,
        look_up_by_reference=True,
        fence_by_reference=True,
        consistency_lag_seconds=10.0,
        caches_errors=True,
        async_captures=False,
        multiple_captures=True,
        increments=True,
        method_types=("card", "us_bank_account", "sepa_debit", "ideal"),
        holdable_method_types=frozenset({"card"}),
        redirect_method_types=frozenset({"ideal"}),
        bare_method_types={"ideal": "pm_ideal_success"},
        reusable_method_types=frozenset({"card", "sepa_debit"}),
        takes_network_transaction_id=True,
        requests_three_d_secure=True,
        purchase_details=True,
        published_tokens=True,
        hosted_fields=True,
        fields_collect=frozenset({"card", "sepa_debit"}),
        disputes=True,
        settlement_reports=True,
        states_balance=True,
        settlement_calendar=SettlementCalendar(business_days=1),
    )

    credential_fields = (
        CredentialField(name="base_url", meaning="address of the sandbox PSP", is_secret=False),
        CredentialField(name="api_key", meaning="any text that begins with sandbox_"),
        WEBHOOK_SECRETS,
    )

    def __init__(self, *, base_url: str, api_key: str) -> None:
        self._account = webhook.account_of(api_key)
        self._http = PspHttp(base_url, {"Authorization": f"Bearer {api_key}"})
        self._tokens: dict[str, PaymentToken] = {}
        """Test tokens never change: each is looked up once. Those of card fields are not kept."""
        self._base_url = base_url
        self._registered: dict[str, float] = {}
        """By origin: until when it counts as registered for the card fields."""

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, str], *, livemode: bool) -> SandboxAdapter:
        """A simulator has no modes: its accounts are what we call them."""
        return cls(base_url=credentials["base_url"], api_key=credentials["api_key"])

    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        answer = self._request("GET", "/v1/operations?limit=1", deadline_seconds)
        if answer.status == 401:
            return (
                CredentialFault("api_key", "the sandbox PSP takes keys that begin so: sandbox_"),
            )
        if answer.status == 404:
            return (CredentialFault("base_url", "what answers there is no sandbox PSP"),)
        _view(answer)
        return ()

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Authorize a payment with a token, or charge it at once."""
        body = mapping.authorize_body(request)
        return self._send(request, "/v1/payments", body, deadline_seconds)

    def increment(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Increase the hold of an authorized payment."""
        return self._modify(request, deadline_seconds)

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Capture all or a part of what is held."""
        return self._modify(request, deadline_seconds)

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Release what is held; the result's amount is what the PSP says it released.

        Without `psp_payment_id` it fences `payment_reference` first. An authorization that never
        arrived can then never arrive (SUCCEEDED with zero); one that had arrived is voided.
        """
        if request.psp_payment_id:
            return self._modify(request, deadline_seconds)
        end = time.monotonic() + deadline_seconds
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.payment_reference)
        try:
            arrived = self.fence(query, deadline_seconds=deadline_seconds)
        except PspUnavailable as error:
            return mapping.unknown(f"fencing: {error}")
        if arrived is None or arrived.outcome is Outcome.DECLINED:
            return PspResult(
                outcome=Outcome.SUCCEEDED,
                psp_payment_id=arrived.psp_payment_id if arrived else "",
                amount=Money.zero(request.amount.currency),
                detail="nothing was held",
                also_found=arrived.also_found if arrived else (),
            )
        found = replace(request, psp_payment_id=arrived.psp_payment_id)
        voided = self._modify(found, end - time.monotonic())
        return replace(voided, also_found=arrived.also_found)

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Refund captured money."""
        return self._modify(request, deadline_seconds)

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Look up an operation by the PSP's id, or else by our reference."""
        end = time.monotonic() + deadline_seconds
        if query.psp_id:
            path = f"/v1/operations/{quote(query.psp_id, safe='')}"
            answer = self._request("GET", path, deadline_seconds)
            if answer.status != 404:
                return _result_of(query, _view(answer))
        if not query.reference:
            return None
        path = f"/v1/operations?reference={quote(query.reference, safe='')}"
        answer = self._request("GET", path, end - time.monotonic())
        if answer.status == 404:
            return None
        found = _view(answer).get("data")
        if not isinstance(found, list) or not found:
            raise PspUnavailable("the list of operations is not readable")
        first, *others = [_result_of(query, each) for each in found]
        if not others:
            return first
        detail = f"{len(found)} operations carry this reference"
        return replace(first, also_found=tuple(others), detail=detail)

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        path = f"/v1/payments/{quote(psp_payment_id, safe='')}"
        answer = self._request("GET", path, deadline_seconds)
        if answer.status == 404:
            return None
        return readable(mapping.payment_of, _view(answer), psp_payment_id=psp_payment_id)

    def fence(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        body = {"reference": query.reference}
        answer = self._request("POST", "/v1/fences", deadline_seconds, json=body)
        view = _view(answer)
        if view.get("reference") != query.reference or "operation" not in view:
            raise PspUnavailable("the answer to the fence is not readable")
        if view["operation"] is None:
            return None
        return _result_of(query, view["operation"])

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Look up a token; a test token once per process."""
        known = self._tokens.get(token)
        if known is not None:
            return known
        refuse_card_number(token)
        if not token or len(token) > 200:
            raise UnknownToken
        answer = self._request("GET", f"/v1/tokens/{quote(token, safe='')}", deadline_seconds)
        if answer.status == 404:
            raise UnknownToken
        found = readable(mapping.token_of, _view(answer))
        if found.token != token:
            raise PspUnavailable("the answer describes another token")
        if not token.startswith(mapping.FIELD_TOKEN_PREFIX):
            self._tokens[token] = found
        return found

    def set_up(self, request: SetupRequest, *, deadline_seconds: float) -> SetupResult:
        """Verify a card for later payments, without money."""
        try:
            answer = self._http.send(
                "POST",
                "/v1/setups",
                json=setups.body_of(request),
                headers={"Idempotency-Key": request.psp_key},
                deadline_seconds=deadline_seconds,
            )
        except NotSent as error:
            return setups.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return setups.unknown(f"no whole answer: {error}")
        return setups.result_of_answer(request, answer)

    def look_up_setup(self, query: SetupLookUp, *, deadline_seconds: float) -> SetupResult | None:
        """Look up a setup by our reference."""
        path = f"/v1/setups?reference={quote(query.reference, safe='')}"
        answer = self._request("GET", path, deadline_seconds)
        if answer.status == 404:
            return None
        found = _view(answer).get("data")
        if not isinstance(found, list) or not found or not isinstance(found[0], dict):
            raise PspUnavailable("the list of setups is not readable")
        return readable(setups.result_of, found[0], reference=query.reference)

    def has_card_fields(self) -> bool:
        return True

    def hosted_fields(self, *, page_origin: str, deadline_seconds: float) -> HostedFields:
        """Register the page's origin with the PSP, at most once a minute, and describe the fields.

        Raises PspUnavailable.
        """
        if time.monotonic() >= self._registered.get(page_origin, 0.0):
            body = {"origin": page_origin}
            answer = self._request("POST", "/v1/field_origins", deadline_seconds, json=body)
            if _view(answer).get("origin") != page_origin:
                raise PspUnavailable("the answer names another origin")
            self._registered[page_origin] = time.monotonic() + _REGISTERED_SECONDS
        return mapping.hosted_fields_of(self._base_url, self._account, page_origin)

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        path = f"/v1/disputes/{quote(psp_dispute_id, safe='')}"
        answer = self._request("GET", path, deadline_seconds)
        if answer.status == 404:
            return None
        return readable(disputes.dispute_of, _view(answer), psp_dispute_id=psp_dispute_id)

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return self._respond(request, "evidence", deadline_seconds)

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return self._respond(request, "accept", deadline_seconds)

    def look_up_balance(self, *, deadline_seconds: float) -> tuple[Money, ...]:
        answer = self._request("GET", "/v1/balance", deadline_seconds)
        return readable(mapping.balance_of, _view(answer))

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """List the reports closed at that time or later, or all; oldest first."""
        path = "/v1/settlement_reports"
        if since is not None:
            # The PSP counts milliseconds: rounded down, so that nothing is missed.
            moment = since.astimezone(UTC).replace(tzinfo=None)
            path += f"?since={moment.isoformat(timespec='milliseconds')}Z"
        answer = self._request("GET", path, deadline_seconds)
        return readable(reports.listings_of, _view(answer))

    def fetch_report(self, name: str, *, into: BinaryIO, deadline_seconds: float) -> None:
        """Fetch a report; `read_report` checks that it is whole."""
        if not reports.is_name(name):
            raise PspUnavailable("not the name of a report")
        path = f"/v1/settlement_reports/{name}"
        answer = self._request(
            "GET", path, deadline_seconds, into=into, max_body_bytes=report_files.REPORT_BYTES_MAX
        )
        if answer.status != 200:
            raise PspUnavailable(f"answered {answer.status}")

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        return reports.read(file)

    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        return (webhook.read(request, secrets=secrets, now=now, account=self._account),)

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _modify(self, request: PspRequest, deadline_seconds: float) -> PspResult:
        payment_id = quote(request.psp_payment_id, safe="")
        path = f"/v1/payments/{payment_id}/{request.kind.value}"
        return self._send(request, path, mapping.modify_body(request), deadline_seconds)

    def _respond(
        self, request: DisputeRequest, verb: str, deadline_seconds: float
    ) -> DisputeResult:
        try:
            answer = self._http.send(
                "POST",
                f"/v1/disputes/{quote(request.psp_dispute_id, safe='')}/{verb}",
                json=disputes.response_body(request, accepts=verb == "accept"),
                headers={"Idempotency-Key": request.psp_key},
                deadline_seconds=deadline_seconds,
            )
        except NotSent as error:
            return disputes.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return disputes.unknown(f"no whole answer: {error}")
        return disputes.result_of_answer(request, answer)

    def _send(
        self, request: PspRequest, path: str, body: mapping.Json, deadline_seconds: float
    ) -> PspResult:
        try:
            answer = self._http.send(
                "POST",
                path,
                json=body,
                headers={"Idempotency-Key": request.psp_key},
                deadline_seconds=deadline_seconds,
            )
        except NotSent as error:
            return mapping.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return mapping.unknown(f"no whole answer: {error}")
        return mapping.result_of_answer(request, answer)

    def _request(
        self,
        method: str,
        path: str,
        deadline_seconds: float,
        *,
        json: object = None,
        into: BinaryIO | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> HttpAnswer:
        try:
            return self._http.send(
                method,
                path,
                json=json,
                deadline_seconds=deadline_seconds,
                into=into,
                max_body_bytes=max_body_bytes,
            )
        except (NotSent, AnswerUnknown) as error:
            raise PspUnavailable(f"{type(error).__name__}: {error}") from None


def _result_of(query: LookUp, view: object) -> PspResult:
    if not isinstance(view, dict):
        raise PspUnavailable("the operation is not readable")
    return readable(mapping.result_of_operation, view, kind=query.kind, reference=query.reference)


def _view(answer: HttpAnswer) -> dict[str, Any]:
    """The object of a 200 answer. Raises PspUnavailable for every other answer."""
    if answer.status != 200:
        raise PspUnavailable(f"answered {answer.status}")
    try:
        view = answer.json()
    except AnswerUnknown as error:
        raise PspUnavailable(str(error)) from None
    if not isinstance(view, dict):
        raise PspUnavailable("the answer is not an object")
    return view
