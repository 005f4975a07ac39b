"""The verbs of API, jobs and console: each checks and writes in transaction 1, then executes.

A verb takes a CommandRequest and returns a CommandResult. PSP names, postings and HTTP do not
belong here.
"""

from payments.services.commands.answer_dispute import close_dispute as close_dispute
from payments.services.commands.answer_dispute import update_dispute as update_dispute
from payments.services.commands.cancel import cancel_payment as cancel_payment
from payments.services.commands.capture import capture_payment as capture_payment
from payments.services.commands.capture import increment_authorization as increment_authorization
from payments.services.commands.create_and_confirm import confirm_intent as confirm_intent
from payments.services.commands.create_and_confirm import create_intent as create_intent
from payments.services.commands.intent_details import Confirmation as Confirmation
from payments.services.commands.intent_details import IntentDetails as IntentDetails
from payments.services.commands.refund import cancel_refund as cancel_refund
from payments.services.commands.refund import refund_payment as refund_payment
from payments.services.commands.refund import update_refund as update_refund
from payments.services.commands.setups.intents import cancel_setup_intent as cancel_setup_intent
from payments.services.commands.setups.intents import confirm_setup_intent as confirm_setup_intent
from payments.services.commands.setups.intents import create_setup_intent as create_setup_intent
from payments.services.commands.setups.intents import update_setup_intent as update_setup_intent
from payments.services.commands.update import update_intent as update_intent
