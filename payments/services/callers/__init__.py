"""Callers: the merchant and mode that something is done for, and by whom."""

from payments.services.callers.caller import for_endpoint, for_intent, for_operation

__all__ = ["for_endpoint", "for_intent", "for_operation"]
