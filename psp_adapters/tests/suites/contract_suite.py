"""What every PSP adapter must do with payments, as tests to inherit; nothing of any PSP.

Subclass `AdapterContract` in a test module, describe the PSP's tokens, and provide the fixtures
`adapter` and `order_id`. What a PSP cannot do, by its capability flags, is skipped with that
reason; so is what its double cannot show, by `cannot`. The suites beside this one take the same
description: `fault_suite` and `dispute_suite`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.contract.payments import (
    CardDataRefused,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
    UnknownToken,
)

DEADLINE_SECONDS = 5.0


def make_request(kind: OperationKind, *, minor: int = 1000, **values: Any) -> PspRequest:
    """A request with a reference and key of its own."""
    reference = values.pop("reference", f"op_A{uuid.uuid4().hex[:21]}")
    return PspRequest(
        kind=kind,
        psp_key=values.pop("psp_key", f"key-{reference}"),
        reference=reference,
        amount=Money(minor, values.pop("currency", "USD")),
        **values,
    )


def send(adapter: PspAdapter, request: PspRequest) -> PspResult:
    """Call the operation that belongs to the request."""
    verb = getattr(adapter, request.kind.value)
    result = verb(request, deadline_seconds=DEADLINE_SECONDS)
    assert isinstance(result, PspResult)
    return result


def settled(adapter: PspAdapter, request: PspRequest) -> PspResult:
    """The result of the request; of a PSP that states it later by notification, what it stated."""
    result = send(adapter, request)
    stated_later = adapter.capabilities.states_results_by_notification
    if result.outcome is not Outcome.PENDING or not stated_later:
        return result
    query = LookUp(
        kind=request.kind,
        reference=request.reference,
        psp_id=result.psp_id,
        psp_payment_id=request.psp_payment_id,
        payment_reference=request.payment_reference,
    )
    stated = found_by(adapter, query)
    assert stated is not None
    assert stated.psp_id == result.psp_id
    return stated


def found_by(adapter: PspAdapter, query: LookUp) -> PspResult | None:
    return adapter.look_up(query, deadline_seconds=DEADLINE_SECONDS)


class PspUnderTest:
    """What the suites must know of a PSP: inherit, and set the tokens."""

    good_token: str
    declined_token: str
    challenged_token: str
    unknown_token: str
    cannot: ClassVar[Mapping[str, str]] = {}
    """What the PSP's double cannot show: words of a test's name, and the reason to skip it."""

    @pytest.fixture(autouse=True)
    def _skip_what_the_double_cannot_show(self, request: pytest.FixtureRequest) -> None:
        for words, reason in self.cannot.items():
            if words in request.node.name:
                pytest.skip(reason)

    def authorize(self, adapter: PspAdapter, order_id: str, **values: Any) -> PspResult:
        values.setdefault("token", self.good_token)
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, **values)
        return send(adapter, request)

    def look_up_payment(self, adapter: PspAdapter, payment_id: str) -> PspPayment:
        payment = adapter.look_up_payment(payment_id, deadline_seconds=DEADLINE_SECONDS)
        assert payment is not None
        assert payment.psp_payment_id == payment_id
        return payment


class AdapterContract(PspUnderTest):
    """The life of a payment."""

    def test_an_authorization_names_payment_and_amount(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        result = self.authorize(adapter, order_id)
        assert result.outcome is Outcome.SUCCEEDED
        assert result.psp_id
        assert result.psp_payment_id
        assert result.amount == Money(1000, "USD")

    def test_an_authorization_says_until_when_it_holds(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        made = self.authorize(adapter, order_id)
        payment = self.look_up_payment(adapter, made.psp_payment_id)
        for expires_at in (made.expires_at, payment.expires_at):
            assert expires_at is not None
            assert expires_at.utcoffset() is not None

    @pytest.mark.parametrize(("minor", "currency"), [(7, "JPY"), (1230, "KWD"), (99, "EUR")])
    def test_minor_units_arrive_as_they_are(
        self, adapter: PspAdapter, order_id: str, minor: int, currency: str
    ) -> None:
        result = self.authorize(adapter, order_id, minor=minor, currency=currency)
        assert result.outcome is Outcome.SUCCEEDED
        assert result.amount == Money(minor, currency)

    def test_a_repeated_request_is_the_same_operation(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        first, second = send(adapter, request), send(adapter, request)
        assert first.outcome is second.outcome is Outcome.SUCCEEDED
        assert (first.psp_id, first.psp_payment_id) == (second.psp_id, second.psp_payment_id)

    def test_a_key_used_with_other_parameters_is_unknown_and_never_a_decline(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        send(adapter, request)
        result = send(adapter, replace(request, amount=Money(2000, "USD")))
        assert result.outcome is Outcome.UNKNOWN
        assert result.detail

    def test_a_decline_has_a_code_a_reason_and_a_sentence(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        result = self.authorize(adapter, order_id, token=self.declined_token)
        assert result.outcome is Outcome.DECLINED
        assert (result.code, result.decline_code) == ("card_declined", "generic_decline")
        assert result.message

    def test_a_request_that_the_psp_refuses_is_told_apart_from_a_decline(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        result = self.authorize(adapter, order_id, token=self.unknown_token)
        assert (result.outcome, result.code) == (Outcome.DECLINED, REQUEST_REFUSED)
        assert result.decline_code == ""

    def test_a_challenge_says_where_to_go(self, adapter: PspAdapter, order_id: str) -> None:
        result = self.authorize(
            adapter, order_id, token=self.challenged_token, return_url="https://shop.example/back"
        )
        assert result.outcome is Outcome.REQUIRES_ACTION
        assert result.redirect_url.startswith("http")

    def test_a_challenge_that_is_not_allowed_is_a_decline_with_that_code(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        result = self.authorize(
            adapter, order_id, token=self.challenged_token, challenge_allowed=False
        )
        assert result.outcome is Outcome.DECLINED
        assert result.code == "authentication_required"

    def test_a_payment_is_authorized_captured_and_refunded(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        payment_id = self.authorize(adapter, order_id).psp_payment_id
        for kind, minor in ((OperationKind.CAPTURE, 1000), (OperationKind.REFUND, 400)):
            result = send(adapter, make_request(kind, minor=minor, psp_payment_id=payment_id))
            assert result.outcome in (Outcome.SUCCEEDED, Outcome.PENDING)
            assert result.psp_payment_id == payment_id
            assert result.amount == Money(minor, "USD")

    def test_a_sale_is_captured_at_once_and_refunded_in_parts(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        made = self.authorize(adapter, order_id, capture=True)
        assert (made.outcome, made.amount) == (Outcome.SUCCEEDED, Money(1000, "USD"))
        for minor in (600, 400):
            part = make_request(
                OperationKind.REFUND, minor=minor, psp_payment_id=made.psp_payment_id
            )
            assert send(adapter, part).outcome in (Outcome.SUCCEEDED, Outcome.PENDING)
        payment = self.look_up_payment(adapter, made.psp_payment_id)
        assert (payment.status, payment.held) == (PspPaymentStatus.CAPTURED, Money(0, "USD"))
        assert [(act.kind, act.amount.minor) for act in payment.operations] == [
            (PspOperationKind.AUTHORIZE, 1000),
            (PspOperationKind.REFUND, 600),
            (PspOperationKind.REFUND, 400),
        ]

    def test_a_void_releases_the_hold(self, adapter: PspAdapter, order_id: str) -> None:
        payment_id = self.authorize(adapter, order_id).psp_payment_id
        voided = settled(adapter, make_request(OperationKind.VOID, psp_payment_id=payment_id))
        assert voided.outcome is Outcome.SUCCEEDED
        late = settled(adapter, make_request(OperationKind.CAPTURE, psp_payment_id=payment_id))
        assert late.outcome is Outcome.DECLINED

    def test_a_void_without_the_payments_id_names_it_by_our_reference(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        if not adapter.capabilities.look_up_by_reference:
            pytest.skip("capability look_up_by_reference is off")
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        made = send(adapter, request)
        voided = send(
            adapter, make_request(OperationKind.VOID, payment_reference=request.reference)
        )
        assert voided.outcome is Outcome.SUCCEEDED
        assert voided.psp_payment_id == made.psp_payment_id
        payment = self.look_up_payment(adapter, made.psp_payment_id)
        assert payment.status is PspPaymentStatus.RELEASED

    def test_several_captures(self, adapter: PspAdapter, order_id: str) -> None:
        if not adapter.capabilities.multiple_captures:
            pytest.skip("capability multiple_captures is off")
        payment_id = self.authorize(adapter, order_id).psp_payment_id
        for final in (False, True):
            result = send(
                adapter,
                make_request(
                    OperationKind.CAPTURE, minor=300, psp_payment_id=payment_id, final=final
                ),
            )
            assert result.outcome is Outcome.SUCCEEDED

    def test_an_increment_raises_what_can_be_captured(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        if not adapter.capabilities.increments:
            pytest.skip("capability increments is off")
        payment_id = self.authorize(adapter, order_id).psp_payment_id
        more = make_request(OperationKind.INCREMENT, minor=500, psp_payment_id=payment_id)
        assert settled(adapter, more).outcome is Outcome.SUCCEEDED
        taken = make_request(OperationKind.CAPTURE, minor=1500, psp_payment_id=payment_id)
        assert settled(adapter, taken).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("kind", [OperationKind.CAPTURE, OperationKind.REFUND])
    def test_a_capture_or_refund_of_too_much_is_declined(
        self, adapter: PspAdapter, order_id: str, kind: OperationKind
    ) -> None:
        capture = kind is OperationKind.REFUND
        payment_id = self.authorize(adapter, order_id, capture=capture).psp_payment_id
        result = settled(adapter, make_request(kind, minor=1001, psp_payment_id=payment_id))
        assert result.outcome is Outcome.DECLINED
        assert result.code == "processing_error"

    def test_an_operation_is_found_by_reference_and_by_id(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        if not adapter.capabilities.look_up_by_reference:
            pytest.skip("capability look_up_by_reference is off")
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        made = send(adapter, request)
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.reference)
        for each in (query, replace(query, psp_id=made.psp_id)):
            found = found_by(adapter, each)
            assert found is not None
            assert (found.outcome, found.psp_id) == (Outcome.SUCCEEDED, made.psp_id)
            assert found.amount == Money(1000, "USD")

    def test_a_payment_lists_all_its_operations_in_order(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        authorize = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        made = send(adapter, authorize)
        held = self.look_up_payment(adapter, made.psp_payment_id)
        assert (held.status, held.held) == (PspPaymentStatus.HELD, Money(1000, "USD"))

        requests = [authorize]
        for kind, minor in ((OperationKind.CAPTURE, 700), (OperationKind.REFUND, 200)):
            request = make_request(kind, minor=minor, psp_payment_id=made.psp_payment_id)
            send(adapter, request)
            requests.append(request)
        payment = self.look_up_payment(adapter, made.psp_payment_id)
        assert (payment.status, payment.held) == (PspPaymentStatus.CAPTURED, Money(0, "USD"))
        assert [(act.kind, act.reference, act.amount, act.final) for act in payment.operations] == [
            (PspOperationKind(each.kind.value), each.reference, each.amount, True)
            for each in requests
        ]
        assert all(
            act.outcome in (Outcome.SUCCEEDED, Outcome.PENDING) for act in payment.operations
        )
        assert all(act.psp_id and act.at.utcoffset() is not None for act in payment.operations)

    @pytest.mark.parametrize(
        ("token", "status"),
        [
            ("declined_token", PspPaymentStatus.DECLINED),
            ("challenged_token", PspPaymentStatus.OPEN),
        ],
    )
    def test_a_payment_without_money_says_so(
        self, adapter: PspAdapter, order_id: str, token: str, status: PspPaymentStatus
    ) -> None:
        made = self.authorize(adapter, order_id, token=getattr(self, token))
        payment = self.look_up_payment(adapter, made.psp_payment_id)
        assert (payment.status, payment.held) == (status, Money(0, "USD"))

    def test_a_voided_payment_is_released(self, adapter: PspAdapter, order_id: str) -> None:
        payment_id = self.authorize(adapter, order_id).psp_payment_id
        send(adapter, make_request(OperationKind.VOID, psp_payment_id=payment_id))
        payment = self.look_up_payment(adapter, payment_id)
        assert payment.status is PspPaymentStatus.RELEASED
        assert [(act.kind, act.amount.minor) for act in payment.operations] == [
            (PspOperationKind.AUTHORIZE, 1000),
            (PspOperationKind.VOID, 1000),
        ]

    def test_an_unknown_payment_is_not_found(self, adapter: PspAdapter) -> None:
        unknown = f"never-{uuid.uuid4().hex}"
        assert adapter.look_up_payment(unknown, deadline_seconds=DEADLINE_SECONDS) is None

    def test_an_operation_that_never_arrived_is_not_found(self, adapter: PspAdapter) -> None:
        if not adapter.capabilities.look_up_by_reference:
            pytest.skip("capability look_up_by_reference is off")
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=f"never-{uuid.uuid4().hex}")
        assert found_by(adapter, query) is None

    def test_a_fenced_reference_can_never_be_charged(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        if not adapter.capabilities.fence_by_reference:
            pytest.skip("capability fence_by_reference is off")
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.reference)
        assert adapter.fence(query, deadline_seconds=DEADLINE_SECONDS) is None
        assert send(adapter, request).outcome is Outcome.DECLINED
        assert found_by(adapter, query) is None

    def test_a_fence_after_the_charge_returns_the_charge(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        if not adapter.capabilities.fence_by_reference:
            pytest.skip("capability fence_by_reference is off")
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        made = send(adapter, request)
        query = LookUp(kind=OperationKind.AUTHORIZE, reference=request.reference)
        found = adapter.fence(query, deadline_seconds=DEADLINE_SECONDS)
        assert found is not None
        assert (found.outcome, found.psp_id) == (Outcome.SUCCEEDED, made.psp_id)

    def test_a_token_is_described_without_its_number(self, adapter: PspAdapter) -> None:
        token = adapter.find_token(self.good_token, deadline_seconds=DEADLINE_SECONDS)
        assert (token.token, token.method_type) == (self.good_token, "card")
        assert len(token.last4) == 4
        assert token.brand
        assert token.fingerprint
        assert token.expiry_year

    def test_an_unknown_token_is_refused(self, adapter: PspAdapter) -> None:
        with pytest.raises(UnknownToken):
            adapter.find_token(self.unknown_token, deadline_seconds=DEADLINE_SECONDS)

    def test_a_card_number_is_not_taken_for_a_token(self, adapter: PspAdapter) -> None:
        with pytest.raises(CardDataRefused):
            adapter.find_token("4242 4242 4242 4242", deadline_seconds=DEADLINE_SECONDS)

    def test_no_time_left_means_not_sent(self, adapter: PspAdapter, order_id: str) -> None:
        request = make_request(OperationKind.AUTHORIZE, order_id=order_id, token=self.good_token)
        result = adapter.authorize(request, deadline_seconds=0)
        assert result.outcome is Outcome.NOT_SENT
