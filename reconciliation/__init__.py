"""Reconciliation: what PSPs report, held against our state and our books.

It stores settlement reports, reads their lines, and matches each with our operations and ledger
transactions. It posts nothing itself; a payment changes by `payments.services` only.
"""
