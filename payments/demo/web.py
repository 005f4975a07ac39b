"""The customer's browser and the sandbox PSP's control API: plain HTTP, no redirect followed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

TIMEOUT_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class Page:
    """A response."""

    status: int
    location: str
    body: bytes


def visit(method: str, url: str, content: object = None) -> Page:
    """One request; `content` is sent as JSON. Raises OSError without an answer."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_SECONDS)
    body = None if content is None else json.dumps(content)
    headers = {} if content is None else {"Content-Type": "application/json"}
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        return Page(answer.status, answer.headers.get("Location", ""), answer.read())
    finally:
        connection.close()


_PROCESSING_FEE: Final = {
    "basis_points": 140,
    "fixed_minor": 25,
    "interchange_basis_points": 30,
    "scheme_fee_basis_points": 9,
}
"""A share of each charge and a fixed amount, as PSPs charge for cards."""


@dataclass(frozen=True, slots=True)
class SandboxPsp:
    """The sandbox PSP's control API: its own record, and misbehavior on request."""

    base_url: str

    def effects(self, order_id: str) -> list[dict[str, Any]]:
        """Effects (moved or held money) of an order."""
        return self._control("GET", f"effects?{urlencode({'order_id': order_id})}")

    def effects_after(self, seq: int) -> list[dict[str, Any]]:
        """Effects of all orders after `seq`, in order."""
        return self._control("GET", f"effects?after={seq}")

    def lose_the_answer(self, order_id: str) -> None:
        """Charge this order once, and reset the connection instead of answering."""
        content = {
            "match": {"order_id": order_id, "kind": "authorize"},
            "behavior": {"drop_after": True},
            "times": 1,
        }
        self._control("POST", "scripts", content)

    def take_no_charge(self, order_id: str) -> None:
        """Answer the first charge of this order that too many calls are made (429)."""
        content = {
            "match": {"order_id": order_id, "kind": "authorize"},
            "behavior": {"rate_limit": True},
            "times": 1,
        }
        self._control("POST", "scripts", content)

    def open_unnotified_dispute(self, order_id: str) -> str:
        """Open a dispute of an order's payment whose notifications are all lost; returns its id."""
        self._control("PUT", "behavior", {"webhooks": {"lose": 1}})
        try:
            opened = self._control("POST", "disputes", {"order_id": order_id})
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while self._control("GET", "webhooks")["open"]:
                if time.monotonic() > deadline:
                    raise OSError("the sandbox PSP still has notifications to send")
                time.sleep(0.05)
        finally:
            self._control("DELETE", "behavior")
        return str(opened["id"])

    def charge_fees(self) -> None:
        """Charge a processing fee for each capture from now on."""
        self._control("PUT", "processing_fee", _PROCESSING_FEE)

    def close_settlement(self) -> list[dict[str, Any]]:
        """Close the day's settlement reports: `account`, `name` and `lines` of each."""
        made: list[dict[str, Any]] = self._control("POST", "settlement", {})
        return made

    def spoil_report(self, api_key: str, defect: str) -> None:
        """Give the files of the account's next report a defect."""
        self._control("POST", "report_defects", {"api_key": api_key, "defect": defect})

    def mend_report(self, api_key: str, name: str) -> None:
        """Take the defects of a closed report away."""
        content = {"api_key": api_key, "defect": "none", "report": name}
        self._control("POST", "report_defects", content)

    def pay_out(self) -> int:
        """Pay out what closed reports show, to the bank of each account; returns how many."""
        return len(self._control("POST", "payouts", {}))

    def bank_statements(self, api_keys: Sequence[str]) -> list[dict[str, str]]:
        """What the bank shows of the payouts of these accounts, a statement for each currency."""
        made: list[dict[str, str]] = self._control(
            "POST", "bank_statements", {"api_keys": list(api_keys)}
        )
        return made

    def complete_challenge(self, challenge_url: str) -> str:
        """Pass the bank's challenge as the customer; returns the URL the bank redirects to."""
        page = visit("POST", f"{challenge_url}/complete")
        if page.status != 303 or not page.location:
            raise OSError(f"the bank's page answered {page.status} and did not redirect")
        return page.location

    def _control(self, method: str, path: str, content: object = None) -> Any:
        page = visit(method, f"{self.base_url}/control/{path}", content)
        if page.status != 200:
            raise OSError(f"the sandbox PSP's control API answered {page.status}: {page.body!r}")
        return json.loads(page.body)
