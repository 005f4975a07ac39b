"""Operations made in the PSP's dashboard: recorded once, booked like ours, never refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from ledger.money import Money
from payments.models import Case
from payments.models.operation import external_operation_key
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import references, sending
from payments.services.recovery import payment_sync
from payments.services.recovery.payment_sync import Conflict
from payments.services.verification.rebuild import differences
from payments.tests.support.dashboard import (
    act,
    amounts,
    assert_sound,
    external_operations,
    held,
    seen,
    sold,
    sync,
)
from payments.tests.support.notices import Hooks, only_notification, story_of
from payments.tests.support.passing_time import EXPIRES_AT_ONCE, events_of, hold, last_event
from payments.tests.support.shop import Shop, body_of, uuid_of
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.payments import PspOperation, PspOperationKind, PspPayment

# --- each kind -------------------------------------------------------------------------------


def test_a_refund_in_the_dashboard_is_booked(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop)
    made = act(shop, "refund", 4_000)
    [notice] = hooks.caught("payment.refunded")
    hooks.take(notice, notice)

    assert only_notification().status == "processed"
    [external] = external_operations(intent_id)
    assert (external.kind, external.status, external.psp_id) == ("refund", "SUCCEEDED", made["id"])
    assert external.psp_key == f"psp:refund:{made['id']}"
    assert external.closed_at is not None
    [refund] = shop.refunds(intent_id)
    assert (refund.status, refund.amount_minor) == ("succeeded", 4_000)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == (
        "PARTIALLY_REFUNDED",
        (10_000, 10_000, 4_000, 0, 0),
    )
    assert events_of(intent_id)[-2:] == ["refund.created", "charge.refunded"]
    assert last_event(intent_id, "charge.refunded")["amount_refunded"] == 4_000
    assert last_event(intent_id, "refund.created")["status"] == "succeeded"
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)
    assert body_of(shop.refund(intent_id))["amount"] == 6_000, "the rest can be refunded by us"


def test_a_full_refund_in_the_dashboard_frees_the_order(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund")
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "REFUNDED"
    assert_sound(shop, intent_id)
    assert body_of(shop.create())["status"] == "succeeded"


def test_a_void_in_the_dashboard_cancels_the_payment(shop: Shop, hooks: Hooks) -> None:
    intent_id = held(shop)
    act(shop, "void")
    [notice] = hooks.caught("payment.voided")
    hooks.take(notice)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CANCELED", "")
    assert events_of(intent_id)[-2:] == ["charge.updated", "payment_intent.canceled"]
    [external] = external_operations(intent_id)
    assert (external.kind, external.amount_minor) == ("void", 10_000)
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)
    assert body_of(shop.create())["status"] == "succeeded", "the order is free"


@pytest.mark.parametrize(
    ("amount_minor", "final", "status", "last"),
    [
        (10_000, True, "CAPTURED", "payment_intent.succeeded"),
        (4_000, True, "CAPTURED", "payment_intent.succeeded"),
        (4_000, False, "AUTHORIZED", "payment_intent.amount_capturable_updated"),
    ],
)
def test_a_capture_in_the_dashboard_is_booked(
    shop: Shop, hooks: Hooks, amount_minor: int, final: bool, status: str, last: str
) -> None:
    intent_id = held(shop)
    act(shop, "capture", amount_minor, final=final)
    [notice] = hooks.caught("payment.captured")
    hooks.take(notice)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_captured_minor) == (status, amount_minor)
    assert events_of(intent_id)[-2:] == ["charge.captured", last]
    [charge, _] = shop.operations(intent_id)
    assert charge.balance_transaction_id is not None
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_an_increment_in_the_dashboard_raises_what_can_be_captured(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "increment", 2_000)
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_minor == 12_000
    assert body_of(shop.capture(intent_id))["amount_received"] == 12_000
    assert_sound(shop, intent_id)


def test_a_void_of_the_rest_in_the_dashboard_keeps_the_captured_part(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 3_000, final=False)
    act(shop, "void")
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert events_of(intent_id)[-2:] == ["charge.updated", "payment_intent.succeeded"]
    assert_sound(shop, intent_id)


def test_a_challenge_voided_in_the_dashboard_fails_the_payment(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop, token="pm_card_authenticationRequired")
    act(shop, "void")
    hooks.take(*hooks.caught("payment.canceled", "payment.voided"))
    assert shop.intent(intent_id).status == "FAILED"
    assert external_operations(intent_id) == [], "nothing was held, and nothing released"
    assert list(differences()) == []


def test_a_pending_refund_in_the_dashboard_is_reserved_until_it_succeeds(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 4_000)
    hooks.take(*hooks.caught("refund.pending"))
    [external] = external_operations(intent_id)
    assert (external.status, external.closed_at) == ("PENDING", None)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 4_000, 0)
    assert list(differences()) == []

    shop.psp.advance(3)
    hooks.take(*hooks.caught("refund.settled"))
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 4_000, 0, 0)
    assert [r.status for r in shop.refunds(intent_id)] == ["succeeded"]
    assert_sound(shop, intent_id)


def test_recovery_looks_up_a_pending_refund_of_the_dashboard_by_its_psp_id(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 4_000)
    sync(shop, intent_id)
    shop.psp.advance(3)
    shop.settle()
    assert [o.status for o in external_operations(intent_id)] == ["SUCCEEDED"]
    assert_sound(shop, intent_id)


# --- more than there is ----------------------------------------------------------------------


def test_an_external_refund_beyond_the_refundable_rest_is_excess_with_a_case(shop: Shop) -> None:
    intent_id = sold(shop)
    shop.refund(intent_id, 7_000)
    act(shop, "refund", 5_000, force=True)
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("REFUNDED", (10_000, 10_000, 12_000, 0, 2_000))
    [external] = external_operations(intent_id)
    assert external.amount_minor == 5_000
    case = Case.objects.get()
    assert (case.kind, case.amount_minor, case.operation_id) == (
        "external_operation",
        2_000,
        external.id,
    )
    assert_sound(shop, intent_id)


def test_an_external_capture_beyond_the_hold_is_excess_with_a_case(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 11_500, force=True)
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (11_500, 11_500, 0, 0, 1_500))
    assert Case.objects.get().amount_minor == 1_500
    assert_sound(shop, intent_id)


@pytest.mark.parametrize("end", ["void", "expiry"])
def test_an_external_capture_of_a_canceled_payment_is_booked_with_a_case(
    shop: Shop, end: str
) -> None:
    intent_id = hold(shop, token=EXPIRES_AT_ONCE if end == "expiry" else "pm_card_visa")
    if end == "void":
        shop.cancel(intent_id)
    else:
        shop.psp.advance(3)
        sync(shop, intent_id)
    assert shop.intent(intent_id).status == "CANCELED"
    act(shop, "capture", 10_000, force=True)
    sync(shop, intent_id)
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (10_000, 10_000, 0, 0, 0))
    assert last_event(intent_id, "charge.captured")["amount_captured"] == 10_000
    assert "payment_intent.succeeded" not in events_of(intent_id), "canceled was published"
    assert "canceled" in Case.objects.get().summary
    assert_sound(shop, intent_id)


def test_a_pending_external_refund_beyond_the_rest_is_excess_from_the_start(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 12_000, force=True)
    sync(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 12_000, 2_000)
    assert list(differences()) == []
    shop.psp.advance(3)
    sync(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 12_000, 0, 2_000)
    assert shop.intent(intent_id).status == "REFUNDED"
    assert Case.objects.get().amount_minor == 2_000
    assert_sound(shop, intent_id)


def test_an_excess_refund_is_no_longer_excess_once_our_own_refund_fails(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    assert body_of(shop.refund(intent_id, 6_000))["status"] == "pending"
    act(shop, "refund", 7_000, force=True)
    sync(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 13_000, 3_000)
    [_, ours, _] = shop.operations(intent_id)
    record_outcome(operation=ours, result=PspResult(outcome=Outcome.DECLINED), caller=shop.caller())
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 7_000, 0)
    assert list(differences()) == []


def test_an_external_refund_with_an_unknown_reference_of_ours_is_booked_with_a_case(
    shop: Shop,
) -> None:
    intent_id = sold(shop)
    lost = references.reference_of(uuid_of(sold(shop, order_id="another")))
    act(shop, "refund", 1_000, reference=lost)
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_refunded_minor == 1_000
    assert lost in Case.objects.get().summary
    assert_sound(shop, intent_id)


def test_an_external_refund_with_a_reference_not_ours_opens_no_case(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 1_000, reference="ticket 17")
    hooks.take(*hooks.caught("payment.refunded"))
    assert shop.intent(intent_id).amount_refunded_minor == 1_000
    assert not Case.objects.exists()


def test_an_external_operation_in_another_money_only_opens_a_case(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = held(shop)
    view = seen(shop, intent_id)
    show_also(monkeypatch, view, made_at_the_psp(view, Money(1_000, "EUR"), psp_id="sop_odd"))
    before = story_of(shop, intent_id)
    for _ in range(2):
        with pytest.raises(Conflict, match="another money"):
            sync(shop, intent_id)
    assert story_of(shop, intent_id) == before
    case = Case.objects.get()
    assert (case.kind, "10.00 EUR" in case.summary) == ("contradiction", True)
    assert list(differences()) == []


def test_what_cannot_be_booked_does_not_hide_what_stands_beside_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = held(shop)
    act(shop, "capture", 4_000, final=False)
    view = seen(shop, intent_id)
    show_also(
        monkeypatch,
        view,
        made_at_the_psp(view, Money(1_000, "EUR"), psp_id="sop_odd"),
        made_at_the_psp(view, Money(1_000, "USD"), psp_id="sop_later"),
    )
    with pytest.raises(Conflict):
        sync(shop, intent_id)
    assert [o.kind for o in external_operations(intent_id)] == ["capture", "refund"]
    assert amounts(shop.intent(intent_id)) == (10_000, 4_000, 1_000, 0, 0)
    assert list(differences()) == []


def made_at_the_psp(view: PspPayment, amount: Money, *, psp_id: str) -> PspOperation:
    """A refund in the PSP's dashboard."""
    return PspOperation(
        kind=PspOperationKind.REFUND,
        psp_id=psp_id,
        reference="",
        amount=amount,
        outcome=Outcome.SUCCEEDED,
        at=view.operations[-1].at,
    )


