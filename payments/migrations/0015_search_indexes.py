"""Indexes that searches are led by, made without blocking payments.

An attempt that was interrupted leaves an invalid index: drop it, then migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Upper

from ledger.database.guards import run_sql_file

# Without a pending list, whose merge would delay one payment in thousands.
_METADATA = """
CREATE INDEX CONCURRENTLY {name} ON {table} USING gin (
    payments_metadata_terms(merchant_id, livemode, metadata) jsonb_path_ops
) WITH (fastupdate = off)"""
_LAST4 = """
CREATE INDEX CONCURRENTLY charge_last4 ON payments_operation (
    merchant_id, livemode, (payment_method_details -> 'card' ->> 'last4')
) WHERE kind = 'authorize'"""


def _sql_index(name: str, statement: str) -> migrations.RunSQL:
    return migrations.RunSQL(statement, f"DROP INDEX CONCURRENTLY {name}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payments", "0014_confirmation_method")]

    operations = [
        run_sql_file("payments", "metadata_terms"),
        *(
            _sql_index(name, _METADATA.format(name=name, table=table))
            for name, table in (
                ("intent_metadata", "payments_payment_intent"),
                ("customer_metadata", "payments_customer"),
            )
        ),
        _sql_index("charge_last4", _LAST4),
        AddIndexConcurrently(
            "paymentintent",
            models.Index("merchant", "livemode", "amount_minor", name="intent_amount"),
        ),
        AddIndexConcurrently(
            "operation",
            models.Index(
                "merchant",
                "livemode",
                "amount_minor",
                name="charge_without_success_amount",
                condition=models.Q(
                    kind="authorize",
                    status__in=["CANCELED", "DECLINED", "EXCESS", "NOT_SENT", "REVERSED"],
                ),
            ),
        ),
        AddIndexConcurrently(
            "customer",
            models.Index("merchant", "livemode", Upper("email"), name="customer_email_any_case"),
        ),
        RemoveIndexConcurrently("customer", "customer_email"),
        *(
            AddIndexConcurrently(
                "customer",
                models.Index(
                    "merchant",
                    "livemode",
                    Upper(name),
                    name=f"customer_{name}",
                    condition=~models.Q(**{name: ""}),
                ),
            )
            for name in ("name", "phone")
        ),
    ]
