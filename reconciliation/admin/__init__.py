"""Read-only console pages of settlement reports, bank statements and lines; one module per noun.

Adds the settlement lines to the story of a payment, which knows nothing of reports.
"""

from payments.admin.story import STORY_SECTIONS, SectionOfApp
from reconciliation.admin import bank, expectation, line, report

__all__ = ["bank", "expectation", "line", "report"]

STORY_SECTIONS.append(
    SectionOfApp(permission="reconciliation.view_settlementline", build=line.settlement_of_payment)
)
