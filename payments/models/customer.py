"""Customers and their payment methods: who pays, and with which token.

What may not live here: card numbers, ever; attaching rules (services do that).
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Upper

from payments import public_ids
from payments.models.merchant import MerchantOwned, PspAccount, WithPublicId


class Customer(WithPublicId, MerchantOwned):
    """A person or company that pays a merchant."""

    application_rights = ("select", "insert", "update")
    permanent_columns = ("merchant_id", "livemode", "created_at")
    public_id_prefix = public_ids.CUSTOMER

    name = models.CharField(max_length=256, blank=True)
    email = models.CharField(max_length=512, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    address = models.JSONField(null=True, blank=True)
    shipping = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    preferred_locales = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), blank=True
    )
    tax_exempt = models.CharField(
        max_length=8,
        default="none",
        db_default="none",
        choices=[(each, each) for each in ("none", "exempt", "reverse")],
        help_text="For the merchant: no tax is computed here.",
    )
    default_payment_method = models.ForeignKey(
        "PaymentMethod",
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=True,
        blank=True,
    )
    """One of its own, kept for the merchant: a payment never takes it by itself."""
    event_seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_customer"
        indexes = [
            models.Index("merchant", "livemode", models.F("id").desc(), name="customer_newest"),
            # As the ORM compares text without case.
            models.Index("merchant", "livemode", Upper("email"), name="customer_email_any_case"),
            *(
                models.Index(
                    "merchant",
                    "livemode",
                    Upper(name),
                    name=f"customer_{name}",
                    condition=~models.Q(**{name: ""}),
                )
                for name in ("name", "phone")
            ),
        ]


class PaymentMethod(WithPublicId, MerchantOwned):
    """A PSP's token and what may be shown of it; never a number."""

    application_rights = ("select", "insert", "update")
    permanent_columns = (
        *("merchant_id", "livemode", "psp_account_id", "token", "method_type", "brand", "funding"),
        *("last4", "fingerprint", "created_at"),
    )
    public_id_prefix = public_ids.PAYMENT_METHOD

    psp_account = models.ForeignKey(
        PspAccount, on_delete=models.PROTECT, db_constraint=False, db_index=False
    )
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    token = models.CharField(max_length=255)
    alternatives = models.JSONField(
        blank=True, default=dict, db_default=models.Value({}, models.JSONField())
    )
    """Tokens of the same method at other accounts, by the account's code: only there can it be
    charged if its own account fails."""
    method_type = models.CharField(max_length=32)
    brand = models.CharField(max_length=32, blank=True)
    funding = models.CharField(max_length=16, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    expiry_month = models.PositiveSmallIntegerField(null=True, blank=True)
    expiry_year = models.PositiveSmallIntegerField(null=True, blank=True)
    country = models.CharField(max_length=2, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    billing_details = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    allow_redisplay = models.CharField(
        max_length=11,
        default="unspecified",
        db_default="unspecified",
        choices=[(each, each) for each in ("always", "limited", "unspecified")],
        help_text="Whether the customer is shown it again, on the checkout page too: if `always`.",
    )
    network_transaction_id = models.CharField(max_length=128, blank=True, default="", db_default="")
    """The card network's id of the customer's agreement to later payments; the latest one."""
    stored_token = models.CharField(max_length=255, blank=True, default="", db_default="")
    """What charges it since it was kept; empty: the token does."""
    event_seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    detached_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_payment_method"
        indexes = [
            models.Index("merchant", "livemode", "id", name="method_by_id"),
            models.Index(
                "customer", name="method_customer", condition=models.Q(customer__isnull=False)
            ),
        ]
        constraints = [
            # The second line against card numbers: no PSP's token is 13 to 19 digits.
            models.CheckConstraint(
                condition=~models.Q(token__regex=r"^[0-9 -]{12,23}$"),
                name="payment_method_token_is_no_number",
            ),
            models.CheckConstraint(
                condition=~models.Q(stored_token__regex=r"^[0-9 -]{12,23}$"),
                name="payment_method_stored_token_is_no_number",
            ),
            models.CheckConstraint(
                condition=models.Q(last4__regex=r"^([0-9]{4})?$"),
                name="payment_method_last4",
            ),
        ]

    @property
    def charged_token(self) -> str:
        """The token that charges it now."""
        return self.stored_token or self.token
