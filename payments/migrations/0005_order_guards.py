"""Which charges are to occupy their order, so that a lost order guard is found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_replacements_and_fees")]

    operations = [
        migrations.AddField(
            "operation", "guards_order", models.BooleanField(default=False, db_default=False)
        ),
        migrations.RunSQL(
            "UPDATE payments_operation SET guards_order = true WHERE guard_order IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddConstraint(
            "operation",
            models.CheckConstraint(
                condition=models.Q(guard_order__isnull=True) | models.Q(guards_order=True),
                name="operation_occupies_an_order_it_guards",
            ),
        ),
    ]
