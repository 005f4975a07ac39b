"""The verbs: what API, console and jobs may do. Each checks, writes down, carries out.

What may not live here: PSP names, postings, HTTP.
"""

from payments.services.commands.cancels import cancel_payment
from payments.services.commands.captures import capture_payment, increment_authorization
from payments.services.commands.charges import confirm_intent, create_intent
from payments.services.commands.details import Confirmation, IntentDetails
from payments.services.commands.disputes import close_dispute, update_dispute
from payments.services.commands.refunds import refund_payment, update_refund
from payments.services.commands.updates import update_intent

__all__ = [
    "Confirmation",
    "IntentDetails",
    "cancel_payment",
    "capture_payment",
    "close_dispute",
    "confirm_intent",
    "create_intent",
    "increment_authorization",
    "refund_payment",
    "update_dispute",
    "update_intent",
    "update_refund",
]
