"""Disputes through the official SDKs over the real server, from the bank's dispute to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from payments.models import Dispute
from payments.services.disputes import sync
from payments.tests.http.sdk.test_node import node_folder
from payments.tests.http.sdk.test_python_objects import charge_of, plain
from payments.tests.http.support import node_sdk
from payments.tests.http.support.storefront import Storefront, Tables

__all__ = ["node_folder"]


def dispute(storefront: Storefront, **words: Any) -> str:
    """Let the bank dispute the storefront's newest payment, and sync it. Returns its public id."""
    opened = storefront.psp.open_dispute(order_id=storefront.order_id, **words)
    hear(storefront, opened["id"])
    return Dispute.objects.get(psp_dispute_id=opened["id"]).public_id


def hear(storefront: Storefront, psp_dispute_id: str) -> None:
    account = storefront.merchant.test_psp_account
    assert account is not None
    sync.sync_dispute(account=account, psp_dispute_id=psp_dispute_id, actor="test")


def decide(storefront: Storefront, public_id: str, move: str) -> None:
    """Let the bank decide, and sync the dispute."""
    row = next(d for d in Dispute.objects.all() if d.public_id == public_id)
    storefront.psp.move_dispute(row.psp_dispute_id, move)
    hear(storefront, row.psp_dispute_id)


def test_a_dispute_is_read_answered_and_won(storefront: Storefront) -> None:
    api = storefront.stripe.v1
    paid = storefront.pay(amount=25_000)
    dispute_id = dispute(storefront)

    found = api.disputes.retrieve(dispute_id)
    assert (found.status, found.amount, found.currency) == ("needs_response", 25_000, "usd")
    assert (found.reason, found.network_reason_code) == ("fraudulent", "10.4")
    assert (found.charge, found.payment_intent) == (paid.latest_charge, paid.id)
    assert found.is_charge_refundable is False
    assert found.evidence_details.due_by
    assert found.evidence_details.submission_count == 0
    [taken] = found.balance_transactions
    assert (taken.amount, taken.fee, taken.net) == (-25_000, 1_500, -26_500)
    assert (taken.type, taken.reporting_category) == ("adjustment", "dispute")
    assert plain(api.balance_transactions.retrieve(taken.id)) == plain(taken)
    listed = api.balance_transactions.list({"source": dispute_id, "expand": ["data.source"]}).data
    assert [plain(row.source)["id"] for row in listed] == [dispute_id]  # type: ignore[index]
    charge = api.charges.retrieve(str(paid.latest_charge), {"expand": ["dispute"]})
    assert charge.disputed is True
    assert plain(charge)["dispute"]["id"] == dispute_id

    staged = api.disputes.update(
        dispute_id, {"evidence": {"customer_name": "Ann"}, "submit": False, "metadata": {"t": "7"}}
    )
    assert (staged.status, staged.evidence.customer_name) == ("needs_response", "Ann")
    sent = api.disputes.update(
        dispute_id,
        {"evidence": {"uncategorized_text": "It was delivered."}, "expand": ["payment_intent"]},
    )
    assert sent.status == "under_review"
    assert (sent.evidence_details.submission_count, sent.evidence_details.due_by) == (1, None)
    assert plain(sent.payment_intent)["id"] == paid.id
    decide(storefront, dispute_id, "win")
    won = api.disputes.retrieve(dispute_id)
    assert won.status == "won"
    assert [t.net for t in won.balance_transactions] == [-26_500, 25_000]
    assert [t.reporting_category for t in won.balance_transactions] == [
        "dispute",
        "dispute_reversal",
    ]
    nets = [t.net for t in api.balance_transactions.list().auto_paging_iter()]
    balance = api.balance.retrieve()
    [later], [now] = balance.pending, balance.available
    # The charge is pending; the dispute's amount and fee leave the balance at once.
    assert (later.amount, now.amount) == (25_000, -1_500)
    assert sum(nets) == later.amount + now.amount
    types = {event.type for event in api.events.list({"limit": 100}).data}
    assert {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    } <= types


def test_a_dispute_is_closed_and_lost(storefront: Storefront) -> None:
    api = storefront.stripe.v1
    storefront.pay(amount=25_000)
    dispute_id = dispute(storefront)
    assert api.disputes.close(dispute_id).status == "lost"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.disputes.close(dispute_id)
    assert (refused.value.http_status, refused.value.code) == (400, "dispute_unexpected_state")
    assert api.disputes.retrieve(dispute_id).status == "lost"


def test_disputes_are_listed_by_charge_and_by_payment(storefront: Storefront) -> None:
    api = storefront.stripe.v1
    first = storefront.pay(expand=["latest_charge"])
    ids = [dispute(storefront, amount_minor=4_000), dispute(storefront, amount_minor=6_000)]
    other = storefront.pay()
    ids.append(dispute(storefront, inquiry=True))
    assert [d.id for d in api.disputes.list({"limit": 1}).auto_paging_iter()] == ids[::-1]
    of_charge = api.disputes.list({"charge": charge_of(first).id})
    assert [d.id for d in of_charge.data] == ids[1::-1]
    of_payment = api.disputes.list({"payment_intent": other.id, "expand": ["data.charge"]})
    assert [d.id for d in of_payment.data] == ids[2:]
    assert plain(of_payment.data[0].charge)["disputed"] is True


def test_an_impossible_dispute_response_is_refused_by_name(
    storefront: Storefront, tables: Tables
) -> None:
    api = storefront.stripe.v1
    paid = storefront.pay()
    dispute_id = dispute(storefront)
    before = tables.rows()
    for command, code in (
        (lambda: api.refunds.create({"payment_intent": paid.id}), "charge_disputed"),
        (lambda: api.disputes.update(dispute_id, {"submit": True}), "parameter_missing"),
        (
            lambda: api.disputes.update(dispute_id, {"evidence": {"receipt": "file_1"}}),
            "parameter_unknown",
        ),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            command()
        assert (refused.value.http_status, refused.value.code) == (400, code)
    assert tables.rows() == before
    api.disputes.update(dispute_id, {"evidence": {"uncategorized_text": "x"}})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.disputes.update(dispute_id, {"evidence": {"uncategorized_text": "y"}})
    assert refused.value.code == "dispute_evidence_already_submitted"


def test_a_repeat_with_the_same_key_gets_the_same_bytes(storefront: Storefront) -> None:
    storefront.pay()
    path = f"/v1/disputes/{dispute(storefront)}"
    words = {"evidence[uncategorized_text]": "It was delivered."}
    first = storefront.wire.post(path, words, key="evidence")
    again = storefront.wire.post(path, words, key="evidence")
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    [at_the_psp] = storefront.psp.disputes(storefront.order_id)
    assert len(at_the_psp["submissions"]) == 1


def test_a_dispute_through_the_node_sdk(
    storefront: Storefront, node_folder: Any, open_storefront: Callable[..., Storefront]
) -> None:
    storefront.pay(amount=25_000)
    dispute_id = dispute(storefront)
    known = {"base_url": storefront.server.base_url, "secret_key": storefront.secret_key}
    steps = node_sdk.run(node_folder, "disputes.mjs", {**known, "dispute": dispute_id})
    assert steps == {
        "found": ["needs_response", -26_500],
        "staged": ["needs_response", "Ann"],
        "sent": ["under_review", 1],
        "again": ["StripeInvalidRequestError", "dispute_evidence_already_submitted"],
        "listed": [dispute_id],
    }
