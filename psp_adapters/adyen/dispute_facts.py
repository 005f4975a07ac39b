"""Reads a dispute from the notifications about it. Pure.

Adyen has no look-up of a dispute. Its notifications name it by one id in all of its stages, in any
order and more than once. What moves money, and what ends a chargeback, follows from signed event
codes alone; what is not signed (`additionalData`) tells deadlines, reasons, what may be answered.

A second chargeback comes after the money of the first was returned. In the books it is a dispute of
its own: its id here is that of the first with SECOND behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ledger.money import Money
from psp_adapters.adyen.mapping import moment_of, money_of
from psp_adapters.contract.answers import Contradiction
from psp_adapters.contract.disputes import DisputeStatus, PspDispute
from psp_adapters.contract.stored_notifications import SentResponse, StoredNotification

S = DisputeStatus

SECOND: Final = ".2"
INQUIRY: Final = "REQUEST_FOR_INFORMATION"
ANNOUNCED: Final = "NOTIFICATION_OF_CHARGEBACK"
CHARGED_BACK: Final = "CHARGEBACK"
ANSWERED: Final = "INFORMATION_SUPPLIED"
PERIOD_ENDED: Final = "DISPUTE_DEFENSE_PERIOD_ENDED"
REVERSED: Final = "CHARGEBACK_REVERSED"
CHARGED_BACK_AGAIN: Final = "SECOND_CHARGEBACK"
_WON: Final = frozenset(
    {
        *("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "PREARBITRATION_WON"),
        *("PREARBITRATION_ISSUER_WITHDRAWN", "SCHEME_ARBITRATION_WON"),
    }
)
"""They end a dispute; that the money came back is stated by a reversal of its own."""
_LOST: Final = frozenset(
    {"PREARBITRATION_LOST", "PREARBITRATION_ACCEPTED", "SCHEME_ARBITRATION_LOST"}
)
_CHARGEBACK_EVENTS: Final = frozenset({ANNOUNCED, CHARGED_BACK, REVERSED, *_WON, *_LOST})
STATES_AMOUNT: Final = frozenset({INQUIRY, ANNOUNCED, CHARGED_BACK, CHARGED_BACK_AGAIN})
"""Events that state how much is disputed."""
_PLACES: Final = (
    *(INQUIRY, ANNOUNCED, CHARGED_BACK, ANSWERED, PERIOD_ENDED, REVERSED, CHARGED_BACK_AGAIN),
)
"""The order of events of one second."""
_TOLERANCE_SECONDS: Final = 5.0
"""By which Adyen's clock may be behind ours."""

_REASONS: Final = {
    **dict.fromkeys(("10.1", "10.2", "10.3", "10.4", "10.5", "4837", "4849", "4870"), "fraudulent"),
    **dict.fromkeys(("4871", "F10", "F14", "F24", "F29", "UA01", "UA02"), "fraudulent"),
    **dict.fromkeys(("13.1", "4855", "C08", "RG"), "product_not_received"),
    **dict.fromkeys(("13.3", "13.4", "13.5", "4853", "C31", "C32", "RM"), "product_unacceptable"),
    **dict.fromkeys(("13.2", "13.7", "4841", "C28", "AP"), "subscription_canceled"),
    **dict.fromkeys(("13.6", "4860", "C02", "CD", "RN2"), "credit_not_processed"),
    **dict.fromkeys(("12.6", "12.6.1", "12.6.2", "4834", "P08", "DP"), "duplicate"),
    **dict.fromkeys(("4863", "P22", "AA"), "unrecognized"),
}
"""The merchant API's reasons by the networks' codes; all others are `general`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeFact:
    """What one notification states of a dispute."""

    at: datetime
    event: str
    payment_id: str
    """Empty if it does not name the payment."""
    reference: str
    amount: Money
    extra: tuple[tuple[str, str], ...]
    """Of `additionalData`: not signed."""

    def said(self, name: str) -> str:
        return dict(self.extra).get(name, "").strip()


def split_id(psp_dispute_id: str) -> tuple[str, bool]:
    """Adyen's id of a dispute, and whether its second chargeback is meant."""
    return psp_dispute_id.removesuffix(SECOND), psp_dispute_id.endswith(SECOND)


def dispute_of(
    stored: Iterable[StoredNotification],
    *,
    psp_dispute_id: str,
    sent: Sequence[SentResponse],
) -> PspDispute | None:
    """The dispute as its notifications show it; None if none states it (yet).

    Adyen keeps no reference of ours. `sent` are our own responses: one that was written before
    Adyen stated an answer is that answer. Raises Contradiction or UNREADABLE.
    """
    own_id, is_second = split_id(psp_dispute_id)
    facts = _ordered(_fact_of(each, own_id) for each in stored)
    again = next((at for at, f in enumerate(facts) if f.event == CHARGED_BACK_AGAIN), len(facts))
    stage = facts[again:] if is_second else facts[:again]
    if not any(each.event in STATES_AMOUNT for each in stage):
        return None
    reading = _Reading(stage, came_again=again < len(facts), is_second=is_second)
    status = reading.status()
    return PspDispute(
        psp_dispute_id=psp_dispute_id,
        psp_payment_id=next((f.payment_id for f in facts if f.payment_id), ""),
        payment_reference=next((f.reference for f in facts if f.reference), ""),
        status=status,
        began_as_inquiry=reading.began_as_inquiry,
        amount=reading.amount(),
        reason=_REASONS.get(reading.network_code(), "general"),
        network_reason_code=reading.network_code(),
        opened_at=stage[0].at,
        evidence_due_by=reading.due_by() if status in _UNANSWERED else None,
        fee=Money.zero(reading.amount().currency),
        fee_returned=Money.zero(reading.amount().currency),
        funds_withdrawn=reading.withdrawn,
        funds_reinstated=reading.reinstated,
        charge_refundable=status.startswith("warning_") or status in (S.WON, S.PREVENTED),
        **reading.answers(sent, status),
    )


