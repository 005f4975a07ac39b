"""Adyen's notifications: each item is verified, and says which operation ended how."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import Adyen
import pytest

from ledger.money import Money
from psp_adapters.adyen import vocabulary, webhook
from psp_adapters.contract.notifications import (
    Notification,
    NotificationRefused,
    WebhookRequest,
)
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.tests.support.adyen_documents import webhooks
from psp_adapters.tests.support.adyen_face import ACCOUNT, HMAC_KEY, request_of, sign

OTHER_KEY = "AB" * 32


def item_of(event: str = "CAPTURE", **values: Any) -> dict[str, Any]:
    item = {
        "eventCode": event,
        "pspReference": "QFQTPCQ8HXSKGK82",
        "originalReference": "9913140798220028",
        "merchantReference": "op_capture",
        "merchantAccountCode": ACCOUNT,
        "amount": {"currency": "EUR", "value": 1000},
        "success": "true",
        "reason": "",
        "eventDate": "2026-03-01T13:00:00+01:00",
        **values,
    }
    sign(item)
    return item


def read(*items: dict[str, Any], keys: tuple[str, ...] = (HMAC_KEY,)) -> tuple[Notification, ...]:
    return read_body(request_of(*items), keys=keys)


def read_body(body: bytes, *, keys: tuple[str, ...] = (HMAC_KEY,)) -> tuple[Notification, ...]:
    request = WebhookRequest(headers={}, body=body)
    return webhook.read(request, secrets=keys, merchant_account=ACCOUNT, is_live=False)


def refused(body: bytes, *, keys: tuple[str, ...] = (HMAC_KEY,)) -> str:
    with pytest.raises(NotificationRefused) as refusal:
        read_body(body, keys=keys)
    return str(refusal.value)


def test_the_published_vector_and_the_librarys_own_check_agree_with_ours() -> None:
    item = {
        "pspReference": "7914073381342284",
        "originalReference": "",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
    }
    expected = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
    assert webhook.signature_of(item, bytes.fromhex(HMAC_KEY)) == expected
    signed = json.loads(request_of(item_of()))
    assert Adyen.util.is_valid_hmac_notification(signed, HMAC_KEY)


def test_a_capture_names_our_operation_and_states_it_in_full() -> None:
    [found] = read(item_of())
    assert (found.type, found.known, found.claims) == ("CAPTURE", True, Outcome.SUCCEEDED)
    assert (found.psp_payment_id, found.psp_id) == ("9913140798220028", "QFQTPCQ8HXSKGK82")
    assert (found.references, found.kind) == (("op_capture",), OperationKind.CAPTURE)
    assert found.amount == Money(1000, "EUR")
    assert found.occurred_at == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert found.body is not None
    assert json.loads(found.body)["pspReference"] == "QFQTPCQ8HXSKGK82"


@pytest.mark.parametrize(
    ("event", "success", "claims", "kind"),
    [
        ("AUTHORISATION", "false", Outcome.DECLINED, OperationKind.AUTHORIZE),
        ("AUTHORISATION_ADJUSTMENT", "true", Outcome.SUCCEEDED, None),
        ("CANCELLATION", "true", Outcome.SUCCEEDED, None),
        ("TECHNICAL_CANCEL", "true", None, None),
        ("CAPTURE_FAILED", "true", Outcome.DECLINED, None),
        ("REFUND", "true", Outcome.SUCCEEDED, OperationKind.REFUND),
        ("REFUND_FAILED", "true", Outcome.DECLINED, None),
        ("EXPIRE", "true", None, None),
    ],
)
def test_what_an_event_claims(
    event: str, success: str, claims: Outcome | None, kind: OperationKind | None
) -> None:
    [found] = read(item_of(event, success=success))
    assert (found.claims, found.kind, found.known) == (claims, kind, True)


def test_a_cancellation_that_found_no_payment_is_kept_and_changes_none() -> None:
    [found] = read(item_of("TECHNICAL_CANCEL", success="false", originalReference=""))
    assert (found.known, found.psp_payment_id) == (False, "QFQTPCQ8HXSKGK82")


def test_all_items_are_read_and_one_bad_one_refuses_them_all() -> None:
    first, second = item_of(), item_of(pspReference="ANOTHER000000001")
    assert [each.psp_id for each in read(first, second)] == [
        "QFQTPCQ8HXSKGK82",
        "ANOTHER000000001",
    ]
    forged = {**second, "amount": {"currency": "EUR", "value": 999_999}}
    assert "not signed with our secret" in refused(request_of(first, forged))
    unsigned = {**second, "additionalData": {}}
    assert "not signed" in refused(request_of(first, unsigned))
    assert "too many" in refused(request_of(*[first] * 101))


@pytest.mark.parametrize("name", [*webhook.SIGNED_FIELDS])
def test_a_change_of_any_signed_field_is_noticed(name: str) -> None:
    item = item_of()
    if name in ("value", "currency"):
        item["amount"] = {**item["amount"], name: {"value": 1, "currency": "USD"}[name]}
    else:
        item[name] = "false" if name == "success" else f"{item[name]}X"
    assert refused(request_of(item))


def test_success_is_a_text_and_an_id_has_no_colon() -> None:
    item = item_of()
    assert "not a text" in refused(request_of({**item, "success": True}))
    # A shift of a text from one signed field to the next has the same signature.
    shifted = item_of(pspReference="AB:CD", originalReference="EF")
    assert "malformed" in refused(request_of(shifted))
    other = {**shifted, "pspReference": "AB", "originalReference": "CD:EF"}
    assert "malformed" in refused(request_of(other))


def test_during_a_rotation_either_key_is_accepted() -> None:
    new = item_of()
    sign(new, key=OTHER_KEY)
    assert refused(request_of(new))
    assert read(item_of(), new, keys=(HMAC_KEY, OTHER_KEY))
    assert "no hexadecimal key" in refused(request_of(item_of()), keys=("a secret text here",))
    assert "no secret" in refused(request_of(item_of()), keys=())


def test_another_account_and_the_other_mode_are_refused() -> None:
    assert "another account" in refused(request_of(item_of(merchantAccountCode="Other")))
    assert "other mode" in refused(request_of(item_of(), live="true"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"{}",
        b'{"live": "false", "notificationItems": []}',
        b"[" * 9000,
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    assert refused(body)


def test_the_same_event_has_the_same_identity_and_a_repeat_after_a_failure_another() -> None:
    first, again = read(item_of(), item_of())
    assert first.event_id == again.event_id
    [later] = read(item_of(eventDate="2026-03-02T13:00:00+01:00"))
    assert later.event_id != first.event_id


def test_every_event_that_adyen_documents_is_mapped_or_knowingly_ignored() -> None:
    document = webhooks()
    named = {path.strip("/") for path in document["webhooks"]}
    for schema in document["components"]["schemas"].values():
        named |= set(schema.get("properties", {}).get("eventCode", {}).get("enum", []))
    assert len(named) > 40
    decided = (vocabulary.PAYMENT_EVENTS, vocabulary.DISPUTE_EVENTS, vocabulary.IGNORED_EVENTS)
    assert [each for each in sorted(named) if sum(each in group for group in decided) != 1] == []


def test_every_example_that_adyen_publishes_is_read() -> None:
    examples = webhooks()["components"]["examples"].values()
    values = [each["value"] for each in examples if "notificationItems" in each["value"]]
    assert len(values) > 35
    for value in values:
        items = [each["NotificationRequestItem"] for each in value["notificationItems"]]
        for item in items:
            item["merchantAccountCode"] = ACCOUNT
            sign(item)
        found = read(*items)
        assert [each.type for each in found] == [item["eventCode"] for item in items]
        for each in found:
            is_known = each.type not in vocabulary.IGNORED_EVENTS
            assert each.known is is_known
            is_report = each.type == vocabulary.REPORT_EVENT
            assert bool(each.psp_payment_id) is (is_known or is_report)
