"""The customer of the demo day pays on the checkout page, with a browser or without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from payments.demo import browser
from payments.demo.checkout import paid_on_the_page
from payments.demo.shop import Shop, WentWrong
from payments.demo.web import SandboxPsp
from payments.tests.http.support.checkout import why_no_browser
from payments.tests.http.support.storefront import Storefront

Broken = Callable[[str], None]


@pytest.fixture
def shop(storefront: Storefront, request: pytest.FixtureRequest) -> Shop:
    return Shop.open(
        name="Storefront",
        secret_key=storefront.secret_key,
        base_url=storefront.server.base_url,
        psp=SandboxPsp(storefront.psp.base_url),
        day=request.node.name.partition("[")[0][-40:],
    )


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Broken:
    """In place of the process with the browser: a shell script."""

    def broken(script: str) -> None:
        (tmp_path / "browser").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "browser").chmod(0o755)
        monkeypatch.setattr(browser, "COMMAND", (str(tmp_path / "browser"),))

    return broken


def _charges(shop: Shop) -> list[str]:
    return [each["kind"] for each in shop.psp.effects(shop.order("checkout-page"))]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no display >&2; exit 3", "the browser did not start: no display"),
        ("exec sleep 60", "a browser took more than 1 s"),
    ],
)
def test_a_browser_that_does_not_work_is_named_and_the_customer_pays_over_http(
    shop: Shop, broken: Broken, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr("payments.demo.checkout.what_is_missing", lambda: "")
    monkeypatch.setattr(browser, "LIMIT_SECONDS", 1.0)
    broken(script)
    assert f"over HTTP ({said})" in paid_on_the_page(shop)
    assert _charges(shop) == ["authorize", "capture"]


def test_without_a_browser_the_output_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "over HTTP (none of chromium" in paid_on_the_page(shop)


def test_a_page_that_fails_in_the_browser_is_no_reason_to_pay_otherwise(
    shop: Shop, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments.demo.checkout.what_is_missing", lambda: "")
    broken("echo Timeout >&2; exit 1")
    with pytest.raises(WentWrong, match="the page in the browser: Timeout"):
        paid_on_the_page(shop)
    assert _charges(shop) == []


@pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())
def test_where_chromium_is_installed_the_customer_pays_in_it(shop: Shop) -> None:
    assert paid_on_the_page(shop).endswith("on the checkout page in Chromium")
    assert _charges(shop) == ["authorize", "capture"]
