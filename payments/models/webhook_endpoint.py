"""Merchants' webhook endpoints: where events are sent, and the secrets that sign them.

Secrets are stored encrypted only (`merchant_webhooks.secrets`).
"""

from __future__ import annotations

from django.db import models

from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, WithPublicId
from payments.states import ENDPOINT_TRANSITIONS, DeliveryOrder, EndpointStatus

S = EndpointStatus


class WebhookEndpoint(WithPublicId, MerchantOwned, MachineModel):
    """One address of a merchant in one mode; its events are numbered like any aggregate's."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("merchant_id", "livemode", "api_version", "created_at")
    public_id_prefix = public_ids.WEBHOOK_ENDPOINT

    url = models.CharField(max_length=2048)
    enabled_events = models.JSONField()
    """Patterns: types, `*`, or the start of some types and `.*`."""
    description = models.CharField(max_length=1000, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    api_version = models.CharField(max_length=64)
    """Written into every event sent there: some SDKs refuse events of another release."""
    delivery_order = models.CharField(
        max_length=16,
        default=DeliveryOrder.ORDERED,
        db_default=DeliveryOrder.ORDERED.value,
        choices=[(each.value, each.value) for each in DeliveryOrder],
    )
    """Whether an event waits for the earlier ones of its payment."""
    sealed_secret = models.CharField(max_length=300)
    sealed_previous_secret = models.CharField(max_length=300, blank=True)
    previous_secret_until = models.DateTimeField(null=True, blank=True)
    """Until then both secrets sign."""

    status = StatusField(max_length=16, default=S.ENABLED)
    disabled_because = models.CharField(max_length=32, blank=True)
    """`merchant`, `gone` (it answered 410) or `failing`."""
    disabled_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    """Its first failed attempt since the last success; NULL while it works."""
    warned_at = models.DateTimeField(null=True, blank=True)
    """When the last event was emitted about a delivery to it that fails again and again."""

    event_seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_webhook_endpoint"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status=S.ENABLED, disabled_at__isnull=True, disabled_because="")
                | (
                    models.Q(status=S.DISABLED, disabled_at__isnull=False)
                    & ~models.Q(disabled_because="")
                ),
                name="endpoint_disabled_for_a_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True) | models.Q(status=S.DISABLED),
                name="endpoint_deleted_is_disabled",
            ),
        ]
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="endpoint_newest"),
            models.Index(
                "failing_since",
                name="endpoint_failing",
                condition=models.Q(status=S.ENABLED, failing_since__isnull=False),
            ),
        ]

    @property
    def is_enabled(self) -> bool:
        return bool(self.status == S.ENABLED)

    @transition_to(S.DISABLED, ENDPOINT_TRANSITIONS, field=status)
    def disable(self) -> None:
        """It gets nothing until the merchant enables it."""

    @transition_to(S.ENABLED, ENDPOINT_TRANSITIONS, field=status)
    def enable(self) -> None:
        """It gets events from now on."""
