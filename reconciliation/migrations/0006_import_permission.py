"""Finance may import settlement reports in the console."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("reconciliation", "0005_look_ups"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="settlementreport",
            options={"permissions": [("import_settlementreport", "Can import settlement report")]},
        ),
    ]
