"""Schedules the next look-up of an operation, and distrusts "not sent" from a sender that lost its
lease.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from payments.clock import now_utc
from payments.models import Operation
from payments.services.jobs import wakeups
from payments.states import OperationStatus
from psp_adapters.contract.disputes import DisputeResult
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.setups import SetupResult

R = TypeVar("R", PspResult, DisputeResult, SetupResult)

# Seconds until the next look-up, by the number made so far; then hourly. So there are six in the
# first 40 seconds: an outcome is to be known a minute after the PSP can be reached again, and a
# worker that is killed takes half of that minute (its lease).
CHECK_SCHEDULE_SECONDS: Final = (2, 3, 5, 5, 10, 15, 30, 60, 120, 600, 3600)


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


def unknown_if_lease_passed(
    result: R, *, sender_lease: datetime | None, lease_until: datetime
) -> R:
    """The result, or UNKNOWN if it says NOT_SENT and the sender's lease passed to another worker.

    That worker may have sent the same request meanwhile. `sender_lease` is the lease under which
    the request was sent, None if it was looked up; `lease_until` is the row's present one.
    """
    if result.outcome is not Outcome.NOT_SENT or sender_lease in (None, lease_until):
        return result
    detail = f"not sent by a sender whose lease was over: {result.detail}"
    return replace(result, outcome=Outcome.UNKNOWN, detail=detail)
