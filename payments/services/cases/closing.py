"""The closed list of rules by which the platform closes a case by itself.

Each closes a case whose cause is gone, moves no money, and is counted. It can be switched off for a
PSP account: then an operator closes such cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from django.db.models import TextChoices

from payments.metrics import CASES_CLOSED_BY_RULE
from payments.models import PspAccount
from payments.services.cases.opening import close_open_case
from payments.states import CaseKind


class ClosingRule(TextChoices):
    """Why a case is closed without an operator."""

    LATE_LINE = "late_line", "The settlement line came and matched, or none is expected any more."
    REPORT_CAME = "report_came", "A settlement report came of an account that had none."
    LINE_MATCHED = "line_matched", "A settlement line that was given up was requeued and matched."
    BANK_LINE_MATCHED = "bank_line_matched", "A bank line that was given up is a payout after all."
    PAYOUT_ON_BANK = "payout_on_bank", "A payout came to the bank, or back before it got there."
    BALANCE_AGREES = "balance_agrees", "The balance that the PSP states is that of our books again."
    PAYOUT_ADDS_UP = "payout_adds_up", "The lines of a payout add up to it by now."
    STATEMENT_CAME = "statement_came", "A bank statement that was missing is here."


_counted: Final[ContextVar[Counter[str] | None]] = ContextVar("closings", default=None)


@contextmanager
def counted_closings() -> Iterator[Counter[str]]:
    """How many cases each rule closes meanwhile in this thread, for the report of a run."""
    counts: Counter[str] = Counter()
    token = _counted.set(counts)
    try:
        yield counts
    finally:
        _counted.reset(token)


def close_by_rule(
    rule: ClosingRule, account: PspAccount | None, kind: CaseKind, subject: str, *, resolution: str
) -> bool:
    """Close the open case of this kind and subject in the caller's transaction, if there is one.

    Leaves it open if the rule is switched off for the account. Returns whether it was closed. What
    is of no PSP account, such as a bank statement, has no switch.
    """
    if account is not None and rule in account.rules_off:
        return False
    is_closed = close_open_case(kind, subject, actor=f"rule:{rule}", resolution=resolution)
    if is_closed:
        CASES_CLOSED_BY_RULE.labels(account.code if account else "", rule.value).inc()
        counts = _counted.get()
        if counts is not None:
            counts[rule.value] += 1
    return is_closed


def require_rules(names: list[str]) -> None:
    """Refuse with ValueError what is no rule."""
    unknown = [name for name in names if name not in ClosingRule.values]
    if unknown:
        known = ", ".join(ClosingRule.values)
        raise ValueError(f"rules_off: {', '.join(unknown)} is no rule; there are {known}")
