"""Records changes of PSP accounts, routing rules, merchants and API keys in the audit trail.

Of credentials and keys it has the names alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from payments.models import ApiKey, Merchant, PspAccount, RoutingRule
from payments.models.audit import Act
from payments.services.audit.authors import Author
from payments.services.audit.trail import AuditSubject, differences, record_act

_OF_ACCOUNTS: Final = (
    *("code", "psp", "livemode", "status", "methods", "currencies", "countries"),
    *("limits", "costs", "hold_days", "settlement_delay_days", "look_ups_per_minute"),
    *("settlement_calendar", "rules_off"),
)
_OF_RULES: Final = ("position", "name", "active", "conditions", "targets")
_NOT_OF_MERCHANTS: Final = frozenset({"id", "created_at"})


def about_account(account: PspAccount) -> AuditSubject:
    """A PSP account as the object of an act."""
    return AuditSubject(
        label=account.code,
        object_id=account.pk,
        psp_account_id=None if account._state.adding else account.pk,
        livemode=account.livemode,
    )


def about_rule(rule: RoutingRule) -> AuditSubject:
    """A routing rule as the object of an act."""
    return AuditSubject(
        label=str(rule.name),
        object_id=rule.pk,
        merchant_id=rule.merchant_id,
        livemode=rule.livemode,
    )


def about_merchant(merchant: Merchant) -> AuditSubject:
    """A merchant as the object of an act."""
    return AuditSubject(
        label=merchant.public_id,
        object_id=merchant.pk,
        merchant_id=None if merchant._state.adding else merchant.pk,
    )


def about_api_key(key: ApiKey) -> AuditSubject:
    """An API key as the object of an act: its name, and what it ends in."""
    return AuditSubject(
        label=f"{key.name} …{key.last4}".strip(),
        object_id=key.pk,
        merchant_id=key.merchant_id,
        livemode=key.livemode,
    )


def state_of_account(account: PspAccount) -> dict[str, Any]:
    """What the trail compares of an account: everything but its credentials."""
    return {name: getattr(account, name) for name in _OF_ACCOUNTS}


def state_of_rule(rule: RoutingRule) -> dict[str, Any]:
    """What the trail compares of a rule."""
    merchant = rule.merchant.public_id if rule.merchant is not None else None
    return {name: getattr(rule, name) for name in _OF_RULES} | {"merchant": merchant}


def state_of_merchant(merchant: Merchant) -> dict[str, Any]:
    """What the trail compares of a merchant: every column, its PSP accounts by code."""
    found: dict[str, Any] = {}
    for field in merchant._meta.concrete_fields:
        value = getattr(merchant, field.name)
        if field.name not in _NOT_OF_MERCHANTS:
            found[field.name] = value.code if isinstance(value, PspAccount) else value
    return found


def record_account(
    act: Act,
    account: PspAccount,
    *,
    before: Mapping[str, Any],
    author: Author,
    credentials: Collection[str] = (),
) -> None:
    """Record what became of an account; `credentials` are the names of those new or gone."""
    changes = differences(before, state_of_account(account))
    if credentials:
        changes["credentials"] = {"changed": sorted(credentials)}
    record_act(act, author, about_account(account), changes)


def record_rule(
    act: Act,
    rule: RoutingRule,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    author: Author,
) -> None:
    """Record what became of a rule; `before` is empty for a new one, `after` for a removed one."""
    record_act(act, author, about_rule(rule), differences(before, after))
