"""Options of payment methods that a merchant asks for, and the 3-D Secure that a charge asks for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0017_order_of_deliveries")]

    operations = [
        migrations.AddField(
            "paymentintent",
            "payment_method_options",
            models.JSONField(
                blank=True, default=dict, db_default=models.Value({}, models.JSONField())
            ),
        ),
        migrations.AddField(
            "operation",
            "three_d_secure",
            models.CharField(max_length=16, blank=True, default="", db_default=""),
        ),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddConstraint(
            "operation",
            models.CheckConstraint(
                condition=models.Q(three_d_secure="")
                | models.Q(
                    three_d_secure__in=["any", "challenge"],
                    kind="authorize",
                    challenge_allowed=True,
                ),
                name="operation_three_d_secure",
            ),
        ),
    ]