_UNANSWERED: Final = (S.NEEDS_RESPONSE, S.WARNING_NEEDS_RESPONSE)


class _Reading:
    """What the facts of one stage say together, in the order of time."""

    def __init__(self, facts: Sequence[DisputeFact], *, came_again: bool, is_second: bool) -> None:
        self._facts, self._is_second = facts, is_second
        self._seen = {each.event for each in facts}
        came_again = came_again and not is_second
        # A second chargeback says that the first was charged back, and its money returned.
        self.reinstated = REVERSED in self._seen or came_again
        self.withdrawn = is_second or CHARGED_BACK in self._seen or self.reinstated
        self.began_as_inquiry = INQUIRY in self._seen

    def status(self) -> DisputeStatus:
        if self.reinstated:
            if self._seen & _LOST:
                raise Contradiction("it is lost after its money was returned, and not taken again")
            return S.WON
        if not self._is_second and not self._seen & _CHARGEBACK_EVENTS:
            return self._status_of_inquiry()
        if self._seen & _LOST:
            return S.LOST
        if self._seen & _WON:
            return S.UNDER_REVIEW if self.withdrawn else S.PREVENTED
        return self._status_of_second() if self._is_second else self._status_of_open()

    def _status_of_inquiry(self) -> DisputeStatus:
        said = self._last_said("disputeStatus")
        if PERIOD_ENDED in self._seen or said == "Expired":
            return S.WARNING_CLOSED
        if ANSWERED in self._seen or said == "Responded":
            return S.WARNING_UNDER_REVIEW
        return S.WARNING_NEEDS_RESPONSE

    def _status_of_open(self) -> DisputeStatus:
        if self._was_defended():
            return S.UNDER_REVIEW
        if PERIOD_ENDED in self._seen and self.withdrawn:
            return S.LOST
        return S.NEEDS_RESPONSE

    def _status_of_second(self) -> DisputeStatus:
        """Most cannot be answered: the bank has refused our defense."""
        if self._was_defended():
            return S.UNDER_REVIEW
        is_open = self._last_said("disputeStatus") == "Undefended"
        return S.NEEDS_RESPONSE if is_open and PERIOD_ENDED not in self._seen else S.LOST

    def _was_defended(self) -> bool:
        if ANSWERED in self._seen:
            # Of a chargeback: information about an inquiry before it is no defense of it.
            begun = [at for at, f in enumerate(self._facts) if f.event in (ANNOUNCED, CHARGED_BACK)]
            answered = [at for at, f in enumerate(self._facts) if f.event == ANSWERED]
            if self._is_second or not begun or answered[-1] > begun[0]:
                return True
        opening = [f for f in self._facts if f.event in STATES_AMOUNT - {INQUIRY}]
        return any(
            f.said("autoDefended") == "true" or f.said("disputeStatus") == "Pending"
            for f in opening
        )

    def amount(self) -> Money:
        stated = [each.amount for each in self._facts if each.event in STATES_AMOUNT]
        if any(each != stated[0] for each in stated):
            raise Contradiction("its amount has changed")
        return stated[0]

    def network_code(self) -> str:
        return self._last_said("chargebackReasonCode") or self._last_said("rfiReasonCode")

    def due_by(self) -> datetime | None:
        said = self._last_said("defensePeriodEndsAt")
        if not said or self._last_said("defendable") == "false":
            return None
        return moment_of(said)

    def answers(self, sent: Sequence[SentResponse], status: DisputeStatus) -> dict[str, Any]:
        """Which of our responses Adyen has stated an answer to."""
        submitted = self._ours(ANSWERED, [each for each in sent if not each.accepts])
        accepted = self._ours(PERIOD_ENDED, [each for each in sent if each.accepts])
        is_over = status in (S.LOST, S.WARNING_CLOSED)
        return {
            "submissions": (submitted,) if submitted else (),
            "acceptance": accepted if is_over and not submitted else "",
        }

    def _ours(self, event: str, sent: Sequence[SentResponse]) -> str:
        moments = [each.at for each in self._facts if each.event == event]
        if not moments:
            return ""
        return next(
            (
                each.reference
                for each in reversed(sent)
                if (moments[-1] - each.written_at).total_seconds() >= -_TOLERANCE_SECONDS
            ),
            "",
        )

    def _last_said(self, name: str) -> str:
        return next((f.said(name) for f in reversed(self._facts) if f.said(name)), "")


def _fact_of(stored: StoredNotification, own_id: str) -> DisputeFact | None:
    item = json.loads(stored.body)
    if item["success"] != "true":
        return None
    extra: Mapping[str, Any] = item.get("additionalData") or {}
    names_payment = stored.psp_payment_id != own_id
    return DisputeFact(
        at=stored.occurred_at,
        event=stored.type,
        payment_id=stored.psp_payment_id if names_payment else "",
        reference=stored.reference,
        amount=money_of(item["amount"]),
        extra=tuple(sorted((name, said) for name, said in extra.items() if isinstance(said, str))),
    )


def _ordered(facts: Iterable[DisputeFact | None]) -> list[DisputeFact]:
    """Each fact once, in the order of time."""
    known = {each for each in facts if each is not None}
    return sorted(known, key=_place)


def _place(fact: DisputeFact) -> tuple[object, ...]:
    rank = _PLACES.index(fact.event) if fact.event in _PLACES else len(_PLACES)
    amount = (fact.amount.minor, fact.amount.currency)
    return (fact.at, rank, fact.event, *amount, fact.payment_id, fact.reference, fact.extra)
