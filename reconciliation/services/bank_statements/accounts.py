"""Our bank accounts: which there are, and which PSP accounts pay out to each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from django.db import transaction

from ledger.money import currency_exponent
from payments.clock import now_utc
from payments.models import Act, PspAccount
from payments.services.audit.authors import Author
from payments.services.audit.trail import (
    AuditSubject,
    differences,
    record_act,
    refusals_recorded,
)
from reconciliation.models import BankAccount
from reconciliation.services.bank_statements.contents import StatementUnreadable, normalized_number

_NUMBER: Final = re.compile(r"[0-9A-Z/-]{4,34}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
_CURRENCY_LENGTH: Final = 3


def add_bank_account(
    *,
    number: str,
    currency: str,
    psp_accounts: Sequence[str],
    payouts_since: date,
    author: Author,
) -> BankAccount:
    """Add an account, or change which PSP accounts pay out to it and since when.

    The audit trail has it.

    Refuses with ValueError a number that is none, an unknown currency or PSP account, PSP accounts
    of both modes, and another currency or mode for a known account.
    """
    number = normalized_number(number)
    about = AuditSubject(label=number or "-")
    with refusals_recorded(Act.BANK_ACCOUNT_ADD, author, about):
        return _added(number, currency, psp_accounts, payouts_since, author)


def _added(
    number: str, currency: str, psp_accounts: Sequence[str], payouts_since: date, author: Author
) -> BankAccount:
    _require_number(number)
    currency_exponent(currency)
    found = {each.code: each for each in PspAccount.objects.filter(code__in=psp_accounts)}
    unknown = sorted(set(psp_accounts) - set(found))
    if unknown or not found:
        raise ValueError(f"no PSP account {', '.join(unknown) or 'is named'}")
    modes = {each.livemode for each in found.values()}
    if len(modes) > 1:
        raise ValueError("PSP accounts of test mode and of live mode pay out to separate accounts")
    livemode = modes.pop()
    with transaction.atomic(durable=True):
        account, is_new = BankAccount.objects.select_for_update().get_or_create(
            number=number,
            defaults={
                "currency": currency,
                "livemode": livemode,
                "psp_accounts": sorted(found),
                "payouts_since": payouts_since,
                "added_at": now_utc(),
            },
        )
        before = {} if is_new else _state_of(account)
        if not is_new:
            if account.currency != currency or account.livemode != livemode:
                raise ValueError(f"{account} has another currency or mode")
            account.psp_accounts, account.payouts_since = sorted(found), payouts_since
            account.save(update_fields=["psp_accounts", "payouts_since"])
        about = AuditSubject(label=number, object_id=account.pk, livemode=livemode)
        changes = differences(before, _state_of(account))
        record_act(Act.BANK_ACCOUNT_ADD, author, about, changes)
    return account


def _state_of(account: BankAccount) -> dict[str, Any]:
    return {
        "currency": account.currency,
        "psp_accounts": account.psp_accounts,
        "payouts_since": account.payouts_since.isoformat(),
    }


def account_named(said: str, currency: str) -> BankAccount:
    """The account that a statement names; raises StatementUnreadable if it is none of ours.

    Some banks write the currency behind the number.
    """
    number = normalized_number(said)
    names = [number]
    if number.endswith(currency):
        names.append(number[:-_CURRENCY_LENGTH])
    account = BankAccount.objects.filter(number__in=names, currency=currency).first()
    if account is None:
        raise StatementUnreadable(
            f"{number} in {currency} is no bank account of ours: add it with --add"
        )
    return account


def _require_number(number: str) -> None:
    if not _NUMBER.fullmatch(number):
        raise ValueError("the number of a bank account has 4 to 34 letters and digits")
    if _IBAN.fullmatch(number):
        digits = "".join(str(int(each, 36)) for each in number[4:] + number[:4])
        if int(digits) % 97 != 1:
            raise ValueError("the check digits of this IBAN are wrong")
