"""Callers: the merchant and mode that a command runs for, and the actor that gave it."""

from payments.services.callers.caller import for_balance as for_balance
from payments.services.callers.caller import for_endpoint as for_endpoint
from payments.services.callers.caller import for_intent as for_intent
from payments.services.callers.caller import for_operation as for_operation
from payments.services.callers.caller import for_setup as for_setup
