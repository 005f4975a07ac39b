"""Reconciliation: what PSPs report, held against our state and our books.

Here live settlement reports, their lines, and what in our books each line is. May not live here: a
PSP's file format (`psp_adapters`), a posting rule (`ledger`), a change of a payment's state
(`payments.services`).
"""
