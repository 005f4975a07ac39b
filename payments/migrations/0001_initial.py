"""The tables of payments, their constraints and indexes. 0002_guards adds what models cannot say."""

import uuid

import django.contrib.postgres.fields
import django.db.models.constraints
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.fields.json
import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models

import payments.models.mandate
import payments.models.streaming
import payments.public_ids
import payments.states
import psp_adapters.contract.disputes


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="BooksCheck",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("part", models.CharField(blank=True, max_length=64)),
                (
                    "position",
                    models.UUIDField(default=uuid.UUID("00000000-0000-0000-0000-000000000000")),
                ),
                ("began_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("compared", models.PositiveBigIntegerField(default=0)),
                ("differences", models.PositiveBigIntegerField(default=0)),
                ("unchecked", models.PositiveIntegerField(default=0)),
                ("added_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "check of the books",
                "verbose_name_plural": "checks of the books",
                "db_table": "payments_books_check",
                "indexes": [],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="PspAccount",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("code", models.SlugField(max_length=64, unique=True)),
                ("psp", models.CharField(max_length=32)),
                ("livemode", models.BooleanField(default=False)),
                (
                    "status",
                    models.CharField(
                        default=payments.states.PspAccountStatus["PAUSED"], max_length=16
                    ),
                ),
                ("sealed_credentials", models.TextField(blank=True, default="", editable=False)),
                (
                    "methods",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        blank=True,
                        default=list,
                        help_text="Types of payment methods that it charges; none: all that its PSP has.",
                        size=None,
                    ),
                ),
                (
                    "currencies",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=3),
                        blank=True,
                        default=list,
                        help_text="Currencies that it charges, such as EUR; none: all.",
                        size=None,
                    ),
                ),
                (
                    "countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2),
                        blank=True,
                        default=list,
                        help_text="Countries whose cards it charges, such as DE; none: all.",
                        size=None,
                    ),
                ),
                (
                    "limits",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Least and greatest charge: a currency, its min_minor and max_minor.",
                    ),
                ),
                (
                    "costs",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="What the PSP takes of a charge: fixed_minor and basis_points, of a currency, a method, both, or all.",
                    ),
                ),
                (
                    "hold_days",
                    models.PositiveSmallIntegerField(
                        default=7,
                        help_text="How long it holds money for us, where it does not say so itself.",
                    ),
                ),
                (
                    "settlement_delay_days",
                    models.PositiveSmallIntegerField(
                        default=2,
                        help_text="Days from a capture until its money counts as available to the merchant.",
                    ),
                ),
                (
                    "look_ups_per_minute",
                    models.PositiveIntegerField(
                        default=300,
                        help_text="How often a minute settlement lines look something up at the PSP, at most.",
                    ),
                ),
                (
                    "settlement_calendar",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="When a charge or refund is in a settlement report: country, time_zone, cutoff, business_days; watched false: never expected. What is not named is as its PSP usually is.",
                    ),
                ),
                (
                    "rules_off",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        blank=True,
                        default=list,
                        help_text="Rules that close none of its cases, such as late_line; an operator does.",
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name": "PSP account",
                "db_table": "payments_psp_account",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("settlement_delay_days__lte", 90)),
                        name="psp_account_settles_in_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("look_ups_per_minute__range", (1, 100000))),
                        name="psp_account_looks_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status", payments.states.PspAccountStatus["PAUSED"]),
                            models.Q(("sealed_credentials", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="psp_account_has_credentials",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Deadline",
            fields=[
                ("intent_id", models.UUIDField(primary_key=True, serialize=False)),
                ("status", models.CharField(max_length=24)),
                ("waiting_since", models.DateTimeField()),
                ("next_action_at", models.DateTimeField()),
                ("warned_for", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_deadline",
                "indexes": [models.Index(models.F("next_action_at"), name="deadline_due")],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="Dispatch",
            fields=[
                ("event_id", models.UUIDField(primary_key=True, serialize=False)),
                ("aggregateid", models.UUIDField()),
                ("seq", models.PositiveIntegerField()),
            ],
            options={
                "verbose_name_plural": "outgoing queue",
                "db_table": "payments_dispatch",
                "constraints": [
                    models.UniqueConstraint(fields=("aggregateid", "seq"), name="dispatch_seq_once")
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="UnnumberedEvent",
            fields=[
                ("event_id", models.UUIDField(primary_key=True, serialize=False)),
            ],
            options={
                "db_table": "payments_unnumbered_event",
                "indexes": [],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="StreamEntry",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("event_id", models.UUIDField(unique=True)),
            ],
            options={
                "verbose_name_plural": "stream entries",
                "db_table": "payments_stream_entry",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("number__gt", 0)), name="stream_entry_number_positive"
                    )
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="StreamGroup",
            fields=[
                ("name", models.SlugField(max_length=32, primary_key=True, serialize=False)),
                (
                    "consumed",
                    payments.models.streaming.NumbersField(
                        db_default=models.Value(
                            "{}", output_field=payments.models.streaming.NumbersField()
                        )
                    ),
                ),
                (
                    "added",
                    payments.models.streaming.NumbersField(
                        db_default=models.Value(
                            "{}", output_field=payments.models.streaming.NumbersField()
                        )
                    ),
                ),
                (
                    "consumed_to",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Func(
                            "consumed",
                            template="lower(int8multirange(int8range(1, NULL)) - %(expressions)s) - 1",
                        ),
                        output_field=models.BigIntegerField(),
                    ),
                ),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_stream_group",
                "indexes": [],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="FailedEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("group", models.CharField(max_length=32)),
                ("event_id", models.UUIDField()),
                ("type", models.CharField(max_length=64)),
                ("failures", models.PositiveIntegerField()),
                ("last_error", models.CharField(max_length=500)),
                ("first_failed_at", models.DateTimeField()),
                ("failed_at", models.DateTimeField()),
                ("dead_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_failed_event",
                "indexes": [
                    models.Index(
                        models.F("group"),
                        models.F("id"),
                        condition=models.Q(("dead_at__isnull", False)),
                        name="failed_event_dead",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("event_id", "group"), name="failed_event_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="CardVelocity",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("merchant_id", models.UUIDField()),
                ("livemode", models.BooleanField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("hour", models.DateTimeField()),
                ("charges", models.PositiveIntegerField(default=0)),
                ("declines", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "card velocities",
                "db_table": "payments_card_velocity",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "livemode", "fingerprint", "hour"),
                        name="card_velocity_once",
                    )
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="Merchant",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "test_psp_account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="test_merchants",
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "live_psp_account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="live_merchants",
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "idempotency_key_required",
                    models.BooleanField(
                        default=True,
                        help_text="Refuse a POST that can move money without an Idempotency-Key header.",
                    ),
                ),
                (
                    "order_guard",
                    models.BooleanField(
                        default=True,
                        help_text="At most one open or successful payment per metadata[order_id].",
                    ),
                ),
                (
                    "psp_wait_ms",
                    models.PositiveIntegerField(
                        default=8000,
                        help_text="How long a request waits for the PSP before it answers 'processing'.",
                    ),
                ),
                (
                    "platform_fee_basis_points",
                    models.PositiveIntegerField(
                        default=0, help_text="Our fee, in hundredths of a percent of each capture."
                    ),
                ),
                (
                    "late_success_policy",
                    models.CharField(
                        choices=[("reverse", "reverse"), ("keep", "keep")],
                        default="reverse",
                        help_text="A payment that was over succeeds after all: give it back, or keep it.",
                        max_length=16,
                    ),
                ),
                (
                    "void_uncaptured_after_hours",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Give up a hold that was not captured by then; empty: leave it to its expiry.",
                        null=True,
                    ),
                ),
                (
                    "warn_before_expiry_hours",
                    models.PositiveIntegerField(
                        default=48,
                        help_text="How long before a hold ends the event x.charge.expiring is sent.",
                    ),
                ),
                (
                    "dispute_loss_policy",
                    models.CharField(
                        choices=[("merchant", "the merchant"), ("platform", "the platform")],
                        default="merchant",
                        help_text="Who bears a lost dispute and the provider's fee. Open disputes keep theirs.",
                        max_length=16,
                    ),
                ),
                (
                    "disputed_refund_policy",
                    models.CharField(
                        choices=[("block", "refuse it"), ("flag", "allow it, and open a case")],
                        default="block",
                        help_text="A refund of a charged-back payment: refuse it, or allow it and open a case.",
                        max_length=16,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "payments_merchant",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "late_success_policy__in",
                                [
                                    payments.states.LateSuccessPolicy["KEEP"],
                                    payments.states.LateSuccessPolicy["REVERSE"],
                                ],
                            )
                        ),
                        name="merchant_late_success_policy",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("platform_fee_basis_points__lte", 10000)),
                        name="merchant_fee_at_most_all",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("void_uncaptured_after_hours__isnull", True),
                            ("void_uncaptured_after_hours__gte", 1),
                            _connector="OR",
                        ),
                        name="merchant_void_after_an_hour_or_more",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("dispute_loss_policy__in", ["merchant", "platform"]),
                            ("disputed_refund_policy__in", ["block", "flag"]),
                        ),
                        name="merchant_dispute_policies",
                    ),
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="ConfigurationChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.pspaccount",
                    ),
                ),
                ("rule_id", models.UUIDField(blank=True, db_index=True, null=True)),
                ("subject", models.CharField(max_length=64)),
                ("livemode", models.BooleanField()),
                ("verb", models.CharField(max_length=16)),
                ("changes", models.JSONField()),
                ("author", models.CharField(max_length=64)),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_configuration_change",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("psp_account__isnull", True),
                            ("rule_id__isnull", True),
                            _connector="XOR",
                        ),
                        name="configuration_change_has_one_subject",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "verb__in",
                                [
                                    "add",
                                    "change",
                                    "close",
                                    "create",
                                    "move",
                                    "pause",
                                    "remove",
                                    "reseal",
                                    "resume",
                                ],
                            )
                        ),
                        name="configuration_verb",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("author", ""), _negated=True),
                        name="configuration_change_has_an_author",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("changes__has_key", "sealed_credentials"), _negated=True),
                            models.Q(
                                ("changes__credentials__has_any_keys", ["before", "after"]),
                                _negated=True,
                            ),
                        ),
                        name="credentials_are_not_logged",
                    ),
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="PspNotification",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                ("event_id", models.CharField(max_length=128)),
                ("type", models.CharField(max_length=128)),
                ("known", models.BooleanField()),
                ("psp_payment_id", models.CharField(blank=True, max_length=128)),
                ("psp_dispute_id", models.CharField(blank=True, max_length=128)),
                ("our_references", models.JSONField(default=list)),
                ("claims", models.CharField(blank=True, max_length=16)),
                (
                    "claimed_kind",
                    models.CharField(blank=True, db_default="", default="", max_length=16),
                ),
                ("psp_id", models.CharField(blank=True, db_default="", default="", max_length=128)),
                ("claimed_minor", models.BigIntegerField(blank=True, null=True)),
                (
                    "claimed_currency",
                    models.CharField(blank=True, db_default="", default="", max_length=3),
                ),
                ("states_result", models.BooleanField(db_default=False, default=False)),
                ("occurred_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        default=payments.states.NotificationStatus["STORED"], max_length=16
                    ),
                ),
                ("body", models.BinaryField()),
                ("body_sha256", models.CharField(max_length=64)),
                ("headers", models.JSONField(default=dict)),
                ("conflicting_body", models.BooleanField(default=False)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("give_up_at", models.DateTimeField()),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("received_at", models.DateTimeField()),
                ("processed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "PSP notification",
                "db_table": "payments_psp_notification",
                "indexes": [
                    models.Index(
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="notification_due",
                    ),
                    models.Index(
                        models.F("id"),
                        condition=models.Q(("status", payments.states.NotificationStatus["DEAD"])),
                        name="notification_dead",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        models.F("psp_payment_id"),
                        condition=models.Q(("states_result", True)),
                        name="notification_of_payment",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        django.db.models.fields.json.KeyTextTransform("0", "our_references"),
                        condition=models.Q(("states_result", True)),
                        name="notification_of_reference",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        models.F("psp_dispute_id"),
                        condition=models.Q(
                            ("states_result", True), models.Q(("psp_dispute_id", ""), _negated=True)
                        ),
                        name="notification_of_dispute",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "event_id"), name="notification_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("next_attempt_at__isnull", False),
                                (
                                    "status__in",
                                    [
                                        payments.states.NotificationStatus["STORED"],
                                        payments.states.NotificationStatus["FAILING"],
                                    ],
                                ),
                            ),
                            models.Q(
                                ("next_attempt_at__isnull", True),
                                (
                                    "status__in",
                                    [
                                        payments.states.NotificationStatus["PROCESSED"],
                                        payments.states.NotificationStatus["DEAD"],
                                    ],
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="notification_waits_or_is_done",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="api_keys",
                        to="payments.merchant",
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=100)),
                ("livemode", models.BooleanField(default=False)),
                ("secret_sha256", models.CharField(editable=False, max_length=64, unique=True)),
                ("last4", models.CharField(editable=False, max_length=4)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "API key",
                "db_table": "payments_api_key",
                "indexes": [],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="Case",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                ("kind", models.CharField(max_length=32)),
                ("subject", models.CharField(max_length=128)),
                (
                    "status",
                    models.CharField(default=payments.states.CaseStatus["OPEN"], max_length=16),
                ),
                ("intent_id", models.UUIDField(blank=True, null=True)),
                ("operation_id", models.UUIDField(blank=True, null=True)),
                ("amount_minor", models.BigIntegerField(blank=True, null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("summary", models.CharField(max_length=500)),
                (
                    "discrepancy",
                    models.CharField(blank=True, db_default="", default="", max_length=32),
                ),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_by", models.CharField(blank=True, max_length=200)),
                ("resolution", models.CharField(blank=True, max_length=1000)),
            ],
            options={
                "db_table": "payments_case",
                "indexes": [
                    models.Index(models.F("intent_id"), name="case_intent"),
                    models.Index(
                        models.F("opened_at"),
                        models.F("kind"),
                        condition=models.Q(("status", "open")),
                        name="case_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "open")),
                        fields=("kind", "subject"),
                        name="one_open_case",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at__isnull", True), ("status", "open")),
                            models.Q(
                                ("closed_at__isnull", False),
                                ("status", "closed"),
                                models.Q(("closed_by", ""), _negated=True),
                                models.Q(("resolution", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="closed_case_names_its_closer",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PaymentLink",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("token", models.CharField(max_length=64, unique=True)),
                ("active", models.BooleanField(default=True)),
                ("line_items", models.JSONField()),
                ("method_types", models.JSONField(default=list)),
                ("intent_details", models.JSONField(default=dict)),
                ("redirect_url", models.CharField(blank=True, max_length=2048)),
                ("inactive_message", models.CharField(blank=True, max_length=500)),
                ("submit_type", models.CharField(default="auto", max_length=8)),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_payment_link",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="link_newest",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="link_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="link_currency"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("aggregatetype", models.CharField(max_length=32)),
                ("aggregateid", models.UUIDField()),
                ("seq", models.PositiveIntegerField()),
                ("type", models.CharField(max_length=64)),
                ("payload", models.JSONField()),
                ("api_version", models.CharField(blank=True, max_length=64)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("idempotency_key", models.CharField(blank=True, max_length=255)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_event",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("id"),
                        name="event_by_id",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("type"),
                        models.F("id"),
                        condition=models.Q(
                            (
                                "type__in",
                                [
                                    "charge.succeeded",
                                    "payment_intent.created",
                                    "payment_intent.succeeded",
                                ],
                            ),
                            _negated=True,
                        ),
                        name="event_of_rare_type",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("aggregateid", "seq"), name="event_seq_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("url", models.CharField(max_length=2048)),
                ("enabled_events", models.JSONField()),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("api_version", models.CharField(max_length=64)),
                (
                    "delivery_order",
                    models.CharField(
                        choices=[("ordered", "ordered"), ("unordered", "unordered")],
                        db_default="ordered",
                        default=payments.states.DeliveryOrder["ORDERED"],
                        max_length=16,
                    ),
                ),
                ("sealed_secret", models.CharField(max_length=300)),
                ("sealed_previous_secret", models.CharField(blank=True, max_length=300)),
                ("previous_secret_until", models.DateTimeField(blank=True, null=True)),
                (
                    "status",
                    models.CharField(
                        default=payments.states.EndpointStatus["ENABLED"], max_length=16
                    ),
                ),
                ("disabled_because", models.CharField(blank=True, max_length=32)),
                ("disabled_at", models.DateTimeField(blank=True, null=True)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("warned_at", models.DateTimeField(blank=True, null=True)),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_webhook_endpoint",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="endpoint_newest",
                    ),
                    models.Index(
                        models.F("failing_since"),
                        condition=models.Q(
                            ("failing_since__isnull", False),
                            ("status", payments.states.EndpointStatus["ENABLED"]),
                        ),
                        name="endpoint_failing",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("disabled_at__isnull", True),
                                ("disabled_because", ""),
                                ("status", payments.states.EndpointStatus["ENABLED"]),
                            ),
                            models.Q(
                                ("disabled_at__isnull", False),
                                ("status", payments.states.EndpointStatus["DISABLED"]),
                                models.Q(("disabled_because", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="endpoint_disabled_for_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("deleted_at__isnull", True),
                            ("status", payments.states.EndpointStatus["DISABLED"]),
                            _connector="OR",
                        ),
                        name="endpoint_deleted_is_disabled",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.CharField(max_length=64)),
                ("request_id", models.CharField(max_length=64)),
                ("api_version", models.CharField(blank=True, max_length=64)),
                ("expand", models.JSONField(default=list)),
                ("epoch", models.PositiveIntegerField(default=1)),
                ("lease_until", models.DateTimeField()),
                ("intent_id", models.UUIDField(blank=True, null=True)),
                ("operation_id", models.UUIDField(blank=True, null=True)),
                ("answer_status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("answer_body", models.TextField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_idempotency_key",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant", "livemode", "key"), name="idempotency_key_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("answer_body__isnull", True), ("answer_status__isnull", True)
                            ),
                            models.Q(
                                ("answer_body__isnull", False), ("answer_status__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="idempotency_answer_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RoutingRule",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("position", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=64)),
                ("active", models.BooleanField(default=True)),
                ("conditions", models.JSONField(blank=True, default=dict)),
                ("targets", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "db_table": "payments_routing_rule",
                "constraints": [
                    models.UniqueConstraint(
                        deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                        fields=("livemode", "position"),
                        name="one_routing_rule_per_position",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("position__gte", 1)),
                        name="routing_positions_begin_at_1",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True),
                        name="routing_rule_has_a_name",
                    ),
                ],
                "indexes": [],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.event",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.webhookendpoint",
                    ),
                ),
                ("aggregateid", models.UUIDField()),
                ("seq", models.PositiveIntegerField()),
                ("is_replay", models.BooleanField(default=False)),
                ("pending_webhooks", models.PositiveSmallIntegerField(db_default=1)),
                ("created_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        default=payments.states.DeliveryStatus["PENDING"], max_length=16
                    ),
                ),
                ("is_ordered", models.BooleanField(default=True)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("attempts_since_requeue", models.PositiveSmallIntegerField(default=0)),
                ("last_status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=200)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "db_table": "payments_delivery",
                "indexes": [
                    models.Index(
                        models.F("endpoint"),
                        models.F("next_attempt_at"),
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        name="delivery_due",
                    ),
                    models.Index(
                        models.F("aggregateid"),
                        models.F("endpoint"),
                        models.F("seq"),
                        condition=models.Q(
                            ("is_ordered", True),
                            ("status", payments.states.DeliveryStatus["PENDING"]),
                        ),
                        name="delivery_line",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("event"), descending=True),
                        condition=models.Q(
                            ("status", payments.states.DeliveryStatus["DELIVERED"]), _negated=True
                        ),
                        name="delivery_undelivered",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("endpoint"),
                        models.F("event"),
                        models.Case(models.When(is_replay=True, then=models.F("id"))),
                        name="delivery_of_endpoint_once",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("ended_at__isnull", True),
                                ("status", payments.states.DeliveryStatus["PENDING"]),
                            ),
                            models.Q(
                                ("ended_at__isnull", False),
                                ("next_attempt_at__isnull", True),
                                (
                                    "status__in",
                                    [
                                        payments.states.DeliveryStatus["DELIVERED"],
                                        payments.states.DeliveryStatus["DEAD"],
                                    ],
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="delivery_waits_or_is_done",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_ordered", True),
                            models.Q(
                                ("status", payments.states.DeliveryStatus["PENDING"]), _negated=True
                            ),
                            ("next_attempt_at__isnull", False),
                            _connector="OR",
                        ),
                        name="delivery_out_of_line_waits_for_nothing",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DeliveryAttempt",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "delivery",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.delivery",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField()),
                ("status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("error", models.CharField(blank=True, max_length=200)),
                ("response", models.CharField(blank=True, max_length=2000)),
            ],
            options={
                "verbose_name_plural": "delivery attempts",
                "db_table": "payments_delivery_attempt",
                "indexes": [
                    models.Index(
                        models.F("delivery"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="attempt_of_delivery",
                    )
                ],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="Customer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("name", models.CharField(blank=True, max_length=256)),
                ("email", models.CharField(blank=True, max_length=512)),
                ("phone", models.CharField(blank=True, max_length=40)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("address", models.JSONField(blank=True, null=True)),
                ("shipping", models.JSONField(blank=True, null=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                (
                    "preferred_locales",
                    models.JSONField(
                        blank=True, db_default=models.Value([], models.JSONField()), default=list
                    ),
                ),
                (
                    "tax_exempt",
                    models.CharField(
                        choices=[("none", "none"), ("exempt", "exempt"), ("reverse", "reverse")],
                        db_default="none",
                        default="none",
                        help_text="For the merchant: no tax is computed here.",
                        max_length=8,
                    ),
                ),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_customer",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="customer_newest",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        django.db.models.functions.text.Upper("email"),
                        name="customer_email_any_case",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        django.db.models.functions.text.Upper("name"),
                        condition=models.Q(("name", ""), _negated=True),
                        name="customer_name",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        django.db.models.functions.text.Upper("phone"),
                        condition=models.Q(("phone", ""), _negated=True),
                        name="customer_phone",
                    ),
                ],
                "constraints": [],
            },
        ),
        migrations.CreateModel(
            name="PaymentMethod",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.customer",
                    ),
                ),
                ("token", models.CharField(max_length=255)),
                (
                    "alternatives",
                    models.JSONField(
                        blank=True, db_default=models.Value({}, models.JSONField()), default=dict
                    ),
                ),
                ("method_type", models.CharField(max_length=32)),
                ("brand", models.CharField(blank=True, max_length=32)),
                ("funding", models.CharField(blank=True, max_length=16)),
                ("last4", models.CharField(blank=True, max_length=4)),
                ("expiry_month", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("expiry_year", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("country", models.CharField(blank=True, max_length=2)),
                ("fingerprint", models.CharField(blank=True, max_length=64)),
                ("billing_details", models.JSONField(blank=True, default=dict)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                (
                    "allow_redisplay",
                    models.CharField(
                        choices=[
                            ("always", "always"),
                            ("limited", "limited"),
                            ("unspecified", "unspecified"),
                        ],
                        db_default="unspecified",
                        default="unspecified",
                        help_text="Whether the customer is shown it again, on the checkout page too: if `always`.",
                        max_length=11,
                    ),
                ),
                (
                    "network_transaction_id",
                    models.CharField(blank=True, db_default="", default="", max_length=128),
                ),
                (
                    "stored_token",
                    models.CharField(blank=True, db_default="", default="", max_length=255),
                ),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("detached_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_payment_method",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("id"),
                        name="method_by_id",
                    ),
                    models.Index(
                        models.F("customer"),
                        condition=models.Q(("customer__isnull", False)),
                        name="method_customer",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("token__regex", "^[0-9 -]{12,23}$"), _negated=True),
                        name="payment_method_token_is_no_number",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("stored_token__regex", "^[0-9 -]{12,23}$"), _negated=True
                        ),
                        name="payment_method_stored_token_is_no_number",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("last4__regex", "^([0-9]{4})?$")),
                        name="payment_method_last4",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PaymentIntent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.customer",
                    ),
                ),
                (
                    "payment_method",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.paymentmethod",
                    ),
                ),
                ("order_id", models.CharField(blank=True, max_length=500)),
                (
                    "status",
                    models.CharField(
                        default=payments.states.IntentStatus["INITIATED"], max_length=24
                    ),
                ),
                ("published_status", models.CharField(blank=True, max_length=24)),
                ("amount_authorized_minor", models.BigIntegerField(default=0)),
                ("amount_held_minor", models.BigIntegerField(default=0)),
                ("amount_captured_minor", models.BigIntegerField(default=0)),
                ("amount_refunded_minor", models.BigIntegerField(default=0)),
                ("amount_refund_pending_minor", models.BigIntegerField(default=0)),
                ("amount_excess_minor", models.BigIntegerField(default=0)),
                ("amount_over_refunded_minor", models.BigIntegerField(default=0)),
                ("amount_disputed_minor", models.BigIntegerField(default=0)),
                ("latest_dispute_id", models.UUIDField(blank=True, null=True)),
                ("capture_method", models.CharField(default="automatic", max_length=16)),
                (
                    "confirmation_method",
                    models.CharField(db_default="automatic", default="automatic", max_length=16),
                ),
                ("payment_method_types", models.JSONField(default=list)),
                (
                    "payment_method_options",
                    models.JSONField(
                        blank=True, db_default=models.Value({}, models.JSONField()), default=dict
                    ),
                ),
                ("amount_details", models.JSONField(blank=True, null=True)),
                ("level3", models.JSONField(blank=True, null=True)),
                ("automatic_payment_methods", models.JSONField(blank=True, null=True)),
                ("psp_reference", models.CharField(blank=True, max_length=128)),
                ("idempotency_key", models.CharField(blank=True, max_length=255)),
                ("latest_charge_id", models.UUIDField(blank=True, null=True)),
                ("checkout_session_id", models.UUIDField(blank=True, null=True)),
                ("client_secret", models.CharField(max_length=64)),
                ("next_action_url", models.CharField(blank=True, max_length=2048)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("last_payment_error", models.JSONField(blank=True, null=True)),
                ("cancellation_reason", models.CharField(blank=True, max_length=32)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("receipt_email", models.CharField(blank=True, max_length=512)),
                ("shipping", models.JSONField(blank=True, null=True)),
                ("statement_descriptor", models.CharField(blank=True, max_length=22)),
                ("statement_descriptor_suffix", models.CharField(blank=True, max_length=22)),
                ("setup_future_usage", models.CharField(blank=True, max_length=16)),
                ("metadata", models.JSONField(default=dict)),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("authorization_expires_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("canceled_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_payment_intent",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("id"),
                        name="intent_by_id",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("currency"),
                        models.F("amount_minor"),
                        models.F("id"),
                        name="intent_currency_amount_id",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("customer"),
                        name="intent_customer",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        condition=models.Q(("canceled_at__isnull", False)),
                        name="intent_canceled",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("order_id"),
                        condition=models.Q(("order_id", ""), _negated=True),
                        name="intent_order",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="intent_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount_captured_minor__gte", 0),
                            ("amount_held_minor__gte", 0),
                            (
                                "amount_authorized_minor__gte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("amount_captured_minor"),
                                    "+",
                                    models.F("amount_held_minor"),
                                ),
                            ),
                        ),
                        name="intent_captured_and_held_at_most_authorized",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount_refunded_minor__gte", 0),
                            ("amount_refund_pending_minor__gte", 0),
                            (
                                "amount_over_refunded_minor",
                                django.db.models.functions.comparison.Greatest(
                                    0,
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("amount_refunded_minor"),
                                            "+",
                                            models.F("amount_refund_pending_minor"),
                                        ),
                                        "-",
                                        models.F("amount_captured_minor"),
                                    ),
                                ),
                            ),
                        ),
                        name="intent_refunded_at_most_captured",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount_disputed_minor", 0),
                            models.Q(
                                ("amount_disputed_minor__gt", 0),
                                ("latest_dispute_id__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="disputed_intent_names_its_dispute",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_excess_minor__gte", 0)),
                        name="intent_excess_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("confirmation_method__in", ["automatic", "manual"])),
                        name="intent_confirmation_method",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="intent_currency",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SetupIntent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.customer",
                    ),
                ),
                (
                    "payment_method",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.paymentmethod",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        default=payments.states.SetupStatus["REQUIRES_PAYMENT_METHOD"],
                        max_length=24,
                    ),
                ),
                (
                    "usage",
                    models.CharField(
                        choices=[("on_session", "on_session"), ("off_session", "off_session")],
                        max_length=16,
                    ),
                ),
                ("payment_method_types", models.JSONField(default=list)),
                ("automatic_payment_methods", models.JSONField(blank=True, null=True)),
                ("payment_method_options", models.JSONField(blank=True, default=dict)),
                ("latest_attempt_id", models.UUIDField(blank=True, null=True)),
                ("mandate_id", models.UUIDField(blank=True, null=True)),
                ("client_secret", models.CharField(max_length=64)),
                ("next_action_url", models.CharField(blank=True, max_length=2048)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("last_setup_error", models.JSONField(blank=True, null=True)),
                ("cancellation_reason", models.CharField(blank=True, max_length=32)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("idempotency_key", models.CharField(blank=True, max_length=255)),
                ("checkout_session_id", models.UUIDField(blank=True, null=True)),
                ("event_seq", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("canceled_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_setup_intent",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("id"),
                        name="setup_by_id",
                    ),
                    models.Index(
                        models.F("customer"),
                        condition=models.Q(("customer__isnull", False)),
                        name="setup_customer",
                    ),
                    models.Index(
                        models.F("payment_method"),
                        condition=models.Q(("payment_method__isnull", False)),
                        name="setup_method",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("usage__in", ("on_session", "off_session"))),
                        name="setup_usage",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                (
                                    "status__in",
                                    [
                                        "requires_confirmation",
                                        "processing",
                                        "requires_action",
                                        "succeeded",
                                    ],
                                ),
                                _negated=True,
                            ),
                            ("payment_method__isnull", False),
                            _connector="OR",
                        ),
                        name="setup_names_its_method",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "requires_action"), _negated=True),
                            models.Q(("next_action_url", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="setup_names_its_challenge",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Mandate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "payment_method",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mandates",
                        to="payments.paymentmethod",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        default=payments.models.mandate.MandateStatus["PENDING"], max_length=16
                    ),
                ),
                (
                    "use",
                    models.CharField(
                        choices=[("multi_use", "multi_use"), ("single_use", "single_use")],
                        max_length=10,
                    ),
                ),
                ("single_use_minor", models.BigIntegerField(blank=True, null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "acceptance",
                    models.CharField(
                        choices=[("online", "online"), ("offline", "offline")], max_length=7
                    ),
                ),
                ("accepted_at", models.DateTimeField()),
                ("ip_address", models.CharField(blank=True, max_length=45)),
                ("user_agent", models.CharField(blank=True, max_length=1000)),
                ("made_by_id", models.UUIDField()),
                (
                    "psp_reference",
                    models.CharField(blank=True, db_default="", default="", max_length=128),
                ),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_mandate",
                "indexes": [
                    models.Index(models.F("payment_method"), models.F("id"), name="mandate_method")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("currency", ""),
                                ("single_use_minor__isnull", True),
                                ("use", "multi_use"),
                            ),
                            models.Q(
                                ("single_use_minor__gt", 0),
                                ("use", "single_use"),
                                models.Q(("currency", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="mandate_single_use_has_its_amount",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("use", "single_use"), _negated=True),
                            models.Q(("status", "active"), _negated=True),
                            _connector="OR",
                        ),
                        name="mandate_single_use_is_never_active",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", False), ("status", "inactive")),
                            models.Q(
                                models.Q(("status", "inactive"), _negated=True),
                                ("ended_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="mandate_inactive_says_since_when",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("acceptance", "offline"), _negated=True),
                            models.Q(("ip_address", ""), ("user_agent", "")),
                            _connector="OR",
                        ),
                        name="mandate_offline_has_no_browser",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SetupAttempt",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "setup_intent",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="payments.setupintent",
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        default=payments.states.SetupAttemptStatus["SENDING"], max_length=16
                    ),
                ),
                ("psp_key", models.CharField(max_length=64, unique=True)),
                ("psp_id", models.CharField(blank=True, max_length=128)),
                ("payment_method_id", models.UUIDField()),
                ("customer_id", models.UUIDField(blank=True, null=True)),
                ("payment_method_details", models.JSONField()),
                ("token", models.CharField(max_length=255)),
                ("usage", models.CharField(max_length=16)),
                ("three_d_secure", models.CharField(blank=True, max_length=16)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("mandate_id", models.UUIDField(blank=True, null=True)),
                ("network_transaction_id", models.CharField(blank=True, max_length=128)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("decline_code", models.CharField(blank=True, max_length=64)),
                ("message", models.CharField(blank=True, max_length=500)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("idempotency_id", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField()),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("checks", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_setup_attempt",
                "indexes": [
                    models.Index(
                        models.F("next_check_at"),
                        condition=models.Q(("next_check_at__isnull", False)),
                        name="setup_attempt_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    payments.states.SetupAttemptStatus["REQUIRES_ACTION"],
                                    payments.states.SetupAttemptStatus["SENDING"],
                                    payments.states.SetupAttemptStatus["UNKNOWN"],
                                ],
                            )
                        ),
                        fields=("setup_intent",),
                        name="one_open_attempt_per_setup",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closed_at__isnull", True),
                                ("next_check_at__isnull", False),
                                (
                                    "status__in",
                                    [
                                        payments.states.SetupAttemptStatus["REQUIRES_ACTION"],
                                        payments.states.SetupAttemptStatus["SENDING"],
                                        payments.states.SetupAttemptStatus["UNKNOWN"],
                                    ],
                                ),
                            ),
                            models.Q(
                                models.Q(
                                    (
                                        "status__in",
                                        [
                                            payments.states.SetupAttemptStatus["REQUIRES_ACTION"],
                                            payments.states.SetupAttemptStatus["SENDING"],
                                            payments.states.SetupAttemptStatus["UNKNOWN"],
                                        ],
                                    ),
                                    _negated=True,
                                ),
                                ("closed_at__isnull", False),
                                ("next_check_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="setup_attempt_open_or_closed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CheckoutSession",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "intent",
                    models.OneToOneField(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "setup_intent",
                    models.OneToOneField(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.setupintent",
                    ),
                ),
                (
                    "payment_link",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.paymentlink",
                    ),
                ),
                ("token", models.CharField(max_length=64, unique=True)),
                ("status", models.CharField(default="open", max_length=24)),
                (
                    "bank_decision",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", ""),
                            ("awaited", "awaited"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                        ],
                        max_length=9,
                    ),
                ),
                ("line_items", models.JSONField()),
                ("success_url", models.CharField(blank=True, max_length=2048)),
                ("cancel_url", models.CharField(blank=True, max_length=2048)),
                ("customer_email", models.CharField(blank=True, max_length=512)),
                ("client_reference_id", models.CharField(blank=True, max_length=200)),
                ("locale", models.CharField(default="auto", max_length=8)),
                ("submit_type", models.CharField(default="auto", max_length=8)),
                ("metadata", models.JSONField(default=dict)),
                ("expires_at", models.DateTimeField()),
                ("next_expiry_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_checkout_session",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="session_newest",
                    ),
                    models.Index(
                        models.F("payment_link"),
                        models.F("id"),
                        condition=models.Q(("payment_link__isnull", False)),
                        name="session_of_link",
                    ),
                    models.Index(
                        models.F("next_expiry_at"),
                        condition=models.Q(("next_expiry_at__isnull", False)),
                        name="session_due",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_expiry_at__isnull", False), ("status", "open")),
                            models.Q(
                                models.Q(("status", "open"), _negated=True),
                                ("next_expiry_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="open_session_expires",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("bank_decision", ""), ("status", "complete"), _connector="OR"
                        ),
                        name="bank_decides_of_complete_session",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("intent__isnull", False), ("setup_intent__isnull", True)),
                            models.Q(
                                ("intent__isnull", True),
                                ("payment_link", None),
                                ("setup_intent__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="session_pays_or_keeps",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Operation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "intent",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="operations",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("authorize", "authorize"),
                            ("increment", "increment"),
                            ("capture", "capture"),
                            ("void", "void"),
                            ("refund", "refund"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        default=payments.states.OperationStatus["SENDING"], max_length=24
                    ),
                ),
                ("psp_key", models.CharField(max_length=64)),
                ("psp_id", models.CharField(blank=True, max_length=128)),
                ("psp_payment_id", models.CharField(blank=True, max_length=128)),
                ("charge_id", models.UUIDField(blank=True, null=True)),
                ("order_id", models.CharField(blank=True, max_length=500)),
                ("guard_order", models.CharField(blank=True, max_length=500, null=True)),
                ("guards_order", models.BooleanField(db_default=False, default=False)),
                ("payment_method_id", models.UUIDField(blank=True, null=True)),
                ("payment_method_details", models.JSONField(blank=True, null=True)),
                ("purchase_details", models.JSONField(blank=True, null=True)),
                ("token", models.CharField(blank=True, max_length=255)),
                ("capture_now", models.BooleanField(default=False)),
                ("final", models.BooleanField(default=True)),
                ("ends_challenge", models.BooleanField(db_default=False, default=False)),
                ("challenge_allowed", models.BooleanField(default=True)),
                (
                    "three_d_secure",
                    models.CharField(blank=True, db_default="", default="", max_length=16),
                ),
                (
                    "save_for",
                    models.CharField(blank=True, db_default="", default="", max_length=16),
                ),
                ("off_session", models.BooleanField(db_default=False, default=False)),
                (
                    "network_transaction_id",
                    models.CharField(blank=True, db_default="", default="", max_length=128),
                ),
                (
                    "network_charge_id",
                    models.CharField(blank=True, db_default="", default="", max_length=128),
                ),
                ("mandate_id", models.UUIDField(blank=True, null=True)),
                ("return_url", models.CharField(blank=True, max_length=2048)),
                ("cancellation_reason", models.CharField(blank=True, max_length=32)),
                ("status_before", models.CharField(blank=True, max_length=24)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("decline_code", models.CharField(blank=True, max_length=64)),
                ("message", models.CharField(blank=True, max_length=500)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("redirect_url", models.CharField(blank=True, max_length=2048)),
                ("balance_transaction_id", models.UUIDField(blank=True, null=True)),
                ("failure_balance_transaction_id", models.UUIDField(blank=True, null=True)),
                ("latest_dispute_id", models.UUIDField(blank=True, null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("idempotency_id", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField()),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("checks", models.PositiveIntegerField(default=0)),
                ("resent_at", models.DateTimeField(blank=True, null=True)),
                ("fenced_at", models.DateTimeField(blank=True, null=True)),
                ("replaces_id", models.UUIDField(blank=True, null=True)),
                ("requested_at", models.DateTimeField(blank=True, null=True)),
                ("revisions", models.PositiveIntegerField(default=0)),
                ("excess_minor", models.BigIntegerField(default=0)),
                ("excess_returned_minor", models.BigIntegerField(default=0)),
                ("platform_fee_minor", models.BigIntegerField(default=0)),
                ("reversal_due_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "payments_operation",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("id"),
                        condition=models.Q(("kind", "authorize")),
                        name="charge_by_id",
                    ),
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.F("currency"),
                        models.F("amount_minor"),
                        models.F("id"),
                        condition=models.Q(
                            ("kind", "authorize"),
                            (
                                "status__in",
                                [
                                    payments.states.OperationStatus["CANCELED"],
                                    payments.states.OperationStatus["DECLINED"],
                                    payments.states.OperationStatus["EXCESS"],
                                    payments.states.OperationStatus["NOT_SENT"],
                                    payments.states.OperationStatus["REVERSED"],
                                ],
                            ),
                        ),
                        name="charge_own_currency_amount_id",
                    ),
                    models.Index(
                        models.F("next_check_at"),
                        condition=models.Q(("next_check_at__isnull", False)),
                        name="operation_due",
                    ),
                    models.Index(
                        models.F("reversal_due_at"),
                        condition=models.Q(("reversal_due_at__isnull", False)),
                        name="operation_to_reverse",
                    ),
                    models.Index(
                        models.F("psp_payment_id"),
                        condition=models.Q(
                            ("kind", "authorize"), models.Q(("psp_payment_id", ""), _negated=True)
                        ),
                        name="charge_psp_payment",
                    ),
                    models.Index(
                        models.F("created_at"),
                        condition=models.Q(("status", "UNKNOWN")),
                        name="operation_outcome_unknown",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "psp_key"), name="operation_psp_key"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("kind", "authorize"),
                            (
                                "status__in",
                                [
                                    payments.states.OperationStatus["PENDING"],
                                    payments.states.OperationStatus["REQUIRES_ACTION"],
                                    payments.states.OperationStatus["SENDING"],
                                    payments.states.OperationStatus["SUCCEEDED"],
                                    payments.states.OperationStatus["UNKNOWN"],
                                ],
                            ),
                        ),
                        fields=("intent",),
                        name="one_charge_per_intent",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("kind__in", ["capture", "increment", "void"]),
                            (
                                "status__in",
                                [
                                    payments.states.OperationStatus["PENDING"],
                                    payments.states.OperationStatus["REQUIRES_ACTION"],
                                    payments.states.OperationStatus["SENDING"],
                                    payments.states.OperationStatus["UNKNOWN"],
                                ],
                            ),
                            models.Q(("psp_key__startswith", "psp:"), _negated=True),
                        ),
                        fields=("intent",),
                        name="one_open_change_per_intent",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("guard_order__isnull", False)),
                        fields=("merchant", "livemode", "guard_order"),
                        name="one_charge_per_order",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("replaces_id__isnull", False)),
                        fields=("replaces_id",),
                        name="operation_replaced_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("psp_id", ""), _negated=True),
                        fields=("psp_account", "kind", "psp_id"),
                        name="operation_psp_id",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("guard_order__isnull", True), ("guards_order", True), _connector="OR"
                        ),
                        name="operation_occupies_an_order_it_guards",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_challenge", False),
                            models.Q(
                                ("charge_id__isnull", False),
                                ("kind", "void"),
                                ("replaces_id__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="operation_ends_challenge_by_void",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("three_d_secure", ""),
                            models.Q(
                                ("challenge_allowed", True),
                                ("kind", "authorize"),
                                ("three_d_secure__in", ["any", "challenge"]),
                            ),
                            _connector="OR",
                        ),
                        name="operation_three_d_secure",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("network_transaction_id", ""),
                                ("off_session", False),
                                ("save_for", ""),
                            ),
                            models.Q(
                                ("kind", "authorize"),
                                ("save_for__in", ["", "on_session", "off_session"]),
                            ),
                            _connector="OR",
                        ),
                        name="operation_credential_of_a_charge",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("off_session", False), ("challenge_allowed", False), _connector="OR"
                        ),
                        name="operation_off_session_has_no_challenge",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gte", 0)),
                        name="operation_amount_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("excess_minor__gte", 0), ("excess_returned_minor__gte", 0)
                        ),
                        name="operation_excess_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Dispute",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "intent",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="disputes",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "charge",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="disputes",
                        to="payments.operation",
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.pspaccount",
                    ),
                ),
                ("psp_dispute_id", models.CharField(max_length=128)),
                (
                    "status",
                    models.CharField(
                        default=psp_adapters.contract.disputes.DisputeStatus["NEEDS_RESPONSE"],
                        max_length=24,
                    ),
                ),
                ("began_as_inquiry", models.BooleanField()),
                ("reason", models.CharField(max_length=64)),
                ("network_reason_code", models.CharField(blank=True, max_length=32)),
                (
                    "loss_policy",
                    models.CharField(
                        choices=[("merchant", "the merchant"), ("platform", "the platform")],
                        max_length=16,
                    ),
                ),
                ("fee_minor", models.BigIntegerField(default=0)),
                ("fee_returned_minor", models.BigIntegerField(default=0)),
                ("is_charge_refundable", models.BooleanField(default=False)),
                ("evidence", models.JSONField(default=dict)),
                ("evidence_due_by", models.DateTimeField(blank=True, null=True)),
                (
                    "answered_stage",
                    models.CharField(
                        blank=True,
                        choices=[("inquiry", "an inquiry"), ("chargeback", "a chargeback")],
                        max_length=16,
                    ),
                ),
                ("submission_count", models.PositiveIntegerField(default=0)),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("held_id", models.UUIDField(blank=True, null=True)),
                ("released_id", models.UUIDField(blank=True, null=True)),
                ("funds_withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("funds_reinstated_at", models.DateTimeField(blank=True, null=True)),
                ("next_sync_at", models.DateTimeField(blank=True, null=True)),
                ("next_reminder_at", models.DateTimeField(blank=True, null=True)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_dispute",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="dispute_newest",
                    ),
                    models.Index(
                        models.F("next_sync_at"),
                        condition=models.Q(("next_sync_at__isnull", False)),
                        name="dispute_sync_due",
                    ),
                    models.Index(
                        models.F("next_reminder_at"),
                        condition=models.Q(("next_reminder_at__isnull", False)),
                        name="dispute_reminder_due",
                    ),
                    models.Index(
                        models.F("evidence_due_by"),
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    psp_adapters.contract.disputes.DisputeStatus["NEEDS_RESPONSE"],
                                    psp_adapters.contract.disputes.DisputeStatus[
                                        "WARNING_NEEDS_RESPONSE"
                                    ],
                                ],
                            )
                        ),
                        name="dispute_unanswered",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("psp_account", "psp_dispute_id"), name="dispute_psp_id"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount_minor__gte", 0),
                            ("fee_minor__gte", 0),
                            ("fee_returned_minor__gte", 0),
                            ("fee_returned_minor__lte", models.F("fee_minor")),
                        ),
                        name="dispute_amounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closed_at__isnull", True),
                                (
                                    "status__in",
                                    [
                                        psp_adapters.contract.disputes.DisputeStatus[
                                            "NEEDS_RESPONSE"
                                        ],
                                        psp_adapters.contract.disputes.DisputeStatus[
                                            "UNDER_REVIEW"
                                        ],
                                        psp_adapters.contract.disputes.DisputeStatus[
                                            "WARNING_NEEDS_RESPONSE"
                                        ],
                                        psp_adapters.contract.disputes.DisputeStatus[
                                            "WARNING_UNDER_REVIEW"
                                        ],
                                    ],
                                ),
                            ),
                            models.Q(
                                models.Q(
                                    (
                                        "status__in",
                                        [
                                            psp_adapters.contract.disputes.DisputeStatus[
                                                "NEEDS_RESPONSE"
                                            ],
                                            psp_adapters.contract.disputes.DisputeStatus[
                                                "UNDER_REVIEW"
                                            ],
                                            psp_adapters.contract.disputes.DisputeStatus[
                                                "WARNING_NEEDS_RESPONSE"
                                            ],
                                            psp_adapters.contract.disputes.DisputeStatus[
                                                "WARNING_UNDER_REVIEW"
                                            ],
                                        ],
                                    ),
                                    _negated=True,
                                ),
                                ("closed_at__isnull", False),
                                ("next_sync_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="dispute_open_or_closed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("funds_reinstated_at__isnull", True),
                            ("funds_withdrawn_at__isnull", False),
                            _connector="OR",
                        ),
                        name="dispute_reinstated_after_withdrawn",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Refund",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "intent",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "operation",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refund",
                        to="payments.operation",
                    ),
                ),
                ("charge_id", models.UUIDField()),
                (
                    "status",
                    models.CharField(
                        default=payments.states.RefundStatus["PENDING"], max_length=16
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=32)),
                ("failure_reason", models.CharField(blank=True, max_length=64)),
                ("description", models.CharField(blank=True, max_length=1000)),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_refund",
                "indexes": [
                    models.Index(
                        models.F("merchant"),
                        models.F("livemode"),
                        models.OrderBy(models.F("id"), descending=True),
                        name="refund_newest",
                    ),
                    models.Index(models.F("charge_id"), name="refund_charge"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="refund_amount_positive"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RoutingDecision",
            fields=[
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "intent",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="routing_decisions",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "charge",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.operation",
                    ),
                ),
                (
                    "setup_intent",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="routing_decisions",
                        to="payments.setupintent",
                    ),
                ),
                (
                    "setup_attempt",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.setupattempt",
                    ),
                ),
                ("sequence", models.PositiveSmallIntegerField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.pspaccount",
                    ),
                ),
                ("reason", models.CharField(max_length=24)),
                ("rule_id", models.UUIDField(blank=True, null=True)),
                ("rule_position", models.PositiveIntegerField(blank=True, null=True)),
                ("rule_name", models.CharField(blank=True, max_length=64)),
                ("candidates", models.JSONField()),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_routing_decision",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("intent", "sequence"), name="one_routing_decision_per_sequence"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("setup_intent__isnull", False)),
                        fields=("setup_intent", "sequence"),
                        name="one_setup_decision_per_sequence",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("intent__isnull", False),
                                ("setup_attempt__isnull", True),
                                ("setup_intent__isnull", True),
                            ),
                            models.Q(
                                ("charge__isnull", True),
                                ("intent__isnull", True),
                                ("setup_intent__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="routing_decision_is_about_one",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "reason__in",
                                [
                                    "breaker_open",
                                    "default_account",
                                    "fallback",
                                    "method_of_account",
                                    "not_sent",
                                    "paused",
                                    "retriable_decline",
                                    "rule",
                                    "split",
                                ],
                            )
                        ),
                        name="routing_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("rule_id__isnull", True),
                                ("rule_name", ""),
                                ("rule_position__isnull", True),
                            ),
                            models.Q(
                                ("rule_id__isnull", False),
                                ("rule_position__isnull", False),
                                models.Q(("rule_name", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="routing_decision_names_its_rule",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DisputeResponse",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payments.public_ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                ("livemode", models.BooleanField()),
                (
                    "dispute",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="responses",
                        to="payments.dispute",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("evidence", "evidence"), ("acceptance", "acceptance")],
                        max_length=16,
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        choices=[("inquiry", "an inquiry"), ("chargeback", "a chargeback")],
                        max_length=16,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        default=payments.states.ResponseStatus["SENDING"], max_length=16
                    ),
                ),
                ("evidence", models.JSONField(default=dict)),
                ("psp_key", models.CharField(max_length=64, unique=True)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("message", models.CharField(blank=True, max_length=500)),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("idempotency_id", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField()),
                ("next_check_at", models.DateTimeField(blank=True, null=True)),
                ("checks", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "dispute responses",
                "db_table": "payments_dispute_response",
                "indexes": [
                    models.Index(
                        models.F("next_check_at"),
                        condition=models.Q(("next_check_at__isnull", False)),
                        name="response_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("kind", "evidence"),
                            (
                                "status__in",
                                [
                                    payments.states.ResponseStatus["SENDING"],
                                    payments.states.ResponseStatus["SUCCEEDED"],
                                    payments.states.ResponseStatus["UNKNOWN"],
                                ],
                            ),
                        ),
                        fields=("dispute", "stage"),
                        name="one_submission_per_stage",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    payments.states.ResponseStatus["SENDING"],
                                    payments.states.ResponseStatus["UNKNOWN"],
                                ],
                            )
                        ),
                        fields=("dispute",),
                        name="one_open_response",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("closed_at__isnull", True),
                                ("next_check_at__isnull", False),
                                (
                                    "status__in",
                                    [
                                        payments.states.ResponseStatus["SENDING"],
                                        payments.states.ResponseStatus["UNKNOWN"],
                                    ],
                                ),
                            ),
                            models.Q(
                                models.Q(
                                    (
                                        "status__in",
                                        [
                                            payments.states.ResponseStatus["SENDING"],
                                            payments.states.ResponseStatus["UNKNOWN"],
                                        ],
                                    ),
                                    _negated=True,
                                ),
                                ("closed_at__isnull", False),
                                ("next_check_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="response_open_or_closed",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="customer",
            name="default_payment_method",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="payments.paymentmethod",
            ),
        ),
    ]
