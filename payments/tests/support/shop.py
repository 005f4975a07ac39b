"""A merchant with a sandbox PSP account of its own, and the commands that tests send for it.

Rendering here is the plainest there is: the object, or the error, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import psycopg

from ledger.money import Money
from payments import public_ids
from payments.models import Merchant, Operation, PaymentIntent, PspAccount, Refund, RoutingRule
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.services import commands
from payments.services.callers.caller import Answer, Caller, CommandRequest, CommandResult, Subject
from payments.services.commands import Confirmation, IntentDetails
from payments.services.psp_gateway import references
from payments.services.recovery import sweep as recovery_sweep
from payments.services.routing.rules import forget_rules
from payments.tests.support.factories import MerchantFactory, PspAccountFactory, sandbox_credentials
from psp_adapters.tests.support.sandbox_process import SandboxProcess


def render_intent(subject: Subject, caller: Caller) -> Answer:
    operation = subject.operation
    body = payment_intent_object(subject.intent)
    if operation is not None and operation.status == "DECLINED":
        error = {"code": operation.code, "decline_code": operation.decline_code}
        return Answer(status=402, body=json.dumps({"error": error, "payment_intent": body}))
    return Answer(status=200, body=json.dumps(body))


def render_refund(subject: Subject, caller: Caller) -> Answer:
    assert subject.refund is not None
    body = refund_object(subject.refund, subject.intent, subject.operation)
    return Answer(status=200, body=json.dumps(body))


def answered(result: CommandResult) -> Answer:
    """The answer of a command that was given with a renderer."""
    assert result.answer is not None
    return result.answer


@dataclass
class Shop:
    """One merchant; `psp` is the sandbox PSP, whose effects are the truth in every test."""

    psp: SandboxProcess
    merchant: Merchant
    account: PspAccount
    order_id: str = field(default_factory=lambda: f"order-{uuid.uuid4().hex[:12]}")

    def caller(self, key: str = "", body: Any = None, **more: Any) -> Caller:
        fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return Caller(
            merchant=self.merchant,
            livemode=False,
            psp_account=self.account,
            actor="test",
            idempotency_key=key,
            fingerprint=fingerprint if key else "",
            **more,
        )

    def create(
        self,
        amount_minor: int = 10_000,
        *,
        currency: str = "USD",
        token: str = "pm_card_visa",
        confirm: bool = True,
        manual: bool = False,
        order_id: str | None = None,
        caller: Caller | None = None,
        challenge_allowed: bool = True,
    ) -> Answer:
        chosen = self.order_id if order_id is None else order_id
        return answered(
            commands.create_intent(
                CommandRequest(caller or self.caller(), render=render_intent),
                amount=Money(amount_minor, currency),
                details=IntentDetails(
                    metadata={"order_id": chosen} if chosen else None,
                    capture_method="manual" if manual else "automatic",
                ),
                payment_method=token,
                confirmation=Confirmation(challenge_allowed=challenge_allowed) if confirm else None,
            )
        )

    def confirm(self, intent_id: str, *, token: str = "", caller: Caller | None = None) -> Answer:
        return answered(
            commands.confirm_intent(
                CommandRequest(caller or self.caller(), render=render_intent),
                intent_id=uuid_of(intent_id),
                payment_method=token,
                confirmation=Confirmation(),
            )
        )

    def capture(
        self,
        intent_id: str,
        amount_minor: int | None = None,
        *,
        final: bool = True,
        caller: Caller | None = None,
    ) -> Answer:
        return answered(
            commands.capture_payment(
                CommandRequest(caller or self.caller(), render=render_intent),
                intent_id=uuid_of(intent_id),
                amount_minor=amount_minor,
                final=final,
            )
        )

    def increment(
        self, intent_id: str, amount_minor: int, *, caller: Caller | None = None
    ) -> Answer:
        return answered(
            commands.increment_authorization(
                CommandRequest(caller or self.caller(), render=render_intent),
                intent_id=uuid_of(intent_id),
                amount_minor=amount_minor,
            )
        )

    def cancel(self, intent_id: str, *, caller: Caller | None = None) -> Answer:
        return answered(
            commands.cancel_payment(
                CommandRequest(caller or self.caller(), render=render_intent),
                intent_id=uuid_of(intent_id),
            )
        )

    def refund(
        self, intent_id: str, amount_minor: int | None = None, *, caller: Caller | None = None
    ) -> Answer:
        return answered(
            commands.refund_payment(
                CommandRequest(caller or self.caller(), render=render_refund),
                intent_id=uuid_of(intent_id),
                amount_minor=amount_minor,
            )
        )

    def intent(self, public_id: str) -> PaymentIntent:
        return PaymentIntent.objects.get(pk=uuid_of(public_id))

    def operations(self, public_id: str) -> list[Operation]:
        return list(Operation.objects.filter(intent_id=uuid_of(public_id)).order_by("id"))

    def operations_references(self) -> list[str]:
        """What the PSP knows this merchant's operations as, oldest first."""
        rows = Operation.objects.filter(merchant=self.merchant).order_by("id")
        return [references.reference_of(row.id) for row in rows]

    def refunds(self, public_id: str) -> list[Refund]:
        return list(Refund.objects.filter(intent_id=uuid_of(public_id)).order_by("id"))

    def effects(self, kind: str | None = None, *, order_id: str | None = None) -> list[Any]:
        return self.psp.effects(order_id=order_id or self.order_id, kind=kind)

    def settle(self) -> None:
        """Let recovery resolve every operation that has a look-up scheduled, due or not."""
        open_ids = Operation.objects.filter(next_check_at__isnull=False).values_list(
            "id", flat=True
        )
        for operation_id in list(open_ids):
            Operation.objects.filter(pk=operation_id).update(lease_until="2000-01-01T00:00:00Z")
            recovery_sweep.resolve_operation(operation_id, actor="job:recovery")


