"""People who may approve, merchants whose refunds need them, and refunds that wait."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User

from ledger.money import Money
from payments.exceptions import PaymentRefused
from payments.models import Approval, ApprovalCommand, ApprovalLimit, Merchant, Refund
from payments.services import commands
from payments.services.approvals import decisions
from payments.services.approvals.rights import set_limit
from payments.services.audit.authors import Author
from payments.services.callers.caller import CommandRequest
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import Shop, answered, body_of, render_refund, uuid_of

WHY = "the customer showed the receipt"


def lead(
    username: str = "ada",
    *,
    role: str = "support lead",
    up_to_minor: int | None = 50_000,
    currency: str = "USD",
    merchant: Merchant | None = None,
) -> User:
    """A login of a role that may approve refunds up to an amount; None is any."""
    group, _ = Group.objects.get_or_create(name=role)
    set_limit(
        group,
        author=TESTS,
        command=ApprovalCommand.REFUND_PAYMENT,
        currency=currency,
        amount_max=None if up_to_minor is None else Money(up_to_minor, currency),
        merchant=merchant,
    )
    user = User.objects.create_user(username, is_staff=True)
    user.groups.add(group)
    return user


def person(username: str, reason: str = WHY) -> Author:
    """Who decides, and why."""
    return Author(f"staff:{username}", reason)


def need_approval_above(shop: Shop, minor: int, currency: str = "USD") -> None:
    """Have refunds wait with which more of a payment goes back."""
    shop.merchant.refund_approval_limits = {currency: minor}
    shop.merchant.save(update_fields=["refund_approval_limits"])


class Waiting:
    """A payment of 100.00, and a refund of 60.00 that waits, as the limit is 50.00."""

    def __init__(self, shop: Shop, amount_minor: int = 6_000) -> None:
        self.shop = shop
        need_approval_above(shop, 5_000)
        self.intent_id: str = body_of(shop.create(10_000))["id"]
        self.shown = body_of(shop.refund(self.intent_id, amount_minor))

    @property
    def refund(self) -> Refund:
        return Refund.objects.get(pk=uuid_of(self.shown["id"]))

    @property
    def approval(self) -> Approval:
        return Approval.objects.get(pk=self.refund.approval_id)

    def approve(self, username: str = "ada") -> Approval:
        return decisions.approve(self.approval.id, author=person(username))

    def reject(self, username: str = "ada") -> Approval:
        return decisions.reject(self.approval.id, author=person(username))

    def cancel(self, caller: Any = None) -> dict[str, Any]:
        request = CommandRequest(caller or self.shop.caller(), render=render_refund)
        return body_of(answered(commands.cancel_refund(request, refund_id=self.refund.id)))

    def amounts(self) -> tuple[int, int]:
        """What is pending, and what was refunded, in minor units."""
        intent = self.shop.intent(self.intent_id)
        return intent.amount_refund_pending_minor, intent.amount_refunded_minor

    def effects(self) -> list[int]:
        """What went back at the PSP."""
        return [effect["amount_minor"] for effect in self.shop.effects("refund")]


@contextmanager
def refused(because: str) -> Iterator[None]:
    """What the body does is refused, and says so."""
    with pytest.raises(PaymentRefused) as refusal:
        yield
    assert because in refusal.value.message, refusal.value.message


def written() -> Any:
    """All that a decision could change."""
    approvals = Approval.objects.order_by("id").values_list("id", "status", "approver", "result")
    return (
        list(approvals),
        list(Refund.objects.order_by("id").values_list("id", "status", "operation_id")),
        list(ApprovalLimit.objects.order_by("id").values_list("id", "amount_max_minor")),
    )


def make_overdue(approval: Approval) -> None:
    """Make a request older than it may be, as only the owner of the table may."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ALTER TABLE payments_approval DISABLE TRIGGER permanent_columns")
        owner.execute(
            "UPDATE payments_approval SET expires_at = now() - interval '1 minute' WHERE id = %s",
            [approval.id],
        )
        owner.execute("ALTER TABLE payments_approval ENABLE TRIGGER permanent_columns")


def as_json(content: dict[str, Any]) -> str:
    """A request's content, as it is written."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
