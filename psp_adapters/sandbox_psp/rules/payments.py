"""Decides what may be done to a payment, and records what follows.

Each function either raises Refusal and changes nothing, or records everything that follows.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Final

from psp_adapters.sandbox_psp.refusals import forbidden_now, invalid
from psp_adapters.sandbox_psp.rules import late_outcomes
from psp_adapters.sandbox_psp.rules.recorder import Instruction, Recorder
from psp_adapters.sandbox_psp.rules.settlement import Settlement
from psp_adapters.sandbox_psp.rules.setups import Setups, charged_token, require_mandate
from psp_adapters.sandbox_psp.state.records import (
    Account,
    DueDispute,
    Operation,
    Payment,
)
from psp_adapters.sandbox_psp.state.truth import Truth
from psp_adapters.sandbox_psp.tokens import (
    AUTHENTICATION_FAILED,
    AUTHENTICATION_REQUIRED,
    NOT_DECLINED,
    TOKENS,
    Decline,
    TestToken,
)

_TELLING_ID: Final = re.compile(
    r"spay_grown_(?P<currency>[A-Z]{3})_(?P<authorized>\d+)_(?P<captured>\d+)_(?P<refunded>\d+)"
    r"_(?P<released>\d+)_[0-9a-f]{16}"
)
"""The id of a payment of made-up history (bench/growth): it tells what has happened to it."""


class Rules(Recorder):
    """Executes instructions against one Truth."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.settlement = Settlement(truth)
        self.setups = Setups(truth)

    def authorize(
        self, account: Account, order: Instruction, *, now_ms: int, decline: Decline | None
    ) -> Operation:
        """Open a payment: hold the money, capture it, decline it, or leave it open."""
        token, spent = charged_token(account, order.token, now_ms=now_ms)
        if token.method_type != "card" and not order.capture:
            raise invalid("only a card can be captured later", code="capture_unsupported")
        require_mandate(token, order.mandate)
        lifetime_seconds = self.behavior.authorization_seconds
        if token.expires_at_once:
            lifetime_seconds = self.behavior.settle_delay_seconds
        payment_id = f"spay_{secrets.token_hex(10)}"
        self.truth.record(
            {
                "t": "payment",
                "id": payment_id,
                "account": account.id,
                "reference": order.reference,
                "order_id": order.order_id,
                "currency": order.currency,
                "amount": order.amount_minor,
                "token": token.token,
                "spent": spent,
                "capture": order.capture,
                "return_url": order.return_url,
                "metadata": order.metadata,
                "at": now_ms,
                "expires": now_ms + int(lifetime_seconds * 1000),
                **({"save_for": order.save_for} if order.save_for else {}),
                **({"mandate": order.mandate} if order.mandate else {}),
            }
        )
        payment = self.truth.payments[payment_id]
        status, reason = _first_answer(token, order, decline, account)
        due_ms = self.settles_at(now_ms) if status == "pending" else 0
        operation = self.add_operation(payment, order, status, reason, now_ms=now_ms, due_ms=due_ms)
        if status == "succeeded":
            self.money_arrived(operation, now_ms)
        if late_outcomes.has_scripted_revision(operation):
            self.due_again(operation, now_ms)
        return operation

    def payment(self, account: Account, payment_id: str, *, now_ms: int) -> Payment | None:
        """The account's payment of this id; None if there is none.

        One whose id tells what has happened to it is taken up with that, without effects and
        notices: it is history.
        """
        told = _TELLING_ID.fullmatch(payment_id)
        if told is not None and payment_id not in self.truth.payments:
            amounts = {name: int(told[name]) for name in told.groupdict() if name != "currency"}
            self.truth.record(
                {
                    "t": "history",
                    "id": payment_id,
                    "account": account.id,
                    "currency": told["currency"],
                    "at": now_ms,
                    "expires": now_ms + int(self.behavior.authorization_seconds * 1000),
                    **amounts,
                }
            )
        return account.payments.get(payment_id)

    def modify(
        self,
        payment: Payment,
        order: Instruction,
        *,
        now_ms: int,
        decline: Decline | None,
        forced: bool = False,
    ) -> Operation:
        """Increment, capture, void or refund a payment.

        `forced` skips the checks, as in a dashboard that lets staff capture or refund too much.
        """
        check = {
            "increment": self._check_increment,
            "capture": self._check_capture,
            "void": self._check_void,
            "refund": self._check_refund,
        }[order.kind]
        amount_minor = order.amount_minor if forced else check(payment, order)
        order = replace(order, amount_minor=amount_minor)
        if decline is not None:
            return self.add_operation(payment, order, "declined", decline, now_ms=now_ms)
        if order.kind == "refund":
            return self._refund(payment, order, now_ms)
        operation = self.add_operation(payment, order, "succeeded", NOT_DECLINED, now_ms=now_ms)
        if order.kind == "void" and payment.operations[0].status == "requires_action":
            self.set_status(payment.operations[0], "canceled", NOT_DECLINED, now_ms)
        elif amount_minor:
            released = 0
            if order.kind == "capture" and order.final:
                released = max(0, payment.held_minor - amount_minor)
            self.effect(operation, order.kind, amount_minor, now_ms, released=released)
        if late_outcomes.has_scripted_revision(operation):
            self.due_again(operation, now_ms)
        return operation

    def answer_challenge(self, payment: Payment, *, completed: bool, now_ms: int) -> Operation:
        """Finish or fail the customer's challenge; a repeat changes nothing."""
        operation = payment.operations[0]
        if operation.status != "requires_action":
            return operation
        decline = TOKENS[payment.token].decline if completed else AUTHENTICATION_FAILED
        if decline is not None:
            self.set_status(operation, "declined", decline, now_ms)
        else:
            self.set_status(operation, "succeeded", NOT_DECLINED, now_ms)
            self.money_arrived(operation, now_ms)
        return operation

    def fence(self, account: Account, reference: str, *, holds: bool = True) -> Operation | None:
        """Forbid `reference` for ever. Returns its first operation if it has arrived already.

        Without `holds`, the fence forbids nothing.
        """
        arrived = account.by_reference.get(reference)
        if arrived:
            return arrived[0]
        if reference not in account.fenced and holds:
            self.truth.record({"t": "fence", "account": account.id, "reference": reference})
        return None

    def settle_due(self, now_ms: int) -> None:
        """Execute everything that is due: settlements, late outcomes, expiries, disputes."""
        while (due := self.truth.take_due(now_ms)) is not None:
            due_ms, payment, operation = due
            if isinstance(operation, DueDispute):
                self.disputes.settle(payment, operation, due_ms, self.behavior)
            elif operation is None:
                self._expire(payment, due_ms)
            elif operation.kind == "refund":
                self._settle_refund(operation, due_ms)
            elif operation.status == "pending":
                decline = TOKENS[payment.token].decline
                if decline is not None:
                    self.set_status(operation, "declined", decline, due_ms)
                else:
                    self.set_status(operation, "succeeded", NOT_DECLINED, due_ms)
                    self.money_arrived(operation, due_ms)
                    if late_outcomes.has_scripted_revision(operation):
                        self.due_again(operation, due_ms)
            else:
                late_outcomes.apply_scripted_revision(self, operation, due_ms)

    def _check_increment(self, payment: Payment, order: Instruction) -> int:
        self._require_hold(payment, "increment")
        return order.amount_minor

    def _check_capture(self, payment: Payment, order: Instruction) -> int:
        self._require_hold(payment, "capture")
        if order.amount_minor > payment.held_minor:
            raise forbidden_now("capture_exceeds_authorized", "more than what is still held")
        return order.amount_minor

    def _check_void(self, payment: Payment, order: Instruction) -> int:
        if payment.operations[0].status == "requires_action":
            return 0
        self._require_hold(payment, "void")
        return payment.held_minor

    def _check_refund(self, payment: Payment, order: Instruction) -> int:
        left = payment.captured_minor - payment.refunded_minor - payment.refund_pending_minor
        if payment.captured_minor == 0:
            raise forbidden_now("nothing_captured", "nothing has been captured")
        if order.amount_minor > left:
            raise forbidden_now("refund_exceeds_captured", "more than what is left to refund")
        return order.amount_minor

    def _require_hold(self, payment: Payment, verb: str) -> None:
        first = payment.operations[0].status
        if first == "succeeded" and payment.held_minor > 0:
            return
        codes = {
            "pending": "payment_pending",
            "requires_action": "challenge_open",
            "declined": "payment_declined",
            "canceled": "payment_voided",
            "voided": "payment_voided",
            "expired": "payment_expired",
        }
        code = codes.get(payment.status, "nothing_held")
        raise forbidden_now(code, f"nothing is held that could be used for: {verb}")

    def _refund(self, payment: Payment, order: Instruction, now_ms: int) -> Operation:
        refund_script = TOKENS[payment.token].refund
        status = "pending" if refund_script == "pending" else "succeeded"
        due_ms = 0 if refund_script == "at_once" else self.settles_at(now_ms)
        operation = self.add_operation(
            payment, order, status, NOT_DECLINED, now_ms=now_ms, due_ms=due_ms
        )
        if status == "succeeded":
            self.effect(operation, "refund", operation.amount_minor, now_ms)
        return operation

    def _settle_refund(self, operation: Operation, at_ms: int) -> None:
        refund_script = TOKENS[operation.payment.token].refund
        if refund_script == "pending" and operation.status == "pending":
            self.set_status(operation, "succeeded", NOT_DECLINED, at_ms)
            self.effect(operation, "refund", operation.amount_minor, at_ms)
        elif refund_script == "fails" and operation.status == "succeeded":
            late_outcomes.fail(self, operation, at_ms)

    def _expire(self, payment: Payment, at_ms: int) -> None:
        if payment.held_minor > 0:
            self.effect(payment.operations[0], "expire", payment.held_minor, at_ms)


def _first_answer(
    token: TestToken, order: Instruction, decline: Decline | None, account: Account
) -> tuple[str, Decline]:
    """The status of a new payment, and the reason if it is declined."""
    if decline is not None:
        return "declined", decline
    if token.settles_late:
        return "pending", NOT_DECLINED
    if token.challenge or (token.challenge_on_request and order.challenge_requested):
        if order.challenge_allowed:
            return "requires_action", NOT_DECLINED
        if not _is_exempt(token, order, account):
            return "declined", AUTHENTICATION_REQUIRED
    if token.decline is not None:
        return "declined", token.decline
    return "succeeded", NOT_DECLINED


def _is_exempt(token: TestToken, order: Instruction, account: Account) -> bool:
    """Whether the bank lets the charge through without the customer."""
    if token.off_session_exempt:
        return True
    agreed = account.agreements.get(order.network_transaction_id)
    if not (token.exempt_once_set_up and order.off_session and agreed):
        return False
    agreed_token, usage = agreed
    return usage == "off_session" and TOKENS[agreed_token].fingerprint == token.fingerprint
