"""What the PSP converted, in columns and in the books, and the code of a wrong conversion."""

from django.db import migrations, models
from django.db.models.functions import Coalesce

from ledger.database.guards import permanent_columns, run_sql_file
from reconciliation.discrepancies import Discrepancy

_COLUMNS = {
    "converted_from_minor": models.BigIntegerField(blank=True, null=True),
    "converted_from_currency": models.CharField(blank=True, max_length=3, null=True),
    "exchange_rate": models.CharField(blank=True, db_default="", max_length=32),
}


class Migration(migrations.Migration):
    dependencies = [("ledger", "0007_fx_position"), ("reconciliation", "0009_closes_of_the_books")]

    operations = [
        *(
            migrations.AddField(model, name, column)
            for model in ("settlementline", "stagedline")
            for name, column in _COLUMNS.items()
        ),
        migrations.AddField(
            "settlementline",
            "paid_minor",
            models.GeneratedField(
                db_persist=True,
                expression=Coalesce("converted_from_minor", "gross_minor"),
                output_field=models.BigIntegerField(),
            ),
        ),
        migrations.AddField(
            "settlementline",
            "paid_currency",
            models.GeneratedField(
                db_persist=True,
                expression=Coalesce("converted_from_currency", "currency"),
                output_field=models.CharField(max_length=3),
            ),
        ),
        migrations.AddConstraint(
            "settlementline",
            models.CheckConstraint(
                condition=models.Q(
                    converted_from_minor__isnull=True, converted_from_currency__isnull=True
                )
                | models.Q(converted_from_minor__isnull=False)
                & models.Q(converted_from_currency__isnull=False)
                & ~models.Q(converted_from_currency=models.F("currency")),
                name="line_is_converted_from_another_currency",
            ),
        ),
        migrations.RemoveConstraint("linevariance", "line_variance_is_a_difference"),
        migrations.AddConstraint(
            "linevariance",
            models.CheckConstraint(
                condition=models.Q(discrepancy__in=["FEE_VARIANCE", "FX_VARIANCE"])
                & ~models.Q(agreed_minor=models.F("stated_minor")),
                name="line_variance_is_a_difference",
            ),
        ),
        permanent_columns(
            "reconciliation_settlement_line",
            "id report_id psp_account_id number identity occurrence content_sha256 psp_type psp_id "
            "psp_payment_id reference currency gross_minor fee_minor markup_minor "
            "interchange_minor scheme_fee_minor occurred_at psp_payout_id converted_from_minor "
            "converted_from_currency exchange_rate stored_at",
        ),
        run_sql_file("reconciliation", "lines_of_operations_equal_the_books"),
        run_sql_file("reconciliation", "lines_of_operations_book_by_component"),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
