"""Requests for a second person's approval, and how much each role may approve.

A request holds exactly what will happen. Its state machine is here, not in `payments.states`.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Final

from django.contrib.auth.models import Group
from django.db import models

from ledger.money import Money
from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import Merchant, PspAccount, WithPublicId
from payments.states import Table


class ApprovalStatus(StrEnum):
    """The status of a request for approval."""

    REQUESTED = "requested"
    APPROVED = "approved"
    """Within the transaction that carries it out, never after it."""
    APPLIED = "applied"
    REFUSED = "refused"
    """Approved, and the command was not possible any more."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOIDED = "voided"
    """Replaced by a new request, or its subject was withdrawn."""


class ApprovalCommand(StrEnum):
    """What may need a second person; the app that owns a command registers it."""

    REFUND_PAYMENT = "refund_payment"
    CAPTURE_PAYMENT = "capture_payment"
    ADJUSTMENT = "adjustment"
    WRITE_OFF = "write_off"
    REOPEN_PERIOD = "reopen_period"
    CHANGE_ROUTING = "change_routing"
    CHANGE_CREDENTIALS = "change_credentials"
    CHANGE_LIMITS = "change_limits"
    CHANGE_ROLES = "change_roles"


S = ApprovalStatus
APPROVAL_TRANSITIONS: Final[Table] = {
    S.REQUESTED: frozenset({S.APPROVED, S.REJECTED, S.EXPIRED, S.VOIDED}),
    S.APPROVED: frozenset({S.APPLIED, S.REFUSED}),
    S.APPLIED: frozenset(),
    S.REFUSED: frozenset(),
    S.REJECTED: frozenset(),
    S.EXPIRED: frozenset(),
    S.VOIDED: frozenset(),
}
APPROVAL_INITIAL: Final = frozenset({S.REQUESTED})
_OPEN: Final = [S.REQUESTED.value, S.APPROVED.value]
_DECIDED: Final = [S.APPROVED.value, S.APPLIED.value, S.REFUSED.value, S.REJECTED.value]
"""A second person has approved or rejected it."""
_COMMANDS: Final = sorted(each.value for each in ApprovalCommand)


