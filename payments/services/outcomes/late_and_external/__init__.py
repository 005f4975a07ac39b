"""Makes our books and rows agree with a PSP's snapshot of a payment.

That is how late outcomes, operations of the PSP's dashboard and expiries are recorded.
"""
