"""The fee of a settlement line by component, in columns and in the books.

A fee that was read before is one amount: the PSP's own price. What a line booked for it stays on
5110, where such fees were booked then.
"""

from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file
from reconciliation.states import LineStatus

_COLUMNS = ("markup_minor", "interchange_minor", "scheme_fee_minor")


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0004_fee_components"),
        ("payments", "0002_guards"),
        ("reconciliation", "0002_guards"),
    ]

    operations = [
        *(
            migrations.AddField(model, name, models.BigIntegerField(db_default=0))
            for model in ("settlementline", "stagedline")
            for name in _COLUMNS
        ),
        # Not by UPDATE: the guards may be those of a later version already, with its columns.
        *(
            migrations.RunSQL(
                f"ALTER TABLE {table} ALTER COLUMN markup_minor TYPE bigint USING fee_minor"
            )
            for table in ("reconciliation_staged_line", "reconciliation_settlement_line")
        ),
        migrations.AddConstraint(
            "settlementline",
            models.CheckConstraint(
                condition=~models.Q(status=LineStatus.MATCHED)
                | models.Q(
                    fee_minor=models.F("markup_minor")
                    + models.F("interchange_minor")
                    + models.F("scheme_fee_minor")
                ),
                name="line_fee_is_its_parts",
            ),
        ),
        permanent_columns(
            "reconciliation_settlement_line",
            "id report_id psp_account_id number identity occurrence content_sha256 psp_type psp_id "
            "psp_payment_id reference currency gross_minor fee_minor markup_minor "
            "interchange_minor scheme_fee_minor occurred_at stored_at",
        ),
        run_sql_file("reconciliation", "lines_of_operations_book_by_component"),
    ]
