"""Celery doorbells of payments: one call each, named after the service. No logic.

The broker may lose or double any of these: each service takes its work from the database.
"""

from __future__ import annotations

from celery import shared_task

from payments.services import (
    daily_verification,
    deadlines,
    dispute_looks,
    dispute_reminders,
    dispute_responses,
    notifications,
    recovery,
    retention,
    reversals,
    spot_checks,
)
from payments.services.webhooks import forgetting


@shared_task
def resolve_due_operations() -> int:
    """Find out what became of operations whose check is due."""
    return recovery.resolve_due_operations()


@shared_task
def process_due_notifications() -> int:
    """Look at what PSPs have told us."""
    return notifications.process_due_notifications()


@shared_task
def reverse_due_charges() -> int:
    """Give back the charges that succeeded after their payment was over."""
    return reversals.reverse_due_charges()


@shared_task
def attend_due_deadlines() -> int:
    """Warn of holds that end, void and expire them, cancel what nobody comes back to."""
    return deadlines.attend_due_deadlines()


@shared_task
def forget_old_idempotency_keys() -> int:
    """Drop idempotency keys that are older than they must be kept."""
    return retention.forget_old_idempotency_keys()


@shared_task
def check_recent_payments() -> int:
    """Compare the payments that changed lately with the books."""
    return spot_checks.check_recent_payments()


@shared_task
def verify_books() -> int:
    """Go on with the daily verification of all of the books."""
    return daily_verification.verify_books()


@shared_task
def forget_old_deliveries() -> int:
    """Drop deliveries to webhook endpoints that ended long ago."""
    return forgetting.forget_old_deliveries()


@shared_task
def resolve_due_dispute_responses() -> int:
    """Find out what became of responses to disputes that nobody knows about."""
    return dispute_responses.resolve_due_responses()


@shared_task
def look_at_due_disputes() -> int:
    """Ask PSPs about open disputes, in case a notice was lost."""
    return dispute_looks.look_at_due_disputes()


@shared_task
def remind_of_due_evidence() -> int:
    """Tell merchants that the time for evidence is nearly over."""
    return dispute_reminders.remind_of_due_evidence()
