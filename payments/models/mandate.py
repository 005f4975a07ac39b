"""Mandates: a customer's permission to debit an account, for one payment or for later ones too.

A mandate has no customer of its own: it is that of its payment method. Its state machine is here,
not in `payments.states`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db import models

from payments import public_ids
from payments.models.customer import PaymentMethod
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.models.merchant import MerchantOwned, WithPublicId
from payments.states import Table


class MandateStatus(StrEnum):
    """May an account be debited by a customer's mandate? As the merchant sees it."""

    PENDING = "pending"
    """What makes it, a charge or a setup, has not ended yet."""
    ACTIVE = "active"
    INACTIVE = "inactive"
    """Used for its one payment, revoked, or never active: what was to make it failed."""


M = MandateStatus
MANDATE_TRANSITIONS: Final[Table] = {
    M.PENDING: frozenset({M.ACTIVE, M.INACTIVE}),
    M.ACTIVE: frozenset({M.INACTIVE}),
    M.INACTIVE: frozenset(),
}
MANDATE_INITIAL: Final = frozenset({M.PENDING, M.ACTIVE})
METHODS_WITH_MANDATE: Final = ("sepa_debit",)
"""Types of payment methods that are charged by a mandate alone, whatever the PSP."""
MULTI_USE, SINGLE_USE = "multi_use", "single_use"
ONLINE, OFFLINE = "online", "offline"


class Mandate(WithPublicId, MerchantOwned, MachineModel):
    """What a customer accepted, and whether it still holds; its id is also its reference."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "payment_method_id", "use", "single_use_minor", "currency"),
        *("acceptance", "accepted_at", "ip_address", "user_agent", "made_by_id", "created_at"),
    )
    public_id_prefix = public_ids.MANDATE

    payment_method = models.ForeignKey(
        PaymentMethod,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="mandates",
    )
    status = StatusField(max_length=16, default=M.PENDING)
    use = models.CharField(
        max_length=10, choices=[(each, each) for each in (MULTI_USE, SINGLE_USE)]
    )
    single_use_minor = models.BigIntegerField(null=True, blank=True)
    """SINGLE_USE: the amount of the one payment, in the currency's minor unit."""
    currency = models.CharField(max_length=3, blank=True)
    acceptance = models.CharField(
        max_length=7, choices=[(each, each) for each in (ONLINE, OFFLINE)]
    )
    accepted_at = models.DateTimeField()
    ip_address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=1000, blank=True)
    made_by_id = models.UUIDField()
    """The charge or setup attempt with which the customer accepted it."""
    psp_reference = models.CharField(max_length=128, blank=True, default="", db_default="")
    """The PSP's own id of it; empty where the PSP knows it by ours."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_mandate"
        indexes = [models.Index("payment_method", "id", name="mandate_method")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(use=MULTI_USE, single_use_minor__isnull=True, currency="")
                | models.Q(use=SINGLE_USE, single_use_minor__gt=0) & ~models.Q(currency=""),
                name="mandate_single_use_has_its_amount",
            ),
            models.CheckConstraint(
                condition=~models.Q(use=SINGLE_USE) | ~models.Q(status=M.ACTIVE.value),
                name="mandate_single_use_is_never_active",
            ),
            models.CheckConstraint(
                condition=models.Q(status=M.INACTIVE.value, ended_at__isnull=False)
                | ~models.Q(status=M.INACTIVE.value) & models.Q(ended_at__isnull=True),
                name="mandate_inactive_says_since_when",
            ),
            models.CheckConstraint(
                condition=~models.Q(acceptance=OFFLINE) | models.Q(ip_address="", user_agent=""),
                name="mandate_offline_has_no_browser",
            ),
        ]

    @transition_to(M.ACTIVE, MANDATE_TRANSITIONS, field=status)
    def activate(self) -> None:
        """The method is kept, and may be debited by it."""

    @transition_to(M.INACTIVE, MANDATE_TRANSITIONS, field=status)
    def end(self, *, at: datetime) -> None:
        """It was used for its one payment, revoked, or what made it failed."""
        self.ended_at = at
