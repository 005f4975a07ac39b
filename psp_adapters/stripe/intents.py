"""Reads a payment intent and its refunds: one operation's result, or the whole payment. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ledger.money import Money
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import (
    PspOperation,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
)
from psp_adapters.stripe import vocabulary
from psp_adapters.stripe.mapping import (
    REFERENCE,
    Json,
    Note,
    decline_of,
    id_of_note,
    kept_token,
    moment_of,
    money_of,
    notes_of,
)

K = OperationKind


class Intent:
    """A payment intent with its latest charge expanded.

    Raises Contradiction, KeyError, TypeError, ValueError or LedgerError if it is not readable.
    """

    def __init__(self, view: Json) -> None:
        if view["object"] != "payment_intent":
            raise Contradiction("no payment intent")
        self.id = text(view["id"])
        self.status = text(view["status"])
        self.reference: str = view["metadata"].get(REFERENCE, "")
        self.created_at = moment_of(view["created"])
        currency = view["currency"]
        self.total = money_of(view["amount"], currency)
        self.received = money_of(view["amount_received"], currency)
        self.held = money_of(view["amount_capturable"], currency)
        self.is_sale = view["capture_method"] != "manual"
        self.notes = notes_of(view)
        self._view = view
        charge = view["latest_charge"]
        if charge is not None and not isinstance(charge, dict):
            raise Contradiction("the charge is not expanded")
        self._charge: Json = charge or {}
        self.was_authorized = self._charge.get("status") == "succeeded"

    @property
    def authorized(self) -> Money:
        """What the AUTHORIZE operation asked for: the total before increments."""
        added = (note.amount for note in self.notes if note.kind is K.INCREMENT)
        return self.total - sum(added, Money.zero(self.total.currency))

    @property
    def released(self) -> Money:
        """What a cancellation released."""
        zero = Money.zero(self.total.currency)
        return self.total - self.received if self.was_authorized else zero

    @property
    def is_canceled(self) -> bool:
        return self.status == "canceled"

    @property
    def is_voided(self) -> bool:
        """Whether what was left of the hold was released, neither by the last capture nor by its
        expiry."""
        return (self.is_canceled or self._rest_was_released) and not self.has_expired

    @property
    def _rest_was_released(self) -> bool:
        """Whether a success has an uncaptured rest, and no capture of ours was the last.

        After a capture in part, Stripe may show a cancellation and an expiry as success.
        """
        captures = [note for note in self.notes if note.kind is K.CAPTURE]
        is_left = self.status == "succeeded" and self.received < self.total
        return is_left and bool(captures) and not any(note.final for note in captures)

    @property
    def has_expired(self) -> bool:
        """Whether Stripe released what was left because the hold ran out.

        Stripe gives no reason for the rest after a capture in part: without a note of a void, it
        was no void of ours.
        """
        reason = self._view.get("cancellation_reason")
        if reason in vocabulary.EXPIRED:
            return self.is_canceled or self._rest_was_released
        is_noted = any(note.kind is K.VOID for note in self.notes)
        return self._rest_was_released and not reason and not is_noted

    @property
    def expires_at(self) -> datetime | None:
        """Until when the card network holds the money, if Stripe says."""
        card = (self._charge.get("payment_method_details") or {}).get("card") or {}
        until = card.get("capture_before")
        return None if until is None else moment_of(until)

    @property
    def kept_token(self) -> str:
        """The token from now on of a card that it keeps; empty if it keeps none."""
        keeps = self._view.get("setup_future_usage") and self.was_authorized
        return kept_token(self._view) if keeps else ""

    @property
    def network_transaction_id(self) -> str:
        """The card network's id of the charge, if Stripe says it."""
        card = (self._charge.get("payment_method_details") or {}).get("card") or {}
        return str(card.get("network_transaction_id") or "") if self.was_authorized else ""

    @property
    def outcome(self) -> Outcome:
        """Of the AUTHORIZE operation."""
        if self.is_canceled and self.was_authorized:
            return Outcome.SUCCEEDED
        if self._awaits_attempt:
            return Outcome.UNKNOWN
        return vocabulary.INTENT_OUTCOMES[self.status]

    @property
    def _awaits_attempt(self) -> bool:
        """Whether it requires a method, and shows no attempt that failed."""
        is_failed = self._view.get("last_payment_error") or self._charge.get("status") == "failed"
        return self.status == "requires_payment_method" and not is_failed

    @property
    def decline(self) -> tuple[str, str, str]:
        """Code, decline code and message of the last attempt."""
        return decline_of(self._view.get("last_payment_error") or {})

    @property
    def redirect_url(self) -> str:
        """Where the customer must go; the SDK in a browser needs no address."""
        action = self._view.get("next_action") or {}
        url = (action.get("redirect_to_url") or {}).get("url") or ""
        if not isinstance(url, str):
            raise Contradiction("no address of the challenge")
        return url

    @property
    def payment_status(self) -> PspPaymentStatus:
        if self._awaits_attempt:
            return PspPaymentStatus.OPEN
        if not self.is_canceled:
            return vocabulary.INTENT_STATUSES[self.status]
        if self.received:
            return PspPaymentStatus.CAPTURED
        if not self.was_authorized:
            return PspPaymentStatus.DECLINED
        return PspPaymentStatus.EXPIRED if self.has_expired else PspPaymentStatus.RELEASED


