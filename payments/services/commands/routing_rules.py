"""Adds, changes, moves and removes routing rules. Every process applies them within 5 s."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F

from ledger.database.statements import execute, table_of
from payments.models import Merchant, PspAccount, RoutingRule
from payments.services.routing import forms
from payments.services.routing.rules import forget_rules


def require_rule(rule: RoutingRule) -> None:
    """Refuse with ValueError, which names the field, a rule that has not the form."""
    if not isinstance(rule.name, str) or not 1 <= len(rule.name) <= 64:
        raise ValueError("name: write 1 to 64 characters")
    if not isinstance(rule.active, bool):
        raise ValueError("active: write true or false")
    forms.require_conditions(rule.conditions)
    forms.require_targets(rule.targets)
    codes = PspAccount.objects.filter(livemode=rule.livemode).values_list("code", flat=True)
    forms.require_known(rule.conditions, rule.targets, accounts=frozenset(codes))


def add_rule(
    *,
    livemode: bool,
    name: str,
    targets: Any,
    conditions: Any = None,
    merchant: Merchant | None = None,
    active: bool = True,
    position: int | None = None,
) -> RoutingRule:
    """Add a rule, at the end or before the one that is at a position now. Raises ValueError."""
    rule = RoutingRule(
        merchant=merchant,
        livemode=livemode,
        name=name,
        active=active,
        conditions={} if conditions is None else conditions,
        targets=targets,
    )
    require_rule(rule)
    with transaction.atomic(durable=True):
        _lock()
        rows = RoutingRule.objects.filter(livemode=livemode)
        rule.position = _within(position, rows.count() + 1)
        rows.filter(position__gte=rule.position).update(position=F("position") + 1)
        rule.save(force_insert=True)
    forget_rules()
    return rule


def change_rule(rule: RoutingRule, **values: Any) -> RoutingRule:
    """Change fields of a rule; those not named stay. Raises ValueError; nothing is changed then."""
    for name, value in values.items():
        setattr(rule, name, value)
    require_rule(rule)
    rule.save(update_fields=[*values, "updated_at"])
    forget_rules()
    return rule


def move_rule(rule: RoutingRule, *, to: int) -> RoutingRule:
    """Have a rule tried at another position; the others keep their order. Raises ValueError."""
    with transaction.atomic(durable=True):
        _lock()
        rows = RoutingRule.objects.filter(livemode=rule.livemode)
        rule.refresh_from_db(fields=["position"])
        to = _within(to, rows.count())
        rows.filter(position__gt=rule.position).update(position=F("position") - 1)
        rows.filter(position__gte=to).exclude(pk=rule.pk).update(position=F("position") + 1)
        rule.position = to
        rule.save(update_fields=["position", "updated_at"])
    forget_rules()
    return rule


def remove_rule(rule: RoutingRule) -> None:
    """Remove a rule; decisions that name it keep its position and name."""
    with transaction.atomic(durable=True):
        _lock()
        rule.refresh_from_db(fields=["position"])
        rows = RoutingRule.objects.filter(livemode=rule.livemode, position__gt=rule.position)
        rule.delete()
        rows.update(position=F("position") - 1)
    forget_rules()


def _lock() -> None:
    """Let no other operator move rules meanwhile; payments go on reading them."""
    execute(f"LOCK TABLE {table_of(RoutingRule)} IN SHARE ROW EXCLUSIVE MODE")


def _within(position: int | None, last: int) -> int:
    if position is not None and not 1 <= position <= last:
        raise ValueError(f"position: use 1 to {last}")
    return position or last
