"""Settlement reports as they came, their lines, and what in our books each line is."""

from reconciliation.models.line import SettlementLine, SettlementMatch
from reconciliation.models.report import SettlementReport

__all__ = ["SettlementLine", "SettlementMatch", "SettlementReport"]
