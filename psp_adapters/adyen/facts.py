"""Reads a payment from the notifications about it. Pure.

Adyen has no look-up of a payment. Its signed notifications, which are stored, say what happened.
They arrive in any order and more than once: the same set of them always gives the same payment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.mapping import money_of, network_transaction_id_of
from psp_adapters.contract.operations import LookUp, OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import (
    PspOperation,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
)
from psp_adapters.contract.stored_notifications import StoredNotification

K = PspOperationKind
_KINDS: Final = {
    **{event: K(kind.value) for event, kind in vocabulary.RESULT_EVENTS.items()},
    **{event: K(kind.value) for event, kind in vocabulary.REVERSAL_EVENTS.items()},
    vocabulary.EXPIRY: K.EXPIRE,
}
REFUSED_LATER: Final = "The payment service provider reported that it failed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one notification states. Its order is that of time; failures follow successes."""

    at: datetime
    event: str
    success: bool
    psp_id: str
    """Of the operation: a payment, a capture, a cancellation, a refund."""
    payment_id: str
    reference: str
    amount: Money
    reason: str
    network_transaction_id: str = ""
    """Not signed, so only for the record."""

    @property
    def takes_effect(self) -> bool:
        """Whether the operation holds after this fact."""
        return self.success and self.event not in vocabulary.REVERSAL_EVENTS

    @property
    def says_nothing(self) -> bool:
        """Whether it states that something did not fail, which changes nothing."""
        return not self.success and self.event in (*vocabulary.REVERSAL_EVENTS, vocabulary.EXPIRY)


def event_id(*, event: str, psp_id: str, success: bool, at: datetime) -> str:
    """The identity of a notification, of which a PSP's id is a part.

    The time is a part of it: Adyen repeats a success under the same id after a failure.
    """
    return f"{event}:{psp_id}:{'true' if success else 'false'}:{int(at.timestamp())}"


def name_of(stored: StoredNotification) -> str:
    """The PSP's id in the identity of a notification: of an operation, or a report's name."""
    psp_id, _, _ = stored.event_id.partition(":")[2].rsplit(":", 2)
    return psp_id


def fact_of(stored: StoredNotification) -> Fact | None:
    """The fact of a stored notification; None if it is about no payment.

    Ids are read from what is stored beside the body: in that a long number may be masked. Raises
    UNREADABLE.
    """
    event, _, rest = stored.event_id.partition(":")
    if event not in vocabulary.PAYMENT_EVENTS:
        return None
    success = rest.rsplit(":", 2)[1]
    item = json.loads(stored.body)
    return Fact(
        at=stored.occurred_at,
        event=event,
        success=success == "true",
        psp_id=name_of(stored),
        payment_id=stored.psp_payment_id,
        reference=stored.reference,
        amount=money_of(item["amount"]),
        reason=str(item.get("reason") or ""),
        network_transaction_id=network_transaction_id_of(item),
    )


def payment_of(
    facts: Iterable[Fact], *, psp_payment_id: str, was_sale: Callable[[str], bool]
) -> PspPayment | None:
    """The payment as its facts show it; None if they do not say how its authorization ended."""
    ordered = _ordered(facts, psp_payment_id)
    begun = [each for each in ordered if _kind_of(each) is K.AUTHORIZE]
    if not begun:
        return None
    return _Reading(begun, [each for each in ordered if each not in begun], was_sale).payment()


def result_of(
    facts: Iterable[Fact], query: LookUp, *, was_sale: Callable[[str], bool]
) -> PspResult | None:
    """How the operation ended, as the facts show it; None if they do not say (yet)."""
    known = list(facts)
    payment_ids = sorted({each.payment_id for each in known})
    payments = [payment_of(known, psp_payment_id=p, was_sale=was_sale) for p in payment_ids]
    found = [
        _result(payment, shown)
        for payment in payments
        if payment is not None
        for shown in payment.operations
        if _is_asked_for(shown, query)
    ]
    if not found:
        return _canceled_nothing(known, query)
    first, *others = sorted(
        found, key=lambda e: (e.psp_id != query.psp_id, e.outcome is not Outcome.SUCCEEDED)
    )
    more = tuple(each for each in others if each.outcome is Outcome.SUCCEEDED)
    if not more:
        return first
    detail = f"{len(more) + 1} operations carry this reference"
    return replace(first, also_found=more, detail=detail)


