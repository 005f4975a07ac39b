"""Looks a token up at one account of a merchant after another, within one request's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from payments.exceptions import InvalidParameter, PaymentRefused, ResourceMissing
from payments.services.callers.caller import Caller
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.sending import LOOKUP_DEADLINE_SECONDS
from payments.services.routing.rules import stored_rules
from payments.states import PspAccountStatus
from psp_adapters.contract.operations import PspUnavailable

T = TypeVar("T")


class SharedTime:
    """The time that a request has for its look-ups, in equal shares for those that are left.

    So an account that does not answer leaves the others theirs.
    """

    def __init__(self, caller: Caller, *, look_ups: int) -> None:
        end = time.monotonic() + LOOKUP_DEADLINE_SECONDS
        self._end = min(end, caller.answer_by_monotonic or end)
        self._left = look_ups

    def next_end_monotonic(self) -> float:
        """Until when the next look-up may take."""
        now, shares = time.monotonic(), max(self._left, 1)
        self._left -= 1
        return now + max(self._end - now, 0) / shares


def usable_account_ids(caller: Caller) -> tuple[UUID, ...]:
    """The accounts that the caller's payments may be charged at: its own, then those of rules."""
    rules = stored_rules(caller.merchant.id, livemode=caller.livemode)
    routed = (account_id for rule in rules for account_id in rule.account_ids)
    return tuple(dict.fromkeys((caller.psp_account.id, *routed)))


def at_first_that_knows(caller: Caller, find: Callable[[Caller], T]) -> T:
    """What `find` makes of the first account that knows the token that it looks up.

    If none does, raises what the caller's own account said; PspUnavailable if one that may know it
    did not answer.
    """
    own_id, *others = usable_account_ids(caller)
    open_accounts = [
        each
        for each in map(accounts.psp_account_of, others)
        if each.status != PspAccountStatus.CLOSING
    ]
    if not open_accounts:
        return find(caller)
    shared = SharedTime(caller, look_ups=1 + len(open_accounts))
    refusals: list[PaymentRefused | PspUnavailable] = []
    for account in (accounts.psp_account_of(own_id), *open_accounts):
        at = replace(caller, psp_account=account, answer_by_monotonic=shared.next_end_monotonic())
        try:
            return find(at)
        except (ResourceMissing, InvalidParameter, PspUnavailable) as refusal:
            refusals.append(refusal)
    raise next((each for each in refusals if isinstance(each, PspUnavailable)), refusals[0])
