"""Chooses the accounts that a charge may go to, in the order in which they are to be tried.

The first rule that matches decides; without one it is the merchant's own account. A payment method
that belongs to accounts excludes all others. Reads kept rows only, so that a payment costs no
statement of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from payments.exceptions import AmountRefused, InvalidParameter
from payments.models import PspAccount, RoutingReason
from payments.services.psp_gateway import accounts, circuit_breaker, terms
from payments.services.routing.rules import RoutingSubject, Rule, stored_rules
from payments.states import PspAccountStatus
from psp_adapters.registry import capabilities_of


class Unsuitable(StrEnum):
    """Why an account is left out."""

    PAUSED = "paused"
    CLOSING = "closing"
    METHOD = "method"
    """It does not charge this type of payment method."""
    CURRENCY = "currency"
    AMOUNT = "amount"
    COUNTRY = "country"
    """It does not charge cards of this country."""
    CAPABILITY = "capability"
    """Its PSP cannot do what is asked: hold, keep the method, ask for 3-D Secure."""
    METHOD_OF_ANOTHER_ACCOUNT = "method_of_another_account"
    BREAKER_OPEN = "breaker_open"
    """Its PSP does not answer at present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An account that a rule, or the lack of one, brought up."""

    account: PspAccount
    reason: RoutingReason
    percent: int = 100
    """Its share of the rule; of a fallback, and without a rule, 100."""
    left_out: Unsuitable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The accounts that were considered, in order."""

    considered: tuple[Candidate, ...]
    """Never empty."""
    rule: Rule | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those that the charge may go to, in the order in which they are to be tried."""
        return tuple(each for each in self.considered if each.left_out is None)

    @property
    def first(self) -> Candidate:
        """The account to be charged: if none can be, the first one, so that it says why not."""
        return next(iter(self.candidates), self.considered[0])

    def candidate_of(self, account_id: UUID) -> Candidate:
        """The candidate of an account that was considered; raises StopIteration."""
        return next(each for each in self.considered if each.account.id == account_id)

    def noting(self, candidate: Candidate) -> Route:
        """The same route with what is known of one of its accounts by now."""
        considered = (
            candidate if each.account.id == candidate.account.id else each
            for each in self.considered
        )
        return replace(self, considered=tuple(considered))


AccountOf = Callable[[UUID], PspAccount]
IsUnwell = Callable[[PspAccount], bool]


def ordered_accounts(subject: RoutingSubject) -> Route:
    """The accounts for a charge, by the stored rules, as they and their PSPs are now."""
    rules = stored_rules(subject.merchant_id, livemode=subject.livemode)
    return route_by(rules, subject)


def is_unwell(account: PspAccount) -> bool:
    """Do charges at this account fail so often that none is sent at present?"""
    return circuit_breaker.is_open(account.code, circuit_breaker.CallKind.CHARGE)


def route_by(
    rules: Sequence[Rule],
    subject: RoutingSubject,
    *,
    account_of: AccountOf = accounts.psp_account_of,
    unwell: IsUnwell = is_unwell,
) -> Route:
    """The accounts for a charge by these rules, which are for the subject's merchant and mode."""
    rule = next((each for each in rules if each.matches(subject)), None)
    named: dict[UUID, Candidate] = {}
    for account_id, reason, percent in (*_targets(rule, subject), *_of_method(subject)):
        if account_id not in named:
            account = account_of(account_id)
            named[account_id] = Candidate(
                account=account,
                reason=reason,
                percent=percent,
                left_out=unsuitable(account, subject, unwell=unwell),
            )
    return Route(considered=tuple(named.values()), rule=rule)


def possible_rules(rules: Sequence[Rule], subject: RoutingSubject) -> Iterator[Rule | None]:
    """Rules that may decide once more is known of the payment; the last one decides if none does.

    None stands for no rule: the merchant's own account.
    """
    for rule in rules:
        met = rule.matches(subject)
        if met is not False:
            yield rule
        if met:
            return
    yield None


def account_ids_of(rule: Rule | None, subject: RoutingSubject) -> tuple[UUID, ...]:
    """The accounts that a rule names, each once: by their shares, then its fallbacks."""
    named = (subject.own_account_id,) if rule is None else rule.account_ids
    return tuple(dict.fromkeys(named))


def is_possible(rules: Sequence[Rule], subject: RoutingSubject) -> bool:
    """Could some account take the charge, whatever becomes known of the payment?"""
    return any(
        unsuitable(accounts.psp_account_of(account_id), subject) is None
        for rule in possible_rules(rules, subject)
        for account_id in account_ids_of(rule, subject)
    )


