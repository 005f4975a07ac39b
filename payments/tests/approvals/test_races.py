"""Two people, the merchant and the sweep at once: one effect or none, and one story."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from payments.models import Operation
from payments.services.approvals import decisions
from payments.services.approvals.rights import ApprovalRefused
from payments.services.commands.approved import refunds
from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import Waiting, lead, make_overdue, refused
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.shop import Shop

ENDS = {
    ("applied", "succeeded", (0, 6_000), (6_000,)),
    ("rejected", "canceled", (0, 0), ()),
    ("expired", "canceled", (0, 0), ()),
    ("voided", "canceled", (0, 0), ()),
}
"""Every whole story: of the request, the refund, the counters, and the PSP."""


def story(waiting: Waiting) -> Any:
    waiting.shop.settle()
    return (
        waiting.approval.status,
        waiting.refund.status,
        waiting.amounts(),
        tuple(waiting.effects()),
    )


@pytest.fixture
def waiting(shop: Shop) -> Waiting:
    lead("ada")
    lead("bob")
    return Waiting(shop)


def test_two_approvers_at_once_have_one_effect(waiting: Waiting) -> None:
    results = at_once(8, lambda n: waiting.approve(("ada", "bob")[n % 2]))  # type: ignore[arg-type]
    won = [result for result in results if not isinstance(result, Exception)]
    assert len(won) == 1
    assert all(isinstance(each, ApprovalRefused) for each in results if each not in won)
    assert story(waiting) == ("applied", "succeeded", (0, 6_000), (6_000,))
    assert Operation.objects.filter(kind="refund").count() == 1
    assert list(differences()) == []


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize("other", ["reject", "cancel", "expire", "all"])
def test_an_approval_that_races_another_end_leaves_one_story(
    waiting: Waiting, other: str, attempt: int
) -> None:
    acts: dict[str, Callable[[], Any]] = {
        "reject": lambda: waiting.reject("bob"),
        "cancel": waiting.cancel,
        "expire": decisions.expire_due_approvals,
    }
    chosen = [acts[other]] if other in acts else list(acts.values())
    if other == "expire":
        make_overdue(waiting.approval)
    racing = [waiting.approve, *chosen] if attempt else [*chosen, waiting.approve]
    at_once(len(racing), lambda n: racing[n]())
    assert story(waiting) in ENDS
    assert list(differences()) == []


def test_a_role_that_is_taken_away_meanwhile_refuses_the_approval(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken while the approval waits for the payment's lock."""
    real = refunds.REFUND.lock

    def lock(approval: Any) -> None:
        real(approval)
        User.objects.get(username="ada").groups.remove(Group.objects.get(name="support lead"))

    monkeypatch.setattr(
        decisions,
        "command_of",
        lambda approval: type(refunds.REFUND)(
            lock=lock, apply=refunds.REFUND.apply, give_up=refunds.REFUND.give_up
        ),
    )
    with refused("has no role that decides"):
        waiting.approve("ada")
    monkeypatch.undo()
    assert (waiting.approval.status, waiting.effects()) == ("requested", [])
