"""The tables of ledger, their constraints and indexes. 0002_guards adds what models cannot say."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import ledger.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LedgerAccount",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("code", models.SmallIntegerField()),
                ("dimension", models.CharField(max_length=64)),
                ("currency", models.CharField(max_length=3)),
                (
                    "kind",
                    models.CharField(choices=[("memo", "memo"), ("real", "real")], max_length=4),
                ),
            ],
            options={
                "db_table": "ledger_account",
                "ordering": ("code", "dimension", "currency"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("code", "dimension", "currency"), name="ledger_account_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("code__in", [9100, 9200, 9300, 9400]), ("kind", "memo")),
                            models.Q(
                                (
                                    "code__in",
                                    [
                                        1100,
                                        1110,
                                        1120,
                                        1130,
                                        1200,
                                        1300,
                                        1990,
                                        2100,
                                        2200,
                                        2300,
                                        4100,
                                        5110,
                                        5130,
                                        5200,
                                        5600,
                                    ],
                                ),
                                ("kind", "real"),
                            ),
                            _connector="OR",
                        ),
                        name="ledger_account_is_of_the_chart",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="ledger_account_currency",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerTransaction",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, primary_key=True, serialize=False
                    ),
                ),
                ("rule", models.CharField(max_length=64)),
                ("source_type", models.CharField(max_length=32)),
                ("source_id", models.UUIDField()),
                ("payment_id", models.UUIDField(null=True)),
                ("merchant_id", models.UUIDField(null=True)),
                ("psp_account", models.CharField(blank=True, max_length=64)),
                ("effective_date", models.DateField()),
                ("available_on", models.DateField(null=True)),
                ("posted_at", models.DateTimeField()),
                (
                    "reverses",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversals",
                        to="ledger.ledgertransaction",
                    ),
                ),
                (
                    "xid",
                    ledger.fields.TransactionIdField(
                        db_default=ledger.fields.CurrentTransactionId(), editable=False
                    ),
                ),
            ],
            options={
                "db_table": "ledger_transaction",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["payment_id"], name="ledger_transaction_payment"),
                    models.Index(fields=["merchant_id", "id"], name="ledger_transaction_merchant"),
                    models.Index(
                        condition=models.Q(("available_on__isnull", False)),
                        fields=["merchant_id", "available_on"],
                        name="ledger_transaction_pending",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source_type", "source_id", "rule"),
                        name="ledger_transaction_posted_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("reverses__isnull", False)),
                        fields=("reverses",),
                        name="ledger_transaction_reversed_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "transaction",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="ledger.ledgertransaction",
                    ),
                ),
                ("payment_id", models.UUIDField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="ledger.ledgeraccount",
                    ),
                ),
                (
                    "direction",
                    models.CharField(choices=[("D", "debit"), ("C", "credit")], max_length=1),
                ),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "entry_type",
                    models.CharField(
                        choices=[
                            ("auth", "auth"),
                            ("release", "release"),
                            ("capture", "capture"),
                            ("refund", "refund"),
                            ("chargeback", "chargeback"),
                            ("fee", "fee"),
                            ("excess", "excess"),
                            ("settlement", "settlement"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "xid",
                    ledger.fields.TransactionIdField(
                        db_default=ledger.fields.CurrentTransactionId(), editable=False
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "ledger entries",
                "db_table": "ledger_entry",
                "ordering": ("id",),
                "indexes": [
                    models.Index(
                        fields=["account", "xid"],
                        include=("direction", "amount_minor"),
                        name="ledger_entry_account_xid",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)),
                        name="ledger_entry_amount_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("direction__in", ["D", "C"])),
                        name="ledger_entry_direction",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="ledger_entry_currency",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BalanceSnapshot",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="snapshots",
                        to="ledger.ledgeraccount",
                    ),
                ),
                ("horizon", ledger.fields.TransactionIdField()),
                ("debits_minor", models.DecimalField(decimal_places=0, max_digits=38)),
                ("credits_minor", models.DecimalField(decimal_places=0, max_digits=38)),
                ("taken_at", models.DateTimeField()),
            ],
            options={
                "db_table": "ledger_balance_snapshot",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "horizon"), name="ledger_snapshot_once"
                    )
                ],
            },
        ),
    ]
