"""The site's own table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="SweepRun",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
                ("last_started_at", models.DateTimeField()),
                ("last_finished_at", models.DateTimeField(blank=True, null=True)),
                ("last_result", models.CharField(blank=True, max_length=200)),
                ("last_failed_at", models.DateTimeField(blank=True, null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("runs", models.BigIntegerField(default=0)),
                ("failures", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "sweep",
                "db_table": "paymentsite_sweep_run",
            },
        ),
    ]
