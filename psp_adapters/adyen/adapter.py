"""The adapter of Adyen: sends requests through its library; the files beside it read the answers.

Adyen has no look-up of a payment or an operation. What look-ups answer here comes from the stored
notifications, which Adyen signed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final

from ledger.money import CURRENCY_EXPONENTS
from psp_adapters.adyen import (
    account,
    facts,
    mapping,
    page_fields,
    reports,
    stored_cards,
    vocabulary,
    webhook,
)
from psp_adapters.adyen.connection import TEST_URL, Connection, DisputeConnection, in_path
from psp_adapters.adyen.dispute_responses import Disputes
from psp_adapters.adyen.facts import Fact
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.answers import Contradiction, readable, text, view_of
from psp_adapters.contract.credentials import (
    CredentialFault,
    CredentialsRefused,
    require_mode,
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
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.contract.stored_notifications import StoredNotifications
from psp_adapters.http import AnswerUnknown, NotSent

K = OperationKind

RETURNED: Final = "redirectResult"
"""The parameter of the address with which the customer comes back from a challenge."""
_RETURNED_MAX: Final = 20_000
_DETAILS_KEYS: Final = uuid.UUID("0d9b7f4e-7a53-4c8b-8a65-6a1f0c2f7d11")


class AdyenAdapter(PspAdapter):
    """One merchant account at Adyen."""

    name = "adyen"
    capabilities = account.CAPABILITIES
    credential_fields = account.CREDENTIAL_FIELDS

    def __init__(
        self,
        *,
        api_key: str,
        merchant_account: str,
        stored: StoredNotifications,
        base_url: str = TEST_URL,
        pre_authorize: bool = False,
        setup_currency: str = "EUR",
        webhook_secrets: Sequence[str] = (),
        report_url: str = "",
        report_key: str = "",
        dispute_url: str = "",
    ) -> None:
        if ":" in merchant_account:
            raise CredentialsRefused("merchant_account has no colon")
        if setup_currency not in CURRENCY_EXPONENTS:
            raise CredentialsRefused("setup_currency is the code of a currency, such as EUR")
        self._account = merchant_account
        self._stored = stored
        self._pre_authorize = pre_authorize
        self._setup_currency = setup_currency
        self._webhook_secrets = webhook_secrets
        self._fetches_reports = bool(report_url and report_key)
        self._connection = Connection(
            api_key=api_key, base_url=base_url, report_url=report_url, report_key=report_key
        )
        self._disputes = Disputes(
            DisputeConnection(
                api_key=api_key, base_url=dispute_url, is_live=self._connection.is_live
            ),
            merchant_account,
            stored,
        )

    @classmethod
    def from_credentials(
        cls,
        credentials: Mapping[str, str],
        *,
        livemode: bool,
        stored: StoredNotifications | None = None,
    ) -> AdyenAdapter:
        """Raises CredentialsRefused, also for an address of the other mode."""
        if stored is None:
            raise ValueError("look-ups need the account's stored notifications")
        made = cls(
            api_key=credentials["api_key"],
            merchant_account=credentials["merchant_account"],
            stored=stored,
            base_url=credentials["base_url"],
            pre_authorize=credentials["pre_authorize"] == "true",
            setup_currency=credentials["setup_currency"],
            webhook_secrets=split_secrets(credentials),
            report_url=credentials["report_url"],
            report_key=credentials["report_key"],
            dispute_url=credentials["dispute_url"],
        )
        made.card_fields = page_fields.card_fields_of(credentials, livemode=livemode)
        is_live = made._connection.is_live
        require_mode("base_url", "of a {} environment", is_live=is_live, livemode=livemode)
        return made

    def check_credentials(self, *, deadline_seconds: float) -> tuple[CredentialFault, ...]:
        return account.faults_of(
            self._connection,
            merchant_account=self._account,
            webhook_secrets=self._webhook_secrets,
            deadline_seconds=deadline_seconds,
        )

    def authorize(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Authorize a payment with a stored method, or charge it at once."""
        if not mapping.is_token(request.token):
            return mapping.refused_unsent("the token has not the form of one")
        body = mapping.authorize_body(
            request, merchant_account=self._account, pre_authorize=self._pre_authorize
        )
        return self._send(request, self._connection.payments.payments, body, deadline_seconds)

    def increment(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Increase the hold. Adyen takes the new total: the present one is what it has stated."""
        try:
            payment = self._payment(request.psp_payment_id)
        except PspUnavailable as error:
            return mapping.not_sent(f"not sent: the present amount is unknown ({error})")
        if payment is None:
            return mapping.not_sent("not sent: no notification has stated the present amount")
        total = facts.total_of(payment) + request.amount
        body = mapping.increment_body(request, total, merchant_account=self._account)
        return self._change(request, body, deadline_seconds)

    def capture(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Capture all or a part of what is held; Adyen releases the rest."""
        body = mapping.change_body(request, merchant_account=self._account)
        return self._change(request, body, deadline_seconds)

    def void(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Release what is held. Without the payment's id it is named by our reference of it."""
        if request.psp_payment_id:
            body = mapping.change_body(request, merchant_account=self._account)
            return self._change(request, body, deadline_seconds)
        body = mapping.cancel_body(request, merchant_account=self._account)
        call = self._connection.modification(vocabulary.CALL_BY_REFERENCE)
        return self._send(request, call, body, deadline_seconds)

    def refund(self, request: PspRequest, *, deadline_seconds: float) -> PspResult:
        """Refund captured money."""
        body = mapping.change_body(request, merchant_account=self._account)
        return self._change(request, body, deadline_seconds)

    def look_up(self, query: LookUp, *, deadline_seconds: float) -> PspResult | None:
        """What the notifications state of one operation; None if they do not (yet).

        If the customer has come back from a challenge, the payment is completed with what the
        customer brought. That is the one call to Adyen here.
        """
        payment_ids = [query.psp_payment_id]
        references = [query.payment_reference] if not query.psp_payment_id else []
        if query.kind is K.AUTHORIZE:
            payment_ids, references = [query.psp_id], [query.reference]
        named = self._facts(payment_ids, references)
        # What follows in a payment may carry other references than that.
        known = self._facts((each.payment_id for each in named), references)
        found = facts.result_of(known, query, was_sale=self._stored.was_sale)
        returned = query.returned.get(RETURNED, "")
        if found is not None or query.kind is not K.AUTHORIZE or not returned:
            return found
        return self._complete(query.reference, returned, deadline_seconds)

    def look_up_payment(self, psp_payment_id: str, *, deadline_seconds: float) -> PspPayment | None:
        """The payment as the notifications show it."""
        return self._payment(psp_payment_id)

    def token_of_fields(self, fields: Mapping[str, str], *, deadline_seconds: float) -> str:
        """Have Adyen store an encrypted card, and name it."""
        return page_fields.token_of_fields(
            self._connection,
            fields,
            merchant_account=self._account,
            deadline_seconds=deadline_seconds,
        )

    def find_token(self, token: str, *, deadline_seconds: float) -> PaymentToken:
        """Look up a stored payment method of a customer.

        One that needs no token is described without a call.
        """
        refuse_card_number(token)
        bare = self.capabilities.bare_token(token)
        if bare is not None:
            return bare
        if mapping.token_parts(token) is None:
            raise UnknownToken
        found = stored_cards.described(
            self._connection,
            token,
            merchant_account=self._account,
            deadline_seconds=deadline_seconds,
        )
        if found is None:
            raise UnknownToken
        return found

    def set_up(self, request: SetupRequest, *, deadline_seconds: float) -> SetupResult:
        """Verify a stored card with an authorization of nothing, and say what it is kept for."""
        verification = stored_cards.verification_of(request, currency=self._setup_currency)
        if mapping.token_parts(request.token) is None:
            return stored_cards.setup_result(mapping.refused_unsent("not a stored card's token"))
        return stored_cards.setup_result(
            self.authorize(verification, deadline_seconds=deadline_seconds)
        )

    def look_up_setup(self, query: SetupLookUp, *, deadline_seconds: float) -> SetupResult | None:
        """What the notifications state of a verification; else completes it, as a payment."""
        of_verification = LookUp(
            kind=K.AUTHORIZE,
            reference=query.reference,
            psp_id=query.psp_id,
            returned=query.returned,
        )
        found = self.look_up(of_verification, deadline_seconds=deadline_seconds)
        return None if found is None else stored_cards.setup_result(found)

    def release_stored(self, stored_token: str, *, deadline_seconds: float) -> None:
        """Delete a stored card at Adyen."""
        stored_cards.delete(
            self._connection,
            stored_token,
            merchant_account=self._account,
            deadline_seconds=deadline_seconds,
        )

    def look_up_dispute(self, psp_dispute_id: str, *, deadline_seconds: float) -> PspDispute | None:
        """The dispute as the notifications show it."""
        return self._disputes.look_up(psp_dispute_id)

    def submit_evidence(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return self._disputes.defend(request, deadline_seconds=deadline_seconds)

    def accept_dispute(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        return self._disputes.accept(request, deadline_seconds=deadline_seconds)

    def list_reports(
        self, *, since: datetime | None, deadline_seconds: float
    ) -> list[ReportListing]:
        """The reports that notifications have announced, since that time or all; oldest first."""
        if not self._fetches_reports:
            return []
        stored = self._stored.about(psp_payment_ids=[vocabulary.REPORTS])
        return readable(reports.listings_of, stored, since=since)

    def fetch_report(self, name: str, *, into: BinaryIO, deadline_seconds: float) -> None:
        """Fetch a report from the configured address; `read_report` checks its form."""
        if not reports.is_name(name):
            raise PspUnavailable("not the name of a report")
        self._connection.report(
            name, into=into, merchant_account=self._account, deadline_seconds=deadline_seconds
        )

    def read_report(self, file: ReportFile) -> Iterator[ReportLine]:
        return reports.read(file, merchant_account=self._account)

    def read_notifications(
        self, request: WebhookRequest, *, secrets: Sequence[str], now: datetime
    ) -> tuple[Notification, ...]:
        return webhook.read(
            request,
            secrets=secrets,
            merchant_account=self._account,
            is_live=self._connection.is_live,
        )

    def close(self) -> None:
        """Close idle connections."""
        self._connection.close()
        self._disputes.connection.close()

    def _facts(self, payment_ids: Iterable[str], references: Iterable[str]) -> list[Fact]:
        """What the notifications about these state. Raises PspUnavailable."""
        stored = self._stored.about(
            psp_payment_ids=[each for each in payment_ids if each],
            references=[each for each in references if each],
        )
        read = [readable(facts.fact_of, each) for each in stored]
        return [each for each in read if each is not None]

    def _payment(self, psp_payment_id: str) -> PspPayment | None:
        known = self._facts([psp_payment_id], [])
        return facts.payment_of(
            known, psp_payment_id=psp_payment_id, was_sale=self._stored.was_sale
        )

    def _complete(self, reference: str, returned: str, deadline_seconds: float) -> PspResult:
        """Hand Adyen what the customer brought back, and read how the payment ended.

        The same again gets the first answer. Raises PspUnavailable.
        """
        if len(returned) > _RETURNED_MAX:
            raise PspUnavailable("what the customer brought back is too long")
        body = {"details": {RETURNED: returned}}
        key = str(uuid.uuid5(_DETAILS_KEYS, f"{reference}:{returned}"))
        end = time.monotonic() + deadline_seconds
        call = self._connection.payments.payments_details
        answer = self._connection.get(
            lambda: call(body, idempotency_key=key), deadline_seconds=end - time.monotonic()
        )
        view = view_of(answer)

        def read() -> PspResult:
            if text(view["merchantReference"]) != reference:
                raise Contradiction("another reference")
            return mapping.authorization_of(view, reference=reference, sent=None)

        result = readable(read)
        if result.outcome is Outcome.UNKNOWN:
            raise PspUnavailable(result.detail)
        return result

    def _change(
        self, request: PspRequest, body: mapping.Json, deadline_seconds: float
    ) -> PspResult:
        """Make one change of a payment that has an id."""
        call = self._connection.modification(vocabulary.CALLS[request.kind])
        path = in_path(request.psp_payment_id)
        return self._send(
            request,
            lambda sent, idempotency_key: call(sent, path, idempotency_key=idempotency_key),
            body,
            deadline_seconds,
        )

    def _send(
        self,
        request: PspRequest,
        call: Callable[..., Any],
        body: mapping.Json,
        deadline_seconds: float,
    ) -> PspResult:
        """Make one money operation under the request's key, and read the answer."""
        try:
            answer = self._connection.post(
                call, body, key=mapping.key_of(request.psp_key), deadline_seconds=deadline_seconds
            )
        except NotSent as error:
            return mapping.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return mapping.unknown(f"no whole answer: {error}")
        return mapping.result_of_answer(request, answer)
