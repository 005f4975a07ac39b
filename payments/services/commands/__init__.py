"""The verbs of API, jobs and console: each checks and writes in transaction 1, then executes.

A verb takes a CommandRequest and returns a CommandResult. PSP names, postings and HTTP do not
belong here.
"""

from payments.services.commands.answer_dispute import close_dispute, update_dispute
from payments.services.commands.cancel import cancel_payment
from payments.services.commands.capture import capture_payment, increment_authorization
from payments.services.commands.create_and_confirm import confirm_intent, create_intent
from payments.services.commands.intent_details import Confirmation, IntentDetails
from payments.services.commands.refund import refund_payment, update_refund
from payments.services.commands.update import update_intent

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
