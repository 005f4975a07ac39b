"""Rules as routing applies them: which payments they match, and the account of a share.

Stored rules are kept for a moment: every process sees a change within
`accounts.SEEN_WITHIN_SECONDS`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

from ledger.money import Money
from payments.models import RoutingRule
from payments.services.psp_gateway import accounts

RULES_SECONDS = 3.0
"""Rules are read again after this time: one statement for all payments of a process."""
_SHARES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSubject:
    """What rules may ask of a payment; None is what is not known before its method is named."""

    merchant_id: UUID
    livemode: bool
    intent_id: UUID
    amount: Money
    metadata: Mapping[str, str]
    own_account_id: UUID
    """The merchant's own account: it takes what no rule matches."""
    method_type: str | None = None
    brand: str | None = None
    """Empty if the method has none."""
    country: str | None = None
    """Empty if the PSP does not name it."""
    token_account_ids: frozenset[UUID] | None = None
    """Accounts that the method can be charged at; None: it needs no token, or is not named yet."""
    is_held: bool = False
    """It is authorized first and captured later."""
    keeps_method: bool = False
    asks_three_d_secure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An account and its percentage of a rule's payments."""

    account_id: UUID
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One active rule of one mode."""

    id: UUID
    position: int
    name: str
    merchant_id: UUID | None
    conditions: Mapping[str, Any]
    split: tuple[Share, ...]
    fallback: tuple[UUID, ...]

    @property
    def account_ids(self) -> tuple[UUID, ...]:
        return (*(each.account_id for each in self.split), *self.fallback)

    def matches(self, subject: RoutingSubject) -> bool | None:
        """Whether a payment meets every condition; None if that is not known yet."""
        met = [_is_met(name, value, subject) for name, value in self.conditions.items()]
        if False in met:
            return False
        return None if None in met else True

    def share_of(self, intent_id: UUID) -> Share:
        """The share that a payment falls into: always the same one, however often it is asked."""
        text = f"{intent_id}:{self.id}".encode()
        drawn = int.from_bytes(hashlib.sha256(text).digest()[:8]) % _SHARES
        ends = accumulate(each.percent for each in self.split)
        return next(each for each, end in zip(self.split, ends, strict=True) if drawn < end)


def _is_met(name: str, value: Any, subject: RoutingSubject) -> bool | None:
    match name:
        case "amount":
            return _is_in_range(subject.amount, value)
        case "currencies":
            return subject.amount.currency in value
        case "metadata":
            return all(subject.metadata.get(key) == wanted for key, wanted in value.items())
        case "methods":
            fact = subject.method_type
        case "brands":
            fact = subject.brand
        case "countries":
            fact = subject.country
        case _:
            raise ValueError(f"there is no condition {name}")
    return None if fact is None else fact in value


def _is_in_range(amount: Money, given: Mapping[str, Any]) -> bool:
    least: int = given.get("min_minor", amount.minor)
    most: int = given.get("max_minor", amount.minor)
    return amount.currency == given["currency"] and least <= amount.minor <= most


def rule_of(row: RoutingRule, account_ids: Mapping[str, UUID] | None = None) -> Rule:
    """A stored or proposed rule as it is applied; raises PspAccount.DoesNotExist.

    `account_ids` are known accounts by code; without it they are looked up once per process.
    """

    def account_id(code: str) -> UUID:
        return accounts.identity_of_code(code).id if account_ids is None else account_ids[code]

    return Rule(
        id=row.id,
        position=row.position,
        name=row.name,
        merchant_id=row.merchant_id,
        conditions=row.conditions,
        split=tuple(
            Share(account_id=account_id(each["account"]), percent=each["share"])
            for each in row.targets["split"]
        ),
        fallback=tuple(account_id(code) for code in row.targets.get("fallback", ())),
    )


def rules_of(rules: Iterable[Rule], merchant_id: UUID) -> tuple[Rule, ...]:
    """Those for the payments of a merchant, in their order."""
    return tuple(each for each in rules if each.merchant_id in (None, merchant_id))


@dataclass(frozen=True, slots=True)
class _Stored:
    read_at: float
    rules: Mapping[bool, Sequence[Rule]]
    """By mode, in order of their positions."""
    by_merchant: dict[tuple[UUID, bool], tuple[Rule, ...]]


_stored = _Stored(float("-inf"), {}, {})


def stored_rules(merchant_id: UUID, *, livemode: bool) -> tuple[Rule, ...]:
    """The active rules for a merchant's payments, in order, as they were a moment ago."""
    global _stored
    kept, now = _stored, time.monotonic()
    if now >= kept.read_at + RULES_SECONDS:
        rows = list(RoutingRule.objects.filter(active=True).order_by("position"))
        by_mode = {
            mode: tuple(rule_of(row) for row in rows if row.livemode == mode)
            for mode in (False, True)
        }
        _stored = kept = _Stored(now, by_mode, {})
    found = kept.by_merchant.get((merchant_id, livemode))
    if found is None:
        found = rules_of(kept.rules[livemode], merchant_id)
        kept.by_merchant[merchant_id, livemode] = found
    return found


def forget_rules() -> None:
    """Read the rules again at their next use, since this process has changed them."""
    global _stored
    _stored = _Stored(float("-inf"), {}, {})
