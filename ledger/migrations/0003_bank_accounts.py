"""Account 1200 joins the chart: what our bank holds."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_guards"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="ledgeraccount",
            name="ledger_account_is_of_the_chart",
        ),
        migrations.AddConstraint(
            model_name="ledgeraccount",
            constraint=models.CheckConstraint(
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
        ),
    ]
