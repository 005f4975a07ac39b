"""Merchants, their API keys, and the PSP accounts that their money runs through.

Keys are stored as hashes, credentials encrypted only (`psp_gateway.credentials`).
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models

from ledger.database.instances import QuicklyLoaded
from ledger.money import Money
from payments import public_ids
from payments.models.machine import MachineModel, StatusField, transition_to
from payments.states import PSP_ACCOUNT_TRANSITIONS, LateSuccessPolicy, PspAccountStatus


def books_of(merchant_id: UUID, *, livemode: bool) -> str:
    """The dimension of a merchant's accounts in the books: test money never meets live money."""
    return f"{merchant_id}:{'live' if livemode else 'test'}"


class LossPolicy(models.TextChoices):
    """Who bears a dispute that is lost, and the PSP's fee."""

    MERCHANT = "merchant", "the merchant"
    PLATFORM = "platform", "the platform"


class DisputedRefundPolicy(models.TextChoices):
    """What becomes of a refund of a payment that a bank has charged back."""

    BLOCK = "block", "refuse it"
    FLAG = "flag", "allow it, and open a case"


class WithPublicId(QuicklyLoaded):
    """A row that is known outside by its id with a prefix; the id sorts by creation time."""

    public_id_prefix: str

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_ids.encode(self.public_id_prefix, self.id)


