"""Settlement reports as they came, their lines, and what in our books each line is."""

from reconciliation.models.expectation import MissingSettlement, SettlementWatch
from reconciliation.models.fetch import ReportFetch
from reconciliation.models.line import SettlementLine, SettlementMatch
from reconciliation.models.report import ReportBody, SettlementReport

__all__ = [
    "MissingSettlement",
    "ReportBody",
    "ReportFetch",
    "SettlementLine",
    "SettlementMatch",
    "SettlementReport",
    "SettlementWatch",
]
