"""The log of changes of PSP accounts and routing rules."""

from django.db import migrations, models

from ledger.database.guards import append_only
from payments import public_ids

VERBS = ["add", "change", "close", "create", "move", "pause", "remove", "reseal", "resume"]


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0012_alternatives"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConfigurationChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=public_ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("rule_id", models.UUIDField(blank=True, db_index=True, null=True)),
                ("subject", models.CharField(max_length=64)),
                ("livemode", models.BooleanField()),
                ("verb", models.CharField(max_length=16)),
                ("changes", models.JSONField()),
                ("author", models.CharField(max_length=64)),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField()),
                (
                    "psp_account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="payments.pspaccount",
                    ),
                ),
            ],
            options={
                "db_table": "payments_configuration_change",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("psp_account__isnull", True),
                            ("rule_id__isnull", True),
                            _connector="XOR",
                        ),
                        name="configuration_change_has_one_subject",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("verb__in", VERBS)), name="configuration_verb"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("author", ""), _negated=True),
                        name="configuration_change_has_an_author",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("changes__has_key", "sealed_credentials"), _negated=True),
                            models.Q(
                                ("changes__credentials__has_any_keys", ["before", "after"]),
                                _negated=True,
                            ),
                        ),
                        name="credentials_are_not_logged",
                    ),
                ],
            },
        ),
        append_only("payments_configuration_change"),
    ]
