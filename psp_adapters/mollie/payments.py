"""Reads a payment of Mollie with its captures and refunds: amounts, how it ended. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ledger.money import Money
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.payments import (
    PspPaymentStatus,
)
from psp_adapters.mollie import vocabulary
from psp_adapters.mollie.mapping import (
    FINAL,
    VOID,
    Json,
    kept_token,
    metadata_of,
    moment_of,
    money_of,
    reference_of,
    sentence_of,
    token_parts,
)

K = OperationKind
_ENDED = frozenset({"canceled", "expired", "failed"})


class Payment:
    """A payment as Mollie shows it, with its captures and refunds embedded.

    Raises one of UNREADABLE where something that is needed is missing.
    """

    def __init__(self, view: Json) -> None:
        self.view = view
        self.id = text(view["id"])
        self.status = text(view["status"])
        self.outcome_by_status = vocabulary.PAYMENT_OUTCOMES[self.status]
        self.total = money_of(view["amount"])
        self.reference = reference_of(view)
        self.created_at = moment_of(view["createdAt"])
        self.is_held_first = view.get("captureMode") == "manual"
        """Whether it is authorized first and captured later."""
        self.captures = _oldest_first(view, "captures") if self.is_held_first else []
        self.refunds = _oldest_first(view, "refunds")

    @property
    def shows_changes(self) -> bool:
        """Whether captures and refunds are embedded; those of a list have none."""
        return isinstance(self.view.get("_embedded"), dict)

    def require_changes(self) -> None:
        """Raise Contradiction if captures or refunds are missing that its amounts tell of."""
        was_captured = self.status == "paid" or self._states("amountCaptured")
        if self.is_held_first and was_captured and not self.captures:
            raise Contradiction("it was captured, and no capture is shown")
        if self._states("amountRefunded") and not self.refunds:
            raise Contradiction("it was refunded, and no refund is shown")

    def _states(self, name: str) -> bool:
        return bool(self.view.get(name)) and bool(money_of(self.view[name]))

    @property
    def was_authorized(self) -> bool:
        """Whether the customer's bank ever agreed to it."""
        return self.status in ("authorized", "paid") or bool(self.view.get("authorizedAt"))

    @property
    def kept_token(self) -> str:
        """What charges its method from now on; empty if it keeps none."""
        return kept_token(self.view) if self.was_authorized else ""

    @property
    def mandate_id(self) -> str:
        """Mollie's id of the mandate in the kept token; empty if it keeps none."""
        parts = token_parts(self.kept_token)
        return parts[1] if parts else ""

    @property
    def captured(self) -> Money:
        """What was captured for certain."""
        if not self.is_held_first:
            return self.total if self.status == "paid" else self._zero
        return self._sum(each for each in self.captures if each["status"] == "succeeded")

    @property
    def held(self) -> Money:
        """What can still be captured; nothing after our last capture, see `release_of_rest`."""
        if self.status != "authorized" or self._was_finally_captured:
            return self._zero
        return self.total - self.captured

    @property
    def rest(self) -> Money:
        """What Mollie still holds and no capture, even one under way, takes."""
        if self.status != "authorized":
            return self._zero
        return self.total - self._sum(each for each in self.captures if each["status"] != "failed")

    @property
    def has_pending_captures(self) -> bool:
        return any(each["status"] == "pending" for each in self.captures)

    @property
    def _was_finally_captured(self) -> bool:
        return any(is_final(each) and each["status"] == "succeeded" for each in self.captures)

    @property
    def void_reference(self) -> str:
        """Our reference of the void that was begun, if one was."""
        found = metadata_of(self.view).get(VOID)
        return found if isinstance(found, str) else ""

    @property
    def is_cancelable(self) -> bool:
        return self.view.get("isCancelable") is True

    @property
    def is_over(self) -> bool:
        """Whether nothing is held or expected any more, and it was not captured in full."""
        return self.status in _ENDED or self._rest_was_released

    @property
    def _rest_was_released(self) -> bool:
        """Whether a part was captured and the rest released, without a last capture of ours."""
        is_partial = self.status == "paid" and self.is_held_first and self.captured < self.total
        return is_partial and not self.has_pending_captures and not self._was_finally_captured

    @property
    def released(self) -> Money:
        """What was released as the payment ended."""
        return self.total - self.captured if self.is_over and self.was_authorized else self._zero

    @property
    def has_expired(self) -> bool:
        """Whether a hold ran out: it ended without a void of ours, and was not canceled."""
        ended = self.status == "expired" or self._rest_was_released
        return ended and self.was_authorized and not self.void_reference

    @property
    def ended_at(self) -> datetime:
        """When the payment ended, after everything that was captured."""
        names = ("canceledAt", "expiredAt", "failedAt", "paidAt")
        said = [moment_of(self.view[name]) for name in names if self.view.get(name)]
        captured = [moment_of(each["createdAt"]) for each in self.captures[-1:]]
        return max([self.created_at, *said, *captured])

    @property
    def expires_at(self) -> datetime | None:
        """Until when it can be captured, if Mollie says."""
        until = self.view.get("captureBefore")
        return moment_of(until) if until else None

    @property
    def open_until(self) -> datetime | None:
        """Until when the customer may pay, if Mollie says."""
        until = self.view.get("expiresAt")
        return moment_of(until) if until else None

    @property
    def checkout_url(self) -> str:
        """Where the customer must go; empty if nowhere."""
        link = (self.view.get("_links") or {}).get("checkout") or {}
        found = link.get("href") or ""
        if not isinstance(found, str):
            raise Contradiction("no address of the checkout")
        return found

    @property
    def outcome(self) -> Outcome:
        """Of the AUTHORIZE operation."""
        if self.is_held_first and self.was_authorized:
            return Outcome.SUCCEEDED
        if self.status == "open" and not self.checkout_url:
            return Outcome.PENDING
        return self.outcome_by_status

    @property
    def decline(self) -> tuple[str, str, str]:
        details = self.view.get("details") or {}
        reason, message = details.get("failureReason") or "", details.get("failureMessage") or ""
        return vocabulary.decline_of(str(reason), self.status, sentence_of(str(message)))

    @property
    def payment_status(self) -> PspPaymentStatus:
        if not (self.is_held_first and self.was_authorized):
            return vocabulary.PAYMENT_STATUSES[self.status]
        if self.status == "authorized" and not self._was_finally_captured:
            return PspPaymentStatus.HELD
        if self.captured or self.status == "paid":
            return PspPaymentStatus.CAPTURED
        return PspPaymentStatus.EXPIRED if self.has_expired else PspPaymentStatus.RELEASED

    @property
    def _zero(self) -> Money:
        return Money.zero(self.total.currency)

    def _sum(self, views: Iterable[Json]) -> Money:
        amounts = (money_of(each["amount"]) for each in views)
        return sum(amounts, self._zero)


def whole(view: Json) -> Payment:
    """A payment with all its captures and refunds; raises as `Payment`, and Contradiction."""
    payment = Payment(view)
    payment.require_changes()
    return payment


def _oldest_first(view: Json, name: str) -> list[Json]:
    found = (view.get("_embedded") or {}).get(name) or []
    return sorted(found, key=lambda each: moment_of(each["createdAt"]))


def is_final(capture: Json) -> bool:
    return metadata_of(capture).get(FINAL) is True
