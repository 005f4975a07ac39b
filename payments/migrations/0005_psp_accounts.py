"""PSP accounts as data: credentials, status, and what an account charges at which cost.

Accounts of before are paused until they have credentials (`manage.py psp_accounts change`, then
`resume`). The sandbox's account goes on with those of the settings.
"""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from ledger.database.guards import permanent_columns, run_sql_file, state_machine
from payments import states
from payments.services.psp_gateway.credentials import seal_credentials

_SANDBOX = "sandbox"


def _keep_the_sandbox(apps: Any, schema_editor: Any) -> None:
    credentials = settings.SANDBOX_PSP_CREDENTIALS
    if credentials["base_url"]:
        accounts = apps.get_model("payments", "PspAccount").objects
        accounts.filter(code=_SANDBOX, psp=_SANDBOX).update(
            status="active", sealed_credentials=seal_credentials(_SANDBOX, credentials)
        )


def _texts(max_length: int, help_text: str) -> ArrayField:
    return ArrayField(
        models.CharField(max_length=max_length), default=list, blank=True, help_text=help_text
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_setups")]

    operations = [
        migrations.AddField(
            "pspaccount", "status", models.CharField(default="paused", max_length=16)
        ),
        migrations.AddField(
            "pspaccount",
            "sealed_credentials",
            models.TextField(blank=True, default="", editable=False),
        ),
        migrations.AddField(
            "pspaccount",
            "methods",
            _texts(32, "Types of payment methods that it charges; none: all that its PSP has."),
        ),
        migrations.AddField(
            "pspaccount",
            "currencies",
            _texts(3, "Currencies that it charges, such as EUR; none: all."),
        ),
        migrations.AddField(
            "pspaccount",
            "countries",
            _texts(2, "Countries whose cards it charges, such as DE; none: all."),
        ),
        migrations.AddField(
            "pspaccount",
            "limits",
            models.JSONField(
                blank=True,
                default=dict,
                help_text="Least and greatest charge: a currency, its min_minor and max_minor.",
            ),
        ),
        migrations.AddField(
            "pspaccount",
            "costs",
            models.JSONField(
                blank=True,
                default=list,
                help_text="What the PSP takes of a charge: fixed_minor and basis_points, of a "
                "currency, a method, both, or all.",
            ),
        ),
        migrations.RunPython(_keep_the_sandbox, migrations.RunPython.noop),
        migrations.AddConstraint(
            "pspaccount",
            models.CheckConstraint(
                condition=models.Q(status="paused") | ~models.Q(sealed_credentials=""),
                name="psp_account_has_credentials",
            ),
        ),
        state_machine(
            "payments_psp_account",
            states.PSP_ACCOUNT_TRANSITIONS,
            initial=states.PSP_ACCOUNT_INITIAL,
        ),
        permanent_columns("payments_psp_account", "id code psp livemode created_at"),
        run_sql_file("payments", "psp_accounts_have_terms"),
    ]
