"""Closes days of the books, and checks that their balances stay as they were."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db import transaction

from ledger.account_statements import trial_balance
from ledger.periods import close_days, closed_through
from ledger.seal_verification import head_of_chain
from ledger.seals import seal_rows
from payments.clock import now_utc
from payments.models import Act, PspAccount
from payments.services.audit.authors import Author, required_author
from payments.services.audit.trail import AuditSubject, record_act, refusals_recorded
from payments.services.verification.rebuild import one_snapshot
from psp_adapters.contract.stored_text import clean_text
from reconciliation.models import BooksClose
from reconciliation.services.closing.open_points import end_of_day, open_points

NO_PSP_ACCOUNT: Final = ""
"""The code under which days are closed of what is posted for no PSP account."""


class CloseRefused(ValueError):
    """The day cannot be closed, or not without saying so; says why."""


@dataclass(frozen=True, slots=True)
class Balances:
    """All balances of the books at the end of a day."""

    accounts: int
    sha256: str


def every_code() -> list[str]:
    """Every part of the books that is closed for itself: PSP accounts, and what is of none."""
    return [NO_PSP_ACCOUNT, *PspAccount.objects.order_by("code").values_list("code", flat=True)]


def close_books(
    through: date,
    *,
    author: Author,
    codes: Collection[str] = (),
    despite_open_points: bool = False,
    before_its_end: bool = False,
) -> BooksClose | None:
    """Close all days up to and including this one, of these PSP accounts or of all.

    From then on PostgreSQL refuses a posting for them, and what is posted late counts for the next
    day. Returns None if they are closed already. May be called again after a crash. Raises
    CloseRefused; UnknownAuthor; ledger.periods.DayNotOver; BooksDoNotBalance.
    """
    chosen = sorted(codes) or every_code()
    about = AuditSubject(label=f"books through {through}")
    with refusals_recorded(Act.BOOKS_CLOSE, author, about):
        required_author(author)
        _require_known(chosen)
        if through > now_utc().date():
            raise CloseRefused(f"{through} has not begun (UTC): close it once it is over")
        if not before_its_end and now_utc() < end_of_day(through):
            raise CloseRefused(f"{through} is not over (UTC): close it tomorrow, or before its end")
        points = [point for code in chosen for point in open_points(code, through)]
        if points and not despite_open_points:
            raise CloseRefused(f"open at the end of {through}: {'; '.join(points)}")
        to_close = [code for code in chosen if not _is_closed(code, through)]
        if not to_close and BooksClose.objects.filter(through__gte=through).exists():
            return None
        for code in to_close:
            close_days(code, through)
        seal_rows()
        return _recorded(through, chosen, points, author, about)


def _recorded(
    through: date, codes: list[str], points: list[str], author: Author, about: AuditSubject
) -> BooksClose:
    with one_snapshot():
        balances = balances_at(through)
    head = head_of_chain() or {"number": 0, "sha256": ""}
    with transaction.atomic():
        row = BooksClose.objects.create(
            through=through,
            psp_accounts=codes,
            author=author.name,
            reason=clean_text(author.reason, most=1000),
            open_points=points,
            accounts_count=balances.accounts,
            balances_sha256=balances.sha256,
            head_number=head["number"],
            head_sha256=head["sha256"],
            closed_at=now_utc(),
        )
        changes = {
            "psp_accounts": {"after": codes},
            "open_points": {"after": points},
            "balances_sha256": {"after": balances.sha256},
        }
        record_act(Act.BOOKS_CLOSE, author, about, changes)
    return row


def balances_at(day: date) -> Balances:
    """Add up the books at the end of a day, inside `one_snapshot`; raises BooksDoNotBalance."""
    digest, count = hashlib.sha256(), 0
    for line in trial_balance(day, day):
        if line.closing:
            account = line.account
            digest.update(
                f"{account.code}|{account.dimension}|{account.currency}|"
                f"{line.closing.minor}\n".encode()
            )
            count += 1
    return Balances(count, digest.hexdigest())


def close_differences() -> Iterator[str]:
    """A sentence if the balances of the newest close of all the books are not those of then.

    Call it inside `one_snapshot`.
    """
    newest = BooksClose.objects.order_by("-closed_at")
    row = next((each for each in newest if _is_whole(each)), None)
    if row is not None and balances_at(row.through).sha256 != row.balances_sha256:
        yield (
            f"the books through {row.through} are not what they were when {row.author} closed them "
            f"{row.closed_at:%Y-%m-%d %H:%M} UTC"
        )


def _is_whole(row: BooksClose) -> bool:
    """Was every part of the books closed that has postings for these days, and still is?"""
    before = PspAccount.objects.filter(created_at__lte=row.closed_at)
    parts = {NO_PSP_ACCOUNT, *before.values_list("code", flat=True)}
    return parts <= set(row.psp_accounts) and all(
        _is_closed(code, row.through) for code in row.psp_accounts
    )


def _is_closed(code: str, through: date) -> bool:
    before = closed_through(code)
    return before is not None and through <= before


def _require_known(codes: Collection[str]) -> None:
    unknown = sorted(set(codes) - set(every_code()))
    if unknown:
        raise CloseRefused(f"no PSP account {', '.join(unknown)}")
