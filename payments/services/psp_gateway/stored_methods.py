"""Has a PSP charge a kept payment method no more, before we detach it ourselves."""

from __future__ import annotations

from payments.models import PaymentMethod
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.queries import Inconclusive, look_up
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import PspUnavailable


def release_at_psp(method: PaymentMethod) -> None:
    """Release what the PSP keeps of the method, if anything; to be repeated until it is detached.

    Called outside transactions; gives the database connection back first. Raises PspUnavailable:
    the PSP may have released it all the same.
    """
    if not method.stored_token:
        return

    def release(adapter: PspAdapter, deadline_seconds: float) -> bool:
        adapter.release_stored(method.stored_token, deadline_seconds=deadline_seconds)
        return True

    try:
        look_up(accounts.identity_of(method.psp_account_id), release, what="payment method")
    except Inconclusive as reason:
        raise PspUnavailable(str(reason)) from reason
