"""Keeps why a charge or a setup went to its account, for people who ask later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Max

from ledger.database.row_ids import new_row_id
from payments.models import PaymentIntent, RoutingDecision, RoutingReason, SetupIntent
from payments.public_ids import created_at_of
from payments.services.routing.choice import Candidate, Route


def next_sequence(intent_id: UUID) -> int:
    """The number of a payment's next decision; the payment is locked, or not stored yet."""
    rows = RoutingDecision.objects.filter(intent_id=intent_id)
    last: int | None = rows.aggregate(last=Max("sequence"))["last"]
    return (last or 0) + 1


def decision(
    route: Route,
    chosen: Candidate,
    *,
    intent: PaymentIntent,
    sequence: int,
    charge_id: UUID | None = None,
    reason: RoutingReason | None = None,
) -> RoutingDecision:
    """The unsaved decision for one of a route's candidates, by its own reason or a better one.

    It is written in the transaction that writes the charge.
    """
    return _decision(
        route,
        chosen,
        reason,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        charge_id=charge_id,
        sequence=sequence,
    )


def setup_decision(
    route: Route,
    chosen: Candidate,
    *,
    setup: SetupIntent,
    attempt_id: UUID | None = None,
    reason: RoutingReason | None = None,
) -> RoutingDecision:
    """As `decision`, of a setup intent that is locked, or not stored yet."""
    rows = RoutingDecision.objects.filter(setup_intent_id=setup.id)
    is_new = setup._state.adding
    last = None if is_new else rows.aggregate(last=Max("sequence"))["last"]
    return _decision(
        route,
        chosen,
        reason,
        merchant_id=setup.merchant_id,
        livemode=setup.livemode,
        setup_intent_id=setup.id,
        setup_attempt_id=attempt_id,
        sequence=(last or 0) + 1,
    )


def _decision(
    route: Route, chosen: Candidate, reason: RoutingReason | None, **subject: Any
) -> RoutingDecision:
    identifier, rule = new_row_id(), route.rule
    return RoutingDecision(
        id=identifier,
        psp_account_id=chosen.account.id,
        reason=(reason or chosen.reason).value,
        rule_id=rule.id if rule is not None else None,
        rule_position=rule.position if rule is not None else None,
        rule_name=rule.name if rule is not None else "",
        candidates=[_shown(each) for each in route.considered],
        created_at=created_at_of(identifier),
        **subject,
    )


def _shown(candidate: Candidate) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "account": candidate.account.code,
        "reason": candidate.reason.value,
    }
    if candidate.reason is RoutingReason.SPLIT:
        shown["percent"] = candidate.percent
    if candidate.left_out is not None:
        shown["left_out"] = candidate.left_out.value
    return shown
