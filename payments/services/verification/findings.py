"""Reports the findings of a verification: an alert in the log each, and a case for an operator.

A verification goes on after a finding. The case and its alert stay until an operator closes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from ledger.money import CURRENCY_EXPONENTS, Money
from payments.models import Case, PaymentIntent
from payments.services.cases.opening import case_about_books, case_about_intent, open_case
from payments.states import CaseKind

logger = logging.getLogger(__name__)

CASES_MAX: Final = 100
"""Cases opened per report; the next pass opens others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about something that does not agree."""

    subject: str
    """What it is about: a payment's public id, or the name of an invariant."""
    sentence: str
    intent: PaymentIntent | None = None


def report(findings: Iterable[Finding]) -> int:
    """Log each, and open a case per subject unless one is open; returns how many there were."""
    count = 0
    firsts: dict[str, Finding] = {}
    for finding in findings:
        count += 1
        if finding.intent is None:
            logger.error("alert: the books do not hold: %s", finding.sentence)
        else:
            logger.error("alert: the books and a payment differ: %s", finding.sentence)
        firsts.setdefault(finding.subject, finding)
    if firsts:
        with transaction.atomic(durable=True):
            for finding in list(firsts.values())[:CASES_MAX]:
                open_case(_case_of(finding))
    return count


def _case_of(finding: Finding) -> Case:
    intent = finding.intent
    if intent is None or intent.currency not in CURRENCY_EXPONENTS:
        return case_about_books(finding.subject, finding.sentence)
    amount = Money(intent.amount_minor, intent.currency)
    return case_about_intent(CaseKind.BOOKS_DIFFER, intent, finding.sentence, amount=amount)
