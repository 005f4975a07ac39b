"""The audit trail: what staff users and services did, or were refused, and the keys of services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import models

from payments import public_ids
from payments.models.merchant import Merchant, PspAccount


class Act(StrEnum):
    """What a staff user or a service does: the object, and the verb."""

    PSP_ACCOUNT_CREATE = "psp_account.create"
    PSP_ACCOUNT_CHANGE = "psp_account.change"
    PSP_ACCOUNT_PAUSE = "psp_account.pause"
    PSP_ACCOUNT_RESUME = "psp_account.resume"
    PSP_ACCOUNT_CLOSE = "psp_account.close"
    PSP_ACCOUNT_RESEAL = "psp_account.reseal"
    ROUTING_RULE_ADD = "routing_rule.add"
    ROUTING_RULE_CHANGE = "routing_rule.change"
    ROUTING_RULE_MOVE = "routing_rule.move"
    ROUTING_RULE_REMOVE = "routing_rule.remove"
    MERCHANT_CREATE = "merchant.create"
    MERCHANT_CHANGE = "merchant.change"
    API_KEY_CREATE = "api_key.create"
    API_KEY_ROLL = "api_key.roll"
    API_KEY_REVOKE = "api_key.revoke"
    SERVICE_KEY_CREATE = "service_key.create"
    SERVICE_KEY_REVOKE = "service_key.revoke"
    STAFF_CREATE = "staff.create"
    STAFF_CHANGE = "staff.change"
    STAFF_RESET = "staff.reset_password"
    STAFF_DISABLE = "staff.disable"
    STAFF_ENABLE = "staff.enable"
    STAFF_SUPERUSER = "staff.superuser"
    ROLE_CHANGE = "role.change"
    APPROVAL_REQUEST = "approval.request"
    APPROVAL_APPROVE = "approval.approve"
    APPROVAL_REJECT = "approval.reject"
    APPROVAL_WITHDRAW = "approval.withdraw"
    APPROVAL_EXPIRE = "approval.expire"
    APPROVAL_LIMIT_SET = "approval_limit.set"
    APPROVAL_LIMIT_REMOVE = "approval_limit.remove"
    CASE_CLOSE = "case.close"
    CASE_WRITE_OFF = "case.write_off"
    BOOKS_CLOSE = "books.close"
    BOOKS_REOPEN = "books.reopen"
    REPORT_IMPORT = "settlement_report.import"
    REPORT_READ_AGAIN = "settlement_report.read_again"
    LINES_REQUEUE = "settlement_line.requeue"
    BANK_ACCOUNT_ADD = "bank_account.add"
    BANK_STATEMENT_IMPORT = "bank_statement.import"
    BANK_LINES_REQUEUE = "bank_line.requeue"
    NOTIFICATION_REPLAY = "notification.replay"
    STREAMED_EVENT_REPLAY = "streamed_event.replay"
    ENDPOINT_ROTATE = "webhook_endpoint.rotate_secret"
    ENDPOINT_ENABLE = "webhook_endpoint.enable"
    ENDPOINT_ORDER = "webhook_endpoint.order"
    ENDPOINT_REPLAY = "webhook_endpoint.replay"
    ENDPOINT_RESEND_FAILED = "webhook_endpoint.resend_failed"
    ENDPOINTS_RESEAL = "webhook_endpoint.reseal"
    DELIVERY_RESEND = "delivery.resend"


class ActResult(StrEnum):
    """Whether an act was carried out."""

    DONE = "done"
    REFUSED = "refused"


class ServiceKey(models.Model):
    """The key with which a program acts under a name of its own; only its hash is kept."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("name", "secret_sha256", "last4", "created_at")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    name = models.SlugField(max_length=64, unique=True)
    secret_sha256 = models.CharField(max_length=64, unique=True)
    last4 = models.CharField(max_length=4)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_service_key"

    def __str__(self) -> str:
        return f"service:{self.name}"


class AuditEntry(models.Model):
    """One act: who, what, on which object, before and after, when, from where, why.

    Never changed or deleted.
    """

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    act = models.CharField(max_length=64)
    result = models.CharField(max_length=8)
    refusal = models.CharField(max_length=1000, blank=True)
    """Why it was refused; empty for what was done."""
    actor = models.CharField(max_length=200)
    """`staff:ada`, `service:importer`, `shell:root@host` (a login of the server), `job:…`."""
    staff = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )
    service = models.ForeignKey(
        ServiceKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    source = models.CharField(max_length=200, blank=True)
    """From where: `console from 10.1.2.3`, `command line of root@host`."""
    request_id = models.CharField(max_length=64, blank=True)
    subject = models.CharField(max_length=200)
    """The object as a reader knows it: its public id, code or name at the time."""
    object_id = models.UUIDField(null=True, blank=True)
    """No foreign key: it may be a row of any table, and rules are removed."""
    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    intent_id = models.UUIDField(null=True, blank=True)
    """The payment that the act was about."""
    approval_id = models.UUIDField(null=True, blank=True)
    """The approval under which it was done."""
    livemode = models.BooleanField(null=True, blank=True)
    """Empty for what is of both modes."""
    changes = models.JSONField(default=dict)
    """By field, the value `before` and `after`; of secrets only which were `changed`."""
    reason = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_audit_entry"
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index("object_id", name="audit_of_object"),
            models.Index(
                "intent_id",
                name="audit_of_payment",
                condition=models.Q(intent_id__isnull=False),
            ),
            models.Index("actor", "id", name="audit_of_actor"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(act__regex=r"^[a-z_]+\.[a-z_]+$"), name="audit_act_has_a_form"
            ),
            models.CheckConstraint(
                condition=models.Q(result=ActResult.DONE.value, refusal="")
                | (models.Q(result=ActResult.REFUSED.value) & ~models.Q(refusal="")),
                name="refused_act_says_why",
            ),
            models.CheckConstraint(
                condition=models.Q(result=ActResult.REFUSED.value)
                | models.Q(actor__startswith="staff:", staff__isnull=False, service__isnull=True)
                | models.Q(actor__startswith="service:", staff__isnull=True, service__isnull=False)
                | models.Q(actor__regex="^(shell|job):.", staff__isnull=True, service__isnull=True),
                name="actor_of_a_done_act_exists",
            ),
            models.CheckConstraint(
                condition=~models.Q(changes__has_key="sealed_credentials")
                & ~models.Q(changes__credentials__has_any_keys=["before", "after"]),
                name="credentials_are_not_logged",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject}"

    @property
    def in_words(self) -> str:
        """`hold_days: 7 → 5; credentials: api_key changed`; of what is new, what is not empty."""
        shown = {name: change for name, change in self.changes.items() if not _is_empty(change)}
        return "; ".join(f"{name}: {_shown(change)}" for name, change in shown.items())


def _is_empty(change: Mapping[str, Any]) -> bool:
    return change.keys() == {"after"} and change["after"] in (None, "", [], {})


def _shown(change: Mapping[str, Any]) -> str:
    if "changed" in change:
        return f"{', '.join(change['changed'])} changed"
    sides = [json.dumps(change[side]) for side in ("before", "after") if side in change]
    if len(sides) == 1:
        return sides[0] if "after" in change else f"was {sides[0]}"
    return " → ".join(sides)
