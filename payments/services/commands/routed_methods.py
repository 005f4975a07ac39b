"""Finds the payment method that a request names, and the PSP account that is to charge it.

A token belongs to the account that made it. So a saved method decides the account. A token is
looked up at the accounts that routing may choose, before the transaction that chooses one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn
from uuid import UUID

from payments import public_ids
from payments.exceptions import InvalidParameter, PaymentRefused, ResourceMissing
from payments.models import Merchant, PaymentIntent, PaymentMethod, RoutingDecision
from payments.services.callers.caller import Caller, Prepared
from payments.services.commands.payment_methods import NewMethod, give_id, named_payment_method
from payments.services.commands.token_search import SharedTime, usable_account_ids
from payments.services.psp_gateway import accounts, terms
from payments.services.routing import decisions
from payments.services.routing.choice import (
    Route,
    account_ids_of,
    charged_types,
    possible_rules,
    route_by,
    unsuitable,
)
from payments.services.routing.rules import RoutingSubject, Rule, stored_rules
from psp_adapters.contract.operations import PspUnavailable

Methods = tuple[PaymentMethod, ...]
"""One method as each account knows it that may charge it; empty if none is named."""
Named = str | NewMethod


def rules_for(caller: Caller) -> tuple[Rule, ...]:
    """The routing rules for the caller's payments, in order."""
    return stored_rules(caller.merchant.id, livemode=caller.livemode)


def subject_of(intent: PaymentIntent, caller: Caller, methods: Methods = ()) -> RoutingSubject:
    """What routing may ask of a payment, which need not be stored yet."""
    own = own_account_id(caller.merchant, livemode=caller.livemode) or caller.psp_account.id
    subject = _subject(intent, caller.merchant, livemode=caller.livemode, own=own)
    return _with_facts(subject, methods) if methods else subject


def own_account_id(merchant: Merchant, *, livemode: bool) -> UUID | None:
    """The account that the merchant has in a mode."""
    return merchant.live_psp_account_id if livemode else merchant.test_psp_account_id


def _subject(
    intent: PaymentIntent, merchant: Merchant, *, livemode: bool, own: UUID
) -> RoutingSubject:
    card = intent.payment_method_options.get("card", {})
    return RoutingSubject(
        merchant_id=merchant.id,
        livemode=livemode,
        intent_id=intent.id,
        amount=intent.amount,
        metadata=intent.metadata,
        own_account_id=own,
        is_held=intent.capture_method == "manual",
        keeps_method=bool(intent.setup_future_usage),
        asks_three_d_secure=card.get("request_three_d_secure") in ("any", "challenge"),
    )


def account_ids_for(
    intent: PaymentIntent, merchant: Merchant, method_type: str
) -> tuple[UUID, ...]:
    """The accounts that a stored payment may be charged at by a type of method, in order.

    If none can take it, it is the first one all the same: the charge says what is wrong. Without
    rules it is the payment's own.
    """
    livemode = intent.livemode
    rules = stored_rules(merchant.id, livemode=livemode)
    if not rules:
        return (intent.psp_account_id,)
    own = own_account_id(merchant, livemode=livemode) or intent.psp_account_id
    subject = _subject(intent, merchant, livemode=livemode, own=own)
    route = route_by(rules, replace(subject, method_type=method_type))
    return tuple(each.account.id for each in route.candidates or (route.first,))


def may_charge(method: PaymentMethod, intent: PaymentIntent, merchant: Merchant) -> bool:
    """Could a saved method be charged for a stored payment now, at the account that made it?"""
    own = own_account_id(merchant, livemode=intent.livemode) or method.psp_account_id
    subject = _subject(intent, merchant, livemode=intent.livemode, own=own)
    account = accounts.psp_account_of(method.psp_account_id)
    return unsuitable(account, _with_facts(subject, (method,))) is None


