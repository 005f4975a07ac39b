"""A customer's browser on the checkout page: the installed Chromium, driven by Playwright."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import stripe

from payments.demo.browser import browser_path, what_is_missing
from payments.tests.http.support.storefront import Storefront, new_order

GOOD_CARD: Final = "4242 4242 4242 4242"
DECLINED_CARD: Final = "4000 0000 0000 9995"
CHALLENGED_CARD: Final = "4000 0000 0000 3220"
CARD_CHALLENGED_AT_SETUP: Final = "4000 0025 0000 3155"
"""Afterwards it is charged without its customer."""
PRICE: Final = {"currency": "eur", "product_data": {"name": "Two books"}, "unit_amount": 1250}
SHOP: Final = "https://shop.example"
WAIT_MS: Final = 30_000


def why_no_browser() -> str:
    """Why no browser is started here; empty if one is."""
    if not os.environ.get("BROWSER_TESTS"):
        return "a browser takes two minutes: `make browser` runs it"
    return what_is_missing()


@contextmanager
def started_browser() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Customer:
    """One browser with cookies of its own, and everything that it sent to the platform."""

    context: Any
    platform: str
    sent: list[str] = field(default_factory=list)
    refused_by_policy: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, browser: Any, platform: str, **settings: Any) -> Customer:
        """A new customer; the shop's pages are answered here."""
        customer = cls(browser.new_context(**settings), platform)
        customer.context.on("request", customer._note)
        customer.context.route(
            re.compile(re.escape(SHOP)),
            lambda route: route.fulfill(body="<title>shop</title>", content_type="text/html"),
        )
        return customer

    def open(self, url: str) -> Tab:
        """A tab with this page."""
        page = self.context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._note_console)
        page.goto(url)
        return Tab(page)

    def _note(self, request: Any) -> None:
        if request.url.startswith(self.platform):
            told = (request.method, request.url, request.headers, request.post_data)
            self.sent.append(" ".join(map(str, told)))

    def _note_console(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "integrity" in message.text:
            self.refused_by_policy.append(message.text)


@dataclass
class Tab:
    """One tab on the page."""

    page: Any

    @property
    def state(self) -> str:
        """What the page says of itself."""
        return str(self.page.locator("#checkout").get_attribute("data-state"))

    def fill_card(self, number: str) -> None:
        """Type a card into the PSP's own fields."""
        fields = self.page.frame_locator("#fields")
        fields.get_by_label("Card number").fill(number)
        fields.get_by_label("Expiry").fill("12 / 34")
        fields.get_by_label("Security code").fill("123")

    def pay(self) -> None:
        self.page.locator("#pay button").click()

    def pay_by_card(self, number: str) -> None:
        self.fill_card(number)
        self.pay()

    def message(self) -> str:
        """What the page says went wrong, once it says so."""
        shown = self.page.locator("#message")
        shown.wait_for(state="visible")
        return str(shown.inner_text())

    def wait_for(self, url: str | Callable[[str], bool]) -> str:
        """Wait until the tab is there; returns where it is."""
        self.page.wait_for_url(url)
        return str(self.page.url)

    def is_at_shop(self) -> str:
        """Wait until the customer is back in the shop; returns the path and query."""
        url = self.wait_for(lambda url: url.startswith(SHOP))
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def take_shot(page: Any, name: str) -> None:
    """Keep a picture of the page, if the environment names a folder for them: `BROWSER_SHOTS`."""
    if folder := os.environ.get("BROWSER_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def open_session(storefront: Storefront, **more: Any) -> stripe.checkout.Session:
    """A session of a new order of two books, 12.50 EUR."""
    storefront.order_id = new_order()
    given: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"price_data": PRICE, "quantity": 1}],
        "success_url": f"{SHOP}/thanks?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{SHOP}/basket",
        "metadata": {"order_id": storefront.order_id},
        **more,
    }
    return storefront.stripe.v1.checkout.sessions.create(given)  # type: ignore[arg-type]


def session_line(storefront: Storefront, session_id: str) -> str:
    """The id of the first line of a session."""
    lines = storefront.stripe.v1.checkout.sessions.line_items.list(session_id)
    return str(lines.data[0].id)
