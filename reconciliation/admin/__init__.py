"""Read-only console pages of settlement reports and lines; one module per noun."""

from reconciliation.admin import line, report

__all__ = ["line", "report"]