def _with_facts(subject: RoutingSubject, methods: Methods) -> RoutingSubject:
    method = methods[0]
    bound = frozenset(each.psp_account_id for each in methods)
    return replace(
        subject,
        method_type=method.method_type,
        brand=method.brand,
        country=method.country,
        token_account_ids=None if all(_is_bare(each) for each in methods) else bound,
    )


def _is_bare(method: PaymentMethod) -> bool:
    """Is it begun for this payment without a token, so that any account could begin it?"""
    bare = accounts.capabilities_of(method.psp_account_id).bare_method_types
    return method._state.adding and method.token == bare.get(method.method_type)


def found_methods(
    caller: Caller, named: Named, intent: PaymentIntent | None, *, charging: bool = False
) -> Methods:
    """The method that a request names: a saved one, or a token as each possible account knows it.

    `intent` is the payment as far as it is known. Asks PSPs, so it is called outside transactions.
    Raises ResourceMissing, InvalidParameter, PspUnavailable; ProviderPaused if it is to be charged.
    """
    if not named:
        return ()
    rules = () if intent is None or _is_saved(named) else rules_for(caller)
    if rules and intent is not None:
        return _Search(caller, named, charging=charging).of_rules(rules, intent)
    if charging and not _is_saved(named):  # A paused provider is not asked about a token.
        terms.require_open(accounts.psp_account_of(caller.psp_account.id))
    method = named_payment_method(caller, payment_method=named)
    return () if method is None else (method,)


def _is_saved(named: Named) -> bool:
    if isinstance(named, NewMethod):
        return False
    return public_ids.decode(public_ids.PAYMENT_METHOD, named) is not None


class _Search:
    """Looks a token up at one account after another, at each of them once."""

    def __init__(self, caller: Caller, named: Named, *, charging: bool) -> None:
        self._caller, self._named, self._charging = caller, named, charging
        self._asked: dict[UUID, PaymentMethod | None] = {}
        self._refusals: list[PaymentRefused | PspUnavailable] = []
        self._time = SharedTime(caller, look_ups=len(usable_account_ids(caller)))

    def of_rules(self, rules: Sequence[Rule], intent: PaymentIntent) -> Methods:
        """Where the token is known: first by what is known without it, then by what it is.

        A rule about the card cannot be met by a token of an account that it does not name: that
        token is charged where it was made.
        """
        subject = subject_of(intent, self._caller)
        if isinstance(self._named, NewMethod):
            subject = replace(subject, method_type=self._named.method_type)
        found = self._known(rules, subject) or self._at_first(rules, subject)
        typed = replace(subject, method_type=found[0].method_type)
        allowed = self._known(rules, typed) or self._at_first(rules, typed)
        facts = replace(_with_facts(subject, allowed), token_account_ids=None)
        return self._known(rules, facts) or allowed

    def _known(self, rules: Sequence[Rule], subject: RoutingSubject) -> Methods:
        for rule in possible_rules(rules, subject):
            named = account_ids_of(rule, subject)
            shares = len(named) if rule is None else len(rule.split)
            # The share that the payment falls into is not known before it has its id.
            found = self._ask_all(named[:shares], subject)
            for account_id in () if found else named[shares:]:
                found = found or self._ask_all([account_id], subject)
            if found:
                return found
        return ()

    def _ask_all(self, account_ids: Sequence[UUID], subject: RoutingSubject) -> Methods:
        suitable = (
            each
            for each in account_ids
            if unsuitable(accounts.psp_account_of(each), subject) is None
        )
        return tuple(found for each in suitable if (found := self._ask(each)) is not None)

    def _at_first(self, rules: Sequence[Rule], subject: RoutingSubject) -> Methods:
        """No account that can take the charge knows it: say why, or ask the first of all."""
        route = route_by(rules, subject)
        if route.candidates:  # All were asked.
            self._refuse(subject)
        account = route.first.account
        if self._charging:
            terms.require_open(account)
        found = self._ask(account.id)
        if found is None:
            self._refuse(subject)
        return (found,)

    def _refuse(self, subject: RoutingSubject) -> NoReturn:
        unavailable = [each for each in self._refusals if isinstance(each, PspUnavailable)]
        if not unavailable and self._ask(subject.own_account_id) is not None:
            raise InvalidParameter(
                "This token was made by another payment provider account than those that this "
                "payment may be charged at. Let the customer enter the payment method again.",
                param="payment_method",
                code="payment_method_provider_mismatch",
            )
        raise (unavailable or self._refusals)[0]

    def _ask(self, account_id: UUID) -> PaymentMethod | None:
        if account_id not in self._asked:
            self._asked[account_id] = self._method_at(account_id)
        return self._asked[account_id]

    def _method_at(self, account_id: UUID) -> PaymentMethod | None:
        caller = replace(
            self._caller,
            psp_account=accounts.psp_account_of(account_id),
            answer_by_monotonic=self._time.next_end_monotonic(),
        )
        try:
            return named_payment_method(caller, payment_method=self._named)
        except (ResourceMissing, InvalidParameter, PspUnavailable) as refusal:
            self._refusals.append(refusal)
            return None


