"""Reads PSP accounts: their settings, adapters and webhook secrets.

Rows are kept for a moment, and adapters as long as the credentials they were made from: every
process sees a change, or a pause, within SEEN_WITHIN_SECONDS.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from payments.models import PspAccount
from payments.services.psp_gateway import credentials
from psp_adapters import registry
from psp_adapters.contract.adapter import Capabilities, PspAdapter
from psp_adapters.registry import BadCredentials

SEEN_WITHIN_SECONDS: Final = 5.0
"""What is promised of a change, to operators."""
ROW_SECONDS = 3.0
"""A row is read again after this time. Longer than the API keeps what it knows of a key: that
brings newer rows, so that a payment costs no statement of its own for them."""

_rows: dict[UUID, tuple[float, PspAccount]] = {}
"""Rows by id, with the time (time.monotonic) from which each was read."""
_connected: dict[UUID, tuple[str, credentials.Connected]] = {}
"""What was made of the sealed credentials, by account."""


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """What never changes of an account."""

    id: UUID
    code: str
    psp: str


def psp_account_of(identifier: UUID) -> PspAccount:
    """The account as it was a moment ago; raises PspAccount.DoesNotExist."""
    known, now = _rows.get(identifier), time.monotonic()
    if known is not None and now < known[0] + ROW_SECONDS:
        return known[1]
    account = PspAccount.objects.get(pk=identifier)
    remember(account, read_at=now)
    return account


def remember(account: PspAccount, *, read_at: float) -> None:
    """Keep a row that was read for another purpose; `read_at` is from before it was read."""
    known = _rows.get(account.id)
    if known is None or known[0] < read_at:
        _rows[account.id] = (read_at, account)


def forget_row(identifier: UUID) -> None:
    """Read the account again at its next use, since this process has changed it."""
    _rows.pop(identifier, None)


@cache
def identity_of(identifier: UUID) -> AccountIdentity:
    """The code and PSP of an account, read once in the life of the process."""
    row = psp_account_of(identifier)
    return AccountIdentity(id=identifier, code=row.code, psp=row.psp)


@cache
def identity_of_code(account_code: str) -> AccountIdentity:
    """The account of a code, read once in the life of the process.

    Raises PspAccount.DoesNotExist.
    """
    return identity_of(PspAccount.objects.only("id").get(code=account_code).id)


def adapter_of(account: PspAccount | AccountIdentity) -> PspAdapter:
    """The adapter of an account, made of its present credentials.

    May read the row, so call it before the connection is given back. Raises BadCredentials.
    """
    return _connected_of(account.id).adapter


def capabilities_of(account_id: UUID) -> Capabilities:
    """What the PSP of an account can do."""
    return registry.capabilities_of(identity_of(account_id).psp)


def has_card_fields(account_id: UUID) -> bool:
    """Whether the account has all that the checkout page needs to show its PSP's card fields."""
    if not capabilities_of(account_id).hosted_fields:
        return False
    try:
        return _connected_of(account_id).adapter.has_card_fields()
    except BadCredentials:
        return False


def has_fields_for(account_id: UUID, method_type: str, *, keeps: bool) -> bool:
    """Whether fields of the account's PSP collect such a method on a page.

    `keeps`: whether the page keeps the method. Fields whose PSP stores it need that.
    """
    collected = capabilities_of(account_id).fields_collect
    if method_type not in collected or not has_card_fields(account_id):
        return False
    fields = _connected_of(account_id).adapter.card_fields
    return keeps or fields is None or not fields.stores


def webhook_secrets_of(account: AccountIdentity) -> tuple[str, ...]:
    """The secrets that an account's notifications may be signed with; empty if it sends none."""
    try:
        return _connected_of(account.id).webhook_secrets
    except BadCredentials:
        return ()


def _connected_of(account_id: UUID) -> credentials.Connected:
    """Made anew after the credentials changed; calls under way end with the old ones."""
    row = psp_account_of(account_id)
    known = _connected.get(account_id)
    if known is not None and known[0] == row.sealed_credentials:
        return known[1]
    made = credentials.connect(row)
    _connected[account_id] = (row.sealed_credentials, made)
    return made


def forget_accounts() -> None:
    """Read every account again, as a new process does (for tests)."""
    _rows.clear()
    _connected.clear()
    identity_of.cache_clear()
    identity_of_code.cache_clear()