def charged_types(rules: Sequence[Rule], subject: RoutingSubject) -> list[str]:
    """The types of payment methods that routing could send somewhere, those of the first first."""
    found: dict[str, None] = {}
    for rule in possible_rules(rules, subject):
        for account_id in account_ids_of(rule, subject):
            account = accounts.psp_account_of(account_id)
            types = capabilities_of(account.psp).method_types
            found |= dict.fromkeys(terms.method_types_of(account, types))
    return [each for each in found if is_possible(rules, replace(subject, method_type=each))]


_Target = tuple[UUID, RoutingReason, int]
_WHOLE: Final = 100


def _targets(rule: Rule | None, subject: RoutingSubject) -> Iterator[_Target]:
    if rule is None:
        yield subject.own_account_id, RoutingReason.DEFAULT_ACCOUNT, _WHOLE
        return
    share = rule.share_of(subject.intent_id)
    is_alone = share.percent == _WHOLE
    reason = RoutingReason.RULE if is_alone else RoutingReason.SPLIT
    yield share.account_id, reason, share.percent
    others = sorted(rule.split, key=lambda each: -each.percent)
    for account_id in (*rule.fallback, *(each.account_id for each in others)):
        yield account_id, RoutingReason.FALLBACK, _WHOLE


def _of_method(subject: RoutingSubject) -> Iterator[_Target]:
    """Accounts that the method belongs to, whatever the rules say: no other can charge it."""
    for account_id in sorted(subject.token_account_ids or ()):
        yield account_id, RoutingReason.METHOD_OF_ACCOUNT, _WHOLE


def unsuitable(
    account: PspAccount, subject: RoutingSubject, *, unwell: IsUnwell = is_unwell
) -> Unsuitable | None:
    """Why an account is left out for a charge; None if it may be tried."""
    if (closed := _closed(account)) is not None:
        return closed
    if subject.token_account_ids is not None and account.id not in subject.token_account_ids:
        return Unsuitable.METHOD_OF_ANOTHER_ACCOUNT
    return (
        _outside_terms(account, subject)
        or _incapable(account, subject)
        or (Unsuitable.BREAKER_OPEN if unwell(account) else None)
    )


def unsuitable_for_setup(
    account: PspAccount,
    *,
    method_type: str,
    country: str,
    asks_three_d_secure: bool,
    unwell: IsUnwell = is_unwell,
) -> Unsuitable | None:
    """Why an account is left out for a setup, which has no amount; None if it may be tried."""
    can = capabilities_of(account.psp)
    if (closed := _closed(account)) is not None:
        return closed
    if method_type not in terms.method_types_of(account, can.method_types):
        return Unsuitable.METHOD
    if country and account.countries and country not in account.countries:
        return Unsuitable.COUNTRY
    keeps = method_type in can.reusable_method_types and not can.keeps_with_payment_only
    if not keeps or (asks_three_d_secure and not can.requests_three_d_secure):
        return Unsuitable.CAPABILITY
    return Unsuitable.BREAKER_OPEN if unwell(account) else None


def _closed(account: PspAccount) -> Unsuitable | None:
    if account.status == PspAccountStatus.CLOSING:
        return Unsuitable.CLOSING
    return None if account.status == PspAccountStatus.ACTIVE else Unsuitable.PAUSED


def _outside_terms(account: PspAccount, subject: RoutingSubject) -> Unsuitable | None:
    try:
        terms.require_accepted(account, subject.amount)
    except AmountRefused:
        return Unsuitable.AMOUNT
    except InvalidParameter:
        return Unsuitable.CURRENCY
    charged = terms.method_types_of(account, capabilities_of(account.psp).method_types)
    if subject.method_type is not None and subject.method_type not in charged:
        return Unsuitable.METHOD
    if subject.country and account.countries and subject.country not in account.countries:
        return Unsuitable.COUNTRY
    return None


def _incapable(account: PspAccount, subject: RoutingSubject) -> Unsuitable | None:
    can = capabilities_of(account.psp)
    charged = terms.method_types_of(account, can.method_types)
    wanted = frozenset(charged if subject.method_type is None else (subject.method_type,))
    able = (
        (not subject.is_held or wanted & can.holdable_method_types)
        and (not subject.keeps_method or wanted & can.reusable_method_types)
        and (not subject.asks_three_d_secure or can.requests_three_d_secure)
    )
    return None if able else Unsuitable.CAPABILITY
