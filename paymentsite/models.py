"""Stores when each sweep last ran, how it ended, and its lease."""

from __future__ import annotations

from django.db import models


class SweepRun(models.Model):
    """One row per sweep, kept up to date; written by `paymentsite.sweep_runs` alone."""

    application_rights = ("select", "insert", "update")

    name = models.CharField(primary_key=True, max_length=64)
    leased_until = models.DateTimeField(null=True, blank=True)
    """End of the present run's lease, by the database's clock; NULL if no run has it."""
    last_started_at = models.DateTimeField()
    last_finished_at = models.DateTimeField(null=True, blank=True)
    """When a run last succeeded."""
    last_result = models.CharField(max_length=200, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    runs = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)

    class Meta:
        db_table = "paymentsite_sweep_run"
        verbose_name = "sweep"

    def __str__(self) -> str:
        return self.name
