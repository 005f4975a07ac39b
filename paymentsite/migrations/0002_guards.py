"""What models cannot say of the site: the roles of the console, and who makes superusers.

A role says which tables support, finance and on-call engineers may view. No role may change a row
there, and none sees API keys or keys of services. Finance may import settlement reports. A superuser, or
`manage.py staff`, gives people their roles.
"""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

from ledger.database.guards import run_sql_file

_ROLES = {
    "support": ("payments", "reconciliation"),
    "finance": ("payments", "ledger", "reconciliation"),
    "on-call": ("payments", "ledger", "reconciliation", "paymentsite"),
}
_HIDDEN = ("view_apikey", "view_servicekey")
_FURTHER = {"finance": ("import_settlementreport",)}


def make_roles(apps, schema_editor):
    """Give each role its permissions, which Django otherwise makes after all migrations."""
    for label in _ROLES["on-call"]:
        create_permissions(installed.get_app_config(label), verbosity=0, apps=installed)
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects
    for name, labels in _ROLES.items():
        group, is_new = group_model.objects.get_or_create(name=name)
        if is_new:  # An operator may have chosen other permissions.
            own = permissions.filter(content_type__app_label__in=labels)
            visible = own.filter(codename__startswith="view_").exclude(codename__in=_HIDDEN)
            further = own.filter(codename__in=_FURTHER.get(name, ()))
            group.permissions.set([*visible, *further])


class Migration(migrations.Migration):
    dependencies = [
        ("paymentsite", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("payments", "0002_guards"),
        ("ledger", "0002_guards"),
        ("reconciliation", "0002_guards"),
    ]

    operations = [
        migrations.RunPython(make_roles, migrations.RunPython.noop),
        run_sql_file("paymentsite", "superusers_are_made_by_the_owner"),
    ]
