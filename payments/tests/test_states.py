"""The machines: code, PostgreSQL and the tables of payments.states say the same."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django_fsm import TransitionNotAllowed

from payments import states
from payments.models import (
    Approval,
    ApprovalStatus,
    Case,
    CheckoutSession,
    Delivery,
    Dispute,
    DisputeResponse,
    Mandate,
    MandateStatus,
    Operation,
    PaymentIntent,
    PspAccount,
    PspNotification,
    Refund,
    SetupAttempt,
    SetupIntent,
    WebhookEndpoint,
)
from payments.models.approval import APPROVAL_INITIAL, APPROVAL_TRANSITIONS
from payments.models.machine import MachineModel
from payments.models.mandate import MANDATE_INITIAL, MANDATE_TRANSITIONS
from payments.tests.support.machines import accepted, digest
from payments.tests.support.shop import Shop, body_of

MACHINES: list[tuple[type[MachineModel], Any, states.Table, frozenset[str]]] = [
    (PaymentIntent, states.IntentStatus, states.INTENT_TRANSITIONS, states.INTENT_INITIAL),
    (Operation, states.OperationStatus, states.OPERATION_TRANSITIONS, states.OPERATION_INITIAL),
    (Refund, states.RefundStatus, states.REFUND_TRANSITIONS, states.REFUND_INITIAL),
    (
        PspNotification,
        states.NotificationStatus,
        states.NOTIFICATION_TRANSITIONS,
        states.NOTIFICATION_INITIAL,
    ),
    (Dispute, states.DisputeStatus, states.DISPUTE_TRANSITIONS, states.DISPUTE_INITIAL),
    (
        DisputeResponse,
        states.ResponseStatus,
        states.RESPONSE_TRANSITIONS,
        states.RESPONSE_INITIAL,
    ),
    (SetupIntent, states.SetupStatus, states.SETUP_TRANSITIONS, states.SETUP_INITIAL),
    (
        SetupAttempt,
        states.SetupAttemptStatus,
        states.SETUP_ATTEMPT_TRANSITIONS,
        states.SETUP_ATTEMPT_INITIAL,
    ),
    (Mandate, MandateStatus, MANDATE_TRANSITIONS, MANDATE_INITIAL),
    (Approval, ApprovalStatus, APPROVAL_TRANSITIONS, APPROVAL_INITIAL),
    (
        CheckoutSession,
        states.CheckoutStatus,
        states.CHECKOUT_TRANSITIONS,
        states.CHECKOUT_INITIAL,
    ),
    (Case, states.CaseStatus, states.CASE_TRANSITIONS, states.CASE_INITIAL),
    (Delivery, states.DeliveryStatus, states.DELIVERY_TRANSITIONS, states.DELIVERY_INITIAL),
    (WebhookEndpoint, states.EndpointStatus, states.ENDPOINT_TRANSITIONS, states.ENDPOINT_INITIAL),
    (
        PspAccount,
        states.PspAccountStatus,
        states.PSP_ACCOUNT_TRANSITIONS,
        states.PSP_ACCOUNT_INITIAL,
    ),
]


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_every_status_has_its_row_in_the_table(
    model: type[MachineModel], statuses: Any, table: states.Table, born: frozenset[str]
) -> None:
    assert set(table) == set(statuses)
    assert born <= set(statuses)


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_the_transitions_of_the_code_are_those_of_the_table(
    model: type[MachineModel], statuses: Any, table: states.Table, born: frozenset[str]
) -> None:
    field = model._meta.get_field("status")
    moves = {(t.source, t.target) for t in field.get_all_transitions(model)}
    assert moves == {(source, target) for source, targets in table.items() for target in targets}


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_the_triggers_of_postgresql_are_those_of_the_table(
    database: None,
    application_cursor: psycopg.Cursor[Any],
    model: type[MachineModel],
    statuses: Any,
    table: states.Table,
    born: frozenset[str],
) -> None:
    rows = application_cursor.execute(
        "SELECT t.tgname, string_to_array(encode(t.tgargs, 'escape'), '\\000') FROM pg_trigger t "
        "WHERE t.tgrelid = %s::regclass "
        "AND t.tgname IN ('legal_initial_status', 'legal_transition')",
        [model._meta.db_table],
    ).fetchall()
    assert {name for name, _ in rows} == {"legal_initial_status", "legal_transition"}
    for _, arguments in rows:
        assert set(arguments[0].split()) == born
        assert {tuple(move.split(">")) for move in arguments[1].split()} == {
            (source, target) for source, targets in table.items() for target in targets
        }


@pytest.mark.parametrize(("model", "statuses", "table", "born"), MACHINES)
def test_postgresql_accepts_the_moves_of_the_table_and_no_other(
    database: None,
    owner_cursor: psycopg.Cursor[Any],
    model: type[MachineModel],
    statuses: Any,
    table: states.Table,
    born: frozenset[str],
) -> None:
    assert accepted(owner_cursor, model._meta.db_table, statuses) == (
        born,
        {(source, target) for source, targets in table.items() for target in targets},
    )


def test_a_change_of_the_table_brings_a_migration() -> None:
    """A migrated database keeps its triggers, and a new one is filled from `states` as it is now.

    Only this says that the first needs a migration: one that runs `state_machine()` once more.
    """
    assert {model._meta.db_table: digest(table, born) for model, _, table, born in MACHINES} == {
        "payments_payment_intent": "219460cc",
        "payments_operation": "70d7e2b2",
        "payments_refund": "2a671128",
        "payments_psp_notification": "b65ff7a3",
        "payments_dispute": "63cb5bb4",
        "payments_dispute_response": "9f5da904",
        "payments_case": "d7fb79b5",
        "payments_delivery": "372c7cdd",
        "payments_webhook_endpoint": "4fdef0b0",
        "payments_setup_intent": "8058915f",
        "payments_setup_attempt": "d72a58a2",
        "payments_psp_account": "5291e5df",
        "payments_checkout_session": "27ac1b9c",
        "payments_mandate": "a89c8c59",
        "payments_approval": "6157bed3",
    }, "add that migration (before the first release 0002 is enough), then write the digest here"


def test_migrations_know_a_status_as_a_plain_column_and_copies_stay_protected() -> None:
    for model in (entry[0] for entry in MACHINES):
        status = model._meta.get_field("status")
        _, path, _, arguments = status.deconstruct()
        assert (path, "protected" in arguments) == ("django.db.models.CharField", False)
        assert status.clone().protected


def test_a_status_cannot_be_assigned() -> None:
    intent = PaymentIntent(status=states.IntentStatus.INITIATED)
    with pytest.raises(AttributeError):
        intent.status = states.IntentStatus.CAPTURED
    assert intent.status == states.IntentStatus.INITIATED


def test_an_illegal_transition_is_refused_in_the_code() -> None:
    intent = PaymentIntent(status=states.IntentStatus.INITIATED)
    with pytest.raises(TransitionNotAllowed):
        intent.capture()
    assert intent.status == states.IntentStatus.INITIATED


REFUSED = [
    ("UPDATE payments_payment_intent SET status = 'REFUNDED'", "illegal_status"),
    (
        "UPDATE payments_payment_intent SET amount_captured_minor = amount_minor * 2",
        "intent_captured_and_held_at_most_authorized",
    ),
    (
        "UPDATE payments_payment_intent SET amount_refunded_minor = 1",
        "intent_refunded_at_most_captured",
    ),
    ("UPDATE payments_payment_intent SET livemode = true", "permanent_column"),
    (
        "UPDATE payments_payment_intent SET confirmation_method = 'manual'",
        "permanent_column",
    ),
    ("UPDATE payments_operation SET amount_minor = 1", "permanent_column"),
    ("UPDATE payments_operation SET ends_challenge = true", "permanent_column"),
    ("UPDATE payments_operation SET psp_key = 'another'", "permanent_column"),
    ("UPDATE payments_operation SET status = 'SENDING'", "illegal_status"),
    ("UPDATE payments_event SET type = 'nothing'", "permission denied"),
    ("DELETE FROM payments_event", "permission denied"),
    ("DELETE FROM payments_payment_intent", "permission denied"),
    ("DELETE FROM payments_operation", "permission denied"),
    ("TRUNCATE payments_event", "permission denied"),
    ("ALTER TABLE payments_event DISABLE TRIGGER ALL", "must be owner"),
    ("SET session_replication_role = replica", "permission denied"),
    ("SET ROLE payments_owner", "permission denied"),
]


def test_the_application_role_is_refused_by_name(
    shop: Shop,
    application_cursor: psycopg.Cursor[Any],
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    """Of permanent columns it has no right at all; a trigger keeps even the owner from them."""
    intent_id = body_of(shop.create(manual=True))["id"]
    before = PaymentIntent.objects.values().get()
    for statement, refusal in REFUSED:
        cursor = owner_cursor if refusal == "permanent_column" else application_cursor
        with pytest.raises(psycopg.Error, match=refusal):
            cursor.execute(statement)
            pytest.fail(f"not refused: {statement}")
        assert PaymentIntent.objects.values().get() == before, statement
    assert len(shop.operations(intent_id)) == 1