class Approval(WithPublicId, MachineModel):
    """One request: what will happen, who asks and why, who decided and why, what came of it."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "psp_account_id", "livemode", "command", "subject", "intent_id"),
        *("amount_minor", "currency", "content", "digest", "requester", "request_reason"),
        *("request_id", "expires_at", "created_at"),
    )
    public_id_prefix = public_ids.APPROVAL

    merchant = models.ForeignKey(
        Merchant,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    psp_account = models.ForeignKey(
        PspAccount,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    livemode = models.BooleanField()
    command = models.CharField(max_length=32)
    subject = models.CharField(max_length=128)
    """The public id of what it is about."""
    intent_id = models.UUIDField(null=True, blank=True)
    """The payment that it is about, if it is about one."""
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    content = models.TextField()
    """All that was asked for, as JSON: command, subject, parameters, the postings that follow."""
    digest = models.CharField(max_length=64)
    """SHA-256 of the content, in hexadecimal digits."""
    status = StatusField(max_length=16, default=S.REQUESTED.value)
    requester = models.CharField(max_length=200)
    """`api_key:…`, `staff:…` or `service:…`."""
    request_reason = models.CharField(max_length=1000)
    request_id = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField()
    approver = models.CharField(max_length=200, blank=True)
    """The staff user who approved or rejected it."""
    decision_reason = models.CharField(max_length=1000, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    result = models.CharField(max_length=500, blank=True)
    """What came of it: what was made, or why nothing was."""
    replaced_by_id = models.UUIDField(null=True, blank=True)
    """The new request about the same subject, which has voided this one."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_approval"
        indexes = [
            models.Index("intent_id", name="approval_intent"),
            models.Index(
                "expires_at",
                name="approval_waiting",
                condition=models.Q(status=S.REQUESTED.value),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["command", "subject"],
                name="one_open_approval",
                condition=models.Q(status__in=_OPEN),
            ),
            models.CheckConstraint(
                condition=models.Q(command__in=_COMMANDS), name="approval_command"
            ),
            models.CheckConstraint(
                condition=~models.Q(approver=models.F("requester")),
                name="approver_is_not_the_requester",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=_DECIDED,
                    approver__startswith="staff:",
                    decided_at__isnull=False,
                )
                & ~models.Q(decision_reason="")
                | ~models.Q(status__in=_DECIDED)
                & models.Q(approver="", decision_reason="", decided_at__isnull=True),
                name="decision_names_its_approver",
            ),
            models.CheckConstraint(
                condition=~models.Q(requester="") & ~models.Q(request_reason=""),
                name="approval_says_who_asks_and_why",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=_OPEN, ended_at__isnull=True)
                | ~models.Q(status__in=_OPEN)
                & models.Q(ended_at__isnull=False)
                & ~models.Q(ended_by=""),
                name="ended_approval_says_when",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_minor__isnull=True, currency="")
                | models.Q(amount_minor__gt=0, currency__regex=r"^[A-Z]{3}$"),
                name="approval_amount",
            ),
        ]

    @property
    def is_open(self) -> bool:
        return self.status == S.REQUESTED

    @property
    def amount(self) -> Money | None:
        """How much it is about; None where no amount is."""
        return None if self.amount_minor is None else Money(self.amount_minor, self.currency)

    @property
    def frozen(self) -> dict[str, Any]:
        """The content: `parameters`, `postings` and what else was asked for."""
        content: dict[str, Any] = json.loads(self.content)
        return content

    @transition_to(S.APPROVED, APPROVAL_TRANSITIONS, field=status)
    def approve(self) -> None:
        """A second person agreed."""

    @transition_to(S.APPLIED, APPROVAL_TRANSITIONS, field=status)
    def mark_applied(self) -> None:
        """The command was carried out."""

    @transition_to(S.REFUSED, APPROVAL_TRANSITIONS, field=status)
    def refuse(self) -> None:
        """The command was not possible any more."""

    @transition_to(S.REJECTED, APPROVAL_TRANSITIONS, field=status)
    def reject(self) -> None:
        """A second person did not agree."""

    @transition_to(S.EXPIRED, APPROVAL_TRANSITIONS, field=status)
    def expire(self) -> None:
        """It was not decided in time."""

    @transition_to(S.VOIDED, APPROVAL_TRANSITIONS, field=status)
    def void(self) -> None:
        """A new request replaced it, or its subject was withdrawn."""


class ApprovalLimit(models.Model):
    """How much people of one role may approve, at once, of one command."""

    application_rights = ("select", "insert", "update", "delete")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """NULL: of all merchants."""
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    """NULL: at all accounts."""
    command = models.CharField(max_length=32)
    currency = models.CharField(max_length=3, blank=True)
    """Empty for commands without an amount."""
    amount_max_minor = models.BigIntegerField(null=True, blank=True)
    """NULL: any amount."""

    class Meta:
        db_table = "payments_approval_limit"
        constraints = [
            models.UniqueConstraint(
                fields=["group", "merchant", "psp_account", "command", "currency"],
                name="one_approval_limit",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(command__in=_COMMANDS), name="approval_limit_command"
            ),
            models.CheckConstraint(
                condition=models.Q(currency="", amount_max_minor__isnull=True)
                | models.Q(currency__regex=r"^[A-Z]{3}$")
                & (models.Q(amount_max_minor__isnull=True) | models.Q(amount_max_minor__gt=0)),
                name="approval_limit_amount",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group}: {self.command} {self.currency}".strip()


def digest_of(content: str) -> str:
    """The SHA-256 of a request's content, as PostgreSQL computes it."""
    return hashlib.sha256(content.encode()).hexdigest()