def total_of(payment: PspPayment) -> Money:
    """What is authorized of a payment that is held: an adjustment may have made it more or less."""
    total = Money.zero(payment.held.currency)
    for each in payment.operations:
        if each.outcome is Outcome.SUCCEEDED and each.kind in (K.AUTHORIZE, K.INCREMENT):
            total += each.amount
        elif each.outcome is Outcome.SUCCEEDED and each.kind is K.VOID:
            total -= each.amount
    return total


def _ordered(facts: Iterable[Fact], psp_payment_id: str) -> list[Fact]:
    """The facts of one payment, each once, in the order of time."""
    own = {each for each in facts if each.payment_id == psp_payment_id and not each.says_nothing}
    return sorted(own, key=_place)


def _place(fact: Fact) -> tuple[object, ...]:
    """Its place in time. Of one second, what holds more comes before what takes or releases it."""
    place = (fact.at, not fact.takes_effect, fact.event, fact.amount.minor, fact.psp_id)
    return (*place, fact.amount.currency, fact.reference, fact.reason)


def _kind_of(fact: Fact) -> PspOperationKind | None:
    return _KINDS.get(fact.event)


class _Reading:
    """Follows the facts of one payment, and what they leave held."""

    def __init__(
        self, begun: Sequence[Fact], later: Sequence[Fact], was_sale: Callable[[str], bool]
    ) -> None:
        # A success holds, whatever else was stated: only what follows it releases the money.
        last = next((each for each in begun if each.takes_effect), begun[-1])
        taken = [f for f in later if _kind_of(f) is K.CAPTURE and f.success]
        self._first, self._later = begun[0], later
        self._reference = last.reference
        self._is_sale = last.takes_effect and was_sale(last.reference)
        is_reversed = self._is_sale and bool(taken) and not taken[-1].takes_effect
        self._authorized = last.takes_effect and not is_reversed
        self._refusal = taken[-1] if is_reversed else last
        self._amount = self._total = last.amount
        self._network_transaction_id = last.network_transaction_id if self._authorized else ""
        self._captured = self._is_sale and not is_reversed
        self._held = Money.zero(last.amount.currency)
        if self._authorized and not self._is_sale:
            self._held = last.amount
        self._operations: list[PspOperation] = []

    def payment(self) -> PspPayment:
        self._operations.append(self._authorization())
        for group in _operations_of(self._later):
            self._follow(group)
        return PspPayment(
            psp_payment_id=self._first.payment_id,
            status=self._status(),
            held=self._held,
            expires_at=None,
            operations=tuple(self._operations),
        )

    def _authorization(self) -> PspOperation:
        code, decline_code, message = _reason_of(K.AUTHORIZE, self._refusal, self._authorized)
        return PspOperation(
            kind=K.AUTHORIZE,
            psp_id=self._first.payment_id,
            reference=self._reference,
            amount=self._amount,
            outcome=Outcome.SUCCEEDED if self._authorized else Outcome.DECLINED,
            at=self._first.at,
            code=code,
            decline_code=decline_code,
            message=message,
            network_transaction_id=self._network_transaction_id,
        )

    def _follow(self, group: Sequence[Fact]) -> None:
        """One later operation: its facts in the order of time, of which the last one counts."""
        first, last = group[0], group[-1]
        named = (_kind_of(each) for each in group)
        kind = next(filter(None, named), K.REFUND if self._captured else K.VOID)
        if kind is K.CAPTURE and self._is_sale:
            return  # It states again what the sale did.
        if not last.takes_effect:
            if any(each.takes_effect for each in group) and kind is K.CAPTURE:
                self._held = Money.zero(self._held.currency)
            self._list(kind, first, last, last.amount)
            return
        kind, amount = self._apply(kind, last)
        self._list(kind, first, last, amount)

    def _apply(self, kind: PspOperationKind, fact: Fact) -> tuple[PspOperationKind, Money]:
        """What a successful operation did: its kind by its effect, and its amount."""
        nothing, amount = Money.zero(self._held.currency), fact.amount
        if kind is K.INCREMENT:
            # Adyen states the new total, which may be smaller: then a part was released.
            change, self._total = amount - self._total, amount
            if self._held:
                self._held = max(self._held + change, nothing)
            if change < nothing:
                return K.VOID, nothing - change
            return K.INCREMENT, change
        if kind is K.CAPTURE:
            self._captured, self._held = True, nothing
        if kind in (K.VOID, K.EXPIRE):
            amount, self._held = self._held, nothing
        return kind, amount

    def _list(self, kind: PspOperationKind, first: Fact, last: Fact, amount: Money) -> None:
        succeeded = last.takes_effect
        # What names the payment's own reference began at Adyen, or canceled by that reference.
        reference = "" if last.reference == self._reference else last.reference
        code, decline_code, message = _reason_of(kind, last, succeeded)
        self._operations.append(
            PspOperation(
                kind=kind,
                psp_id=last.psp_id,
                reference=reference,
                amount=amount,
                outcome=Outcome.SUCCEEDED if succeeded else Outcome.DECLINED,
                at=first.at,
                code=code,
                decline_code=decline_code,
                message=message,
            )
        )

    def _status(self) -> PspPaymentStatus:
        if not self._authorized:
            return PspPaymentStatus.DECLINED
        if self._held:
            return PspPaymentStatus.HELD
        if self._captured:
            return PspPaymentStatus.CAPTURED
        if any(each.kind is K.EXPIRE for each in self._operations):
            return PspPaymentStatus.EXPIRED
        return PspPaymentStatus.RELEASED


