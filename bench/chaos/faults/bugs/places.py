"""The places in the product where a bug is planted: a module or class, and a name in it.

Bugs replace private names on purpose: each imitates a mistake in that very code. If you rename one
of these, rename it here too; a test fails while one of them does not exist.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from payments import tasks
from payments.services.commands import create_and_confirm, failover
from payments.services.commands import transaction as first_transaction
from payments.services.idempotency import keys
from payments.services.merchant_webhooks import fan_out
from payments.services.operations import execution
from payments.services.outcomes import change, recording
from payments.services.outcomes.late_and_external import adopt
from payments.services.psp_gateway import sending
from payments.services.psp_notifications import receiving
from payments.services.recovery import resolution, sweep
from psp_adapters.contract import signed_notifications
from reconciliation.services.matching import dispute_lines, operation_lines


class Place(NamedTuple):
    """A name in a module or class, as the code looks it up when it runs."""

    owner: Any
    name: str

    def exists(self) -> bool:
        """Whether the product has this name."""
        return hasattr(self.owner, self.name)

    def original(self) -> Any:
        """What the product has there; raises AttributeError if it has nothing."""
        return getattr(self.owner, self.name)

    def plant(self, replacement: object) -> None:
        """Replace it, in this process alone; raises AttributeError if there is nothing."""
        if not self.exists():
            raise AttributeError(f"{self} is gone: name the place where the code is now")
        setattr(self.owner, self.name, replacement)

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


PSP_REQUEST: Final = Place(sending, "request_of")
PSP_CALL: Final = Place(sending, "send")
FIND_OUT_OUTCOME: Final = Place(resolution.Resolution, "find_out")
START_CHARGE: Final = Place(create_and_confirm, "_start")
LOCK_INTENT: Final = Place(first_transaction, "locked_intent")
POST_TO_LEDGER: Final = Place(change, "_post")
CLAIM_KEY: Final = Place(keys, "claim")
EXECUTE_OPERATION: Final = Place(execution, "execute")
RECOVERY_TASK: Final = Place(tasks.recovery_sweep, "resolve_due_operations")
PREPARE_NEXT_ACCOUNT: Final = Place(failover.Failover, "after")
MAY_BE_CHARGED_ELSEWHERE: Final = Place(recording, "may_be_charged_elsewhere")
IS_SENT_AGAIN: Final = Place(recording, "never_reached_psp")
SCHEDULE_AFTER_RESULT: Final = Place(recording, "schedule_check")
SCHEDULE_AFTER_LOOK_UP: Final = Place(sweep, "schedule_check")
CLAIM_EVENTS: Final = Place(fan_out, "_claim")
WAITS_IN_ORDER: Final = Place(fan_out, "_waits")
INSERT_NOTIFICATION: Final = Place(receiving, "_insert_new")
VERIFY_NOTIFICATION: Final = Place(signed_notifications, "require_signed")
SYNC_DISPUTE_OF_LINE: Final = Place(dispute_lines, "_sync_with_psp")
SYNC_OPERATION_OF_LINE: Final = Place(operation_lines, "sync_operation")
SYNC_PAYMENT_OF_LINE: Final = Place(operation_lines, "sync_payment")

BALANCE_HOLD: Final = Place(adopt, "balance_hold")

PLACES: Final = tuple(each for each in vars().values() if isinstance(each, Place))