def authorization_of(intent: Intent) -> PspResult:
    """The result of the AUTHORIZE operation."""
    outcome = intent.outcome
    code, decline_code, message = intent.decline if outcome is Outcome.DECLINED else ("", "", "")
    return PspResult(
        outcome=outcome,
        psp_id=intent.id,
        psp_payment_id=intent.id,
        amount=intent.authorized,
        code=code,
        decline_code=decline_code,
        message=message,
        redirect_url=intent.redirect_url if outcome is Outcome.REQUIRES_ACTION else "",
        expires_at=intent.expires_at,
        held=intent.held,
        network_transaction_id=intent.network_transaction_id,
        stored_token=intent.kept_token,
    )


def change_of(intent: Intent, *, kind: OperationKind, reference: str) -> PspResult | None:
    """The result of an increment, capture or void; None if the intent shows none of it.

    Without a reference: of the external operation of that kind, if there is one.
    """
    if kind is K.VOID:
        if not intent.is_voided:
            return None
        return _success(intent, intent.id, intent.released)
    for note in intent.notes:
        if reference and (note.kind, note.reference) == (kind, reference):
            _require_noted(intent, kind)
            return _success(intent, id_of_note(intent.id, note), note.amount)
    external = _external_capture(intent)
    if not reference and kind is K.CAPTURE and external:
        return _success(intent, intent.id, external)
    return None


def _require_noted(intent: Intent, kind: OperationKind) -> None:
    """Raise Contradiction if the intent's amounts do not hold what its notes of that kind say."""
    zero = Money.zero(intent.total.currency)
    noted = sum((note.amount for note in intent.notes if note.kind is kind), zero)
    if kind is K.CAPTURE and (not intent.received or noted > intent.received):
        raise Contradiction(f"notes of captures of {noted}, and {intent.received} was captured")
    if kind is K.INCREMENT and noted >= intent.total:
        raise Contradiction(f"notes of increments of {noted}, in a total of {intent.total}")


def _success(intent: Intent, psp_id: str, amount: Money) -> PspResult:
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_id=psp_id,
        psp_payment_id=intent.id,
        amount=amount,
        expires_at=intent.expires_at,
        held=intent.held,
    )


def refund_of(view: Json, *, reference: str = "") -> PspResult:
    """The result of a refund. An empty reference skips the check of it."""
    if reference and view["metadata"].get(REFERENCE) != reference:
        raise Contradiction("another reference")
    outcome = vocabulary.REFUND_OUTCOMES[view["status"]]
    code, message = _refund_failure(view) if outcome is Outcome.DECLINED else ("", "")
    return PspResult(
        outcome=outcome,
        psp_id=text(view["id"]),
        psp_payment_id=text(view["payment_intent"]),
        amount=money_of(view["amount"], view["currency"]),
        code=code,
        message=message,
    )


def _refund_failure(view: Json) -> tuple[str, str]:
    reason = str(view.get("failure_reason") or view["status"])
    return "processing_error", f"The refund failed at the payment service provider: {reason}."


