"""Keys over HTTP: one effect, one answer byte for byte, and no way around either."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from payments.models import ApiKey
from payments.services.commands.operators import merchants
from payments.tests.http.support.storefront import Storefront, Tables, new_order
from payments.tests.http.support.wire import FORM, JSON, Reply, encoded
from payments.tests.support.factories import TESTS

INTENTS = "/v1/payment_intents"
ONCE = [("authorize", 10_000), ("capture", 10_000)]


def test_a_replay_is_the_first_answer_byte_for_byte(storefront: Storefront) -> None:
    key = new_order()
    first = storefront.wire.post(INTENTS, storefront.order(), key=key)
    again = storefront.wire.post(INTENTS, storefront.order(), key=key)

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"] == key
    assert storefront.effects() == ONCE


def test_a_decline_is_replayed_as_well(storefront: Storefront) -> None:
    key = new_order()
    order = storefront.order(payment_method="pm_card_visa_chargeDeclined")
    first = storefront.wire.post(INTENTS, order, key=key)
    again = storefront.wire.post(INTENTS, order, key=key)
    assert (first.status, again.status, again.body) == (402, 402, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(storefront.stripe.v1.payment_intents.list().data) == 1


def test_a_refused_request_leaves_its_key_free(storefront: Storefront) -> None:
    key = new_order()
    refused = storefront.wire.post(INTENTS, storefront.order(amount=1), key=key)
    paid = storefront.wire.post(INTENTS, storefront.order(), key=key)
    assert (refused.status, paid.status) == (400, 200)
    assert "idempotent-replayed" not in paid.headers
    assert storefront.effects() == ONCE


def test_a_form_and_equal_json_are_one_request(storefront: Storefront) -> None:
    key = new_order()
    first = storefront.wire.post(INTENTS, storefront.order(), key=key, media_type=FORM)
    again = storefront.wire.post(INTENTS, storefront.order(), key=key, media_type=JSON)
    pairs = encoded(storefront.order(), FORM).split(b"&")
    turned = storefront.wire.post(INTENTS, b"&".join(reversed(pairs)), key=key)
    spaced = json.dumps(dict(reversed(storefront.order().items())), indent=3).encode()
    indented = storefront.wire.post(INTENTS, spaced, key=key, media_type=JSON)
    assert {reply.body for reply in (first, again, turned, indented)} == {first.body}
    assert storefront.effects() == ONCE


def test_another_body_route_or_object_with_the_key_is_refused(storefront: Storefront) -> None:
    key = new_order()
    held = json.loads(
        storefront.wire.post(INTENTS, storefront.order(capture_method="manual"), key=key).body
    )
    for path, parameters in (
        (INTENTS, storefront.order()),
        (INTENTS, storefront.order(capture_method="manual", amount=10_001)),
        (INTENTS, storefront.order(capture_method="manual", description="x")),
        (f"{INTENTS}/{held['id']}/capture", {}),
        (f"{INTENTS}/{held['id']}/cancel", {}),
        (f"{INTENTS}/{held['id']}", {"description": "x"}),
        ("/v1/customers", {"name": "Ann"}),
    ):
        refused = storefront.wire.post(path, parameters, key=key)
        assert (refused.status, refused.error["type"]) == (400, "idempotency_error"), path
        assert "code" not in refused.error
    assert storefront.effects() == ONCE[:1]


@pytest.mark.parametrize(
    "key",
    ["", " ", "a" * 256, "a" * 7_000, "ключ".encode().decode("latin-1"), "a,b", '"a'],
    ids=lambda key: repr(key[:12]),
)
def test_a_malformed_key_is_refused(storefront: Storefront, tables: Tables, key: str) -> None:
    before = tables.rows()
    refused = storefront.wire.post(INTENTS, storefront.order(), headers=[("Idempotency-Key", key)])
    assert refused.refusal[:2] == (400, "idempotency_key_invalid")
    assert tables.rows() == before
    assert storefront.effects() == []


def test_two_idempotency_keys_are_refused(storefront: Storefront, tables: Tables) -> None:
    before = tables.rows()
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    refused = storefront.wire.post(INTENTS, storefront.order(), headers=headers)
    assert refused.status == 400
    assert tables.rows() == before


@pytest.mark.parametrize("key", ["a\x07b", "a" * 1_048_576], ids=["control", "huge"])
def test_a_malformed_header_is_refused_by_the_server_itself(
    storefront: Storefront, tables: Tables, key: str
) -> None:
    before = tables.rows()
    try:
        status = storefront.wire.post(INTENTS, storefront.order(), key=key).status
    except OSError:  # it hangs up on the sender of a megabyte
        status = 431
    assert 400 <= status < 500
    assert tables.rows() == before


def test_a_quoted_key_is_the_bare_one(storefront: Storefront) -> None:
    key = new_order()
    first = storefront.wire.post(INTENTS, storefront.order(), key=key)
    again = storefront.wire.post(INTENTS, storefront.order(), key=f'"{key}"')
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["'; DROP TABLE payments_operation; --", "a" * 255, "{{7*7}}"])
def test_an_unusual_key_is_accepted(storefront: Storefront, key: str) -> None:
    first = storefront.wire.post(INTENTS, storefront.order(), key=key)
    again = storefront.wire.post(INTENTS, storefront.order(), key=key)
    assert (first.status, again.body) == (200, first.body)
    assert storefront.effects() == ONCE


def test_a_key_that_could_be_a_card_is_refused_and_not_repeated(storefront: Storefront) -> None:
    refused = storefront.wire.post(INTENTS, storefront.order(), key="4242424242424242")
    assert refused.refusal[:2] == (400, "idempotency_key_invalid")
    assert b"4242424242424242" not in refused.body
    assert "4242424242424242" not in str(refused.headers)


def test_the_same_key_of_two_merchants_is_two_keys(
    storefront: Storefront, other_storefront: Storefront
) -> None:
    key, order = new_order(), storefront.order()
    first = storefront.wire.post(INTENTS, order, key=key)
    second = other_storefront.wire.post(INTENTS, order, key=key)
    assert first.json["id"] != second.json["id"]
    assert "idempotent-replayed" not in second.headers
    assert storefront.effects() == [*ONCE, *ONCE]


def test_an_expired_api_key_gets_no_replay(storefront: Storefront) -> None:
    key = new_order()
    spare, spare_secret = merchants.issue_api_key(
        merchant=storefront.merchant, livemode=False, author=TESTS
    )
    assert storefront.wire.post(INTENTS, storefront.order(), key=key).status == 200
    ApiKey.objects.filter(pk=spare.pk).update(expires_at="2000-01-01T00:00:00Z")
    storefront.secret_key = spare_secret
    del storefront.wire
    refused = storefront.wire.post(INTENTS, storefront.order(), key=key)
    assert refused.status == 401
    assert "idempotent-replayed" not in refused.headers


def test_fifty_concurrent_requests_with_one_key_have_one_effect(storefront: Storefront) -> None:
    key, order = new_order(), storefront.order()
    wire = storefront.wire

    def send(_: int) -> Reply:
        return wire.post(INTENTS, order, key=key)

    with ThreadPoolExecutor(50) as executor:
        replies = list(executor.map(send, range(50)))

    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) <= {200, 409}, statuses
    assert len({reply.body for reply in replies if reply.status == 200}) == 1
    fresh = [r for r in replies if r.status == 200 and "idempotent-replayed" not in r.headers]
    assert len(fresh) == 1
    assert {r.error["code"] for r in replies if r.status == 409} <= {"idempotency_key_in_use"}
    assert wire.post(INTENTS, order, key=key).body == fresh[0].body
    assert storefront.effects() == ONCE
