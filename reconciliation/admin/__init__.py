"""Read-only console pages of settlement reports, bank statements and lines; one module per noun.

Adds the settlement lines to the story of a payment, and the remainder to the page of a PSP account,
which know nothing of reports.
"""

from payments.admin.story import (
    ACCOUNT_SECTIONS,
    STORY_SECTIONS,
    SectionOfAccount,
    SectionOfApp,
)
from reconciliation.admin import bank, closing, expectation, line, report, variance

__all__ = ["bank", "closing", "expectation", "line", "report", "variance"]

STORY_SECTIONS.append(
    SectionOfApp(permission="reconciliation.view_settlementline", build=line.settlement_of_payment)
)
ACCOUNT_SECTIONS.append(
    SectionOfAccount(
        permission="reconciliation.view_settlementline", build=expectation.remainder_of_account
    )
)
