"""Celery doorbells of payments: one call each, named after the service. No logic.

The broker may lose or double any of these: each service takes its work from the database.
"""

from __future__ import annotations

from celery import shared_task

from payments.services.automatic_actions import late_success_reversals
from payments.services.automatic_actions import sweep as action_sweep
from payments.services.disputes import reminders, responses, sync
from payments.services.idempotency import retention
from payments.services.merchant_webhooks import retention as delivery_retention
from payments.services.psp_notifications import processing
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification import daily, recent


@shared_task
def resolve_due_operations() -> int:
    """Find out what became of operations whose check is due."""
    return recovery_sweep.resolve_due_operations()


@shared_task
def process_due_notifications() -> int:
    """Look at what PSPs have told us."""
    return processing.process_due_notifications()


@shared_task
def reverse_due_charges() -> int:
    """Give back the charges that succeeded after their payment was over."""
    return late_success_reversals.reverse_due_charges()


@shared_task
def act_on_due_deadlines() -> int:
    """Warn of holds that end, void and expire them, cancel what nobody comes back to."""
    return action_sweep.act_on_due_deadlines()


@shared_task
def forget_old_idempotency_keys() -> int:
    """Drop idempotency keys that are older than they must be kept."""
    return retention.forget_old_idempotency_keys()


@shared_task
def check_recent_payments() -> int:
    """Compare the payments that changed lately with the books."""
    return recent.check_recent_payments()


@shared_task
def verify_books() -> int:
    """Go on with the daily verification of all of the books."""
    return daily.verify_books()


@shared_task
def forget_old_deliveries() -> int:
    """Drop deliveries to webhook endpoints that ended long ago."""
    return delivery_retention.forget_old_deliveries()


@shared_task
def resolve_due_dispute_responses() -> int:
    """Find out what became of responses to disputes that nobody knows about."""
    return responses.resolve_due_responses()


@shared_task
def sync_due_disputes() -> int:
    """Ask PSPs about open disputes, in case a notice was lost."""
    return sync.sync_due_disputes()


@shared_task
def remind_of_due_evidence() -> int:
    """Tell merchants that the time for evidence is nearly over."""
    return reminders.remind_of_due_evidence()
