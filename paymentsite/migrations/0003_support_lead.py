"""The role of those who decide requests for approval of support.

It sees what support sees. How much it may approve is a limit that an operator sets, with which it
gets the right to decide (docs/approvals.md).
"""

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.db import migrations

_SEEN = ("payments", "reconciliation")
_HIDDEN = ("view_apikey",)


def make_role(apps, schema_editor):
    """Let the new role view the tables of support; one of this name that there is stays as it is."""
    for label in _SEEN:
        create_permissions(installed.get_app_config(label), verbosity=0, apps=installed)
    group, is_new = apps.get_model("auth", "Group").objects.get_or_create(name="support lead")
    if is_new:
        permissions = apps.get_model("auth", "Permission").objects
        own = permissions.filter(content_type__app_label__in=_SEEN)
        visible = own.filter(codename__startswith="view_").exclude(codename__in=_HIDDEN)
        group.permissions.set(visible)


class Migration(migrations.Migration):
    dependencies = [
        ("paymentsite", "0002_guards"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("payments", "0004_approvals"),
    ]

    operations = [migrations.RunPython(make_role, migrations.RunPython.noop)]
