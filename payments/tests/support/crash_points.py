"""Where each crash point and message fault of the fault catalogue is shown. Data only.

`test_crash_points` holds it complete. A test is named by file (below payments/tests) and function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Point:
    """One place where something can go wrong, and the tests that make it go wrong there."""

    what: str
    tests: tuple[str, ...]


_STEPS: Final = (
    "scenarios/test_crashes.py::test_a_repeated_request_after_a_crash_ends_in_one_effect",
    "scenarios/test_crashes.py::test_recovery_finishes_a_request_that_the_merchant_does_not_repeat",
)

CRASH_POINTS: Final = {
    "C0": Point(
        "the body is not fully read",
        (
            "http/test_cut_requests.py::test_an_incomplete_request_has_no_effect",
            "api/test_exchange.py::test_a_body_shorter_than_its_content_length_is_refused_and_has_no_effect",
        ),
    ),
    "C1": Point("read, before the first transaction", _STEPS),
    "C2": Point("inside the first transaction", _STEPS),
    "C3": Point(
        "the first COMMIT is sent, and its confirmation is lost",
        (
            "scenarios/test_lost_commits.py::"
            "test_a_request_whose_first_commit_is_unconfirmed_does_not_call_the_psp",
            "scenarios/test_lost_commits.py::test_recovery_finishes_an_unconfirmed_first_commit",
        ),
    ),
    "C4": Point(
        "after the first transaction, before the PSP has a byte",
        (
            *_STEPS,
            "scenarios/test_calls_cut_short.py::"
            "test_an_old_request_that_was_never_sent_is_fenced_and_has_its_effect_once",
        ),
    ),
    "C5": Point(
        "the PSP cannot be reached: refused, no such host, no TLS",
        (
            "scenarios/test_calls_cut_short.py::test_a_request_that_could_not_be_sent_is_never_unknown",
        ),
    ),
    "C6": Point(
        "the PSP has it, and acts after our timeout",
        (
            "scenarios/test_calls_cut_short.py::"
            "test_a_psp_that_acts_after_our_timeout_and_our_look_up_acts_once",
            "scenarios/test_calls_cut_short.py::test_a_request_that_the_psp_reads_after_our_fence_has_no_effect",
            "http/test_kill.py::test_a_repeat_finishes_the_request_of_a_killed_server",
        ),
    ),
    "C7": Point(
        "the PSP has acted, its answer is lost",
        (
            "http/test_kill.py::test_a_repeat_finishes_the_request_of_a_killed_server",
            "http/test_lost_answers.py::"
            "test_a_charge_of_unknown_outcome_is_processing_and_then_paid_once",
            "http/test_lost_answers.py::test_a_capture_of_unknown_outcome_happens_once",
            "http/test_lost_answers.py::test_a_refund_of_unknown_outcome_keeps_its_amount_reserved",
        ),
    ),
    "C8": Point("the answer is read, before the second transaction", _STEPS),
    "C9": Point(
        "an error in the second transaction, with a success in hand",
        (
            "operations/test_execution.py::"
            "test_an_error_in_the_second_transaction_repeats_it_and_not_the_call",
            "operations/test_execution.py::test_a_permanent_error_leaves_the_success_to_recovery",
            "operations/test_execution.py::test_a_deadlock_with_another_session_is_survived",
            "operations/test_execution.py::test_an_empty_pool_leaves_the_success_to_recovery",
            "scenarios/test_lost_commits.py::test_a_success_that_cannot_be_recorded_is_never_a_failure",
        ),
    ),
    "C10": Point(
        "the second COMMIT is sent, and its confirmation is lost",
        (
            "scenarios/test_lost_commits.py::test_an_unconfirmed_second_commit_is_repeated_without_another_call",
        ),
    ),
    "C11": Point("after the second transaction, before the answer", _STEPS),
    "C12": Point(
        "the answer is cut half way",
        ("http/test_cut_requests.py::test_an_answer_cut_on_its_way_is_replayed_byte_for_byte",),
    ),
    "C13": Point(
        "the client is dead and never repeats",
        (
            _STEPS[1],
            "http/test_cut_requests.py::test_the_request_of_a_client_that_is_gone_is_executed_once",
        ),
    ),
    "C14": Point(
        "after a commit, before the wake-up (notifications of PSPs)",
        ("scenarios/test_notification_orders.py::test_a_crash_at_any_step_loses_no_notification",),
    ),
    "C14 of events": Point(
        "after a commit, before the relay's wake-up",
        ("merchant_webhooks/test_relay.py::test_without_redis_the_relay_still_finds_events",),
    ),
    "C15": Point(
        "the relay has claimed a delivery, and not sent it",
        (
            "merchant_webhooks/test_relay.py::test_relays_that_are_killed_lose_nothing_and_keep_the_order",
            "merchant_webhooks/test_deliveries.py::test_a_lease_belongs_to_one_relay_and_ends_by_itself",
        ),
    ),
    "C16": Point(
        "the relay has sent a delivery, and not marked it",
        (
            "merchant_webhooks/test_relay.py::test_relays_that_are_killed_lose_nothing_and_keep_the_order",
            "merchant_webhooks/test_deliveries.py::"
            "test_a_repeat_has_the_same_bytes_and_a_signature_of_its_own",
        ),
    ),
    "C17": Point(
        "a notification is stored, and not processed",
        ("scenarios/test_notification_orders.py::test_a_crash_at_any_step_loses_no_notification",),
    ),
    "C18": Point(
        "a notification is processed, and its 2xx never left",
        (
            "scenarios/test_notification_orders.py::test_a_crash_at_any_step_loses_no_notification",
            "scenarios/test_crash_points.py::"
            "test_a_notification_whose_2xx_was_lost_is_recognized_when_it_is_sent_again",
        ),
    ),
    "C19": Point(
        "recovery dies between its look-up and its write",
        ("recovery/test_leases.py::test_a_killed_recovery_worker_delays_only_one_operation",),
    ),
    "C20": Point(
        "paused just before the call, and resumed after another worker finished",
        (
            "scenarios/test_calls_cut_short.py::"
            "test_a_sender_stopped_before_its_call_changes_nothing_when_it_resumes_after_another_worker",
            "scenarios/test_interleavings.py::"
            "test_a_sender_that_outlived_its_lease_does_not_close_the_operation_that_recovery_sent",
        ),
    ),
    "C21": Point(
        "a server is told to end while it works",
        (
            "http/test_cut_requests.py::"
            "test_a_stopping_server_answers_open_requests_and_accepts_no_new_ones",
        ),
    ),
    "C22": Point(
        "keys are purged while an operation is unknown",
        (
            "scenarios/test_calls_cut_short.py::"
            "test_a_key_is_never_purged_while_its_operation_is_unknown",
            "idempotency/test_keys.py::"
            "test_old_keys_are_purged_but_never_one_whose_operation_is_open",
        ),
    ),
}

MESSAGE_FAULTS: Final = {
    "M1": Point(
        "one request many times at once",
        (
            "scenarios/test_races.py::test_concurrent_copies_of_one_request_run_once",
            "http/test_idempotency_over_http.py::"
            "test_fifty_concurrent_requests_with_one_key_have_one_effect",
        ),
    ),
    "M2": Point(
        "one key, another body",
        (
            "http/test_idempotency_over_http.py::"
            "test_another_body_route_or_object_with_the_key_is_refused",
        ),
    ),
    "M3": Point(
        "one order, another key",
        (
            "http/sdk/test_python.py::"
            "test_one_order_is_not_paid_twice_and_the_refusal_names_the_payment",
            "http/test_races_over_http.py::test_twenty_concurrent_payments_of_one_order_are_one",
        ),
    ),
    "M4": Point(
        "one key, another merchant",
        ("idempotency/test_keys.py::test_a_key_belongs_to_its_merchant",),
    ),
    "M5": Point(
        "a notification doubled, at once too",
        (
            "scenarios/test_notification_orders.py::"
            "test_a_hundred_copies_of_a_notification_and_four_workers_have_one_effect",
        ),
    ),
    "M6": Point(
        "a notification lost for ever",
        (
            "psp_notifications/test_processing.py::test_recovery_resolves_a_payment_whose_notification_was_lost",
        ),
    ),
    "M7": Point(
        "notifications out of order",
        (
            "scenarios/test_notification_orders.py::test_notifications_in_any_order_end_in_the_same_state",
        ),
    ),
    "M8": Point(
        "a notification days late",
        (
            "psp_notifications/test_processing.py::"
            "test_a_success_notified_a_week_late_is_booked_and_reversed",
            "psp_notifications/test_processing.py::test_an_old_notification_after_a_cancel_changes_nothing",
        ),
    ),
    "M9": Point(
        "forged",
        (
            "api/test_psp_webhooks.py::test_a_notification_without_a_fresh_signature_is_refused_and_not_stored",
        ),
    ),
    "M10": Point(
        "replayed inside the tolerance",
        (
            "api/test_psp_webhooks.py::test_a_hundred_concurrent_copies_are_stored_as_one_notification",
        ),
    ),
    "M11": Point(
        "replayed outside of it, old and from the future",
        (
            "api/test_psp_webhooks.py::test_a_notification_without_a_fresh_signature_is_refused_and_not_stored",
        ),
    ),
    "M12": Point(
        "before the answer to our own call",
        (
            "scenarios/test_notification_orders.py::test_a_notification_that_overtakes_the_answer_gives_one_posting",
        ),
    ),
    "M13": Point(
        "of an object that we do not know",
        (
            "psp_notifications/test_processing.py::"
            "test_a_notification_of_an_unknown_object_is_dead_lettered_after_a_day",
        ),
    ),
    "M14": Point(
        "of another account",
        (
            "api/test_psp_webhooks.py::test_a_notification_of_another_account_is_refused",
            "psp_notifications/test_processing.py::"
            "test_a_notification_naming_another_accounts_operation_is_never_applied",
        ),
    ),
    "M15": Point(
        "one event, two bodies",
        (
            "api/test_psp_webhooks.py::"
            "test_a_second_body_of_the_same_event_is_recorded_beside_the_first",
            "psp_notifications/test_processing.py::test_a_second_body_of_a_known_event_causes_another_look_up",
        ),
    ),
    "M16": Point(
        "signed and malformed, or huge",
        (
            "api/test_psp_webhooks.py::test_a_signed_but_malformed_notification_is_refused",
            "api/test_psp_webhooks.py::test_a_notification_over_256_kibibytes_is_refused",
        ),
    ),
    "M17": Point(
        "another amount",
        ("psp_notifications/test_processing.py::test_another_amount_at_the_psp_is_not_applied",),
    ),
    "M18": Point(
        "the answer says no, the PSP says yes",
        (
            "psp_notifications/test_processing.py::"
            "test_a_notified_success_of_a_declined_operation_is_recorded",
        ),
    ),
    "M19": Point(
        "a merchant's endpoint is down, slow, gone",
        (
            "merchant_webhooks/test_relay.py::test_endpoints_that_are_down_delay_no_other_endpoint",
            "merchant_webhooks/test_deliveries.py::"
            "test_after_ten_attempts_over_three_days_the_next_event_is_released",
            "merchant_webhooks/test_deliveries.py::"
            "test_410_disables_at_once_and_the_merchants_other_endpoints_get_the_event",
        ),
    ),
    "M20": Point(
        "a merchant's endpoint answers and cuts",
        ("egress/test_http_client.py::test_the_status_decides_even_if_the_body_is_cut",),
    ),
}

DEPENDENCY_FAULTS: Final = {
    "D5": Point(
        "serialization failure, deadlock, lock timeout",
        (
            "operations/test_execution.py::"
            "test_an_error_in_the_first_transaction_never_repeats_the_call",
            "operations/test_execution.py::"
            "test_an_error_in_the_second_transaction_repeats_it_and_not_the_call",
        ),
    ),
}
