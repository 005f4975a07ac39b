"""What PostgreSQL itself refuses in the tables of reconciliation: files of `reconciliation/sql/`.

State machines, permanent columns and append-only tables use the templates of `ledger/sql/`.
"""

from django.db import migrations

from ledger.database.guards import append_only, permanent_columns, run_sql_file, state_machine
from reconciliation import states
from reconciliation.discrepancies import Discrepancy


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_guards"),
        ("payments", "0002_guards"),
        ("reconciliation", "0001_tables"),
    ]

    operations = [
        state_machine(
            "reconciliation_settlement_report",
            states.REPORT_TRANSITIONS,
            initial=states.REPORT_INITIAL,
        ),
        state_machine(
            "reconciliation_settlement_line", states.LINE_TRANSITIONS, initial=states.LINE_INITIAL
        ),
        permanent_columns(
            "reconciliation_settlement_report",
            "id psp_account_id name closed_at imported_by body_sha256 lines_announced received_at "
            "body_bytes",
        ),
        permanent_columns(
            "reconciliation_settlement_line",
            "id report_id psp_account_id number identity occurrence content_sha256 psp_type psp_id "
            "psp_payment_id reference currency gross_minor fee_minor occurred_at stored_at",
        ),
        state_machine(
            "reconciliation_bank_line", states.BANK_LINE_TRANSITIONS, initial=states.LINE_INITIAL
        ),
        permanent_columns("reconciliation_report_fetch", "id psp_account_id name added_at"),
        permanent_columns("reconciliation_watched_file", "id psp_account_id name found_at"),
        permanent_columns("reconciliation_settlement_watch", "ledger_account_id"),
        permanent_columns(
            "reconciliation_missing_settlement",
            "id operation_id psp_account_id amount_minor currency moved_at expected_by found_at",
        ),
        permanent_columns(
            "reconciliation_stated_balance", "id psp_account_id currency stated_minor stated_at"
        ),
        permanent_columns("reconciliation_look_up_budget", "psp_account_id"),
        permanent_columns("reconciliation_bank_account", "id number currency livemode added_at"),
        permanent_columns(
            "reconciliation_bank_line",
            "id statement_id bank_account_id number identity occurrence currency amount_minor "
            "booked_on value_on bank_reference end_to_end_id text stored_at",
        ),
        append_only("reconciliation_report_chunk"),
        append_only("reconciliation_settlement_match"),
        append_only("reconciliation_bank_statement_file"),
        append_only("reconciliation_bank_statement"),
        run_sql_file("reconciliation", "files_are_whole"),
        run_sql_file("reconciliation", "lines_come_from_whole_reports"),
        run_sql_file("reconciliation", "known_kinds_are_permanent"),
        run_sql_file("reconciliation", "lines_of_accounts_equal_the_books"),
        run_sql_file("reconciliation", "lines_of_disputes_equal_the_books"),
        run_sql_file("reconciliation", "matches_come_with_their_line"),
        run_sql_file("reconciliation", "bank_lines_equal_the_books"),
        run_sql_file(
            "reconciliation",
            "discrepancies_of_cases_are_known",
            codes=", ".join(f"'{code}'" for code in Discrepancy.values),
        ),
    ]
