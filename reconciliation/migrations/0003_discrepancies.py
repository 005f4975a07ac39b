"""A line that is not matched, and a case of reconciliation, name a code of the closed list."""

from django.db import migrations, models

from ledger.database.guards import run_sql_file
from reconciliation.discrepancies import OF_LINES, Discrepancy
from reconciliation.states import LineStatus as S


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0003_discrepancies_of_cases"),
        ("reconciliation", "0002_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="settlementline",
            name="discrepancy",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        run_sql_file("reconciliation", "unmatched_lines_get_their_discrepancy"),
        migrations.AddIndex(
            model_name="settlementline",
            index=models.Index(
                models.F("discrepancy"),
                condition=models.Q(discrepancy="", _negated=True),
                name="line_discrepancy",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlementline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    discrepancy__in=sorted(each.value for each in OF_LINES),
                    status__in=[S.FAILING, S.DEAD],
                )
                | models.Q(discrepancy="", status__in=[S.OPEN, S.MATCHED]),
                name="line_unmatched_has_its_discrepancy",
            ),
        ),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
