"""Files of reports in parts, and their lines staged until a file was found whole.

Files that are here are cut into parts, by PostgreSQL. A report that was being read is read again.
"""

import django.db.models.deletion
from django.db import migrations, models

from ledger.database.guards import append_only, permanent_columns, run_sql_file, state_machine
from reconciliation import states

_CUT = """
INSERT INTO reconciliation_report_chunk (report_id, number, body)
SELECT b.report_id, part, substring(b.body FROM part * 1048576 + 1 FOR 1048576)
  FROM reconciliation_report_body b,
       generate_series(0, (octet_length(b.body) - 1) / 1048576) AS part;
UPDATE reconciliation_settlement_report r SET body_bytes = octet_length(b.body)
  FROM reconciliation_report_body b WHERE b.report_id = r.id;
UPDATE reconciliation_settlement_report SET whole_at = read_at, lines_taken = lines_read
 WHERE status = 'read';
UPDATE reconciliation_settlement_report SET lines_read = 0 WHERE status <> 'read';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_guards"),
        ("reconciliation", "0005_bank_statements"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportChunk",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("body", models.BinaryField()),
            ],
            options={
                "db_table": "reconciliation_report_chunk",
            },
        ),
        migrations.CreateModel(
            name="StagedLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("identity", models.CharField(max_length=128)),
                ("content_sha256", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=24)),
                ("psp_type", models.CharField(max_length=64)),
                ("psp_id", models.CharField(max_length=128)),
                ("psp_payment_id", models.CharField(max_length=128)),
                ("reference", models.CharField(max_length=128)),
                ("currency", models.CharField(max_length=3)),
                ("gross_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
            ],
            options={
                "db_table": "reconciliation_staged_line",
            },
        ),
        migrations.RemoveConstraint(
            model_name="settlementreport",
            name="report_waits_or_is_done",
        ),
        migrations.AddField(
            model_name="settlementreport",
            name="body_bytes",
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="settlementreport",
            name="lines_taken",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="settlementreport",
            name="reading_progress",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="settlementreport",
            name="whole_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="settlementreport",
            name="status",
            field=models.CharField(default=states.ReportStatus["RECEIVING"], max_length=16),
        ),
        migrations.AddField(
            model_name="reportchunk",
            name="report",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="chunks",
                to="reconciliation.settlementreport",
            ),
        ),
        migrations.AddField(
            model_name="stagedline",
            name="report",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="reconciliation.settlementreport",
            ),
        ),
        migrations.AddConstraint(
            model_name="reportchunk",
            constraint=models.UniqueConstraint(fields=("report", "number"), name="chunk_once"),
        ),
        migrations.AddIndex(
            model_name="stagedline",
            index=models.Index(
                models.F("report"),
                models.F("content_sha256"),
                models.F("number"),
                condition=models.Q(("identity", "")),
                name="staged_without_id",
            ),
        ),
        migrations.AddConstraint(
            model_name="stagedline",
            constraint=models.UniqueConstraint(fields=("report", "number"), name="staged_once"),
        ),
        migrations.RunSQL(_CUT),
        migrations.DeleteModel(
            name="ReportBody",
        ),
        migrations.AddConstraint(
            model_name="settlementreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("lines_taken", models.F("lines_read")),
                        ("next_attempt_at__isnull", True),
                        ("read_at__isnull", False),
                        ("status", states.ReportStatus["READ"]),
                        ("whole_at__isnull", False),
                    ),
                    models.Q(
                        ("next_attempt_at__isnull", True),
                        ("read_at__isnull", True),
                        ("status", states.ReportStatus["RECEIVING"]),
                        ("whole_at__isnull", True),
                    ),
                    models.Q(
                        ("next_attempt_at__isnull", False),
                        ("read_at__isnull", True),
                        ("status", states.ReportStatus["STORED"]),
                    ),
                    models.Q(
                        ("next_attempt_at__isnull", True),
                        ("read_at__isnull", True),
                        ("status", states.ReportStatus["UNREADABLE"]),
                        ("whole_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="report_waits_or_is_done",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlementreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("whole_at__isnull", False), ("lines_taken", 0), _connector="OR"
                ),
                name="report_counts_once_whole",
            ),
        ),
        state_machine(
            "reconciliation_settlement_report",
            states.REPORT_TRANSITIONS,
            initial=states.REPORT_INITIAL,
        ),
        permanent_columns(
            "reconciliation_settlement_report",
            "id psp_account_id name closed_at imported_by body_sha256 lines_announced received_at "
            "body_bytes",
        ),
        append_only("reconciliation_report_chunk"),
        run_sql_file("reconciliation", "files_are_whole"),
        run_sql_file("reconciliation", "lines_come_from_whole_reports"),
    ]
