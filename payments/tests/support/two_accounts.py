"""A second PSP account of a merchant, and payments that are charged at one after the other."""

from __future__ import annotations

import uuid
from dataclasses import replace

from ledger.models import LedgerEntry
from payments.models import PaymentIntent, PspAccount
from payments.services.callers.caller import Answer
from payments.tests.support.factories import PspAccountFactory, sandbox_credentials
from payments.tests.support.shop import Shop, uuid_of


def another_account(shop: Shop) -> PspAccount:
    """An account of its own at the shop's PSP, beside the one that the merchant has."""
    code = f"second-{uuid.uuid4().hex[:12]}"
    sealed = sandbox_credentials(code, shop.psp.base_url)
    account: PspAccount = PspAccountFactory.create(code=code, sealed_credentials=sealed)
    return account


def confirm_at(
    shop: Shop, intent_id: str, account: PspAccount, *, token: str = "pm_card_visa"
) -> Answer:
    """Confirm a payment whose charges have all failed at another account."""
    rows = PaymentIntent.objects.filter(pk=uuid_of(intent_id))
    rows.update(psp_account=account, latest_charge_id=None)
    caller = replace(shop.caller(), psp_account=account)
    return shop.confirm(intent_id, token=token, caller=caller)


def balances_at(account: PspAccount, intent_id: str) -> dict[int, int]:
    """Per account code, what is booked for a payment at one PSP account: debits minus credits."""
    sums: dict[int, int] = {}
    entries = LedgerEntry.objects.filter(
        payment_id=uuid_of(intent_id), account__dimension=account.code
    )
    for code, direction, minor in entries.values_list("account__code", "direction", "amount_minor"):
        sums[code] = sums.get(code, 0) + (minor if direction == "D" else -minor)
    return {code: minor for code, minor in sums.items() if minor}
