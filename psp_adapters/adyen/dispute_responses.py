"""Looks disputes up in the stored notifications, and sends our responses to Adyen.

Only the last call of a response is final. Whatever fails before it was not sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from psp_adapters.adyen import defense, dispute_facts
from psp_adapters.adyen.connection import DisputeConnection
from psp_adapters.adyen.mapping import Json, key_of
from psp_adapters.contract.answers import UNREADABLE, readable
from psp_adapters.contract.disputes import (
    DisputeRequest,
    DisputeResult,
    DisputeStatus,
    PspDispute,
    response_declined,
    result_before_sending,
)
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.contract.stored_notifications import StoredNotifications
from psp_adapters.http import AnswerUnknown, NotSent


@dataclass(frozen=True, slots=True)
class Disputes:
    """The disputes of one merchant account."""

    connection: DisputeConnection
    merchant_account: str
    stored: StoredNotifications

    def look_up(self, psp_dispute_id: str) -> PspDispute | None:
        """The dispute as its notifications show it; raises PspUnavailable."""
        own_id, _ = dispute_facts.split_id(psp_dispute_id)
        stored = self.stored.about_disputes([own_id, f"{own_id}{dispute_facts.SECOND}"])
        return readable(
            dispute_facts.dispute_of,
            stored,
            psp_dispute_id=psp_dispute_id,
            sent=self.stored.responses_to(psp_dispute_id),
        )

    def accept(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Accept a chargeback. An inquiry cannot be accepted at Adyen: it expires."""
        end = time.monotonic() + deadline_seconds
        shown, known = self._before_sending(request, accepts=True)
        if known is not None or shown is None:
            return known or defense.not_sent("not sent")
        if request.answers_inquiry:
            return response_declined("an inquiry cannot be accepted at Adyen; it expires")
        result = self._send(
            request, self.connection.api.accept_dispute, self._about(request), end, step=""
        )
        return _shown_after(
            result,
            replace(
                shown,
                status=DisputeStatus.LOST,
                acceptance=request.reference,
                evidence_due_by=None,
                charge_refundable=False,
            ),
        )

    def defend(self, request: DisputeRequest, *, deadline_seconds: float) -> DisputeResult:
        """Supply the evidence as a document, then have Adyen pass it on, which is final."""
        end = time.monotonic() + deadline_seconds
        shown, known = self._before_sending(request, accepts=False)
        if known is not None or shown is None:
            return known or defense.not_sent("not sent")
        chosen = self._choose(request, end)
        if isinstance(chosen, DisputeResult):
            return chosen
        asked = self._about(request)
        try:
            documents = defense.documents_body(asked, chosen, request.evidence)
        except ValueError as field:
            said = f"The payment provider takes evidence in Latin letters only: {field}."
            return replace(response_declined(said), message=said)
        supplied = self._send(
            request, self.connection.api.supply_defense_document, documents, end, step="documents"
        )
        if supplied.outcome is Outcome.UNKNOWN:
            return defense.not_sent(f"not sent: the document {supplied.detail}")
        if supplied.outcome is not Outcome.SUCCEEDED:
            return supplied
        result = self._send(
            request,
            self.connection.api.defend_dispute,
            {**asked, "defenseReasonCode": chosen.reason},
            end,
            step="",
        )
        under_review = (
            DisputeStatus.WARNING_UNDER_REVIEW if shown.is_inquiry else DisputeStatus.UNDER_REVIEW
        )
        return _shown_after(
            result,
            replace(
                shown,
                status=under_review,
                submissions=(request.reference,),
                evidence_due_by=None,
            ),
        )

    def _before_sending(
        self, request: DisputeRequest, *, accepts: bool
    ) -> tuple[PspDispute | None, DisputeResult | None]:
        """The dispute, and the result if nothing is to be sent."""
        try:
            shown = self.look_up(request.psp_dispute_id)
        except PspUnavailable as error:
            return None, defense.not_sent(f"not sent: the dispute's state is unknown ({error})")
        return shown, result_before_sending(request, shown, accepts=accepts)

    def _choose(self, request: DisputeRequest, end: float) -> defense.Defense | DisputeResult:
        """The reason to defend for, or why nothing was sent."""
        call = self.connection.api.retrieve_applicable_defense_reasons
        try:
            answer = self.connection.get(
                lambda: call(self._about(request)), deadline_seconds=end - time.monotonic()
            )
        except PspUnavailable as error:
            return defense.not_sent(f"not sent: {error}")
        result = defense.result_of_answer(answer)
        if result.outcome is Outcome.UNKNOWN:
            return defense.not_sent(f"not sent: the reasons to defend it: {result.detail}")
        if result.outcome is not Outcome.SUCCEEDED:
            return result
        try:
            chosen = defense.defense_of(answer.body)
        except UNREADABLE as error:
            return defense.not_sent(f"not sent: unreadable reasons: {type(error).__name__}")
        if chosen is None:
            return response_declined("Adyen offers no defense of this dispute")
        return chosen

    def _about(self, request: DisputeRequest) -> Json:
        return defense.about(request.psp_dispute_id, merchant_account=self.merchant_account)

    def _send(
        self,
        request: DisputeRequest,
        call: Callable[..., Any],
        body: Json,
        end: float,
        *,
        step: str,
    ) -> DisputeResult:
        """One step of a response, under a key of its own."""
        key = key_of(f"{request.psp_key}:{step}" if step else request.psp_key)
        try:
            answer = self.connection.post(
                call, body, key=key, deadline_seconds=end - time.monotonic()
            )
        except NotSent as error:
            return defense.not_sent(f"not sent: {error}")
        except AnswerUnknown as error:
            return defense.unknown(f"no whole answer: {error}")
        return defense.result_of_answer(answer)


def _shown_after(result: DisputeResult, dispute: PspDispute) -> DisputeResult:
    """The result, with the dispute as it is now if Adyen took the response."""
    return replace(result, dispute=dispute) if result.outcome is Outcome.SUCCEEDED else result