def uuid_of(public_id: str) -> uuid.UUID:
    prefix = public_id.partition("_")[0]
    identifier = public_ids.decode(prefix, public_id)
    assert identifier is not None, public_id
    return identifier


def body_of(answer: Answer) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


def open_shop(psp: SandboxProcess, **merchant: Any) -> Shop:
    """A merchant with an account of its own at the PSP."""
    code = f"sandbox-{uuid.uuid4().hex[:12]}"
    sealed = sandbox_credentials(code, psp.base_url)
    account = PspAccountFactory.create(code=code, sealed_credentials=sealed)
    row = MerchantFactory.create(test_psp_account=account, **merchant)
    return Shop(psp=psp, merchant=row, account=account)


def another_account(shop: Shop) -> PspAccount:
    """An account of its own at the shop's PSP, beside the one that the merchant has."""
    code = f"second-{uuid.uuid4().hex[:12]}"
    sealed = sandbox_credentials(code, shop.psp.base_url)
    account: PspAccount = PspAccountFactory.create(code=code, sealed_credentials=sealed)
    return account


def fail_over(shop: Shop, *further: PspAccount) -> None:
    """Route the shop's payments to its own account first, and then to the others in this order."""
    RoutingRule.objects.create(
        merchant=shop.merchant,
        livemode=False,
        position=RoutingRule.objects.count() + 1,
        name=f"Payments of {shop.merchant.name}",
        conditions={},
        targets={
            "split": [{"account": shop.account.code, "share": 100}],
            "fallback": [each.code for each in further],
        },
    )
    forget_rules()


def confirm_at(
    shop: Shop, intent_id: str, account: PspAccount, *, token: str = "pm_card_visa"
) -> Answer:
    """Confirm a payment whose charges have all failed at another account."""
    rows = PaymentIntent.objects.filter(pk=uuid_of(intent_id))
    rows.update(psp_account=account, latest_charge_id=None)
    caller = replace(shop.caller(), psp_account=account)
    return shop.confirm(intent_id, token=token, caller=caller)


def age_operations(intent_id: str, *, seconds: int) -> None:
    """Make operations older than they are, as their owner may (their rows are permanent)."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ALTER TABLE payments_operation DISABLE TRIGGER permanent_columns")
        owner.execute(
            "UPDATE payments_operation SET created_at = created_at - %(age)s, "
            "requested_at = requested_at - %(age)s, resent_at = resent_at - %(age)s "
            "WHERE intent_id = %(intent)s",
            {"age": timedelta(seconds=seconds), "intent": uuid_of(intent_id)},
        )
        owner.execute("ALTER TABLE payments_operation ENABLE TRIGGER permanent_columns")
    assert Operation.objects.filter(intent_id=uuid_of(intent_id)).exists()
