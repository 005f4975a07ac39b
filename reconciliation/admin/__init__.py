"""The tables of reconciliation in the console, to read and to search; one module per noun.

What may not live here: anything that changes a row.
"""

from reconciliation.admin import line, report

__all__ = ["line", "report"]
