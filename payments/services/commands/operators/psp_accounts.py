"""Creates, changes, pauses, resumes and closes PSP accounts, and checks their credentials.

Each change is recorded in the audit trail, in its transaction; a refused one too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django_fsm import ConcurrentTransition, TransitionNotAllowed

from payments import sealing
from payments.models import PspAccount
from payments.models.audit import Act
from payments.services.audit.authors import Author
from payments.services.audit.configuration import about_account, record_account, state_of_account
from payments.services.audit.trail import refusals_recorded
from payments.services.cases.closing import require_rules
from payments.services.psp_gateway import accounts, credentials, terms
from payments.states import PspAccountStatus
from psp_adapters.registry import BadCredentials, UnknownPsp, capabilities_of


def create_psp_account(
    *,
    code: str,
    psp: str,
    livemode: bool,
    author: Author,
    given: Mapping[str, str] | None = None,
    **values: Any,
) -> PspAccount:
    """Create an account at a PSP: active with credentials that the PSP takes, paused without any.

    Raises ValidationError, and ValueError for an unknown PSP, wrong terms or credentials; nothing
    is stored then.
    """
    status = PspAccountStatus.PAUSED if given is None else PspAccountStatus.ACTIVE
    account = PspAccount(code=code, psp=psp, livemode=livemode, status=status)
    return _changed(Act.PSP_ACCOUNT_CREATE, account, given, values, author)


def change_psp_account(
    account: PspAccount,
    *,
    author: Author,
    given: Mapping[str, str] | None = None,
    **values: Any,
) -> PspAccount:
    """Change settings by column, and credentials by name; every process sees them within 5 s.

    Credentials that are not named stay, and an empty one is removed. Those of a paused account are
    checked with its PSP when it is resumed, all others now. Raises ValidationError, and ValueError
    for wrong terms or credentials; nothing is changed then.
    """
    return _changed(Act.PSP_ACCOUNT_CHANGE, account, given, values, author)


def pause_psp_account(account: PspAccount, *, author: Author) -> PspAccount:
    """Have it take no new charges; raises ValueError if it takes none already."""
    return _moved(Act.PSP_ACCOUNT_PAUSE, account, account.pause, author)


def resume_psp_account(account: PspAccount, *, author: Author) -> PspAccount:
    """Check its credentials with its PSP, and have it take new charges again.

    Raises ValueError, with the account as it was, if they are wrong or it is not paused.
    """
    if account.status == PspAccountStatus.PAUSED:
        with refusals_recorded(Act.PSP_ACCOUNT_RESUME, author, about_account(account)):
            credentials.require_working(account)
    return _moved(Act.PSP_ACCOUNT_RESUME, account, account.resume, author)


def close_psp_account(account: PspAccount, *, author: Author) -> PspAccount:
    """Have it never take a new charge again; raises ValueError if it is being closed already."""
    return _moved(Act.PSP_ACCOUNT_CLOSE, account, account.close, author)


def reseal_credentials(*, author: Author) -> int:
    """Encrypt all credentials anew with the first of our keys, so that the others can be removed.

    Returns of how many accounts. Raises ValueError if no present key decrypts some.
    """
    with transaction.atomic(durable=True):
        rows = list(
            PspAccount.objects.select_for_update(no_key=True)
            .exclude(sealed_credentials="")
            .order_by("code")
        )
        for row in rows:
            row.sealed_credentials = sealing.reseal(row.sealed_credentials)
            row.save(update_fields=["sealed_credentials"])
            unchanged = state_of_account(row)
            record_account(Act.PSP_ACCOUNT_RESEAL, row, before=unchanged, author=author)
    return len(rows)


def _changed(
    act: Act,
    account: PspAccount,
    given: Mapping[str, str] | None,
    values: Mapping[str, Any],
    author: Author,
) -> PspAccount:
    with refusals_recorded(act, author, about_account(account)):
        return _checked_and_saved(act, account, given, values, author)


def _checked_and_saved(
    act: Act,
    account: PspAccount,
    given: Mapping[str, str] | None,
    values: Mapping[str, Any],
    author: Author,
) -> PspAccount:
    for name, value in values.items():
        setattr(account, name, value)
    try:
        method_types = capabilities_of(account.psp).method_types
    except UnknownPsp:
        raise ValueError(f"there is no adapter for the PSP {account.psp}") from None
    # The status has a descriptor that refuses to be written, even as it is.
    account.full_clean(exclude=["status"])
    terms.require_terms(account, method_types=method_types)
    require_rules(account.rules_off)
    if given is None:
        return _saved(act, account, list(values), author)
    before = account.sealed_credentials
    changed = _set_credentials(account, given)
    with transaction.atomic(durable=True):
        # Two operators may change one credential each: the second begins anew.
        stored = _locked(account)
        if stored is not None and stored.sealed_credentials != before:
            raise _changed_meanwhile(account)
        return _saved(act, account, [*values, "sealed_credentials"], author, changed)


def _set_credentials(account: PspAccount, given: Mapping[str, str]) -> set[str]:
    """Seal the credentials, checked with the PSP; returns the names of those that differ."""
    try:
        present = credentials.open_credentials(account)
    except BadCredentials:  # There are none, or none that can be read: all must be given.
        present = {}
    merged = {name: value for name, value in {**present, **given}.items() if value != ""}
    account.sealed_credentials = credentials.seal_credentials(account.code, merged)
    if account.status == PspAccountStatus.PAUSED:
        credentials.connect(account)
    else:
        credentials.require_working(account)
    return {name for name, _ in merged.items() ^ present.items()}


def _moved(act: Act, account: PspAccount, move: Callable[[], None], author: Author) -> PspAccount:
    with refusals_recorded(act, author, about_account(account)):
        try:
            move()
        except TransitionNotAllowed:
            raise ValueError(f"the PSP account {account.code} is {account.status}") from None
        return _saved(act, account, ["status"], author)


def _saved(
    act: Act,
    account: PspAccount,
    fields: list[str],
    author: Author,
    changed_credentials: Collection[str] = (),
) -> PspAccount:
    """Write these columns alone, as another operator may change others meanwhile, and log it."""
    with transaction.atomic():
        stored = _locked(account)
        try:
            account.save(update_fields=None if stored is None else fields)
        except ConcurrentTransition:
            raise _changed_meanwhile(account) from None
        before = {} if stored is None else state_of_account(stored)
        record_account(act, account, before=before, author=author, credentials=changed_credentials)
        transaction.on_commit(partial(accounts.forget_row, account.id))
    return account


def _locked(account: PspAccount) -> PspAccount | None:
    """The account as it is stored, which nothing else changes until the commit; None: it is new."""
    return PspAccount.objects.select_for_update(no_key=True).filter(pk=account.pk).first()


def _changed_meanwhile(account: PspAccount) -> ValueError:
    return ValueError(f"the PSP account {account.code} has changed meanwhile: do it again")
