"""What a charge and a setup have in common that go on at a further PSP account.

An account is used only where a token of it exists: a token belongs to its account.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from uuid import UUID

from payments.exceptions import ResourceMissing
from payments.models import PaymentMethod, PspAccount, RoutingReason
from payments.services.callers.caller import Caller
from payments.services.commands.payment_methods import method_of_token
from payments.services.psp_gateway import accounts, circuit_breaker
from payments.services.psp_gateway.token_lookup import described_token
from payments.services.routing.choice import Unsuitable
from psp_adapters.contract.operations import Outcome, PspResult, PspUnavailable
from psp_adapters.contract.setups import SetupResult

FURTHER_ACCOUNTS_MAX: Final = 2
"""The customer waits, and banks take one attempt after the other for fraud."""
ATTEMPT_SECONDS: Final = 3.0
"""What must be left of the request's time for one more attempt: nearly every PSP answers one within
it. A slower one is answered with `processing`, like any other."""
MAYBE: Final = (None, Unsuitable.METHOD_OF_ANOTHER_ACCOUNT)
"""Why an account was left out of the first attempt, if a token of it may be used for a later one.
"""


def token_at(account: PspAccount, method: PaymentMethod) -> str:
    """A token that the account can know, empty if there is none: another one's is not sent."""
    can = accounts.capabilities_of(account.id)
    if account.code in method.alternatives:
        return str(method.alternatives[account.code])
    if method.stored_token:
        return ""  # Its PSP keeps it, and the token that made it charges nothing later.
    here = accounts.capabilities_of(method.psp_account_id)
    if method.token == here.bare_method_types.get(method.method_type):
        return can.bare_method_types.get(method.method_type, "")
    is_of_same_psp = accounts.identity_of(method.psp_account_id).psp == account.psp
    if is_of_same_psp and can.published_tokens and method.customer_id is None:
        return method.token
    return ""


def method_at(
    account: PspAccount, method: PaymentMethod, caller: Caller
) -> PaymentMethod | Unsuitable:
    """The customer's method as that account knows it, or why it cannot be used there.

    May ask a PSP about a token: called outside any transaction.
    """
    at = replace(caller, psp_account=account)
    try:
        described = described_token(at, token_at(account, method), param="payment_method")
    except ResourceMissing:
        return Unsuitable.METHOD_OF_ANOTHER_ACCOUNT
    except PspUnavailable:
        return Unsuitable.BREAKER_OPEN
    if described.method_type != method.method_type:
        return Unsuitable.METHOD_OF_ANOTHER_ACCOUNT
    there = method_of_token(at, described)
    for name in ("billing_details", "metadata", "allow_redisplay"):
        setattr(there, name, getattr(method, name))
    return there


def reason_of(psp_account_id: UUID, result: PspResult | SetupResult) -> RoutingReason:
    """Why the attempt at this account ended, as the decision for the next one names it."""
    if result.outcome is Outcome.DECLINED:
        return RoutingReason.RETRIABLE_DECLINE
    code = accounts.identity_of(psp_account_id).code
    if result.refused_by_us and circuit_breaker.is_open(code, circuit_breaker.CallKind.CHARGE):
        return RoutingReason.BREAKER_OPEN
    return RoutingReason.NOT_SENT
