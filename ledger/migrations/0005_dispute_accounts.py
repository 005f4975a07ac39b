"""The chart's accounts of disputes: exposure, held, withdrawn, fee, loss, and the PSP's balance.

Codes are written out: a migration must not change when the chart does; a test holds both equal.
"""

from django.db import migrations, models

NOW = ([9100, 9200, 9300, 9400], [1100, 1110, 1300, 2100, 2200, 2300, 4100, 5130, 5200])


def _of_the_chart(memo: list[int], real: list[int]) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=models.Q(
            models.Q(("code__in", memo), ("kind", "memo")),
            models.Q(("code__in", real), ("kind", "real")),
            _connector="OR",
        ),
        name="ledger_account_is_of_the_chart",
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_available_on")]

    operations = [
        migrations.RemoveConstraint(
            model_name="ledgeraccount", name="ledger_account_is_of_the_chart"
        ),
        migrations.AddConstraint(model_name="ledgeraccount", constraint=_of_the_chart(*NOW)),
    ]
