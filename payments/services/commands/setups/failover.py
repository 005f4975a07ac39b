"""Tries the next PSP account for a setup that certainly kept nothing at the one before.

A further account is used only where a token of it exists. The method then belongs to the account
that kept it, as every other does. Whether the setup may go on at all is decided under its lock
(`outcomes.setups`).
"""

from __future__ import annotations

import copy
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments import metrics, public_ids
from payments.models import (
    METHODS_WITH_MANDATE,
    PaymentMethod,
    PspAccount,
    RoutingReason,
    SetupAttempt,
)
from payments.objects.payment_method import payment_method_snapshot
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.commands.further_accounts import (
    ATTEMPT_SECONDS,
    FURTHER_ACCOUNTS_MAX,
    MAYBE,
    method_at,
    reason_of,
    token_at,
)
from payments.services.commands.payment_methods import give_id
from payments.services.commands.token_search import usable_account_ids
from payments.services.idempotency import keys
from payments.services.outcomes.setups import NextSetup, SetupChange, SetupElsewhere
from payments.services.psp_gateway import accounts
from payments.services.routing import decisions
from payments.services.routing.choice import (
    Candidate,
    Route,
    Unsuitable,
    unsuitable_for_setup,
)
from psp_adapters.contract.setups import SetupResult

_COPIED: Final = (
    *("merchant_id", "livemode", "setup_intent_id", "customer_id", "usage", "three_d_secure"),
    *("return_url", "actor", "request_id", "idempotency_id"),
)
"""What the next attempt has in common with the one before: all but account, token and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedSetup:
    """A setup attempt that was written, and the further accounts that it may go on at."""

    attempt: SetupAttempt
    elsewhere: SetupFailover | None
    """None if there is none."""


def setup_route(method: PaymentMethod, three_d_secure: str, caller: Caller) -> Route | None:
    """The accounts for a setup of this method, its own first; None if the merchant has but one."""
    usable = dict.fromkeys((method.psp_account_id, *usable_account_ids(caller)))
    if len(usable) == 1:
        return None
    considered = []
    for account_id in usable:
        account, reason = accounts.psp_account_of(account_id), RoutingReason.FALLBACK
        if account_id == method.psp_account_id:
            is_own = account_id == caller.psp_account.id
            default, other = RoutingReason.DEFAULT_ACCOUNT, RoutingReason.METHOD_OF_ACCOUNT
            reason = default if is_own else other
        left_out = _unsuitable(account, method, three_d_secure)
        considered.append(Candidate(account=account, reason=reason, left_out=left_out))
    return Route(considered=tuple(considered))


def _unsuitable(
    account: PspAccount, method: PaymentMethod, three_d_secure: str
) -> Unsuitable | None:
    return unsuitable_for_setup(
        account,
        method_type=method.method_type,
        country=method.country,
        asks_three_d_secure=bool(three_d_secure),
    )


class SetupFailover:
    """The accounts that are left for one request's setup.

    One thread uses it after the other, never two at once.
    """

    def __init__(self, route: Route, method: PaymentMethod, caller: Caller) -> None:
        """`method` is what the first attempt is about; a debit's goes nowhere else."""
        self._route, self._method, self._caller = route, method, caller
        names_creditor = method.method_type in METHODS_WITH_MANDATE
        self._left = deque(
            each
            for each in route.considered
            if each.account.id != method.psp_account_id
            and each.left_out in MAYBE
            and not names_creditor
            and token_at(each.account, method)
        )
        self._tried = 0

    @property
    def is_over(self) -> bool:
        """Is there no further account, or no time for one?"""
        if not self._left or self._tried >= FURTHER_ACCOUNTS_MAX:
            return True
        answer_by = self._caller.answer_by_monotonic
        return answer_by is not None and time.monotonic() + ATTEMPT_SECONDS > answer_by

    def after(self, attempt: SetupAttempt, result: SetupResult) -> SetupElsewhere | None:
        """Prepare the attempt at the next account that can keep the method, or what is stored if
        none can.

        None if there is no account left. May ask a PSP about a token: called outside any
        transaction.
        """
        if self.is_over or not result.may_be_set_up_elsewhere:
            return None
        reason = reason_of(attempt.psp_account_id, result)
        while not self.is_over:
            candidate = self._left.popleft()
            account = accounts.psp_account_of(candidate.account.id)
            wanted = attempt.three_d_secure
            found = _unsuitable(account, self._method, wanted) or method_at(
                account, self._method, self._caller
            )
            left_out = found if isinstance(found, Unsuitable) else None
            candidate = replace(candidate, account=account, left_out=left_out)
            self._route = self._route.noting(candidate)
            if isinstance(found, PaymentMethod):
                self._tried += 1
                before = accounts.identity_of(attempt.psp_account_id).code
                metrics.FAILOVERS.labels(before, reason.value).inc()
                return partial(self._next_attempt, candidate, found, reason)
        return partial(self._keep_why_not, reason)

    def _next_attempt(
        self,
        candidate: Candidate,
        method: PaymentMethod,
        reason: RoutingReason,
        change: SetupChange,
    ) -> NextSetup:
        """The attempt at the candidate's account, of a setup intent that is locked."""
        identifier = new_row_id()
        method = copy.copy(method)  # This may be called again, if the commit is not confirmed.
        give_id(method)
        attempt = _attempt_like(change.attempt, identifier, candidate.account.id)
        attempt.token = method.charged_token
        attempt.payment_method_id = method.id
        attempt.payment_method_details = payment_method_snapshot(method)
        decision = decisions.setup_decision(
            self._route, candidate, setup=change.setup, attempt_id=identifier, reason=reason
        )
        return NextSetup(attempt=attempt, rows=(method, decision))

    def _keep_why_not(self, reason: RoutingReason, change: SetupChange) -> None:
        """Store why none of the accounts that were left was tried; the setup intent is locked."""
        ended = self._route.candidate_of(change.attempt.psp_account_id)
        row = decisions.setup_decision(self._route, ended, setup=change.setup, reason=reason)
        Batch().insert(row).execute()


def _attempt_like(before: SetupAttempt, identifier: UUID, psp_account_id: UUID) -> SetupAttempt:
    """An unsaved attempt with an id and a key of its own, leased to this process."""
    lease_until = keys.new_lease()
    return SetupAttempt(
        id=identifier,
        psp_account_id=psp_account_id,
        psp_key=public_ids.encode(public_ids.SETUP_ATTEMPT, identifier),
        lease_until=lease_until,
        next_check_at=lease_until,
        created_at=created_at_of(identifier),
        **{name: getattr(before, name) for name in _COPIED},
    )
