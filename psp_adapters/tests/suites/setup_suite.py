"""What every adapter that keeps payment methods must do, as tests to inherit; nothing of any PSP.

Subclass `SetupContract` beside `AdapterContract`, with the same description of the PSP.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspResult,
)
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.tests.suites.contract_suite import (
    DEADLINE_SECONDS,
    PspUnderTest,
    found_by,
    make_request,
    send,
)


def ask(token: str, **more: Any) -> SetupRequest:
    """A setup with a reference and key of its own."""
    reference = f"setatt_{uuid.uuid4().hex[:22]}"
    more = {"usage": "off_session", "return_url": "https://shop.example/back"} | more
    return SetupRequest(psp_key=reference, reference=reference, token=token, **more)


def found(
    adapter: PspAdapter,
    asked: SetupRequest,
    psp_id: str = "",
    returned: Mapping[str, str] | None = None,
) -> SetupResult | None:
    query = SetupLookUp(reference=asked.reference, psp_id=psp_id, returned=returned or {})
    return adapter.look_up_setup(query, deadline_seconds=DEADLINE_SECONDS)


class SetupContract(PspUnderTest):
    """Inherit, and implement the first two."""

    declined_setup_token: str

    def drop_setup(self, asked: SetupRequest, *, after: bool) -> None:
        """Break the connection of this setup's request, after the PSP acted or before."""
        raise NotImplementedError

    def answer_setup_challenge(self, opened: SetupResult) -> Mapping[str, str]:
        """Complete the challenge of a setup as the customer would; what that one brings back."""
        raise NotImplementedError

    def set_up(self, adapter: PspAdapter, asked: SetupRequest) -> SetupResult:
        return adapter.set_up(asked, deadline_seconds=DEADLINE_SECONDS)

    def charge_later(
        self, adapter: PspAdapter, order_id: str, kept: SetupResult | PspResult
    ) -> PspResult:
        """Charge what was kept, without the customer."""
        return self.authorize(
            adapter,
            order_id,
            token=kept.stored_token or self.good_token,
            network_transaction_id=kept.network_transaction_id,
            off_session=True,
            challenge_allowed=False,
            capture=True,
        )

    def test_a_setup_is_made_once_and_found_by_reference_and_by_id(
        self, adapter: PspAdapter
    ) -> None:
        asked = ask(self.good_token)
        assert found(adapter, asked) is None
        made = self.set_up(adapter, asked)
        assert made.outcome is Outcome.SUCCEEDED
        assert made.psp_id
        assert self.set_up(adapter, asked) == made, "the same key gets the same answer"
        assert found(adapter, asked) == made
        assert found(adapter, asked, psp_id=made.psp_id) == made

    def test_a_method_that_was_set_up_is_charged_without_the_customer(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        kept = self.set_up(adapter, ask(self.good_token))
        for order in (order_id, f"{order_id}-again"):
            charged = self.charge_later(adapter, order, kept)
            assert (charged.outcome, charged.amount) == (Outcome.SUCCEEDED, Money(1000, "USD"))

    def test_a_charge_keeps_its_method_and_says_so_whenever_it_is_looked_up(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        request = make_request(
            OperationKind.AUTHORIZE,
            order_id=order_id,
            token=self.good_token,
            save_for="off_session",
            return_url="https://shop.example/back",
        )
        made = send(adapter, request)
        assert made.outcome is Outcome.SUCCEEDED
        assert send(adapter, request).psp_id == made.psp_id
        query = LookUp(
            kind=OperationKind.AUTHORIZE, reference=request.reference, psp_id=made.psp_id
        )
        shown = found_by(adapter, query)
        assert shown is not None
        [listed] = self.look_up_payment(adapter, made.psp_payment_id).operations
        kept = (made.stored_token, made.network_transaction_id)
        assert (shown.stored_token, shown.network_transaction_id) == kept
        assert (listed.stored_token, listed.network_transaction_id) == kept
        charged = self.charge_later(adapter, f"{order_id}-later", made)
        assert charged.outcome is Outcome.SUCCEEDED
        assert charged.stored_token == ""

    def test_a_declined_setup_has_a_code_and_a_sentence(self, adapter: PspAdapter) -> None:
        asked = ask(self.declined_setup_token)
        declined = self.set_up(adapter, asked)
        assert (declined.outcome, declined.code) == (Outcome.DECLINED, "card_declined")
        assert declined.message
        shown = found(adapter, asked, psp_id=declined.psp_id)
        assert shown is not None
        assert (shown.outcome, shown.code) == (Outcome.DECLINED, "card_declined")
        assert shown.stored_token == declined.stored_token == ""

    def test_a_setup_that_the_psp_refuses_is_told_apart_from_a_decline(
        self, adapter: PspAdapter
    ) -> None:
        asked = ask(self.unknown_token)
        refused = self.set_up(adapter, asked)
        assert (refused.outcome, refused.code) == (Outcome.DECLINED, REQUEST_REFUSED)
        assert found(adapter, asked) is None

    def test_a_challenge_says_where_to_go_and_keeps_the_method_once_it_is_completed(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        asked = ask(self.challenged_token)
        opened = self.set_up(adapter, asked)
        assert opened.outcome is Outcome.REQUIRES_ACTION
        assert opened.redirect_url.startswith("http")
        assert opened.stored_token == ""
        returned = self.answer_setup_challenge(opened)
        shown = found(adapter, asked, psp_id=opened.psp_id, returned=returned)
        assert shown is not None
        assert shown.outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
    def test_a_setup_whose_answer_is_lost_is_a_doubt_that_a_look_up_or_a_repeat_ends(
        self, adapter: PspAdapter, after: bool
    ) -> None:
        asked = ask(self.good_token)
        self.drop_setup(asked, after=after)
        assert self.set_up(adapter, asked).outcome is Outcome.UNKNOWN
        shown = found(adapter, asked)
        assert (shown is not None) is after
        again = self.set_up(adapter, asked)
        assert again.outcome is Outcome.SUCCEEDED
        assert found(adapter, asked) == again
        assert shown is None or shown == again

    def test_no_time_left_means_no_setup_was_sent(self, adapter: PspAdapter) -> None:
        result = adapter.set_up(ask(self.good_token), deadline_seconds=0)
        assert result.outcome is Outcome.NOT_SENT

    def test_a_released_method_is_charged_no_more_and_may_be_released_again(
        self, adapter: PspAdapter, order_id: str
    ) -> None:
        kept = self.set_up(adapter, ask(self.good_token))
        assert self.charge_later(adapter, order_id, kept).outcome is Outcome.SUCCEEDED
        if not adapter.capabilities.releases_methods:
            pytest.skip("the PSP releases no methods")
        token = self.good_token if adapter.capabilities.tokens_are_stored else kept.stored_token
        assert token
        for time_of in ("first", "second"):
            adapter.release_stored(token, deadline_seconds=DEADLINE_SECONDS)
            refused = self.charge_later(adapter, f"{order_id}-{time_of}", kept)
            assert refused.outcome is Outcome.DECLINED, time_of
            assert refused.amount is None