def _operations_of(facts: Sequence[Fact]) -> list[list[Fact]]:
    """The facts of each operation together, in the order in which the operations began."""
    groups: dict[tuple[bool, str], list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.event == vocabulary.EXPIRY, fact.psp_id), []).append(fact)
    return list(groups.values())


def _reason_of(kind: PspOperationKind, fact: Fact, succeeded: bool) -> tuple[str, str, str]:
    """Code, decline code and message of what did not succeed."""
    if succeeded:
        return "", "", ""
    if kind is K.AUTHORIZE:
        return vocabulary.decline_of(refusal=fact.reason)
    return "processing_error", "", REFUSED_LATER


def _is_asked_for(shown: PspOperation, query: LookUp) -> bool:
    if shown.kind.value != query.kind.value:
        return False
    if query.psp_id and query.psp_id == shown.psp_id:
        return True
    return bool(query.reference) and query.reference == shown.reference


def _result(payment: PspPayment, shown: PspOperation) -> PspResult:
    return PspResult(
        outcome=shown.outcome,
        psp_id=shown.psp_id,
        psp_payment_id=payment.psp_payment_id,
        amount=shown.amount,
        code=shown.code,
        decline_code=shown.decline_code,
        message=shown.message,
        network_transaction_id=shown.network_transaction_id,
    )


def _canceled_nothing(facts: Iterable[Fact], query: LookUp) -> PspResult | None:
    """A cancellation by our reference that failed since no authorization succeeded."""
    if query.kind is not OperationKind.VOID or query.psp_payment_id or not query.psp_id:
        return None
    known = list(facts)
    failed = [f for f in known if f.psp_id == query.psp_id and not f.success]
    if not failed or any(_kind_of(f) is K.AUTHORIZE and f.takes_effect for f in known):
        return None
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_id=query.psp_id,
        amount=Money.zero(failed[0].amount.currency),
        detail="nothing was held",
    )
