"""When an operation is looked at next. What may not live here: looking."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from payments.clock import now_utc
from payments.models import Operation
from payments.services.jobs import wakeups
from payments.states import OperationStatus

# Seconds until the next look, by the number of looks taken; then hourly (reliability rule 5.3).
CHECK_SCHEDULE_SECONDS: Final = (2, 5, 10, 20, 40, 120, 600, 3600)


def schedule_check(operation: Operation, look_in_seconds: float | None = None) -> None:
    """When to look next, with ±50 % jitter so that many lost operations do not come at once.

    With `look_in_seconds`, whoever asked knows better. The row must be locked.
    """
    step = min(operation.checks, len(CHECK_SCHEDULE_SECONDS) - 1)
    seconds = look_in_seconds or CHECK_SCHEDULE_SECONDS[step] * random.uniform(0.5, 1.5)
    operation.checks += 1
    operation.lease_until = now_utc()  # Whoever asked is done; the next to look may take it.
    operation.next_check_at = operation.lease_until + timedelta(seconds=seconds)
    if operation.checks == 1 and operation.status == OperationStatus.UNKNOWN:
        # Somebody may wait for it: the first look comes when it is due, not at the next tick.
        wakeups.ring_in(wakeups.RESOLVE_OPERATIONS, seconds=seconds)
