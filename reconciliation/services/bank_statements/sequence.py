"""The sequence of a bank account's statements: what is missing, and what follows on one day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import F

from payments.models import Case
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import case_about_bank, open_case
from payments.states import CaseKind, CaseStatus
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import BankAccount, BankStatement

_GAP: Final = "FILE_GAP before statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What of a statement says where in the sequence it is."""

    reference: str
    number: int | None
    opened_on: date
    closed_on: date
    opening_minor: int
    closing_minor: int


def gaps_in(links: Sequence[Link]) -> list[Link]:
    """The statements that others are missing before; `links` are in order of day and number.

    A statement continues the ones before it by its balance and, in one year, by its number; or it
    overlaps them.
    """
    gaps = []
    latest = links[:1]
    number = links[0].number if links else None
    for link in links[1:]:
        day = latest[0].closed_on
        if link.closed_on.year != day.year:
            number = None  # The sequence begins again.
        skips = number is not None and link.number is not None and link.number > number + 1
        continues = any(each.closing_minor == link.opening_minor for each in latest)
        if skips or not (continues or link.opened_on <= day):
            gaps.append(link)
        number = max((n for n in (number, link.number) if n is not None), default=None)
        latest = [*latest, link] if link.closed_on == day else [link]
    return gaps


def links_of(account: BankAccount) -> list[Link]:
    """All statements of an account, in order of day and number."""
    names = tuple(Link.__dataclass_fields__)
    rows = BankStatement.objects.filter(bank_account=account)
    ordered = rows.order_by("closed_on", F("number").asc(nulls_first=True), "stored_at")
    return [Link(**dict(zip(names, row, strict=True))) for row in ordered.values_list(*names)]


def update_gap_cases(account: BankAccount) -> None:
    """Open a case for each gap, and close those of gaps that are filled."""
    found = {_subject(account, link): link for link in gaps_in(links_of(account))}
    for subject, link in found.items():
        summary = (
            f"FILE_GAP: a statement of {account} is missing before {link.reference} of "
            f"{link.closed_on}. Import it; what is here counts."
        )
        code = Discrepancy.FILE_GAP
        open_case(case_about_bank(subject, summary, discrepancy=code, livemode=account.livemode))
    opened = Case.objects.filter(
        kind=CaseKind.BANK_DIFFERS.value,
        status=CaseStatus.OPEN,
        subject__startswith=f"{_GAP} {account.number} ",
    )
    filled = set(opened.values_list("subject", flat=True)) - set(found)
    resolution = "The statement that was missing is here."
    for subject in sorted(filled):
        close_by_rule(
            ClosingRule.STATEMENT_CAME,
            None,
            CaseKind.BANK_DIFFERS,
            subject,
            resolution=resolution,
        )


def equal_lines_beside(statement: BankStatement) -> Counter[str]:
    """By identity: the lines of statements that came directly before or after it on its days.

    They are other lines than its own even if they are equal. Statements follow one another if
    their numbers and their balances do.
    """
    rows = BankStatement.objects.filter(
        bank_account=statement.bank_account_id,
        number__isnull=False,
        closed_on__gte=statement.opened_on,
        opened_on__lte=statement.closed_on,
    ).exclude(pk=statement.pk)
    beside = list(rows.order_by("stored_at"))
    before = _chain(statement, beside, is_next=_precedes)
    after = _chain(statement, beside, is_next=lambda one, other: _precedes(other, one))
    return Counter(identity for each in (*before, *after) for identity in each.identities)


def _chain(
    statement: BankStatement,
    beside: Iterable[BankStatement],
    *,
    is_next: Callable[[BankStatement, BankStatement], bool],
) -> list[BankStatement]:
    left, chain, end = list(beside), [], statement
    while (found := next((each for each in left if is_next(each, end)), None)) is not None:
        left.remove(found)
        chain.append(found)
        end = found
    return chain


def _precedes(one: BankStatement, other: BankStatement) -> bool:
    return (
        one.number is not None
        and other.number == one.number + 1
        and one.closing_minor == other.opening_minor
        and one.closed_on <= other.opened_on
    )


def _subject(account: BankAccount, link: Link) -> str:
    return f"{_GAP} {account.number} {link.closed_on} {link.reference}"[:128]
