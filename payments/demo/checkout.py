"""A customer pays on the checkout page: in Chromium where it is installed, else over HTTP."""

from __future__ import annotations

import html
import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from payments.demo.browser import pay_in_browser, what_is_missing
from payments.demo.shop import RETURN_URL, Sale, Shop, WentWrong, expect
from payments.demo.web import visit

_CARD: Final = {"number": "4242424242424242", "month": "12", "year": "34", "cvc": "123"}


def paid_on_the_page(shop: Shop) -> str:
    """A checkout session: the shop makes it, and its customer pays on the hosted page."""
    order_id = shop.order("checkout-page")
    price: Any = {"currency": "eur", "product_data": {"name": "A novel"}, "unit_amount": 2_340}
    session = shop.client.v1.checkout.sessions.create(
        params={
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": RETURN_URL,
            "metadata": {"order_id": order_id},
        },
        options={"idempotency_key": f"{order_id}-session"},
    )
    shop.sales.append(Sale(str(session.payment_intent), order_id, "succeeded"))
    why_not = what_is_missing() if shop.has_browsers else "no browser is wanted here"
    if not why_not:
        why_not = pay_in_browser(str(session.url), RETURN_URL)
    if why_not:
        pay_over_http(str(session.url))
    intent = shop.wait_for(str(session.payment_intent))
    expect(intent.status == "succeeded", f"{intent.id} is {intent.status}, not succeeded")
    session = shop.client.v1.checkout.sessions.retrieve(session.id)
    expect(session.payment_status == "paid", f"{session.id} is {session.payment_status}, not paid")
    how = f"over HTTP ({why_not})" if why_not else "in Chromium"
    return f"a customer paid 23.40 EUR on the checkout page {how}"


def pay_over_http(page_url: str) -> None:
    """Send what the page and the PSP's card fields send; nothing if the payment is made already."""
    page = visit("GET", page_url)
    text = page.body.decode()
    expect(page.status == 200, f"the checkout page answered {page.status}")
    if 'data-state="pay"' not in text:
        return
    attempt = re.search(r'data-attempt="(\d+)"', text)
    frame = re.search(r'id="fields"[^>]* src="([^"]+)"', text)
    if attempt is None or frame is None:
        raise WentWrong("the checkout page has no card fields")
    fields = urlsplit(html.unescape(frame[1]))
    [key] = parse_qs(fields.query)["key"]
    origin = f"{fields.scheme}://{fields.netloc}"
    made = visit("POST", f"{origin}/fields/tokens", {"key": key, **_CARD})
    expect(made.status == 200, f"the card fields answered {made.status}")
    chosen = {
        "method": "card",
        "token": json.loads(made.body)["token"],
        "attempt": int(attempt[1]),
    }
    paid = visit("POST", f"{page_url}/pay", chosen)
    expect(paid.status == 200, f"the checkout page answered {paid.status} to a payment")
