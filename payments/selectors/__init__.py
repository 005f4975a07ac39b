"""Reads of payments on behalf of one merchant and mode: one by id, lists, the balance.

Everything is scoped: another merchant's object is as missing as one that never was. What may not
live here: writes, rendering, HTTP.
"""
