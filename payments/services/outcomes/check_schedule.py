"""Schedules the next look-up of an operation whose outcome is open."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from payments.clock import now_utc
from payments.models import Operation
from payments.services.jobs import wakeups
from payments.states import OperationStatus

# Seconds until the next look-up, by the number made so far; then hourly (reliability rule 5.3).
CHECK_SCHEDULE_SECONDS: Final = (2, 5, 10, 20, 40, 120, 600, 3600)


def schedule_check(operation: Operation, look_in_seconds: float | None = None) -> None:
    """Set the next look-up, and end the present lease; the row must be locked.

    ±50 % jitter spreads operations that were lost together. `look_in_seconds` overrides all that.
    """
    step = min(operation.checks, len(CHECK_SCHEDULE_SECONDS) - 1)
    seconds = look_in_seconds or CHECK_SCHEDULE_SECONDS[step] * random.uniform(0.5, 1.5)
    operation.checks += 1
    operation.lease_until = now_utc()
    operation.next_check_at = operation.lease_until + timedelta(seconds=seconds)
    if operation.checks == 1 and operation.status == OperationStatus.UNKNOWN:
        # A client may wait for it: the first look-up does not wait for the next tick.
        wakeups.wake_in(wakeups.RESOLVE_OPERATIONS, seconds=seconds)
