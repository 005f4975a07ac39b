"""Has a PSP charge a kept payment method no more, before we detach it ourselves."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from payments.models import PaymentMethod
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.queries import Inconclusive, look_up
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import PspUnavailable


def kept_token_of(method: PaymentMethod) -> str:
    """What the PSP must release of an attached method first; empty if that is nothing.

    At a PSP where the token names what is kept, that stays while another method of the customer is
    charged by it too: a card that was entered again has the same token there.
    """
    can = accounts.capabilities_of(method.psp_account_id)
    if not can.releases_methods or method.customer_id is None:
        return ""
    if not can.tokens_are_stored:
        return method.stored_token
    token = method.charged_token
    others = PaymentMethod.objects.filter(
        merchant_id=method.merchant_id,
        customer_id=method.customer_id,
        psp_account_id=method.psp_account_id,
        token=token,
    )
    is_needed = can.bare_token(token) is not None or others.exclude(pk=method.pk).exists()
    return "" if is_needed else token


def kept_tokens_of(methods: Iterable[PaymentMethod]) -> dict[tuple[UUID, str], PaymentMethod]:
    """What PSPs must release first if all methods of a customer are detached, each with a method.

    The keys are the PSP account and the token: a token that two methods share is released once.
    """
    kept = {}
    for method in methods:
        can = accounts.capabilities_of(method.psp_account_id)
        token = method.charged_token if can.tokens_are_stored else method.stored_token
        if can.tokens_are_stored and can.bare_token(token) is not None:
            continue
        if can.releases_methods and token:
            kept[method.psp_account_id, token] = method
    return kept


def release_at_psp(method: PaymentMethod, token: str) -> None:
    """Release what the PSP keeps of the method (`token`); to be repeated until it is detached.

    Called outside transactions; gives the database connection back first. Raises PspUnavailable:
    the PSP may have released it all the same.
    """

    def release(adapter: PspAdapter, deadline_seconds: float) -> bool:
        adapter.release_stored(token, deadline_seconds=deadline_seconds)
        return True

    try:
        look_up(accounts.identity_of(method.psp_account_id), release, what="payment method")
    except Inconclusive as reason:
        raise PspUnavailable(str(reason)) from reason
