"""Reconciliation: what PSPs and banks report, held against our state and our books.

Will live here: settlement reports and their lines, payouts, matching (pure), breaks and the cases
that close them, exports for finance, the finance console. May not live here: a PSP's file format
(`psp_adapters`), a posting rule (`ledger`), a change of a payment's state (`payments.services`).
"""
