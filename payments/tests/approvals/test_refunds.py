"""A refund over its limit waits for a second person: nothing is sent before, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from ledger.money import Money
from payments.exceptions import AmountRefused
from payments.models import Approval, ApprovalCommand, AuditEntry, Event, Operation, Refund
from payments.services.approvals import decisions, requests
from payments.services.approvals.requests import Draft, request_approval
from payments.services.approvals.rights import remove_limit, set_limit
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import (
    WHY,
    Waiting,
    lead,
    make_overdue,
    need_approval_above,
    person,
    refused,
    written,
)
from payments.tests.outcomes.test_replacement import psp_out_of_reach
from payments.tests.support.api_client import api_of
from payments.tests.support.crashes import crash
from payments.tests.support.dashboard import act, sync
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.factories import TESTS
from payments.tests.support.money_moves import end_leases
from payments.tests.support.shop import Shop, body_of, open_shop


@pytest.fixture
def waiting(shop: Shop) -> Waiting:
    return Waiting(shop)


def told() -> list[tuple[str, Any, Any]]:
    """Every event of a refund: its type, status and description."""
    events = Event.objects.filter(type__contains="refund").order_by("id")
    objects = [(event.type, event.payload["object"]) for event in events]
    return [(name, shown["status"], shown.get("description")) for name, shown in objects]


def test_a_refund_over_the_limit_waits_and_is_sent_once_a_second_person_approves(
    waiting: Waiting,
) -> None:
    assert (waiting.shown["status"], waiting.shown["description"]) == (
        "pending",
        "Waits for approval",
    )
    assert waiting.shown["pending_reason"] == "processing"
    assert waiting.shown["balance_transaction"] is None
    assert waiting.amounts() == (6_000, 0)
    assert waiting.effects() == []
    assert Operation.objects.filter(kind="refund").count() == 0
    assert list(differences()) == []
    lead()
    approval = waiting.approve()
    assert (approval.status, approval.approver, approval.decision_reason) == (
        "applied",
        "staff:ada",
        WHY,
    )
    assert waiting.refund.status == "succeeded"
    assert approval.result == waiting.refund.operation.public_id
    assert waiting.amounts() == (0, 6_000)
    assert waiting.effects() == [6_000]
    assert told()[:3] == [
        ("refund.created", "pending", "Waits for approval"),
        ("refund.updated", "pending", None),
        ("charge.refund.updated", "pending", None),
    ]
    assert told()[-1][1:] == ("succeeded", None)
    assert list(differences()) == []


def test_a_request_holds_what_will_happen(waiting: Waiting) -> None:
    approval = waiting.approval
    frozen = approval.frozen
    assert frozen["command"] == "refund_payment"
    assert frozen["subject"] == approval.subject == waiting.shown["id"]
    assert frozen["parameters"]["payment_intent"] == waiting.intent_id
    [posting] = frozen["postings"]
    sides = [(line["side"], line["account"], line["amount_minor"]) for line in posting["lines"]]
    assert sides == [("debit", 2100, 6_000), ("credit", 2200, 6_000)]
    assert approval.amount == Money(6_000, "USD")
    assert "the limit is 50.00 USD" in approval.request_reason


def test_what_is_under_the_limit_waits_for_no_one_and_small_parts_do_not_evade_it(
    shop: Shop,
) -> None:
    need_approval_above(shop, 5_000)
    intent_id = body_of(shop.create(10_000))["id"]
    statuses = [body_of(shop.refund(intent_id, 2_500))["status"] for _ in range(3)]
    assert statuses == ["succeeded", "succeeded", "pending"]
    assert Approval.objects.count() == 1
    shop.order_id = "in another currency"
    paid = body_of(shop.create(10_000, currency="EUR"))["id"]
    assert body_of(shop.refund(paid))["status"] == "succeeded"


def test_a_repeat_of_the_request_gets_the_same_answer_and_makes_no_second_refund(
    shop: Shop,
) -> None:
    need_approval_above(shop, 5_000)
    intent_id = body_of(shop.create(10_000))["id"]
    caller = shop.caller("refund-1", {"amount": 6_000})
    first = shop.refund(intent_id, 6_000, caller=caller)
    lead()
    decisions.approve(Approval.objects.get().id, author=person("ada"))
    again = shop.refund(intent_id, 6_000, caller=caller)
    assert (again.body, again.replayed) == (first.body, True)
    assert Refund.objects.count() == 1
    with pytest.raises(AmountRefused, match="greater than the unrefunded amount"):
        shop.refund(intent_id, 6_000)


@pytest.mark.parametrize("how", ["reject", "expire", "cancel"])
def test_a_refund_that_is_not_approved_is_canceled_and_its_amount_released(
    waiting: Waiting, how: str
) -> None:
    lead()
    before = Event.objects.count()
    if how == "reject":
        assert waiting.reject().status == "rejected"
    elif how == "expire":
        make_overdue(waiting.approval)
        with refused("was to be decided by"):
            waiting.approve()
        assert decisions.expire_due_approvals() == 1
        assert decisions.expire_due_approvals() == 0
    else:
        assert waiting.cancel()["status"] == "canceled"
    ended = {"reject": "rejected", "expire": "expired", "cancel": "voided"}[how]
    approval, refund = waiting.approval, waiting.refund
    assert (approval.status, refund.status, refund.operation_id) == (ended, "canceled", None)
    assert refund.description == ("" if how == "cancel" else "Not approved")
    types = list(Event.objects.order_by("id").values_list("type", flat=True))[before:]
    assert types == ["refund.updated", "charge.refund.updated"]
    assert waiting.amounts() == (0, 0)
    assert list(differences()) == []
    with refused(f"is {ended} already"):
        waiting.approve()
    need_approval_above(waiting.shop, 10_000)
    assert body_of(waiting.shop.refund(waiting.intent_id))["status"] == "succeeded"
    assert waiting.effects() == [10_000]


def test_a_process_that_dies_after_the_approval_loses_nothing(waiting: Waiting) -> None:
    lead()
    crash("before the PSP has it", waiting.approve)
    assert waiting.approval.status == "applied"
    assert waiting.effects() == []
    end_leases()
    for _ in range(3):
        waiting.shop.settle()
    assert waiting.refund.status == "succeeded"
    assert waiting.effects() == [6_000]
    assert list(differences()) == []


def test_an_approved_refund_that_does_not_reach_the_psp_is_sent_again(waiting: Waiting) -> None:
    lead()
    with psp_out_of_reach(waiting.shop):
        assert waiting.approve().status == "applied"
        assert waiting.refund.status == "pending"
    for _ in range(3):
        waiting.shop.settle()
    recovery_sweep.resolve_due_operations()
    assert waiting.refund.status == "succeeded"
    assert waiting.effects() == [6_000]
    assert list(differences()) == []


def test_what_is_not_possible_any_more_is_refused_and_given_up(waiting: Waiting) -> None:
    """Meanwhile a bank has charged the payment back."""
    lead()
    Desk(waiting.shop).opened()
    approval = waiting.approve()
    assert approval.status == "refused"
    assert "a bank has charged back 100.00 USD" in approval.result
    assert waiting.refund.status == "canceled"
    assert waiting.amounts() == (0, 0)
    assert waiting.effects() == []
    assert list(differences()) == []


def test_a_refund_in_the_psps_dashboard_leaves_nothing_to_approve(waiting: Waiting) -> None:
    lead()
    shop = waiting.shop
    act(shop, "refund", 8_000)
    sync(shop, waiting.intent_id)
    assert waiting.amounts() == (6_000, 8_000)
    assert list(differences()) == []
    approval = waiting.approve()
    assert (approval.status, waiting.refund.status) == ("refused", "canceled")
    assert "less is captured by now" in approval.result
    intent = shop.intent(waiting.intent_id)
    assert (waiting.amounts(), intent.amount_over_refunded_minor) == ((0, 8_000), 0)
    assert list(differences()) == []


def test_each_decision_and_each_refusal_is_in_the_audit_trail(waiting: Waiting) -> None:
    lead("ada")
    lead("junior", role="support", up_to_minor=5_999)
    with refused("at most 59.99 USD"):
        waiting.approve("junior")
    waiting.approve("ada")
    with refused("is applied already by staff:ada"):
        waiting.reject("ada")
    told = AuditEntry.objects.filter(approval_id=waiting.approval.id).order_by("id")
    assert list(told.values_list("actor", "act", "result", "reason")) == [
        ("staff:junior", "approval.approve", "refused", WHY),
        ("staff:ada", "approval.approve", "done", WHY),
        ("staff:ada", "approval.reject", "refused", WHY),
    ]
    limits = AuditEntry.objects.filter(act="approval_limit.set").order_by("id")
    assert [each.changes for each in limits] == [
        {"amount_max_minor": {"after": 50_000}},
        {"amount_max_minor": {"after": 5_999}},
    ]


def test_who_may_not_approve_is_refused_and_nothing_is_written(
    waiting: Waiting, shop: Shop
) -> None:
    lead("junior", role="support", up_to_minor=5_999)
    lead("euros", role="support in euros", currency="EUR")
    User.objects.create_user("reader", is_staff=True)
    lead("outsider", role="leads of others", merchant=open_shop(shop.psp).merchant)
    before = written()
    for username, because in (
        ("not-there", "no active staff user"),
        ("reader", "has no role that decides"),
        ("outsider", "has no role that decides"),
        ("junior", "at most 59.99 USD"),
        ("euros", "by the roles, none"),
    ):
        with refused(because):
            waiting.approve(username)
    disabled = lead("left")
    disabled.is_active = False
    disabled.save(update_fields=["is_active"])
    after = written()
    with refused("no active staff user"):
        waiting.approve("left")
    with refused("Say why"):
        decisions.approve(waiting.approval.id, author=person("ada", " "))
    assert written() == after
    assert written()[:2] == before[:2]


def test_a_role_of_one_merchant_decides_what_is_about_it_and_loses_that_with_its_limit(
    waiting: Waiting,
) -> None:
    lead(merchant=waiting.shop.merchant)
    group = Group.objects.get(name="support lead")
    limit = set_limit(
        group,
        author=TESTS,
        command=ApprovalCommand.REFUND_PAYMENT,
        currency="USD",
        amount_max=None,
        merchant=waiting.shop.merchant,
    )
    remove_limit(limit, author=TESTS)
    with refused("has no role that decides"):
        waiting.reject()
    set_limit(
        group,
        author=TESTS,
        command=ApprovalCommand.REFUND_PAYMENT,
        currency="USD",
        amount_max=None,
        merchant=waiting.shop.merchant,
    )
    assert waiting.approve().status == "applied"


def test_a_superuser_who_asked_may_not_approve_either(shop: Shop) -> None:
    lead("ada", up_to_minor=None)
    need_approval_above(shop, 5_000)
    intent_id = body_of(shop.create(10_000))["id"]
    caller = replace(shop.caller(), actor="staff:ada")
    shop.refund(intent_id, 6_000, caller=caller)
    with refused("another person decides"):
        decisions.approve(Approval.objects.get().id, author=person("ada"))
    assert Approval.objects.get().status == "requested"


def test_a_command_of_no_app_is_not_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(requests._COMMANDS, ApprovalCommand.WRITE_OFF, raising=False)
    draft = Draft(
        command=ApprovalCommand.WRITE_OFF,
        subject="case_1",
        livemode=False,
        requester="staff:ada",
        reason="too small",
        parameters={},
    )
    with pytest.raises(KeyError, match="no app has registered"):
        request_approval(draft)


def test_a_waiting_refund_has_metadata_to_change_and_can_be_listed(waiting: Waiting) -> None:
    api = api_of(waiting.shop)
    path = f"/v1/refunds/{waiting.shown['id']}"
    changed = api.post(path, metadata={"note": "1"})
    assert (changed.status, changed.body["metadata"]) == (200, {"note": "1"})
    [listed] = api.get("/v1/refunds").body["data"]
    assert listed["status"] == "pending"
    assert api.get(path).body["description"] == "Waits for approval"
    done = api.post(f"{path}/cancel")
    assert (done.status, done.body["status"]) == (200, "canceled")
    again = api.post(f"{path}/cancel")
    assert again.error["code"] == "refund_not_cancelable"
