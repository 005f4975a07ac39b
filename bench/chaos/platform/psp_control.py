"""The sandbox PSP's control API: its faults, and its truth."""

from __future__ import annotations

import http.client
import json
from typing import Any

from paymentsite.launcher.ports import HOST
from paymentsite.launcher.progress import LauncherError


class PspControl:
    """A client of one sandbox PSP."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://{HOST}:{port}"
        self.api_keys: tuple[str, ...] = ()
        """Of our accounts there."""
        self.reported_lines = 0
        """How many lines the reports have that were closed here."""
        self._effects: list[dict[str, Any]] = []

    def behave(self, behavior: dict[str, Any]) -> None:
        """Replace its behavior; faults that are not named end."""
        self._send("PUT", "behavior", behavior)

    def charge_fees(self) -> None:
        """Charge a processing fee for each capture from now on."""
        shares = {"interchange_basis_points": 30, "scheme_fee_basis_points": 9}
        fee = {"basis_points": 140, "fixed_minor": 25, **shares}
        self._send("PUT", "processing_fee", fee)

    def end_faults(self) -> None:
        """Behave normally from now on, and release held answers."""
        self._send("DELETE", "behavior")
        self._send("POST", "release")

    def effects(self) -> list[dict[str, Any]]:
        """Everything that moved or held money, in order."""
        self._effects += self._send("GET", f"effects?after={len(self._effects)}")
        return self._effects

    def calls(self) -> list[dict[str, Any]]:
        """Every request it saw, in order (the last 200,000)."""
        found: list[dict[str, Any]] = self._send("GET", "calls?after=0")
        return found

    def newest_calls(self, count: int = 300) -> list[dict[str, Any]]:
        """The last requests it saw, in order."""
        found: list[dict[str, Any]] = self._send("GET", f"calls?newest={count}")
        return found

    def notice_counts(self) -> dict[str, int]:
        """How many notices were sent, acknowledged, lost, doubled, delayed, forged, are open."""
        found: dict[str, int] = self._send("GET", "webhooks")
        return found

    def dispute(self, payment_id: str) -> bool:
        """Have a bank charge back what a payment took; False if it took nothing."""
        return self._is_accepted("disputes", {"payment_id": payment_id})

    def act(self, payment_id: str, verb: str, **body: Any) -> bool:
        """Do an operation in the PSP's dashboard; False if the PSP refuses it."""
        return self._is_accepted(f"payments/{payment_id}/{verb}", body)

    def revise(self, reference: str, to: str, **body: Any) -> bool:
        """Let an operation `fail` or `succeed` later; False if the PSP refuses it."""
        return self._is_accepted("revision", {"reference": reference, "to": to, **body})

    def disputes(self) -> list[dict[str, Any]]:
        """Every dispute, oldest first."""
        found: list[dict[str, Any]] = self._send("GET", "disputes")
        return found

    def decide(self, dispute_id: str, move: str) -> None:
        """Let the bank `win` or `lose` an open dispute for the merchant."""
        self._send("POST", f"disputes/{dispute_id}/{move}", {})

    def close_settlement(self) -> list[dict[str, Any]]:
        """Close the settlement reports of all accounts: the `name` and `lines` of each."""
        made: list[dict[str, Any]] = self._send("POST", "settlement", {})
        self.reported_lines += sum(each["lines"] for each in made)
        return made

    def pay_out(self) -> None:
        """Pay out what each account has by its closed reports; a later report says so."""
        self._send("POST", "payouts", {})

    def move_money(self, choice: int, *, type_: str, gross_minor: int) -> None:
        """Change the balance of one of our accounts for no payment, with a fee of 0.02."""
        body = {"type": type_, "gross_minor": gross_minor, "fee_minor": 2}
        which = {"api_key": self.api_keys[choice % len(self.api_keys)]}
        currency = {"currency": ("USD", "EUR")[choice // 2 % 2]}
        self._send("POST", "movements", {**body, **which, **currency})

    def movements(self) -> list[dict[str, Any]]:
        """Every change of an account's balance for no payment, oldest first."""
        found: list[dict[str, Any]] = self._send("GET", "movements")
        return found

    def _is_accepted(self, path: str, body: dict[str, Any]) -> bool:
        try:
            self._send("POST", path, body)
        except LauncherError:
            return False
        return True

    def _send(self, method: str, path: str, content: object = None) -> Any:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        body = None if content is None else json.dumps(content)
        try:
            connection.request(method, f"/control/{path}", body)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise LauncherError(f"{method} /control/{path} answered {answer.status}: {text!r}")
        return json.loads(text)
