"""Writes the log of changes of PSP accounts and routing rules, in the transaction of each change.

Of credentials it has the names alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments.clock import now_utc
from payments.models import ConfigurationChange, ConfigurationVerb, PspAccount, RoutingRule
from psp_adapters.contract.stored_text import clean_text

_OF_ACCOUNTS: Final = (
    *("code", "psp", "livemode", "status", "methods", "currencies", "countries"),
    *("limits", "costs", "hold_days", "settlement_delay_days", "look_ups_per_minute"),
    *("settlement_calendar", "rules_off"),
)
_OF_RULES: Final = ("position", "name", "active", "conditions", "targets")
_NAME_LENGTH_MAX: Final = 64
_REASON_LENGTH_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, such as `staff:ada`, and why; ValueError without a name."""

    name: str
    reason: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= _NAME_LENGTH_MAX or not self.name.isprintable():
            raise ValueError("--by: say who changes it, such as staff:ada, in 1 to 64 characters")
        if len(self.reason) > _REASON_LENGTH_MAX:
            raise ValueError("--why: use at most 1000 characters")


def state_of_account(account: PspAccount) -> dict[str, Any]:
    """What the log compares of an account: everything but its credentials."""
    return {name: getattr(account, name) for name in _OF_ACCOUNTS}


def state_of_rule(rule: RoutingRule) -> dict[str, Any]:
    """What the log compares of a rule."""
    merchant = rule.merchant.public_id if rule.merchant is not None else None
    return {name: getattr(rule, name) for name in _OF_RULES} | {"merchant": merchant}


def log_account(
    verb: ConfigurationVerb,
    account: PspAccount,
    *,
    before: Mapping[str, Any],
    author: Author,
    credentials: Collection[str] = (),
) -> None:
    """Log what became of an account; `credentials` are the names of those that are new or gone."""
    changes = _between(before, state_of_account(account))
    if credentials:
        changes["credentials"] = {"changed": sorted(credentials)}
    subject = ConfigurationChange(
        psp_account=account, subject=account.code, livemode=account.livemode
    )
    _write(subject, verb, changes, author)


def log_rule(
    verb: ConfigurationVerb,
    rule: RoutingRule,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    author: Author,
) -> None:
    """Log what became of a rule; `before` is empty for a new one, `after` for one that is gone."""
    subject = ConfigurationChange(rule_id=rule.id, subject=rule.name, livemode=rule.livemode)
    _write(subject, verb, _between(before, after), author)


def _between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    sides = (("before", before), ("after", after))
    return {
        name: {side: values[name] for side, values in sides if name in values}
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def _write(
    row: ConfigurationChange, verb: ConfigurationVerb, changes: dict[str, Any], author: Author
) -> None:
    row.verb, row.changes, row.author = verb, changes, clean_text(author.name, most=64)
    row.reason = clean_text(author.reason, most=_REASON_LENGTH_MAX)
    row.created_at = now_utc()
    row.save(force_insert=True)
