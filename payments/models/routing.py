"""Routing: the rules that choose between PSP accounts, and what was decided for each charge."""

from __future__ import annotations

from enum import StrEnum

from django.db import models

from payments import public_ids
from payments.models.merchant import Merchant, MerchantOwned, PspAccount
from payments.models.operation import Operation
from payments.models.payment_intent import PaymentIntent
from payments.models.setup_intent import SetupAttempt, SetupIntent


class RoutingReason(StrEnum):
    """Why an account was chosen for a charge."""

    RULE = "rule"
    """The rule names this account alone."""
    SPLIT = "split"
    """The payment is within this account's share of the rule."""
    FALLBACK = "fallback"
    """The rule names it after accounts that could not take the charge."""
    DEFAULT_ACCOUNT = "default_account"
    """No rule matches: the merchant's own account."""
    METHOD_OF_ACCOUNT = "method_of_account"
    """The payment method belongs to this account, whatever the rules say."""
    NOT_SENT = "not_sent"
    """The charge before never reached its PSP."""
    RETRIABLE_DECLINE = "retriable_decline"
    """The charge before was declined for a reason that another PSP may not have."""
    BREAKER_OPEN = "breaker_open"
    """The account before was not sent to, since its PSP does not answer."""
    PAUSED = "paused"
    """The account before was paused meanwhile."""


class RoutingRule(models.Model):
    """Sends the payments that meet all of its conditions to its accounts; the first rule decides.

    Its form is held by `services.routing.forms` and by `routing_rules_have_a_form.sql`.
    """

    application_rights = ("select", "insert", "update", "delete")
    permanent_columns = ("livemode", "created_at")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, db_index=False, null=True, blank=True, related_name="+"
    )
    """Whose payments; empty: those of every merchant."""
    livemode = models.BooleanField()
    position = models.PositiveIntegerField()
    """Rules of a mode are tried in this order, those of a merchant and of every merchant alike."""
    name = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    conditions = models.JSONField(default=dict, blank=True)
    """`amount`, `currencies`, `methods`, `brands`, `countries`, `metadata`; none: every payment."""
    targets = models.JSONField()
    """`split`: accounts and their shares of 100; `fallback`: accounts to be tried after them."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "payments_routing_rule"
        constraints = [
            models.UniqueConstraint(
                fields=["livemode", "position"],
                name="one_routing_rule_per_position",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                condition=models.Q(position__gte=1), name="routing_positions_begin_at_1"
            ),
            models.CheckConstraint(condition=~models.Q(name=""), name="routing_rule_has_a_name"),
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.name}"


class RoutingDecision(MerchantOwned):
    """Why a charge or a setup went to its account.

    One without a decision went to the merchant's own account, by no rule.
    """

    application_rights = ("select", "insert")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    intent = models.ForeignKey(
        PaymentIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="routing_decisions",
    )
    charge = models.ForeignKey(
        Operation,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
    )
    """The charge that was written with it; empty if none was to be made."""
    setup_intent = models.ForeignKey(
        SetupIntent,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="routing_decisions",
    )
    """The setup that it is about, if it is about no payment."""
    setup_attempt = models.ForeignKey(
        SetupAttempt,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
    )
    """The attempt that was written with it; empty if none was to be made."""
    sequence = models.PositiveSmallIntegerField()
    """Counts the decisions of a payment or a setup from 1."""
    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    reason = models.CharField(max_length=24)
    rule_id = models.UUIDField(null=True, blank=True)
    rule_position = models.PositiveIntegerField(null=True, blank=True)
    """Position and name as they were then."""
    rule_name = models.CharField(max_length=64, blank=True)
    candidates = models.JSONField()
    """Every account that was considered, in order: `account`, `reason`, and `left_out` if so."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "payments_routing_decision"
        constraints = [
            models.UniqueConstraint(
                fields=["intent", "sequence"], name="one_routing_decision_per_sequence"
            ),
            models.UniqueConstraint(
                fields=["setup_intent", "sequence"],
                name="one_setup_decision_per_sequence",
                condition=models.Q(setup_intent__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    intent__isnull=False, setup_intent__isnull=True, setup_attempt__isnull=True
                )
                | models.Q(intent__isnull=True, charge__isnull=True, setup_intent__isnull=False),
                name="routing_decision_is_about_one",
            ),
            models.CheckConstraint(
                condition=models.Q(reason__in=sorted(each.value for each in RoutingReason)),
                name="routing_reason",
            ),
            models.CheckConstraint(
                condition=models.Q(rule_id__isnull=True, rule_position__isnull=True, rule_name="")
                | (
                    models.Q(rule_id__isnull=False, rule_position__isnull=False)
                    & ~models.Q(rule_name="")
                ),
                name="routing_decision_names_its_rule",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.reason}"
