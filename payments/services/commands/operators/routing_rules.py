"""Adds, changes, moves and removes routing rules. Every process applies them within 5 s.

Each change is recorded in the audit trail, in its transaction; a refused one too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F

from ledger.database.statements import execute, table_of
from payments.models import Merchant, PspAccount, RoutingRule
from payments.models.audit import Act
from payments.services.audit.authors import Author
from payments.services.audit.configuration import about_rule, record_rule, state_of_rule
from payments.services.audit.trail import refusals_recorded
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
    author: Author,
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
    with _changing(Act.ROUTING_RULE_ADD, rule, author):
        require_rule(rule)
        _lock()
        rows = RoutingRule.objects.filter(livemode=livemode)
        rule.position = _within(position, rows.count() + 1)
        rows.filter(position__gte=rule.position).update(position=F("position") + 1)
        rule.save(force_insert=True)
        record_rule(Act.ROUTING_RULE_ADD, rule, before={}, after=state_of_rule(rule), author=author)
    return rule


def change_rule(rule: RoutingRule, *, author: Author, **values: Any) -> RoutingRule:
    """Change fields of a rule; those not named stay. Raises ValueError; nothing is changed then."""
    with _changing(Act.ROUTING_RULE_CHANGE, rule, author):
        for name, value in values.items():
            setattr(rule, name, value)
        require_rule(rule)
        stored = _stored(rule)
        before = state_of_rule(stored)
        for name, value in values.items():
            setattr(stored, name, value)
        stored.save(update_fields=[*values, "updated_at"])
        after = state_of_rule(stored)
        record_rule(Act.ROUTING_RULE_CHANGE, stored, before=before, after=after, author=author)
    return stored


def move_rule(rule: RoutingRule, *, to: int, author: Author) -> RoutingRule:
    """Have a rule tried at another position; the others keep their order. Raises ValueError."""
    with _changing(Act.ROUTING_RULE_MOVE, rule, author):
        _lock()
        rows = RoutingRule.objects.filter(livemode=rule.livemode)
        rule = _stored(rule)
        before = state_of_rule(rule)
        to = _within(to, rows.count())
        rows.filter(position__gt=rule.position).update(position=F("position") - 1)
        rows.filter(position__gte=to).exclude(pk=rule.pk).update(position=F("position") + 1)
        rule.position = to
        rule.save(update_fields=["position", "updated_at"])
        after = state_of_rule(rule)
        record_rule(Act.ROUTING_RULE_MOVE, rule, before=before, after=after, author=author)
    return rule


def remove_rule(rule: RoutingRule, *, author: Author) -> None:
    """Remove a rule; decisions that name it keep its position and name."""
    with _changing(Act.ROUTING_RULE_REMOVE, rule, author):
        _lock()
        rule = _stored(rule)
        rows = RoutingRule.objects.filter(livemode=rule.livemode, position__gt=rule.position)
        record_rule(
            Act.ROUTING_RULE_REMOVE, rule, before=state_of_rule(rule), after={}, author=author
        )
        rule.delete()
        rows.update(position=F("position") - 1)


@contextmanager
def _changing(act: Act, rule: RoutingRule, author: Author) -> Iterator[None]:
    """One transaction that changes rules; this process reads them anew once it is committed."""
    with refusals_recorded(act, author, about_rule(rule)), transaction.atomic(durable=True):
        yield
    forget_rules()


def _stored(rule: RoutingRule) -> RoutingRule:
    """The rule as it is stored, locked until the commit; ValueError if it is gone."""
    rows = RoutingRule.objects.select_for_update(of=("self",)).select_related("merchant")
    stored = rows.filter(pk=rule.pk).first()
    if stored is None:
        raise ValueError(f"the rule {rule.name} was removed meanwhile")
    return stored


def _lock() -> None:
    """Let no other operator move rules meanwhile; payments go on reading them."""
    execute(f"LOCK TABLE {table_of(RoutingRule)} IN SHARE ROW EXCLUSIVE MODE")


def _within(position: int | None, last: int) -> int:
    if position is not None and not 1 <= position <= last:
        raise ValueError(f"position: use 1 to {last}")
    return position or last