class PspAccount(MachineModel):
    """One account of ours at one PSP: how we are known there, and which charges it takes."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("code", "psp", "livemode", "created_at")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    code = models.SlugField(max_length=64, unique=True)
    psp = models.CharField(max_length=32)
    livemode = models.BooleanField(default=False)
    status = StatusField(max_length=16, default=PspAccountStatus.PAUSED)
    sealed_credentials = models.TextField(blank=True, default="", editable=False)
    """Empty until the first are given."""
    methods = ArrayField(
        models.CharField(max_length=32),
        default=list,
        blank=True,
        help_text="Types of payment methods that it charges; none: all that its PSP has.",
    )
    currencies = ArrayField(
        models.CharField(max_length=3),
        default=list,
        blank=True,
        help_text="Currencies that it charges, such as EUR; none: all.",
    )
    countries = ArrayField(
        models.CharField(max_length=2),
        default=list,
        blank=True,
        help_text="Countries whose cards it charges, such as DE; none: all.",
    )
    limits = models.JSONField(
        default=dict,
        blank=True,
        help_text="Least and greatest charge: a currency, its min_minor and max_minor.",
    )
    costs = models.JSONField(
        default=list,
        blank=True,
        help_text="What the PSP takes of a charge, as agreed: fixed_minor and basis_points; of a "
        "currency, a method, a brand, or all; of a component of the fee, or of all of it.",
    )
    hold_days = models.PositiveSmallIntegerField(
        default=7, help_text="How long it holds money for us, where it does not say so itself."
    )
    settlement_delay_days = models.PositiveSmallIntegerField(
        default=2,
        help_text="Days from a capture until its money counts as available to the merchant.",
    )
    look_ups_per_minute = models.PositiveIntegerField(
        default=300,
        help_text="How often a minute settlement lines look something up at the PSP, at most.",
    )
    settlement_calendar = models.JSONField(
        default=dict,
        blank=True,
        help_text="When a charge or refund is in a settlement report: country, time_zone, cutoff, "
        "business_days; watched false: never expected. What is not named is as its PSP usually is.",
    )
    rules_off = ArrayField(
        models.CharField(max_length=32),
        default=list,
        blank=True,
        help_text="Rules that close none of its cases, such as late_line; an operator does.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "payments_psp_account"
        verbose_name = "PSP account"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(settlement_delay_days__lte=90),
                name="psp_account_settles_in_time",
            ),
            models.CheckConstraint(
                condition=models.Q(look_ups_per_minute__range=(1, 100_000)),
                name="psp_account_looks_up",
            ),
            models.CheckConstraint(
                condition=models.Q(status=PspAccountStatus.PAUSED)
                | ~models.Q(sealed_credentials=""),
                name="psp_account_has_credentials",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @transition_to(PspAccountStatus.ACTIVE, PSP_ACCOUNT_TRANSITIONS, field=status)
    def resume(self) -> None:
        """It takes new charges; its credentials were checked just now."""

    @transition_to(PspAccountStatus.PAUSED, PSP_ACCOUNT_TRANSITIONS, field=status)
    def pause(self) -> None:
        """It takes no new charge until it is resumed."""

    @transition_to(PspAccountStatus.CLOSING, PSP_ACCOUNT_TRANSITIONS, field=status)
    def close(self) -> None:
        """It never takes a new charge again."""


class Merchant(WithPublicId):
    """A business that takes payments through us, with its settings."""

    application_rights = ("select", "insert", "update")
    public_id_prefix = public_ids.MERCHANT

    name = models.CharField(max_length=200)
    test_psp_account = models.ForeignKey(
        PspAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="test_merchants",
    )
    live_psp_account = models.ForeignKey(
        PspAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="live_merchants",
    )
    idempotency_key_required = models.BooleanField(
        default=True,
        help_text="Refuse a POST that can move money without an Idempotency-Key header.",
    )
    order_guard = models.BooleanField(
        default=True,
        help_text="At most one open or successful payment per metadata[order_id].",
    )
    psp_wait_ms = models.PositiveIntegerField(
        default=8000,
        help_text="How long a request waits for the PSP before it answers 'processing'.",
    )
    platform_fee_basis_points = models.PositiveIntegerField(
        default=0, help_text="Our fee, in hundredths of a percent of each capture."
    )
    late_success_policy = models.CharField(
        max_length=16,
        choices=[(each.value, each.value) for each in LateSuccessPolicy],
        default=LateSuccessPolicy.REVERSE.value,
        help_text="A payment that was over succeeds after all: give it back, or keep it.",
    )
    void_uncaptured_after_hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Give up a hold that was not captured by then; empty: leave it to its expiry.",
    )
    warn_before_expiry_hours = models.PositiveIntegerField(
        default=48, help_text="How long before a hold ends the event x.charge.expiring is sent."
    )
    dispute_loss_policy = models.CharField(
        max_length=16,
        default=LossPolicy.MERCHANT,
        choices=LossPolicy.choices,
        help_text="Who bears a lost dispute and the provider's fee. Open disputes keep theirs.",
    )
    disputed_refund_policy = models.CharField(
        max_length=16,
        default=DisputedRefundPolicy.BLOCK,
        choices=DisputedRefundPolicy.choices,
        help_text="A refund of a charged-back payment: refuse it, or allow it and open a case.",
    )
    refund_approval_limits = models.JSONField(
        default=dict,
        blank=True,
        db_default=models.Value({}, models.JSONField()),
        help_text="By currency, how much of one payment goes back without a second person, in "
        "minor units; a currency that is not named has no such limit.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "payments_merchant"
        permissions = (("decide_approvals", "Can approve and reject requests about it"),)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(late_success_policy__in=sorted(LateSuccessPolicy)),
                name="merchant_late_success_policy",
            ),
            models.CheckConstraint(
                condition=models.Q(platform_fee_basis_points__lte=10_000),
                name="merchant_fee_at_most_all",
            ),
            models.CheckConstraint(
                condition=models.Q(void_uncaptured_after_hours__isnull=True)
                | models.Q(void_uncaptured_after_hours__gte=1),
                name="merchant_void_after_an_hour_or_more",
            ),
            models.CheckConstraint(
                condition=models.Q(dispute_loss_policy__in=LossPolicy.values)
                & models.Q(disputed_refund_policy__in=DisputedRefundPolicy.values),
                name="merchant_dispute_policies",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def needs_approval_to_refund(self, returned: Money) -> bool:
        """Does a second person decide on a refund with which so much of a payment is returned?"""
        limit_minor = self.refund_approval_limits.get(returned.currency)
        return limit_minor is not None and returned.minor > limit_minor


class MerchantOwned(QuicklyLoaded):
    """A row of one merchant in one mode, test or live.

    Its references have no constraint and no index of their own: merchants are never deleted, and
    each table indexes what it is searched by.
    """

    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    livemode = models.BooleanField()

    class Meta:
        abstract = True


class WithAmount(models.Model):
    """A row about one amount of money."""

    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)

    class Meta:
        abstract = True

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)


class ApiKey(QuicklyLoaded):
    """A secret key of a merchant; only its hash is stored, so it can be shown once."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("merchant_id", "livemode", "secret_sha256", "last4", "created_at")

    id = models.UUIDField(primary_key=True, default=public_ids.new_id, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True)
    livemode = models.BooleanField(default=False)
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_api_key"
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"sk_{'live' if self.livemode else 'test'}_…{self.last4}"


class MerchantBalance(WithPublicId, MerchantOwned):
    """One merchant in one mode; its events are numbered like any aggregate's."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("merchant_id", "livemode")
    public_id_prefix = public_ids.BALANCE

    announced_to = models.DateField()
    """The last day (UTC) of which it was told what became available on it."""
    is_due = models.BooleanField(default=False, db_default=False)
    """Whether a settlement line has made pending money available since."""
    event_seq = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "payments_merchant_balance"
        constraints = [
            models.UniqueConstraint(fields=["merchant", "livemode"], name="merchant_balance_once"),
        ]
        indexes = [
            models.Index("merchant", name="merchant_balance_due", condition=models.Q(is_due=True)),
        ]
