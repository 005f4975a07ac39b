"""The adapter of Mollie: sends requests through its client; the files beside it read answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.answers import (
    UNREADABLE,
    Contradiction,
    OtherMode,
    readable,
    require_request,
)
from psp_adapters.contract.credentials import CredentialFault, split_secrets
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
    PaymentToken,
    PspPayment,
    UnknownToken,
    refuse_card_number,
)
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportLine, ReportListing
from psp_adapters.contract.setups import CustomerNotMade
from psp_adapters.http import AnswerUnknown, NotSent
from psp_adapters.mollie import (
    account,
    disputes,
    look_ups,
    mandates,
    mapping,
    reports,
    results,
    settlements,
    webhook,
)
from psp_adapters.mollie.connection import (
    Connection,
    Transport,
    in_path,
    is_success,
    require_address,
)
from psp_adapters.mollie.mapping import Json
from psp_adapters.mollie.payments import Payment, whole

K = OperationKind


class MollieAdapter(PspAdapter):
    """One website profile at Mollie."""

    name = "mollie"
    capabilities = account.CAPABILITIES
    credential_fields = account.CREDENTIAL_FIELDS

    def __init__(
        self,
        *,
        api_key: str,
        webhook_url: str,
        webhook_secret: str,
        base_url: str = account.BASE_URL,
        access_token: str = "",
        transport: Transport | None = None,
    ) -> None:
        self._livemode = api_key.startswith("live_")
        self._webhook_url = webhook_url
        self._webhook_secret = webhook_secret
        for url in (base_url, webhook_url):
            require_address(url, livemode=self._livemode)
        self._connection = Connection(transport or Transport(base_url, key=api_key))
        self._organization = (
            Connection(Transport(base_url, key=access_token)) if access_token else None
        )
        self._api = self._connection.api
        # An API key cannot read settlements.
        self.capabilities = replace(
            MollieAdapter.capabilities, settlement_reports=self._organization is not None
        )

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, str], *, livemode: bool) -> MollieAdapter:
        """Raises CredentialsRefused, also for a key of the other mode."""
        account.require_key(credentials["api_key"], livemode=livemode)
        made = cls(
            api_key=credentials["api_key"],
            webhook_url=credentials["webhook_url"],
            webhook_secret=split_secrets(credentials)[0],
            base_url=credentials["base_url"],
            access_token=credentials["access_token"],
        )
        made.card_fields = account.card_fields_of(credentials, livemode=livemode)
        return made

    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        connections, fields = (self._connection, self._organization), self.card_fields
        return account.faults_of(*connections, fields=fields, deadline_seconds=deadline_seconds)

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Create a payment with a token of a card, or one that the customer makes at Mollie."""
        refusal = mapping.refusal_before_sending(request)
        if refusal is not None:
            return refusal
        end, customer = time.monotonic() + deadline_seconds, ""
        if mapping.needs_customer(request):
            try:
                customer = mandates.new_customer(
                    self._connection,
                    psp_key=request.psp_key,
                    reference=request.reference,
                    livemode=self._livemode,
                    deadline_seconds=deadline_seconds,
                )
            except CustomerNotMade as error:
                return mapping.not_sent(f"not sent: {error}", error.retry_after_seconds)

        def read(view: Json) -> PspResult:
            payment = Payment(view)
            if payment.reference != request.reference:
                raise Contradiction("another reference")
            return results.authorization_of(payment)

        body = mapping.authorize_body(
            request, webhook_url=self._address_of(request), customer=customer
        )
        return self._send(
            request,
            lambda key: self._api.payments.create(body, idempotency_key=key),
            read,
            end - time.monotonic(),
        )

    def _address_of(self, request: PspRequest) -> str:
        return webhook.address_of_payment(
            self._webhook_url, reference=request.reference, secret=self._webhook_secret
        )

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Capture all or a part of what is held.

        Mollie goes on holding the rest. After the last capture it is released, if Mollie has
        confirmed the capture at once: a release while one is under way might cost the capture.
        """
        end = time.monotonic() + deadline_seconds
        body = mapping.capture_body(request)
        handle = self._connection.captures_of(request.psp_payment_id)
        result = self._send(
            request,
            lambda key: handle.create(body, idempotency_key=key),
            lambda view: results.capture_of(view, reference=request.reference),
            deadline_seconds,
        )
        if not (request.final and result.outcome is Outcome.SUCCEEDED):
            return result
        return self._release_rest(request, result, end)

    def _release_rest(self, request: PspRequest, captured: PspResult, end: float) -> PspResult:
        """The result of the last capture, once the rest of the hold is released if there is one."""
        try:
            payment = self._payment(request.psp_payment_id, end)
        except PspUnavailable as error:
            return replace(captured, detail=f"the rest of the hold is not released: {error}")
        if payment is None or not payment.rest or payment.has_pending_captures:
            return captured
        released = self._release(replace(request, psp_key=f"{request.psp_key}:release"), end)
        if released.outcome is Outcome.SUCCEEDED:
            return captured
        return replace(captured, detail=f"the rest of the hold is not released: {released.detail}")

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Release what is held, or cancel a payment that the customer has yet to make.

        Without `psp_payment_id` the payment is looked up by `payment_reference`. Mollie cannot
        forbid one that may still arrive, so not finding it is UNKNOWN.
        """
        end = time.monotonic() + deadline_seconds
        if request.psp_payment_id:
            return self._void(request, end)
        sent_at = request.payment_sent_at
        query = LookUp(kind=K.AUTHORIZE, reference=request.payment_reference, sent_at=sent_at)
        try:
            arrived = self.look_up(query, deadline_seconds=deadline_seconds)
        except PspUnavailable as error:
            return mapping.unknown(f"looking the payment up: {error}")
        if arrived is None:
            return mapping.unknown("the payment is not found, and may still arrive")
        if arrived.outcome is Outcome.UNKNOWN:
            return arrived
        found = replace(request, psp_payment_id=arrived.psp_payment_id)
        return replace(self._void(found, end), also_found=arrived.also_found)

    def _void(self, request: PspRequest, end: float) -> PspResult:
        try:
            payment = self._payment(request.psp_payment_id, end)
        except PspUnavailable as error:
            return mapping.not_sent(f"not sent: the present state is unknown ({error})")
        if payment is None:
            return mapping.refused_unsent("no such payment")
        if payment.has_pending_captures:
            return mapping.not_sent("not sent: a capture is under way, and might be lost")
        if payment.is_over:
            return results.voided_already(payment, request)
        if payment.status == "paid" or not (payment.rest or payment.is_cancelable):
            return results.not_voidable(payment)
        noted = self._store_note(request, payment, end)
        if noted.outcome is not Outcome.SUCCEEDED:
            return noted
        if payment.rest:
            released = self._release(request, end)
        else:
            path = in_path(payment.id)
            released = self._send(
                request,
                lambda key: self._api.payments.delete(path, idempotency_key=key),
                lambda view: PspResult(outcome=Outcome.SUCCEEDED),
                end - time.monotonic(),
            )
        return released if released.outcome is not Outcome.SUCCEEDED else self._voided(request, end)

    def _store_note(self, request: PspRequest, payment: Payment, end: float) -> PspResult:
        """Store the note of a void in the payment's metadata; UNKNOWN becomes NOT_SENT."""
        note = {"metadata": mapping.noted_metadata(payment.view, request)}
        path = in_path(payment.id)
        noted = self._send(
            replace(request, psp_key=f"{request.psp_key}:note"),
            lambda key: self._api.payments.update(path, note, idempotency_key=key),
            lambda view: PspResult(outcome=Outcome.SUCCEEDED),
            end - time.monotonic(),
        )
        if noted.outcome is Outcome.UNKNOWN:
            return mapping.not_sent(f"not sent: storing the note of the void {noted.detail}")
        return noted

    def _release(self, request: PspRequest, end: float) -> PspResult:
        path = in_path(request.psp_payment_id)
        return self._send(
            request,
            lambda key: self._api.payments.release_authorization(path, idempotency_key=key),
            lambda view: PspResult(outcome=Outcome.SUCCEEDED),
            end - time.monotonic(),
        )

    def _voided(self, request: PspRequest, end: float) -> PspResult:
        """The result of a void that Mollie accepted: it releases a hold when the bank does."""
        try:
            payment = self._payment(request.psp_payment_id, end)
        except PspUnavailable:
            payment = None
        shown = results.void_of(payment, request.reference) if payment else None
        return shown or results.release_accepted(request)

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Refund captured money."""
        body = mapping.refund_body(request)
        handle = self._connection.refunds_of(request.psp_payment_id)
        return self._send(
            request,
            lambda key: handle.create(body, idempotency_key=key),
            lambda view: results.refund_of(view, reference=request.reference),
            deadline_seconds,
        )

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Look up an operation by its payment's id, or else by our reference in the metadata."""
        return look_ups.operation(
            self._connection, query, livemode=self._livemode, deadline_seconds=deadline_seconds
        )

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        view = self._connection.payment(psp_payment_id, deadline_seconds=deadline_seconds)
        read = results.payment_of
        return None if view is None else readable(read, view, psp_payment_id=psp_payment_id)

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Describe a token by its form, without a call: Mollie describes none."""
        refuse_card_number(token)
        if method_type := mapping.method_type_of(token):
            return PaymentToken(token=token, method_type=method_type)
        raise UnknownToken

    def release_stored(self, stored_token: str, *, deadline_seconds: float) -> None:
        """Revoke the mandate; raises PspUnavailable."""
        mandates.revoke(self._connection, stored_token, deadline_seconds=deadline_seconds)

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        """Find a chargeback in the list of all: its address needs the id of its payment."""
        end = time.monotonic() + deadline_seconds
        pages = self._connection.pages(
            self._api.chargebacks, "chargebacks", end, embed=disputes.EMBEDDED_PAYMENT
        )
        for page in pages:
            for view in page:
                if view.get("id") == psp_dispute_id:
                    return readable(disputes.dispute_of, view, psp_dispute_id=psp_dispute_id)
        return None

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return disputes.answered_elsewhere()

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return disputes.answered_elsewhere()

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """List the settlements that were paid out at that time or later, or all; oldest first."""
        return settlements.listings(
            self._organization, since=since, deadline_seconds=deadline_seconds
        )

    def fetch_report(self, name: str, *, into: BinaryIO, deadline_seconds: float) -> None:
        """Fetch what a settlement lists, as one report."""
        into.write(settlements.fetch(self._organization, name, deadline_seconds=deadline_seconds))

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        return reports.read(file)

    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        mode = "live" if self._livemode else "test"
        return (webhook.read(request, secrets=secrets, now=now, mode=mode),)

    def close(self) -> None:
        """Close idle connections."""
        self._connection.close()
        if self._organization is not None:
            self._organization.close()

    def _payment(self, payment_id: str, end: float) -> Payment | None:
        """A payment with its captures; raises PspUnavailable."""
        view = self._connection.payment(payment_id, deadline_seconds=end - time.monotonic())
        return None if view is None else readable(whole, view)

    def _send(
        self,
        request: PspRequest,
        call: Callable[[str], Any],
        read: Callable[[Json], PspResult],
        deadline_seconds: float,
    ) -> PspResult:
        """Make one money operation under the request's key, and read the answer."""
        if len(request.psp_key) > mapping.KEY_LENGTH_MAX:
            return mapping.refused_unsent("the idempotency key is too long")
        if request.kind is not K.AUTHORIZE and not request.psp_payment_id.startswith("tr_"):
            return mapping.refused_unsent("no such payment")
        try:
            answer = self._connection.post(
                lambda: call(request.psp_key), deadline_seconds=deadline_seconds
            )
        except NotSent as error:
            return mapping.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return mapping.unknown(f"no whole answer: {error}")
        if not is_success(answer):
            return mapping.failure_of(request, answer)
        try:
            mapping.require_mode(answer.body, livemode=self._livemode)
            result = read(answer.body)
            return require_request(result, request) if result.psp_id else result
        except Contradiction as contradiction:
            detail = f"answered {answer.status}, contradictory: {contradiction}"
            return mapping.unknown(detail, contradicts_us=isinstance(contradiction, OtherMode))
        except UNREADABLE as error:
            return mapping.unknown(f"answered {answer.status}, unreadable: {type(error).__name__}")
