"""What models cannot say of the tables of payments: files of `payments/sql/`.

What PostgreSQL itself refuses or writes, the indexes of searches, and how tables are stored.

State machines, permanent columns and append-only tables use the templates of `ledger/sql/`.
"""

from django.db import migrations

from ledger.database.guards import append_only, permanent_columns, run_sql_file, state_machine
from payments import states


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        state_machine(
            "payments_payment_intent", states.INTENT_TRANSITIONS, initial=states.INTENT_INITIAL
        ),
        state_machine(
            "payments_operation", states.OPERATION_TRANSITIONS, initial=states.OPERATION_INITIAL
        ),
        state_machine("payments_refund", states.REFUND_TRANSITIONS, initial=states.REFUND_INITIAL),
        state_machine(
            "payments_dispute", states.DISPUTE_TRANSITIONS, initial=states.DISPUTE_INITIAL
        ),
        state_machine(
            "payments_dispute_response",
            states.RESPONSE_TRANSITIONS,
            initial=states.RESPONSE_INITIAL,
        ),
        state_machine(
            "payments_psp_notification",
            states.NOTIFICATION_TRANSITIONS,
            initial=states.NOTIFICATION_INITIAL,
        ),
        state_machine("payments_case", states.CASE_TRANSITIONS, initial=states.CASE_INITIAL),
        state_machine(
            "payments_webhook_endpoint",
            states.ENDPOINT_TRANSITIONS,
            initial=states.ENDPOINT_INITIAL,
        ),
        state_machine(
            "payments_delivery", states.DELIVERY_TRANSITIONS, initial=states.DELIVERY_INITIAL
        ),
        permanent_columns(
            "payments_payment_intent",
            "id merchant_id livemode psp_account_id client_secret confirmation_method created_at",
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final ends_challenge charge_id order_id idempotency_id replaces_id "
            "requested_at created_at",
        ),
        permanent_columns(
            "payments_refund",
            "id merchant_id livemode intent_id charge_id amount_minor currency created_at",
        ),
        permanent_columns(
            "payments_dispute",
            "id merchant_id livemode intent_id charge_id psp_account_id psp_dispute_id "
            "began_as_inquiry amount_minor currency loss_policy opened_at created_at",
        ),
        permanent_columns(
            "payments_dispute_response",
            "id merchant_id livemode dispute_id kind stage evidence psp_key idempotency_id "
            "created_at",
        ),
        permanent_columns(
            "payments_idempotency_key", "id merchant_id livemode key fingerprint created_at"
        ),
        permanent_columns(
            "payments_psp_notification",
            "id psp_account_id event_id type known psp_payment_id psp_dispute_id our_references "
            "claims claimed_kind psp_id claimed_minor claimed_currency occurred_at body "
            "body_sha256 headers received_at",
        ),
        permanent_columns(
            "payments_case",
            "id merchant_id livemode psp_account_id kind subject intent_id operation_id "
            "amount_minor currency summary opened_at",
        ),
        permanent_columns(
            "payments_webhook_endpoint", "id merchant_id livemode api_version created_at"
        ),
        permanent_columns(
            "payments_delivery",
            "id event_id endpoint_id merchant_id livemode aggregateid seq is_replay "
            "pending_webhooks created_at",
        ),
        permanent_columns(
            "payments_api_key", "id merchant_id livemode secret_sha256 last4 created_at"
        ),
        permanent_columns("payments_psp_account", "id livemode created_at"),
        append_only("payments_event"),
        run_sql_file("payments", "events_are_dispatched"),
        run_sql_file("payments", "idempotency_answers_are_final"),
        run_sql_file("payments", "idempotency_keys_of_open_operations_stay"),
        run_sql_file("payments", "external_operations_are_never_sent"),
        run_sql_file("payments", "closed_operations_are_not_sent"),
        run_sql_file("payments", "replacements_equal_what_they_replace"),
        run_sql_file("payments", "disputed_charges_are_not_refunded"),
        run_sql_file("payments", "amounts_are_divisible_in_their_currency"),
        run_sql_file("payments", "waiting_payments_have_a_deadline"),
        run_sql_file("payments", "consumed_numbers_stay"),
        run_sql_file("payments", "revoked_keys_stay_revoked"),
        run_sql_file("payments", "merchants_use_accounts_of_the_mode"),
        run_sql_file("payments", "metadata_terms"),
        run_sql_file("payments", "text_parts"),
        run_sql_file("payments", "search_indexes"),
        run_sql_file("payments", "room_for_changes"),
        run_sql_file("payments", "months"),
    ]
