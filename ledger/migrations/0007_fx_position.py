"""The chart has positions in foreign exchange: 1900."""

from django.db import migrations, models

_MEMO = [9100, 9200, 9300, 9400]
_REAL = [
    *(1100, 1110, 1120, 1130, 1200, 1300, 1900, 1990, 2100, 2200, 2300, 4100, 5100, 5110, 5120),
    *(5130, 5200, 5600),
]
_CONSTRAINT = "ledger_account_is_of_the_chart"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_periods")]

    operations = [
        migrations.RemoveConstraint("ledgeraccount", _CONSTRAINT),
        migrations.AddConstraint(
            "ledgeraccount",
            models.CheckConstraint(
                condition=models.Q(kind="memo", code__in=_MEMO)
                | models.Q(kind="real", code__in=_REAL),
                name=_CONSTRAINT,
            ),
        ),
    ]
