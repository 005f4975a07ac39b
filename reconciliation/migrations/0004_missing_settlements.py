"""What should have been in a settlement report and was not."""

import django.db.models.deletion
from django.db import migrations, models

import ledger.fields
from ledger.database.guards import permanent_columns


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_guards"),
        ("payments", "0004_settlement_calendars"),
        ("reconciliation", "0003_discrepancies"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementWatch",
            fields=[
                (
                    "ledger_account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ledger.ledgeraccount",
                    ),
                ),
                ("position", ledger.fields.TransactionIdField(default=0)),
                ("watched_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlement watches",
                "db_table": "reconciliation_settlement_watch",
            },
        ),
        migrations.CreateModel(
            name="MissingSettlement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("moved_at", models.DateTimeField()),
                ("expected_by", models.DateTimeField()),
                ("found_at", models.DateTimeField()),
                ("checked_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                ("late_by", models.DurationField(blank=True, null=True)),
                (
                    "operation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
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
            ],
            options={
                "db_table": "reconciliation_missing_settlement",
                "indexes": [
                    models.Index(
                        models.F("checked_at"),
                        condition=models.Q(settled_at__isnull=True),
                        name="missing_settlement_open",
                    ),
                    models.Index(
                        models.F("psp_account"),
                        models.F("currency"),
                        condition=models.Q(settled_at__isnull=True),
                        name="missing_settlement_account",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("operation", "amount_minor"), name="missing_settlement_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            found_at__gte=models.F("expected_by"),
                            expected_by__gt=models.F("moved_at"),
                        ),
                        name="missing_settlement_was_due",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(late_by__isnull=True)
                        | models.Q(settled_at__isnull=False),
                        name="missing_settlement_is_late_once_settled",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(amount_minor=0, _negated=True),
                        name="missing_settlement_has_an_amount",
                    ),
                ],
            },
        ),
        permanent_columns(
            "reconciliation_missing_settlement",
            "id operation_id psp_account_id amount_minor currency moved_at expected_by found_at",
        ),
        permanent_columns("reconciliation_settlement_watch", "ledger_account_id"),
    ]
