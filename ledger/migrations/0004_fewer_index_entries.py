"""Entries have two indexes instead of four.

Entries of a payment are found by its ledger transactions. The primary key begins with the ledger
transaction: its index finds the entries of one, and it may stay when entries are partitioned by
time. An attempt that was interrupted leaves an invalid index: drop it, then migrate again.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

_KEY = "ledger_entry_pkey"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0003_row_ids")]

    operations = [
        RemoveIndexConcurrently("ledgerentry", "ledger_entry_payment"),
        migrations.RunSQL(
            "CREATE UNIQUE INDEX CONCURRENTLY ledger_entry_of_transaction "
            "ON ledger_entry (transaction_id, id)",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            f"ALTER TABLE ledger_entry DROP CONSTRAINT {_KEY}, "
            f"ADD CONSTRAINT {_KEY} PRIMARY KEY USING INDEX ledger_entry_of_transaction",
            f"ALTER TABLE ledger_entry DROP CONSTRAINT {_KEY}, ADD PRIMARY KEY (id)",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS ledger_entry_transaction_id_c459e7a1",
                    "CREATE INDEX CONCURRENTLY ledger_entry_transaction_id_c459e7a1 "
                    "ON ledger_entry (transaction_id)",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    "ledgerentry",
                    "transaction",
                    models.ForeignKey(
                        "ledger.ledgertransaction",
                        on_delete=django.db.models.deletion.PROTECT,
                        db_constraint=False,
                        db_index=False,
                        related_name="entries",
                    ),
                )
            ],
        ),
    ]