def payment_of(view: Json, refunds: Sequence[Json], *, psp_payment_id: str) -> PspPayment:
    """Read a whole payment: the intent, and every refund of it in any order.

    Raises as `Intent`, also if it is another payment. Stripe gives the time of the intent and of
    each refund; what changed the intent between is listed with the intent's own time.
    """
    intent = Intent(view)
    if intent.id != psp_payment_id:
        raise Contradiction("another payment")
    oldest_first = sorted(refunds, key=lambda refund: refund["created"])
    returned = [_refund_operation(each) for each in oldest_first if _is_refund(intent, each)]
    return PspPayment(
        psp_payment_id=intent.id,
        status=intent.payment_status,
        held=intent.held,
        expires_at=intent.expires_at,
        operations=(_first(intent), *_changes(intent), *returned),
    )


def _first(intent: Intent) -> PspOperation:
    result = authorization_of(intent)
    return PspOperation(
        kind=PspOperationKind.AUTHORIZE,
        psp_id=intent.id,
        reference=intent.reference,
        amount=intent.authorized,
        outcome=result.outcome,
        at=intent.created_at,
        code=result.code,
        decline_code=result.decline_code,
        message=result.message,
        network_transaction_id=result.network_transaction_id,
        stored_token=result.stored_token,
    )


def _changes(intent: Intent) -> list[PspOperation]:
    """Increments, captures, and how the rest was released, in the order in which they can come."""
    captures = [note for note in intent.notes if note.kind is K.CAPTURE]
    captures.sort(key=lambda note: note.final)
    increments = [note for note in intent.notes if note.kind is K.INCREMENT]
    changes = [_noted(intent, note) for note in (*increments, *captures)]
    if external := _external_capture(intent):
        changes.append(_change(intent, K.CAPTURE.value, external, reference=""))
    if intent.has_expired:
        changes.append(_change(intent, PspOperationKind.EXPIRE.value, intent.released))
    elif intent.is_voided:
        voids = [note.reference for note in intent.notes if note.kind is K.VOID]
        reference = voids[0] if len(voids) == 1 else ""
        changes.append(_change(intent, K.VOID.value, intent.released, reference=reference))
    return changes


def _noted(intent: Intent, note: Note) -> PspOperation:
    return _change(
        intent,
        note.kind.value,
        note.amount,
        reference=note.reference,
        psp_id=id_of_note(intent.id, note),
        final=note.final,
    )


def _change(
    intent: Intent,
    kind: str,
    amount: Money,
    *,
    reference: str = "",
    psp_id: str = "",
    final: bool = True,
) -> PspOperation:
    return PspOperation(
        kind=PspOperationKind(kind),
        psp_id=psp_id or intent.id,
        reference=reference,
        amount=amount,
        outcome=Outcome.SUCCEEDED,
        at=intent.created_at,
        final=final,
    )


def _external_capture(intent: Intent) -> Money | None:
    """What was captured without a note of ours: in the dashboard, or by another program."""
    if intent.is_sale:
        return None
    noted = (note.amount for note in intent.notes if note.kind is K.CAPTURE)
    left = intent.received - sum(noted, Money.zero(intent.total.currency))
    if left.minor < 0:
        raise Contradiction("less was captured than our notes say")
    return left or None


def _is_refund(intent: Intent, view: Json) -> bool:
    """Whether it returned money: the release of a hold may be listed as a refund too."""
    if view["metadata"].get(REFERENCE):
        return True
    moved = view.get("balance_transaction")
    if isinstance(moved, dict):
        said = (moved.get("type"), moved.get("reporting_category"))
        return bool(intent.received) and vocabulary.RELEASE not in said
    return bool(intent.received) and moved is not None


def _refund_operation(view: Json) -> PspOperation:
    result = refund_of(view)
    assert result.amount is not None
    return PspOperation(
        kind=PspOperationKind.REFUND,
        psp_id=result.psp_id,
        reference=view["metadata"].get(REFERENCE, ""),
        amount=result.amount,
        outcome=result.outcome,
        at=moment_of(view["created"]),
        code=result.code,
        message=result.message,
    )
