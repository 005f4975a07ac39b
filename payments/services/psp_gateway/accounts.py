"""PSP accounts: their rows, adapters and webhook secrets."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from django.conf import settings

from payments.models import PspAccount
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.registry import adapter_for


@cache
def psp_account_of(identifier: UUID) -> PspAccount:
    """The account, remembered for the life of the process: its code and PSP never change.

    Another settlement delay counts once the processes are restarted.
    """
    return PspAccount.objects.get(pk=identifier)


def adapter_of(account: PspAccount) -> PspAdapter:
    """The adapter of an account, with the credentials that the settings hold for its code."""
    return adapter_for(account.psp, settings.PSP_CREDENTIALS[account.code])


@cache
def psp_of(account_code: str) -> str:
    """The name of the PSP behind an account's code, which never changes.

    Raises PspAccount.DoesNotExist.
    """
    return PspAccount.objects.only("psp").get(code=account_code).psp


def webhook_secrets_of(account_code: str) -> tuple[str, ...]:
    """What notifications of an account may be signed with; empty: it sends us none."""
    credentials = settings.PSP_CREDENTIALS.get(account_code, {})
    joined = credentials.get("webhook_secrets", "")
    return tuple(joined.split(",")) if joined else ()
