"""Payment links: a session for each visitor, none for a closed link, and not too many."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from payments.models import CheckoutSession, PaymentIntent, PaymentLink
from payments.services.checkout import links
from payments.tests.checkout.visits import LINES, Visit
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop


def made(shop: Shop, **more: Any) -> dict[str, Any]:
    reply = api_of(shop).post("/v1/payment_links", line_items=LINES, **more)
    assert reply.status == 200, reply.body
    return reply.body


def visitor_of(shop: Shop, link: dict[str, Any], client: Client | None = None) -> Visit:
    client = client or Client()
    answer = client.get(link["url"])
    assert answer.status_code == 302, answer.content
    session = CheckoutSession.objects.get(token=answer["Location"].rpartition("/")[2])
    return Visit(shop, session.public_id, answer["Location"], client)


def test_each_visitor_pays_a_session_of_its_own_and_a_reload_makes_none(shop: Shop) -> None:
    details = {"description": "Books", "metadata": {"campaign": "spring"}}
    link = made(shop, payment_intent_data=details, metadata={"order_id": "a-link"})
    first, second = visitor_of(shop, link), visitor_of(shop, link)
    assert visitor_of(shop, link, first.client).id == first.id
    assert first.id != second.id
    for visitor in (first, second):
        assert visitor.pay()["state"] == "succeeded", "no order stands between them"
        assert visitor.shown() == "succeeded"
    intents = PaymentIntent.objects.order_by("id")
    assert [each.amount_minor for each in intents] == [1250, 1250]
    assert intents[0].metadata == {"campaign": "spring"}
    assert visitor_of(shop, link, first.client).id not in (first.id, second.id)
    listed = api_of(shop).get("/v1/checkout/sessions", payment_link=link["id"]).body["data"]
    assert len(listed) == 3


def test_a_link_leads_to_the_merchants_page_afterwards(shop: Shop) -> None:
    url = "https://shop.example/thanks"
    link = made(shop, after_completion={"type": "redirect", "redirect": {"url": url}})
    assert visitor_of(shop, link).pay()["go"] == url


def test_a_closed_link_says_so_and_makes_nothing(shop: Shop) -> None:
    link = made(shop)
    api = api_of(shop)
    changed = api.post(f"/v1/payment_links/{link['id']}", active=False, inactive_message="Sold.")
    assert changed.body["active"] is False
    page = Client().get(link["url"])
    assert (page.status_code, "Sold." in page.content.decode()) == (410, True)
    assert not CheckoutSession.objects.exists()
    assert api.get("/v1/payment_links", active=True).body["data"] == []
    assert Client().get("/checkout/link/nothing").status_code == 404
    assert Client().head(link["url"]).status_code == 405


def test_a_link_makes_so_many_sessions_a_minute(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "VISITS_PER_MINUTE_MAX", 2)
    link = made(shop)
    visitors = [visitor_of(shop, link) for _ in range(2)]
    assert Client().get(link["url"]).status_code == 429
    assert visitor_of(shop, link, visitors[0].client).id == visitors[0].id
    assert CheckoutSession.objects.count() == 2


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        (
            {"payment_intent_data": {"metadata": {"order_id": "1"}}},
            "payment_intent_data[metadata][order_id]",
        ),
        ({"after_completion": {"type": "redirect"}}, "after_completion"),
        ({"line_items": []}, "line_items"),
    ],
)
def test_a_link_that_makes_no_sense_is_refused(
    shop: Shop, wrong: dict[str, Any], param: str
) -> None:
    reply = api_of(shop).post("/v1/payment_links", **{"line_items": LINES, **wrong})
    assert (reply.status, reply.error["param"]) == (400, param)
    assert not PaymentLink.objects.exists()
