"""A capture that a second person approves: as requested, once, and only while it is possible."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth.models import Group

from ledger.money import Money
from payments.exceptions import AmountRefused, OperationUnderWay
from payments.models import Approval, ApprovalCommand, AuditEntry, Event
from payments.services.approvals import decisions
from payments.services.approvals.rights import set_limit
from payments.services.commands.approved.captures import request_capture
from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import lead, person, refused
from payments.tests.outcomes.test_replacement import psp_out_of_reach
from payments.tests.support.factories import TESTS, staff
from payments.tests.support.shop import Shop, body_of, uuid_of


@pytest.fixture
def intent_id(shop: Shop) -> str:
    lead("ada")
    staff("bob")
    set_limit(
        Group.objects.get(name="support lead"),
        author=TESTS,
        command=ApprovalCommand.CAPTURE_PAYMENT,
        currency="USD",
        amount_max=Money(10_000, "USD"),
    )
    identifier: str = body_of(shop.create(10_000, manual=True))["id"]
    return identifier


def ask(shop: Shop, intent_id: str, amount_minor: int | None = None) -> Approval:
    caller = replace(shop.caller(), actor="staff:bob", request_id="req_of_bob")
    return request_capture(
        caller, intent_id=uuid_of(intent_id), amount_minor=amount_minor, reason="shipped today"
    )


def approve(approval: Approval) -> Approval:
    return decisions.approve(approval.id, author=person("ada"))


def captured(shop: Shop) -> list[int]:
    return [effect["amount_minor"] for effect in shop.effects("capture")]


def test_it_is_made_as_requested(shop: Shop, intent_id: str) -> None:
    approval = ask(shop, intent_id, 6_000)
    asked = AuditEntry.objects.get(act="approval.request")
    assert (asked.actor, asked.reason) == ("staff:bob", "shipped today")
    assert (shop.intent(intent_id).status, captured(shop)) == ("AUTHORIZED", [])
    assert approve(approval).status == "applied"
    assert (shop.intent(intent_id).status, captured(shop)) == ("CAPTURED", [6_000])
    told = Event.objects.filter(type="charge.captured").get()
    assert (told.actor, told.request_id) == ("staff:ada", "")
    assert list(differences()) == []


def test_a_new_request_about_the_payment_voids_the_old_one_by_name(
    shop: Shop, intent_id: str
) -> None:
    old, new = ask(shop, intent_id, 6_000), ask(shop, intent_id, 7_000)
    old.refresh_from_db()
    assert (old.status, old.replaced_by_id, old.result) == (
        "voided",
        new.id,
        f"replaced by {new.public_id}",
    )
    with refused("is voided already"):
        approve(old)
    approve(new)
    assert captured(shop) == [7_000]


def test_who_asked_may_withdraw_it_and_no_other(shop: Shop, intent_id: str) -> None:
    approval = ask(shop, intent_id)
    with refused("staff:bob asked for"):
        decisions.withdraw(approval.id, author=person("ada"))
    ended = decisions.withdraw(approval.id, author=person("bob", "sold out"))
    assert (ended.status, ended.ended_by, ended.result) == (
        *("voided", "staff:bob", "withdrawn: sold out"),
    )
    with refused("is voided already by staff:bob"):
        approve(approval)
    assert captured(shop) == []


def test_what_is_not_possible_any_more_is_refused(shop: Shop, intent_id: str) -> None:
    with pytest.raises(AmountRefused):
        ask(shop, intent_id, 10_001)
    approval = ask(shop, intent_id)
    shop.cancel(intent_id)
    assert approve(approval).status == "refused"
    approval.refresh_from_db()
    assert "status of canceled" in approval.result
    assert captured(shop) == []
    assert list(differences()) == []


def test_while_another_operation_is_under_way_it_may_be_approved_again_shortly(
    shop: Shop, intent_id: str
) -> None:
    approval = ask(shop, intent_id, 6_000)
    shop.psp.set_behavior(drop_after=1)
    shop.capture(intent_id, 4_000, final=False)
    shop.psp.heal()
    with pytest.raises(OperationUnderWay):
        approve(approval)
    approval.refresh_from_db()
    assert (approval.status, approval.approver) == ("requested", "")
    shop.settle()
    assert approve(approval).status == "applied"
    assert captured(shop) == [4_000, 6_000]


def test_what_does_not_reach_the_psp_is_sent_again(shop: Shop, intent_id: str) -> None:
    approval = ask(shop, intent_id)
    with psp_out_of_reach(shop):
        assert approve(approval).status == "applied"
    shop.settle()
    assert (shop.intent(intent_id).status, captured(shop)) == ("CAPTURED", [10_000])
    assert list(differences()) == []
