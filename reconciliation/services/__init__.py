"""What is done with settlement reports: fetched, stored as they came, read, and accounted for.

What may not live here: a PSP's file format, a change of a payment's state, a posting.
"""
