"""Celery's task class of this house: a task that the table of sweeps names runs as a sweep.

So the tasks of the apps stay one call each, and no app below knows of leases and last runs.
"""

from __future__ import annotations

from typing import Any

from celery import Task

from paymentsite.sweeps import BY_TASK


class SweepTask(Task):
    """Runs as it is, or under the lease of its sweep."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        sweep = BY_TASK.get(str(self.name))
        if sweep is None:
            return super().__call__(*args, **options)
        # Not above: this class is needed before Django's models are there.
        from paymentsite.sweep_runs import run_sweep

        return run_sweep(sweep, lambda: super(SweepTask, self).__call__(*args, **options))
