"""A counter of what is held, and constraints that leave external operations alone."""

import django.db.models.expressions
from django.db import migrations, models

from payments.states import OperationStatus as S

_OPEN = [S.PENDING, S.REQUIRES_ACTION, S.SENDING, S.UNKNOWN]
_HELD_BY_THE_BOOKS = """
    UPDATE payments_payment_intent i SET amount_held_minor = held.minor
      FROM (SELECT e.payment_id, e.currency,
                   sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
                       AS minor
              FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
             WHERE a.code = 9100 AND e.entry_type <> 'excess'
             GROUP BY e.payment_id, e.currency) held
     WHERE held.payment_id = i.id AND held.currency = i.currency AND held.minor <> 0"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards"), ("ledger", "0001_initial")]

    operations = [
        migrations.RemoveConstraint("operation", "one_open_change_per_intent"),
        migrations.RemoveConstraint("operation", "operation_excess_at_most_all"),
        migrations.RemoveConstraint("paymentintent", "intent_captured_at_most_authorized"),
        migrations.AddField(
            "paymentintent", "amount_held_minor", models.BigIntegerField(default=0)
        ),
        migrations.RunSQL(_HELD_BY_THE_BOOKS, migrations.RunSQL.noop),
        # PostgreSQL alters no table whose rows wait for a deferred trigger.
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddConstraint(
            "operation",
            models.UniqueConstraint(
                fields=["intent"],
                name="one_open_change_per_intent",
                condition=models.Q(
                    ("kind__in", ["capture", "increment", "void"]), ("status__in", _OPEN)
                )
                & ~models.Q(("psp_key__startswith", "psp:")),
            ),
        ),
        migrations.AddConstraint(
            "operation",
            models.CheckConstraint(
                name="operation_excess_not_negative",
                condition=models.Q(("excess_minor__gte", 0), ("excess_returned_minor__gte", 0)),
            ),
        ),
        migrations.AddConstraint(
            "paymentintent",
            models.CheckConstraint(
                name="intent_captured_and_held_at_most_authorized",
                condition=models.Q(
                    ("amount_captured_minor__gte", 0),
                    ("amount_held_minor__gte", 0),
                    (
                        "amount_authorized_minor__gte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("amount_captured_minor"), "+", models.F("amount_held_minor")
                        ),
                    ),
                ),
            ),
        ),
    ]
