"""What models cannot say of the tables of payments: files of `payments/sql/`.

What PostgreSQL itself refuses or writes, the indexes of searches, and how tables are stored.

State machines, permanent columns and append-only tables use the templates of `ledger/sql/`.
"""

from collections.abc import Collection

from django.db import migrations

from ledger.database.guards import append_only, permanent_columns, run_sql_file, state_machine
from payments import states
from payments.models.mandate import MANDATE_INITIAL, MANDATE_TRANSITIONS, METHODS_WITH_MANDATE
from payments.services.cases.closing import ClosingRule


def _statuses(statuses: Collection[str]) -> str:
    return ", ".join(f"'{status}'" for status in sorted(statuses))


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
        state_machine(
            "payments_setup_intent", states.SETUP_TRANSITIONS, initial=states.SETUP_INITIAL
        ),
        state_machine(
            "payments_setup_attempt",
            states.SETUP_ATTEMPT_TRANSITIONS,
            initial=states.SETUP_ATTEMPT_INITIAL,
        ),
        state_machine("payments_mandate", MANDATE_TRANSITIONS, initial=MANDATE_INITIAL),
        state_machine(
            "payments_psp_account",
            states.PSP_ACCOUNT_TRANSITIONS,
            initial=states.PSP_ACCOUNT_INITIAL,
        ),
        state_machine(
            "payments_checkout_session",
            states.CHECKOUT_TRANSITIONS,
            initial=states.CHECKOUT_INITIAL,
        ),
        permanent_columns(
            "payments_payment_intent",
            "id merchant_id livemode client_secret confirmation_method checkout_session_id "
            "created_at",
        ),
        permanent_columns(
            "payments_operation",
            "id merchant_id livemode intent_id psp_account_id kind amount_minor currency psp_key "
            "token capture_now final ends_challenge charge_id order_id idempotency_id replaces_id "
            "save_for off_session network_transaction_id mandate_id requested_at created_at",
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
            "claims claimed_kind psp_id claimed_minor claimed_currency states_result occurred_at "
            "body body_sha256 headers received_at",
        ),
        permanent_columns(
            "payments_case",
            "id merchant_id livemode psp_account_id kind subject intent_id operation_id "
            "amount_minor currency summary discrepancy opened_at",
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
        permanent_columns("payments_psp_account", "id code psp livemode created_at"),
        permanent_columns(
            "payments_setup_intent",
            "id merchant_id livemode client_secret usage checkout_session_id created_at",
        ),
        permanent_columns(
            "payments_setup_attempt",
            "id merchant_id livemode setup_intent_id psp_account_id psp_key payment_method_id "
            "customer_id mandate_id token usage idempotency_id created_at",
        ),
        permanent_columns(
            "payments_mandate",
            "id merchant_id livemode payment_method_id use single_use_minor currency acceptance "
            "accepted_at ip_address user_agent made_by_id created_at",
        ),
        permanent_columns(
            "payments_checkout_session",
            "id merchant_id livemode intent_id setup_intent_id payment_link_id token line_items "
            "success_url cancel_url expires_at created_at",
        ),
        permanent_columns(
            "payments_payment_link",
            "id merchant_id livemode amount_minor currency token line_items method_types "
            "intent_details submit_type created_at",
        ),
        permanent_columns("payments_routing_rule", "id livemode created_at"),
        append_only("payments_event"),
        append_only("payments_routing_decision"),
        append_only("payments_configuration_change"),
        run_sql_file("payments", "events_are_dispatched"),
        run_sql_file("payments", "idempotency_answers_are_final"),
        run_sql_file("payments", "idempotency_keys_of_open_operations_stay"),
        run_sql_file("payments", "external_operations_are_never_sent"),
        run_sql_file("payments", "closed_operations_are_not_sent"),
        run_sql_file("payments", "replacements_equal_what_they_replace"),
        run_sql_file("payments", "disputed_charges_are_not_refunded"),
        run_sql_file("payments", "counters_are_of_the_charge_that_counts"),
        run_sql_file(
            "payments",
            "charges_are_at_one_account_at_a_time",
            blocking=_statuses(states.BLOCKING_CHARGE),
        ),
        run_sql_file(
            "payments",
            "setups_are_at_the_account_of_their_method",
            blocking=_statuses(states.SETUP_ATTEMPT_OPEN | {states.SetupAttemptStatus.SUCCEEDED}),
        ),
        run_sql_file(
            "payments",
            "mandates_are_of_their_method",
            methods=", ".join(f"'{each}'" for each in METHODS_WITH_MANDATE),
        ),
        run_sql_file("payments", "sessions_follow_their_payment"),
        run_sql_file("payments", "amounts_are_divisible_in_their_currency"),
        run_sql_file("payments", "waiting_payments_have_a_deadline"),
        run_sql_file("payments", "consumed_numbers_stay"),
        run_sql_file("payments", "revoked_keys_stay_revoked"),
        run_sql_file("payments", "merchants_use_accounts_of_the_mode"),
        run_sql_file("payments", "psp_accounts_have_costs"),
        run_sql_file("payments", "psp_accounts_have_terms"),
        run_sql_file("payments", "settlement_calendars_have_a_form"),
        run_sql_file(
            "payments",
            "rules_off_are_rules",
            rules=", ".join(f"'{rule}'" for rule in ClosingRule.values),
        ),
        run_sql_file("payments", "routing_rules_have_a_form"),
        run_sql_file("payments", "alternatives_are_tokens"),
        run_sql_file("payments", "metadata_terms"),
        run_sql_file("payments", "text_parts"),
        run_sql_file("payments", "search_indexes"),
        run_sql_file("payments", "room_for_changes"),
        run_sql_file("payments", "months"),
    ]