def show_also(monkeypatch: pytest.MonkeyPatch, view: PspPayment, *operations: PspOperation) -> None:
    shown = replace(view, operations=(*view.operations, *operations))
    monkeypatch.setattr(payment_sync, "look_up_payment", lambda charge: shown)


# --- never sent ------------------------------------------------------------------------------


def test_an_external_operation_is_never_sent(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)
    sync(shop, intent_id)
    [external] = external_operations(intent_id)
    before = len(shop.psp.calls(kind="refund"))
    with pytest.raises(ValueError, match="never sent"):
        sending.send(external)
    assert len(shop.psp.calls(kind="refund")) == before


def test_postgresql_refuses_an_external_operation_in_a_status_before_sending(shop: Shop) -> None:
    intent_id = sold(shop)
    [charge] = shop.operations(intent_id)
    charge.charge_id = charge.id
    charge.id, charge.psp_key, charge.psp_id = (
        uuid_of(intent_id),
        external_operation_key("authorize", "x"),
        "x",
    )
    charge.kind, charge.guard_order = "refund", None
    charge.__dict__["status"] = "SENDING"
    with (
        pytest.raises(IntegrityError, match="external_operation_is_never_sent"),
        transaction.atomic(),
    ):
        charge.save(force_insert=True)
    assert len(shop.operations(intent_id)) == 1


def test_a_long_psp_id_still_gives_a_unique_key() -> None:
    keys = {external_operation_key("refund", "x" * 127 + str(number)) for number in range(3)}
    assert len(keys) == 3
    assert all(len(key) == 64 and key.startswith("psp:") for key in keys)
