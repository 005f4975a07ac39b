"""Only the owner of the tables makes superusers of the console."""

from django.db import migrations

from ledger.database.guards import run_sql_file


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("paymentsite", "0002_roles"),
    ]

    operations = [run_sql_file("paymentsite", "superusers_are_made_by_the_owner")]
