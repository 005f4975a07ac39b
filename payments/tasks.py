"""Celery tasks of payments: one call each, named after the service. No logic.

The broker may lose or repeat any of these: each service takes its work from the database.
"""

from __future__ import annotations

from celery import shared_task

from payments.services.approvals import decisions
from payments.services.automatic_actions import (
    balance_announcements,
    expired_sessions,
    late_success_reversals,
    months,
    retention,
)
from payments.services.automatic_actions import sweep as action_sweep
from payments.services.disputes import reminders, responses, sync
from payments.services.psp_notifications import processing
from payments.services.recovery import setups as setup_recovery
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification import daily, recent


@shared_task
def resolve_due_operations() -> int:
    """Find out the outcomes of operations whose check is due."""
    return recovery_sweep.resolve_due_operations()


@shared_task
def process_due_notifications() -> int:
    """Process the PSP notifications that are due."""
    return processing.process_due_notifications()


@shared_task
def reverse_due_charges() -> int:
    """Void or refund charges that succeeded after their payment had ended."""
    return late_success_reversals.reverse_due_charges()


@shared_task
def act_on_due_deadlines() -> int:
    """Warn of holds that expire, void or sync them, and cancel abandoned payments."""
    return action_sweep.act_on_due_deadlines()


@shared_task
def expire_due_sessions() -> int:
    """Expire checkout sessions whose time is over."""
    return expired_sessions.expire_due_sessions()


@shared_task
def expire_due_approvals() -> int:
    """End requests for approval that were not decided in time."""
    return decisions.expire_due_approvals()


@shared_task
def purge_old_idempotency_keys() -> int:
    """Delete idempotency keys that are older than they must be kept."""
    return retention.purge_old_idempotency_keys()


@shared_task
def check_recent_payments() -> int:
    """Compare the payments that changed lately with the books."""
    return recent.check_recent_payments()


@shared_task
def verify_books() -> int:
    """Continue the daily verification of all books."""
    return daily.verify_books()


@shared_task
def purge_old_deliveries() -> int:
    """Delete deliveries to webhook endpoints that ended long ago."""
    return retention.purge_old_deliveries()


@shared_task
def announce_balances() -> int:
    """Tell merchants that pending money has become available."""
    return balance_announcements.announce_balances()


@shared_task
def make_months() -> int:
    """Make the next months of tables that are partitioned."""
    return months.make_months()


@shared_task
def resolve_due_dispute_responses() -> int:
    """Find out unknown outcomes of dispute responses."""
    return responses.resolve_due_responses()


@shared_task
def sync_due_disputes() -> int:
    """Sync open disputes, in case a notification was lost."""
    return sync.sync_due_disputes()


@shared_task
def remind_of_due_evidence() -> int:
    """Remind merchants of evidence that is due soon."""
    return reminders.remind_of_due_evidence()


@shared_task
def resolve_due_setups() -> int:
    """Find out unknown outcomes of setup attempts, and look up open challenges."""
    return setup_recovery.resolve_due_setups()
