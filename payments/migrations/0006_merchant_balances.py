"""How far each merchant was told that money has become available."""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import permanent_columns
from payments import public_ids


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_audit_trail")]

    operations = [
        migrations.CreateModel(
            name="MerchantBalance",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("livemode", models.BooleanField()),
                ("announced_to", models.DateField()),
                ("is_due", models.BooleanField(db_default=False, default=False)),
                ("event_seq", models.PositiveIntegerField(default=0)),
                (
                    "merchant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="payments.merchant",
                    ),
                ),
            ],
            options={
                "db_table": "payments_merchant_balance",
                "indexes": [
                    models.Index(
                        "merchant",
                        condition=models.Q(is_due=True),
                        name="merchant_balance_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant", "livemode"), name="merchant_balance_once"
                    )
                ],
            },
        ),
        permanent_columns("payments_merchant_balance", "id merchant_id livemode"),
    ]
