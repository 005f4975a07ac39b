"""Calls to a PSP: accounts, sending, look-ups, circuit breaker, bulkhead, retries. Not what a
result means.
"""
