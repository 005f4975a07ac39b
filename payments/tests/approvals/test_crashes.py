"""A process that is killed at any moment of a request or a decision leaves one whole story."""

from __future__ import annotations

import pytest

from payments.models import Approval, Operation, Refund
from payments.services.verification.rebuild import differences
from payments.tests.approvals.approving import Waiting, lead, need_approval_above
from payments.tests.support.crashes import crash_at_moment
from payments.tests.support.money_moves import end_leases
from payments.tests.support.shop import Shop, body_of

DECISION_MOMENTS = range(1, 81)
"""More than there are: after the last one it is not killed."""
REQUEST_MOMENTS = range(1, 16)


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("moment", DECISION_MOMENTS)
def test_an_approval_that_is_killed_is_made_once_or_can_be_made_again(
    shop: Shop, moment: int
) -> None:
    lead("ada")
    waiting = Waiting(shop)
    crash_at_moment(moment, waiting.approve)
    end_leases()
    if waiting.approval.status == "requested":
        assert (waiting.amounts(), waiting.effects()) == ((6_000, 0), [])
        assert not Operation.objects.filter(kind="refund").exists()
        waiting.approve()
    for _ in range(3):
        shop.settle()
    assert (waiting.approval.status, waiting.refund.status) == ("applied", "succeeded")
    assert (waiting.amounts(), waiting.effects()) == ((0, 6_000), [6_000])
    assert list(differences()) == []


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("moment", REQUEST_MOMENTS)
def test_a_request_that_is_killed_and_repeated_makes_one_refund_that_waits(
    shop: Shop, moment: int
) -> None:
    need_approval_above(shop, 5_000)
    intent_id = body_of(shop.create(10_000))["id"]
    caller = shop.caller("refund-1", {"amount": 6_000})
    crash_at_moment(moment, lambda: shop.refund(intent_id, 6_000, caller=caller))
    first = shop.refund(intent_id, 6_000, caller=caller)
    again = shop.refund(intent_id, 6_000, caller=caller)
    assert (again.body, again.replayed) == (first.body, True)
    assert (body_of(first)["status"], shop.effects("refund")) == ("pending", [])
    assert (Refund.objects.count(), Approval.objects.count()) == (1, 1)
    assert list(differences()) == []
