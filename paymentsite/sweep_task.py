"""Celery's task class: runs a task that is in the table of sweeps as a sweep.

Each task of an app stays one call of a service, and knows nothing of leases and last runs.
"""

from __future__ import annotations

from typing import Any

from celery import Task

from paymentsite.sweeps import BY_TASK


class SweepTask(Task):
    """Runs the task, under the lease of its sweep if it has one."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        sweep = BY_TASK.get(str(self.name))
        if sweep is None:
            return super().__call__(*args, **options)
        # Not at the top: this class is imported before Django's models are loaded.
        from paymentsite.sweep_runs import run_sweep

        return run_sweep(sweep, lambda: super(SweepTask, self).__call__(*args, **options))
