"""Disputes at Adyen: the contract against the face, and what notifications say together."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.adyen import defense, dispute_facts, vocabulary
from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.answers import Answer, Contradiction
from psp_adapters.contract.disputes import DisputeRequest, DisputeStatus, PspDispute
from psp_adapters.contract.notifications import WebhookRequest
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.stored_notifications import SentResponse, StoredNotification
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.suites.dispute_suite import DisputeContract
from psp_adapters.tests.support.adyen_documents import webhooks
from psp_adapters.tests.support.adyen_face import ACCOUNT, HMAC_KEY, AdyenFace, request_of, sign
from psp_adapters.tests.support.sandbox_process import SandboxProcess

S = DisputeStatus
BEGUN = datetime(2026, 11, 1, 12, tzinfo=UTC)
LOST_ANSWER = "POST /disputes/{}"


class TestAdyenDisputes(DisputeContract):
    good_token = "shopper-1/GOODCARD00000001"

    @pytest.fixture(autouse=True)
    def _face(self, face: AdyenFace, kept: Kept, sandbox: SandboxProcess) -> None:
        self.face, self.kept, self.sandbox = face, kept, sandbox

    def open_dispute(self, adapter: PspAdapter, order_id: str) -> str:
        return self.face.open_dispute(self.sandbox.open_dispute(order_id=order_id))

    def disputed(self, adapter: PspAdapter, order_id: str) -> DisputeRequest:
        """The platform has written the response down before it is sent."""
        request = super().disputed(adapter, order_id)
        for accepts in (False, True):
            self.kept.responses.append(
                SentResponse(
                    reference=request.reference, accepts=accepts, written_at=datetime.now(UTC)
                )
            )
        return request

    @pytest.mark.parametrize(
        ("call", "after", "outcome"),
        [
            ("supplyDefenseDocument", True, Outcome.NOT_SENT),
            ("defendDispute", True, Outcome.UNKNOWN),
            ("defendDispute", False, Outcome.UNKNOWN),
        ],
    )
    def test_only_the_last_step_of_a_response_may_be_in_doubt(
        self,
        adapter: AdyenAdapter,
        order_id: str,
        call: str,
        after: bool,
        outcome: Outcome,
    ) -> None:
        request = self.disputed(adapter, order_id)
        self.face.drop_next(LOST_ANSWER.format(call), after=after)
        assert adapter.submit_evidence(request, deadline_seconds=5).outcome is outcome
        shown = adapter.look_up_dispute(request.psp_dispute_id, deadline_seconds=5)
        assert shown is not None
        was_taken = call == "defendDispute" and after
        assert shown.submissions == ((request.reference,) if was_taken else ())
        again = adapter.submit_evidence(request, deadline_seconds=5)
        assert again.outcome is Outcome.SUCCEEDED
        assert [each for each in self.face.calls if each[1].endswith("defendDispute")]

    def test_a_refusal_that_comes_with_200_is_one(
        self, adapter: AdyenAdapter, order_id: str
    ) -> None:
        request = self.disputed(adapter, order_id)
        self.face.disputes.known[request.psp_dispute_id].refusal = "Dispute is closed"
        refused = adapter.submit_evidence(request, deadline_seconds=5)
        assert (refused.outcome, "Dispute is closed" in refused.detail) == (Outcome.DECLINED, True)

    def test_letters_that_no_document_has_are_refused_before_anything_is_sent(
        self, adapter: AdyenAdapter, order_id: str
    ) -> None:
        request = replace(self.disputed(adapter, order_id), evidence={"customer_name": "Оля"})
        refused = adapter.submit_evidence(request, deadline_seconds=5)
        assert (refused.outcome, "customer_name" in refused.message) == (Outcome.DECLINED, True)
        assert not [each for each in self.face.calls if each[1].endswith("supplyDefenseDocument")]


def stated(event: str, *, after_hours: int, minor: int = 1000, **extra: str) -> StoredNotification:
    item = {
        "success": "true",
        "amount": {"currency": "USD", "value": minor},
        "additionalData": extra,
    }
    return StoredNotification(
        event_id=f"{event}:DISPUTE1:true:{after_hours}",
        type=event,
        psp_payment_id="PAYMENT1",
        reference="op_1",
        occurred_at=BEGUN + timedelta(hours=after_hours),
        body=json.dumps(item).encode(),
    )


def history(*events: str) -> list[StoredNotification]:
    return [stated(event, after_hours=hours) for hours, event in enumerate(events)]


def read(
    stored: Sequence[StoredNotification], *, second: bool = False, sent: Sequence[Any] = ()
) -> PspDispute | None:
    named = f"DISPUTE1{dispute_facts.SECOND}" if second else "DISPUTE1"
    return dispute_facts.dispute_of(stored, psp_dispute_id=named, sent=sent)


ANNOUNCED, CHARGED, ANSWERED, ENDED, REVERSED, AGAIN = (
    *("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "INFORMATION_SUPPLIED"),
    *("DISPUTE_DEFENSE_PERIOD_ENDED", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK"),
)
INQUIRY, EXPIRED = "REQUEST_FOR_INFORMATION", "ISSUER_RESPONSE_TIMEFRAME_EXPIRED"
OPEN = (ANNOUNCED, CHARGED)


@pytest.mark.parametrize(
    ("events", "status", "withdrawn", "reinstated"),
    [
        ((ANNOUNCED,), S.NEEDS_RESPONSE, False, False),
        (OPEN, S.NEEDS_RESPONSE, True, False),
        ((*OPEN, ANSWERED), S.UNDER_REVIEW, True, False),
        ((*OPEN, ANSWERED, ENDED), S.UNDER_REVIEW, True, False),
        ((*OPEN, ENDED), S.LOST, True, False),
        ((ANNOUNCED, ENDED), S.NEEDS_RESPONSE, False, False),
        ((*OPEN, ANSWERED, REVERSED), S.WON, True, True),
        ((*OPEN, ANSWERED, REVERSED, EXPIRED), S.WON, True, True),
        ((*OPEN, ANSWERED, EXPIRED), S.UNDER_REVIEW, True, False),
        ((ANNOUNCED, ANSWERED, EXPIRED), S.PREVENTED, False, False),
        ((*OPEN, ANSWERED, "PREARBITRATION_LOST"), S.LOST, True, False),
        ((*OPEN, ANSWERED, REVERSED, AGAIN, "PREARBITRATION_LOST"), S.WON, True, True),
        ((INQUIRY,), S.WARNING_NEEDS_RESPONSE, False, False),
        ((INQUIRY, ANSWERED), S.WARNING_UNDER_REVIEW, False, False),
        ((INQUIRY, ENDED), S.WARNING_CLOSED, False, False),
        ((INQUIRY, ANSWERED, *OPEN), S.NEEDS_RESPONSE, True, False),
        ((INQUIRY, *OPEN, ANSWERED), S.UNDER_REVIEW, True, False),
    ],
)
def test_a_history_is_read_the_same_in_any_order_and_with_repeats(
    events: tuple[str, ...], status: DisputeStatus, withdrawn: bool, reinstated: bool
) -> None:
    stored = history(*events)
    orders = [stored, stored[::-1], [*stored, *stored], stored[1:] + stored[:1]]
    for order in orders:
        found = read(order)
        assert found is not None
        assert found.status is status
        assert (found.funds_withdrawn, found.funds_reinstated) == (withdrawn, reinstated)
        assert found.began_as_inquiry == (INQUIRY in events)
        assert (found.psp_payment_id, found.payment_reference) == ("PAYMENT1", "op_1")


def test_what_is_lost_on_the_way_moves_no_money_twice() -> None:
    """Whichever notifications are missing, the money of the last one is right."""
    whole = history(*OPEN, ANSWERED, REVERSED)
    for missing in itertools.chain(*(itertools.combinations(whole, n) for n in (1, 2))):
        known = [each for each in whole if each not in missing]
        found = read(known)
        if found is not None and whole[-1] in known:
            assert (found.status, found.funds_withdrawn, found.funds_reinstated) == (
                *(S.WON, True, True),
            )
    assert read(history(ANSWERED)) is None, "it does not say how much is disputed"


def test_a_second_chargeback_is_a_dispute_of_its_own() -> None:
    first = history(*OPEN, ANSWERED)
    assert read(first, second=True) is None
    stored = [*first, stated(AGAIN, after_hours=40, minor=900)]
    original, again = read(stored), read(stored, second=True)
    assert original is not None
    assert again is not None
    assert (original.status, original.amount) == (S.WON, Money(1000, "USD"))
    assert (again.status, again.amount) == (S.LOST, Money(900, "USD"))
    assert again.psp_dispute_id == "DISPUTE1.2"
    assert (again.funds_withdrawn, again.funds_reinstated) == (True, False)
    open_again = [*first, stated(AGAIN, after_hours=40, disputeStatus="Undefended")]
    found = read(open_again, second=True)
    assert found is not None
    assert found.status is S.NEEDS_RESPONSE


def test_what_contradicts_itself_is_not_read() -> None:
    with pytest.raises(Contradiction, match="after its money was returned"):
        read(history(*OPEN, REVERSED, "SCHEME_ARBITRATION_LOST"))
    with pytest.raises(Contradiction, match="amount"):
        read([stated(ANNOUNCED, after_hours=0), stated(CHARGED, after_hours=1, minor=999)])


def test_deadline_and_reason_are_told_while_it_can_be_answered() -> None:
    told = {"defensePeriodEndsAt": "2026-11-20T10:00:00+01:00", "chargebackReasonCode": " 13.1"}
    found = read([stated(CHARGED, after_hours=0, defendable="true", **told)])
    assert found is not None
    assert (found.reason, found.network_reason_code) == ("product_not_received", "13.1")
    assert found.evidence_due_by == datetime(2026, 11, 20, 9, tzinfo=UTC)
    for extra in ({"defendable": "false"}, {"disputeStatus": "Pending"}):
        found = read([stated(CHARGED, after_hours=0, **told, **extra)])
        assert found is not None
        assert found.evidence_due_by is None


def test_an_answer_is_ours_if_we_wrote_it_before() -> None:
    stored = history(*OPEN, ANSWERED)

    def ours(*, hours: float) -> tuple[str, ...]:
        written = BEGUN + timedelta(hours=hours)
        found = read(
            stored, sent=[SentResponse(reference="dr_1", accepts=False, written_at=written)]
        )
        assert found is not None
        return found.submissions

    assert ours(hours=1.9) == ("dr_1",)
    assert ours(hours=2.1) == (), "the dispute was answered in the Customer Area before"


def test_the_document_has_the_evidence_and_no_card_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = "https://shop.example/" + "a" * 300
    evidence = {
        "customer_name": "Zoë Łęcka\u200b",
        "shipping_documentation": link,
        "uncategorized_text": "4242424242424242\n" * 90,
    }
    monkeypatch.setattr("reportlab.rl_config.pageCompression", 0)
    document = defense.document_of(evidence)
    assert document == defense.document_of(evidence), "a repeat sends the same"
    assert document.startswith(b"%PDF-")
    assert document.count(b"/Type /Page\n") == 2
    assert b"Customer name" in document
    assert b"Lecka)" in document
    parts = re.findall(rb"\((https://shop\.example/a+|a+)\) Tj", document)
    assert b"".join(parts).decode() == link, "a word that is longer than a line is not cut off"
    assert b"4242424242424242" not in document


@pytest.mark.parametrize(
    ("levels", "types"),
    [
        ({"a": "Optional", "b": "Required", "c": "Required"}, ("b", "c")),
        ({"a": "Optional", "b": "OneOrMore", "c": "OneOrMore"}, ("b",)),
        ({"a": "Optional"}, ("a",)),
    ],
)
def test_each_required_type_gets_the_document(
    levels: dict[str, str], types: tuple[str, ...]
) -> None:
    documents = [
        {"defenseDocumentTypeCode": code, "requirementLevel": level, "available": False}
        for code, level in levels.items()
    ]
    reason = {"defenseReasonCode": "Other", "defenseDocumentTypes": documents, "satisfied": False}
    chosen = defense.defense_of({"defenseReasons": [reason]})
    assert chosen == defense.Defense("Other", types)
    assert defense.defense_of({"defenseReasons": []}) is None


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"disputeServiceResult": {"success": True}}, Outcome.SUCCEEDED),
        (200, {"disputeServiceResult": {"success": False}}, Outcome.DECLINED),
        (200, {"disputeServiceResult": {"success": "yes"}}, Outcome.UNKNOWN),
        (200, {}, Outcome.UNKNOWN),
        (200, None, Outcome.UNKNOWN),
        (422, {"errorCode": "702", "message": "no"}, Outcome.DECLINED),
        (422, None, Outcome.UNKNOWN),
        (403, {"errorCode": "010"}, Outcome.NOT_SENT),
        (429, None, Outcome.NOT_SENT),
        (500, {"errorCode": "905"}, Outcome.UNKNOWN),
    ],
)
def test_every_doubt_about_an_answer_is_unknown(status: int, body: Any, outcome: Outcome) -> None:
    assert defense.result_of_answer(Answer(status, {}, body)).outcome is outcome


def test_every_dispute_that_adyen_publishes_as_an_example_is_read(
    adapter: AdyenAdapter, kept: Kept
) -> None:
    examples = webhooks()["components"]["examples"].values()
    items = [
        each["NotificationRequestItem"]
        for example in examples
        for each in example["value"].get("notificationItems", ())
    ]
    about = [each for each in items if each["eventCode"] in vocabulary.DISPUTE_EVENTS]
    assert len(about) > 8
    for number, item in enumerate(about):
        item["merchantAccountCode"], item["pspReference"] = ACCOUNT, f"DISPUTE{number}"
        sign(item)
        request = WebhookRequest(headers={}, body=request_of(item))
        [notice] = adapter.read_notifications(request, secrets=[HMAC_KEY], now=BEGUN)
        kept.keep([notice])
        found = adapter.look_up_dispute(notice.psp_dispute_id, deadline_seconds=5)
        assert (found is not None) == (item["eventCode"] in dispute_facts.STATES_AMOUNT)
        if found is not None:
            assert found.amount == Money(item["amount"]["value"], item["amount"]["currency"])
