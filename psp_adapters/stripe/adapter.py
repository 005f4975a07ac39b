"""The adapter of Stripe: sends requests through its SDK; the files beside it read the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.answers import (
    UNREADABLE,
    Contradiction,
    OtherMode,
    readable,
    require_request,
    view_of,
)
from psp_adapters.contract.credentials import (
    CredentialFault,
    CredentialsRefused,
    split_secrets,
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
    PaymentToken,
    PspPayment,
    UnknownToken,
    refuse_card_number,
)
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import ReportLine, ReportListing
from psp_adapters.contract.setups import CustomerNotMade, SetupLookUp, SetupRequest, SetupResult
from psp_adapters.http import AnswerUnknown, NotSent
from psp_adapters.stripe import (
    account,
    dispute_responses,
    intents,
    look_ups,
    mapping,
    reports,
    saved_cards,
    webhook,
)
from psp_adapters.stripe.connection import WITH_CHARGE, Connection, Transport, in_path
from psp_adapters.stripe.mapping import Json

K = OperationKind


class StripeAdapter(PspAdapter):
    """One account at Stripe."""

    name = "stripe"
    capabilities = account.CAPABILITIES
    credential_fields = account.CREDENTIAL_FIELDS

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = account.BASE_URL,
        account_id: str = "",
        webhook_secrets: Sequence[str] = (),
        transport: Transport | None = None,
    ) -> None:
        self._account_id = account_id
        self._webhook_secrets = webhook_secrets
        self._connection = Connection(
            api_key=api_key, base_url=base_url, account_id=account_id, transport=transport
        )
        if self._connection.livemode and not base_url.lower().startswith("https://"):
            raise CredentialsRefused("a live api_key needs a base_url with https://")
        self._api = self._connection.api

    @classmethod
    def from_credentials(cls, credentials: Mapping[str, str], *, livemode: bool) -> StripeAdapter:
        """Raises CredentialsRefused for a key of the other mode, or a live one without https.

        `account_id` (`acct_…`) names a connected account: all is done and read there.
        """
        account.require_key(credentials["api_key"], livemode=livemode)
        made = cls(
            api_key=credentials["api_key"],
            base_url=credentials["base_url"],
            account_id=credentials["account_id"],
            webhook_secrets=split_secrets(credentials),
        )
        made.card_fields = account.card_fields_of(credentials, livemode=livemode)
        made.domain_association = credentials["apple_pay_domain_association"]
        return made

    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        """Read one object of each kind that the adapter reads; rights to write are not tested."""
        return account.faults_of(
            self._connection,
            webhook_secrets=self._webhook_secrets,
            has_account_id=bool(self._account_id),
            deadline_seconds=deadline_seconds,
        )

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Authorize a payment with a token, or charge it at once."""
        if not mapping.is_chargeable(request.token):
            return mapping.refused_unsent("the token has not the form of one")
        end = time.monotonic() + deadline_seconds
        customer, _ = mapping.token_parts(request.token)
        if request.save_for and not customer:
            try:
                customer = saved_cards.new_customer(
                    self._connection,
                    psp_key=request.psp_key,
                    reference=request.reference,
                    deadline_seconds=deadline_seconds,
                )
            except CustomerNotMade as error:
                return mapping.not_sent(f"not sent: {error}", error.retry_after_seconds)

        def read(view: Json) -> PspResult:
            intent = intents.Intent(view)
            if intent.reference != request.reference:
                raise Contradiction("another reference")
            return intents.authorization_of(intent)

        body = mapping.authorize_body(request, customer=customer)
        return self._send(
            request,
            lambda o: self._api.payment_intents.create(body, o),
            read,
            end - time.monotonic(),
        )

    def increment(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Increase the hold. Stripe takes the new total, so the present one is read first."""
        end = time.monotonic() + deadline_seconds
        intent_id = in_path(request.psp_payment_id)
        body = self._body_for_present(request, mapping.increment_body, deadline_seconds)
        if isinstance(body, PspResult):
            return body
        return self._send(
            request,
            lambda o: self._api.payment_intents.increment_authorization(intent_id, body, o),
            lambda view: _change(request, view),
            end - time.monotonic(),
        )

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Capture all or a part of what is held; before a capture in part that is read first."""
        end = time.monotonic() + deadline_seconds
        intent_id = in_path(request.psp_payment_id)
        body: Json | PspResult = mapping.capture_body(request)
        if not request.final:
            body = self._body_for_present(request, mapping.part_body, deadline_seconds)
            if isinstance(body, PspResult):
                return body
        return self._send(
            request,
            lambda o: self._api.payment_intents.capture(intent_id, body, o),
            lambda view: _change(request, view),
            end - time.monotonic(),
        )

    def _body_for_present(
        self, request: PspRequest, body_of: Callable[[PspRequest, Json], Json], seconds: float
    ) -> Json | PspResult:
        """The body for the intent as it is now, or the result if there is nothing to send."""
        try:
            view = self._connection.intent(request.psp_payment_id, deadline_seconds=seconds)
        except PspUnavailable as error:
            return mapping.not_sent(f"not sent: the present amount is unknown ({error})")
        if view is None:
            return mapping.refused_unsent("no such payment")
        try:
            intent = intents.Intent(view)
            made = intents.change_of(intent, kind=request.kind, reference=request.reference)
            return require_request(made, request) if made else body_of(request, view)
        except (Contradiction, *UNREADABLE) as error:
            return mapping.not_sent(f"not sent: the present amount is unreadable ({error})")

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Release what is held; the result's amount is what Stripe says it released.

        A cancellation carries no reference of ours: a note is stored in the intent before. Without
        `psp_payment_id` the payment is looked up by `payment_reference`. Stripe cannot forbid one
        that may still arrive, so not finding it is UNKNOWN.
        """
        end = time.monotonic() + deadline_seconds
        if request.psp_payment_id:
            return self._cancel(request, end)
        sent_at = request.payment_sent_at
        query = LookUp(kind=K.AUTHORIZE, reference=request.payment_reference, sent_at=sent_at)
        try:
            arrived = self.look_up(query, deadline_seconds=deadline_seconds)
        except PspUnavailable as error:
            return mapping.unknown(f"looking the payment up: {error}")
        if arrived is None:
            return mapping.unknown("the payment is not found, and may still arrive")
        if arrived.outcome in (Outcome.DECLINED, Outcome.UNKNOWN):
            return mapping.void_without_hold(request, arrived)
        found = replace(request, psp_payment_id=arrived.psp_payment_id)
        return replace(self._cancel(found, end), also_found=arrived.also_found)

    def _cancel(self, request: PspRequest, end: float) -> PspResult:
        intent_id = in_path(request.psp_payment_id)
        noting = replace(request, psp_key=f"{request.psp_key}:note")
        note = {"metadata": mapping.note_of(request)}
        noted = self._send(
            noting,
            lambda o: self._api.payment_intents.update(intent_id, note, o),
            lambda view: PspResult(outcome=Outcome.SUCCEEDED),
            end - time.monotonic(),
        )
        if noted.outcome is Outcome.UNKNOWN:
            return mapping.not_sent(f"not sent: storing the note of the void {noted.detail}")
        if noted.outcome is not Outcome.SUCCEEDED:
            return noted
        return self._send(
            request,
            lambda o: self._api.payment_intents.cancel(intent_id, WITH_CHARGE, o),
            lambda view: _change(request, view),
            end - time.monotonic(),
        )

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Refund captured money."""
        body = mapping.refund_body(request)
        return self._send(
            request,
            lambda o: self._api.refunds.create(body, o),
            lambda view: intents.refund_of(view, reference=request.reference),
            deadline_seconds,
        )

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """Look up an operation by its id, or else by our reference in the metadata of a list."""
        return look_ups.operation(self._connection, query, deadline_seconds=deadline_seconds)

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        end = time.monotonic() + deadline_seconds
        view = self._connection.intent(psp_payment_id, deadline_seconds=deadline_seconds)
        if view is None:
            return None
        refunds = (
            []
            if not view.get("amount_received")
            else self._connection.refunds_of(psp_payment_id, end)
        )
        return readable(intents.payment_of, view, refunds, psp_payment_id=psp_payment_id)

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Look up a payment method. One that needs no token is described without a call."""
        refuse_card_number(token)
        bare = self.capabilities.bare_token(token)
        if bare is not None:
            return bare
        if not mapping.is_token(token) or token.startswith(mapping.BARE_METHOD):
            raise UnknownToken
        answer = self._connection.get(
            lambda: self._api.payment_methods.retrieve(token), deadline_seconds=deadline_seconds
        )
        if answer.status == 404:
            raise UnknownToken
        return readable(mapping.token_of, view_of(answer), token=token)

    def set_up(self, request: SetupRequest, *, deadline_seconds: float) -> SetupResult:
        """Verify a card for later payments with a setup intent, and a customer of its own."""
        return saved_cards.set_up(self._connection, request, deadline_seconds=deadline_seconds)

    def look_up_setup(self, query: SetupLookUp, *, deadline_seconds: float) -> SetupResult | None:
        return saved_cards.look_up(self._connection, query, deadline_seconds=deadline_seconds)

    def release_stored(self, stored_token: str, *, deadline_seconds: float) -> None:
        """Detach the card from its customer at Stripe; raises PspUnavailable."""
        saved_cards.release(self._connection, stored_token, deadline_seconds=deadline_seconds)

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        return dispute_responses.look_up(
            self._connection, psp_dispute_id, deadline_seconds=deadline_seconds
        )

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return dispute_responses.send(
            self._connection, request, accepts=False, deadline_seconds=deadline_seconds
        )

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return dispute_responses.send(
            self._connection, request, accepts=True, deadline_seconds=deadline_seconds
        )

    def look_up_balance(self, *, deadline_seconds: float) -> tuple[Money, ...]:
        """Available and pending together: Stripe counts a charge from the moment it succeeds."""
        answer = self._connection.get(
            lambda: self._api.balance.retrieve(), deadline_seconds=deadline_seconds
        )
        return readable(reports.balance_of, view_of(answer))

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """List the automatic payouts that were paid at that time or later, or all; oldest first."""
        query: Json = {} if since is None else reports.since_query(since)
        end = time.monotonic() + deadline_seconds
        pages = self._connection.pages(self._api.payouts.list, {"status": "paid", **query}, end)
        found = [view for page in pages for view in page]
        return readable(reports.listings_of, found, since=since)

    def fetch_report(self, name: str, *, into: BinaryIO, deadline_seconds: float) -> None:
        """Fetch the balance transactions of a payout as one report."""
        if not reports.is_name(name):
            raise PspUnavailable("not the name of a report")
        end = time.monotonic() + deadline_seconds
        payout = view_of(
            self._connection.get(
                lambda: self._api.payouts.retrieve(name), deadline_seconds=deadline_seconds
            )
        )
        query = {"payout": name, "expand": ["data.source"]}
        pages = self._connection.pages(
            self._api.balance_transactions.list, query, end, most=reports.PAGES_MAX
        )
        lines = [view for page in pages for view in page]
        into.write(readable(reports.report_of, payout, lines, name=name))

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        return reports.read(file)

    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        read = webhook.read(
            request,
            secrets=secrets,
            now=now,
            account=self._account_id,
            livemode=self._connection.livemode,
        )
        return (read,)

    def close(self) -> None:
        """Close idle connections."""
        self._connection.close()

    def _send(
        self,
        request: PspRequest,
        call: Callable[[Any], Any],
        read: Callable[[Json], PspResult],
        deadline_seconds: float,
    ) -> PspResult:
        """Make one money operation under the request's key, and read the answer."""
        if len(request.psp_key) > mapping.KEY_LENGTH_MAX:
            return mapping.refused_unsent("the idempotency key is too long")
        try:
            answer = self._connection.post(
                call, key=request.psp_key, deadline_seconds=deadline_seconds
            )
        except NotSent as error:
            return mapping.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return mapping.unknown(f"no whole answer: {error}")
        if answer.status != 200:
            return mapping.failure_of(request, answer)
        try:
            mapping.require_mode(answer.body, livemode=self._connection.livemode)
            result = read(answer.body)
            return require_request(result, request) if result.psp_id else result
        except Contradiction as contradiction:
            detail = f"answered 200, contradictory: {contradiction}"
            return mapping.unknown(detail, contradicts_us=isinstance(contradiction, OtherMode))
        except UNREADABLE as error:
            return mapping.unknown(f"answered 200, unreadable: {type(error).__name__}")


def _change(request: PspRequest, view: Json) -> PspResult:
    """The result of an increment, capture or void in the intent that was answered."""
    result = intents.change_of(intents.Intent(view), kind=request.kind, reference=request.reference)
    if result is None:
        raise Contradiction(f"the {request.kind.value} is not in the answer")
    return result
