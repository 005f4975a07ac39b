"""Settlement reports and bank statements as they came, and what in our books each line is."""

from reconciliation.models.bank import BankAccount, BankLine, BankStatement, BankStatementFile
from reconciliation.models.closing import BooksClose
from reconciliation.models.expectation import (
    MissingSettlement,
    SettlementWatch,
    StatedBalance,
)
from reconciliation.models.export import ScheduledExport
from reconciliation.models.fetch import LookUpBudget, ReportFetch
from reconciliation.models.folder import WatchedFile
from reconciliation.models.line import SettlementLine, SettlementMatch, SettlementShare
from reconciliation.models.payout_sum import PayoutSum
from reconciliation.models.report import ReportChunk, SettlementReport, StagedLine
from reconciliation.models.variance import LineVariance

__all__ = [
    "MissingSettlement",
    "BankAccount",
    "BooksClose",
    "BankLine",
    "BankStatement",
    "BankStatementFile",
    "LineVariance",
    "LookUpBudget",
    "PayoutSum",
    "ReportChunk",
    "ReportFetch",
    "ScheduledExport",
    "SettlementLine",
    "SettlementMatch",
    "SettlementShare",
    "SettlementReport",
    "SettlementWatch",
    "StagedLine",
    "StatedBalance",
    "WatchedFile",
]
