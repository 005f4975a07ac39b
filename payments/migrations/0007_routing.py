"""Routing rules and decisions, and what PostgreSQL itself refuses in them."""

from django.db import migrations, models

from ledger.database.guards import append_only, permanent_columns, run_sql_file
from payments import public_ids


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0006_checkout"),
    ]

    operations = [
        migrations.CreateModel(
            name="RoutingDecision",
            fields=[
                ("livemode", models.BooleanField()),
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sequence", models.PositiveSmallIntegerField()),
                ("reason", models.CharField(max_length=24)),
                ("rule_id", models.UUIDField(blank=True, null=True)),
                ("rule_position", models.PositiveIntegerField(blank=True, null=True)),
                ("rule_name", models.CharField(blank=True, max_length=64)),
                ("candidates", models.JSONField()),
                ("created_at", models.DateTimeField()),
                (
                    "charge",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="payments.operation",
                    ),
                ),
                (
                    "intent",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="routing_decisions",
                        to="payments.paymentintent",
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        to="payments.merchant",
                    ),
                ),
                (
                    "psp_account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="payments.pspaccount",
                    ),
                ),
            ],
            options={
                "db_table": "payments_routing_decision",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("intent", "sequence"), name="one_routing_decision_per_sequence"
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
            name="RoutingRule",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id, editable=False, primary_key=True, serialize=False
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
                (
                    "merchant",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="payments.merchant",
                    ),
                ),
            ],
            options={
                "db_table": "payments_routing_rule",
                "constraints": [
                    models.UniqueConstraint(
                        deferrable=models.Deferrable.DEFERRED,
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
            },
        ),
        append_only("payments_routing_decision"),
        permanent_columns("payments_routing_rule", "id livemode created_at"),
        run_sql_file("payments", "routing_rules_have_a_form"),
    ]
