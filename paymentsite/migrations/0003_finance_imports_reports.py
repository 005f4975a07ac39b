"""The role finance may import settlement reports, and roles see the tables that came since."""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

_SEEN = ("view_statedbalance", "view_lookupbudget")
_ADDED = {
    "support": _SEEN,
    "finance": (*_SEEN, "import_settlementreport"),
    "on-call": _SEEN,
}


def add_permissions(apps, schema_editor):
    """Django otherwise makes permissions after all migrations."""
    create_permissions(installed.get_app_config("reconciliation"), verbosity=0, apps=installed)
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="reconciliation"
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=_ADDED):
        group.permissions.add(*permissions.filter(codename__in=_ADDED[group.name]))


class Migration(migrations.Migration):
    dependencies = [
        ("paymentsite", "0002_guards"),
        ("reconciliation", "0006_import_permission"),
    ]

    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
