"""Pays a checkout page in Chromium, in a process of its own that is ended if it takes too long.

Chromium and the package playwright are for development: without them the demo goes on, and says so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from payments.demo.shop import expect

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
COMMAND: Final = (sys.executable, "-m", "payments.demo.browser")
LIMIT_SECONDS: Final = 60.0
_START_MS: Final = 20_000
_STEP_MS: Final = 15_000
_NOT_STARTED: Final = 3
"""The exit code of the process if there is no browser to pay in."""


def browser_path() -> str:
    """Where Chromium is; empty if it is not installed."""
    return next((path for path in map(shutil.which, BROWSERS) if path), "")


def what_is_missing() -> str:
    """Why no browser can be started here; empty if one can."""
    if find_spec("playwright") is None:
        return "the package playwright is not installed"
    if not browser_path():
        return f"none of {', '.join(BROWSERS)} is installed"
    return ""


def pay_in_browser(page_url: str, shop_url: str) -> str:
    """Pay the page by card until it leads to the shop.

    Returns why it cannot be told whether a browser paid; empty if one did. Raises WentWrong if the
    page does not do in it what it should.
    """
    try:
        ended = subprocess.run(
            (*COMMAND, page_url, shop_url),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a browser took more than {LIMIT_SECONDS:.0f} s"
    if ended.returncode == _NOT_STARTED:
        return f"the browser did not start: {_last_line(ended.stderr)}"
    expect(ended.returncode == 0, f"the page in the browser: {_last_line(ended.stderr)}")
    return ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def main(page_url: str, shop_url: str) -> int:
    """Type a test card into the PSP's fields, pay, and wait for the shop; the exit code."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=browser_path(), args=["--no-sandbox"], timeout=_START_MS
            )
        except Error as error:
            sys.stderr.write(error.message.splitlines()[0])
            return _NOT_STARTED
        context = browser.new_context()
        context.set_default_timeout(_STEP_MS)
        context.route(
            lambda url: url.startswith(shop_url),
            lambda route: route.fulfill(body="<title>shop</title>", content_type="text/html"),
        )
        page = context.new_page()
        page.goto(page_url)
        fields = page.frame_locator("#fields")
        fields.get_by_label("Card number").fill("4242 4242 4242 4242")
        fields.get_by_label("Expiry").fill("12 / 34")
        fields.get_by_label("Security code").fill("123")
        page.locator("#pay button").click()
        page.wait_for_url(lambda url: url.startswith(shop_url))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