def prepared_methods(prepared: Prepared) -> Methods:
    """What `found_methods` found; new ones get their ids now, in the transaction."""
    methods: Methods = prepared.get()
    for each in methods:
        if each._state.adding:
            give_id(each)
    return methods


def place(intent: PaymentIntent, caller: Caller) -> None:
    """Have a payment without a method charged at the account that routing chooses by now."""
    rules = rules_for(caller)
    if rules:
        intent.psp_account_id = route_by(rules, subject_of(intent, caller)).first.account.id


def bind(
    intent: PaymentIntent, methods: Methods, caller: Caller
) -> tuple[PaymentMethod, Route | None]:
    """Have a payment charged at the account that routing chooses, of those that know its method.

    Returns the method there, and the route; without a route it is the caller's own account, by no
    rule. No charge of the payment may be open or hold money.
    """
    rules = rules_for(caller)
    if not rules and methods[0].psp_account_id == caller.psp_account.id:
        intent.psp_account_id = caller.psp_account.id
        return methods[0], None
    subject = subject_of(intent, caller, methods)
    at = {each.psp_account_id: each for each in methods}
    route = route_by(rules, subject)
    known = (each.account.id for each in route.candidates if each.account.id in at)
    method = at.get(next(known, methods[0].psp_account_id), methods[0])
    if method.psp_account_id not in (each.account.id for each in route.considered):
        route = route_by(rules, replace(subject, token_account_ids=frozenset(at)))
    intent.psp_account_id = method.psp_account_id
    return method, route


def offered_types(intent: PaymentIntent, caller: Caller) -> list[str]:
    """The types of methods that a new payment takes: of every account that it may be charged at."""
    rules = rules_for(caller)
    if rules:
        return charged_types(rules, subject_of(intent, caller))
    account = accounts.psp_account_of(intent.psp_account_id)
    return terms.method_types_of(account, accounts.capabilities_of(account.id).method_types)


def redirect_types(intent: PaymentIntent, caller: Caller) -> frozenset[str]:
    """The types that always send the customer to another page, at some account of the payment."""
    subject, found = subject_of(intent, caller), frozenset[str]()
    for rule in possible_rules(rules_for(caller), subject):
        for account_id in account_ids_of(rule, subject):
            found |= accounts.capabilities_of(account_id).redirect_method_types
    return found | accounts.capabilities_of(intent.psp_account_id).redirect_method_types


def decision_for(intent: PaymentIntent, charge_id: UUID, route: Route) -> RoutingDecision:
    """The unsaved decision of a charge at the intent's account."""
    return decisions.decision(
        route,
        route.candidate_of(intent.psp_account_id),
        intent=intent,
        charge_id=charge_id,
        sequence=1 if intent._state.adding else decisions.next_sequence(intent.id),
    )
