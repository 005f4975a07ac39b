"""What every PSP adapter must do when an answer is lost, as tests to inherit; nothing of any PSP.

Each command's answer is lost once after the PSP acted, and once before it saw the request. Both are
UNKNOWN, never a decline; a look-up, or the same request again, then finds exactly one effect.
"""

from __future__ import annotations

import pytest

from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import (
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspUnavailable,
)
from psp_adapters.contract.payments import PspOperationKind
from psp_adapters.tests.suites.contract_suite import (
    DEADLINE_SECONDS,
    PspUnderTest,
    found_by,
    make_request,
    send,
    settled,
)

K = OperationKind
COMMANDS = (K.AUTHORIZE, K.INCREMENT, K.CAPTURE, K.VOID, K.REFUND)


class FaultContract(PspUnderTest):
    """Inherit, and implement the first three."""

    def drop_answer(self, kind: str, order_id: str, *, after: bool) -> None:
        """Break the connection of the next command of this kind, or of the next `look_up`.

        After the PSP acted, or before it saw the request.
        """
        raise NotImplementedError

    def adapter_of(self, *, base_url: str = "", api_key: str = "") -> PspAdapter:
        """An adapter with another base URL or another key; empty: those of the PSP under test."""
        raise NotImplementedError

    def answer_challenge(self, redirect_url: str, psp_payment_id: str, *, fail: bool) -> None:
        """Answer a challenge as the customer would."""
        raise NotImplementedError

    def prepared(self, adapter: PspAdapter, order_id: str, kind: OperationKind) -> PspRequest:
        """A command of this kind that the PSP will take; what it follows was made."""
        if kind is K.INCREMENT and not adapter.capabilities.increments:
            pytest.skip("capability increments is off")
        if kind is K.AUTHORIZE:
            return make_request(kind, order_id=order_id, token=self.good_token)
        made = self.authorize(adapter, order_id, capture=kind is K.REFUND)
        return make_request(kind, psp_payment_id=made.psp_payment_id)

    @pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
    @pytest.mark.parametrize("kind", COMMANDS, ids=[kind.value for kind in COMMANDS])
    def test_a_dropped_answer_is_unknown_and_exactly_one_effect_is_found(
        self, adapter: PspAdapter, order_id: str, kind: OperationKind, after: bool
    ) -> None:
        request = self.prepared(adapter, order_id, kind)
        self.drop_answer(kind.value, order_id, after=after)
        lost = send(adapter, request)
        assert lost.outcome is Outcome.UNKNOWN
        assert lost.detail
        assert not lost.code

        query = LookUp(
            kind=kind, reference=request.reference, psp_payment_id=request.psp_payment_id
        )
        if adapter.capabilities.look_up_by_reference:
            found = found_by(adapter, query)
            if not after:
                assert found is None
            else:
                assert found is not None
                assert (found.outcome, found.also_found) == (Outcome.SUCCEEDED, ())
                assert found.amount == request.amount

        again = settled(adapter, request)
        assert again.outcome is Outcome.SUCCEEDED
        if adapter.capabilities.look_up_by_reference:
            only = found_by(adapter, query)
            assert only is not None
            assert (only.psp_id, only.also_found) == (again.psp_id, ())
        payment = self.look_up_payment(adapter, again.psp_payment_id)
        made = [act for act in payment.operations if act.kind == PspOperationKind(kind.value)]
        assert [(act.reference, act.amount) for act in made] == [
            (request.reference, request.amount)
        ]

    def test_a_look_up_whose_answer_is_lost_is_unavailable_and_not_not_found(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        made = self.authorize(adapter, order_id)
        query = LookUp(kind=K.AUTHORIZE, reference="", psp_id=made.psp_id)
        self.drop_answer("look_up", order_id, after=True)
        with pytest.raises(PspUnavailable):
            found_by(adapter, query)
        self.drop_answer("look_up", order_id, after=True)
        with pytest.raises(PspUnavailable):
            adapter.look_up_payment(made.psp_payment_id, deadline_seconds=DEADLINE_SECONDS)

    def test_an_unreachable_psp_answers_not_sent(self, order_id: str) -> None:
        unreachable = self.adapter_of(base_url="http://127.0.0.1:1")
        assert self.authorize(unreachable, order_id).outcome is Outcome.NOT_SENT

    def test_an_unreachable_psp_finds_no_token(self) -> None:
        unreachable = self.adapter_of(base_url="http://127.0.0.1:1")
        with pytest.raises(PspUnavailable):
            unreachable.find_token(self.good_token, deadline_seconds=1)

    def test_invalid_credentials_are_not_a_decline(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        result = self.authorize(self.adapter_of(api_key="wrong-credentials"), order_id)
        assert result.outcome is Outcome.NOT_SENT
        assert "wrong-credentials" not in result.detail

    @pytest.mark.parametrize("fail", [False, True], ids=["completed", "failed"])
    def test_an_answered_challenge_is_found_by_a_look_up_of_its_charge(
        self, adapter: PspAdapter, order_id: str, fail: bool
    ) -> None:
        request = make_request(
            K.AUTHORIZE,
            order_id=order_id,
            token=self.challenged_token,
            return_url="https://shop.example/back",
        )
        begun = send(adapter, request)
        self.answer_challenge(begun.redirect_url, begun.psp_payment_id, fail=fail)
        query = LookUp(kind=K.AUTHORIZE, reference=request.reference, psp_id=begun.psp_id)
        found = found_by(adapter, query)
        assert found is not None
        if fail:
            declined = (Outcome.DECLINED, "payment_intent_authentication_failure")
            assert (found.outcome, found.code) == declined
        else:
            assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, request.amount)
