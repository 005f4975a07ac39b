"""After a random day at the simulator, its reports and its effects move the same amounts."""

from __future__ import annotations

import random
from typing import Any

import pytest

from psp_adapters.sandbox import reports
from psp_adapters.tests.sandbox_psp.test_settlement import SIGNS
from psp_adapters.tests.support.report_bytes import file_of
from psp_adapters.tests.support.sandbox_process import SandboxProcess
from psp_adapters.tests.support.shop import Shop


class Day:
    """Random operations of one account at one simulator."""

    def __init__(self, psp: SandboxProcess, seed: int) -> None:
        self.psp, self.shop, self.random = psp, Shop(psp.base_url), random.Random(seed)
        self.payments: list[str] = []
        self.references: list[str] = []

    def act(self) -> None:
        """One operation; the PSP refuses many, as it should."""
        choice = self.random.choice
        operations = [self._pay, self._pay, self._modify, self._modify, self._revise, self._dispute]
        choice([*operations, self._decide, self._pass_time, self._dashboard])()

    def _pay(self) -> None:
        tokens = ("visa", "visa", "captureFailsThenSucceeds", "pendingRefund", "refundFail")
        disputed = ("createDispute", "createDisputeMultipleDisputes", "createDisputeInquiry")
        reference = f"{self.shop.api_key[-8:]}-{len(self.references)}"
        self.references.append(reference)
        _, body = self.shop.pay(
            f"pm_card_{self.random.choice((*tokens, *disputed))}",
            minor=self.random.randint(1, 10_000),
            currency=self.random.choice(("USD", "USD", "JPY")),
            capture=self.random.random() < 0.6,
            reference=reference,
        )
        self.payments.append(body["payment_id"])

    def _modify(self) -> None:
        if self.payments:
            verb = self.random.choice(("capture", "refund", "refund", "increment", "void"))
            reference = f"{self.shop.api_key[-8:]}-{len(self.references)}"
            self.references.append(reference)
            payment, minor = self.random.choice(self.payments), self.random.randint(1, 3000)
            final = self.random.random() < 0.5
            done = self.shop.modify(payment, verb, minor, reference=reference, final=final)
            assert done[0] in (200, 400)

    def _dashboard(self) -> None:
        if self.payments:
            verb, payment = self.random.choice(("capture", "refund")), self.payments[-1]
            self._try(f"payments/{payment}/{verb}", {"amount_minor": 50, "force": True})

    def _revise(self) -> None:
        if self.references:
            reference, to = self.random.choice(self.references), ("fail", "succeed")
            self._try("revision", {"reference": reference, "to": self.random.choice(to)})

    def _dispute(self) -> None:
        if self.payments:
            body = {"payment_id": self.random.choice(self.payments), "amount_minor": 70}
            self._try("disputes", {**body, "inquiry": self.random.random() < 0.3})

    def _decide(self) -> None:
        disputes = self.psp.disputes(self.shop.order_id)
        if disputes:
            move = self.random.choice(("win", "win", "lose", "escalate", "prevent"))
            body = {"return_fee": self.random.random() < 0.5}
            self._try(f"disputes/{self.random.choice(disputes)['id']}/{move}", body)

    def _pass_time(self) -> None:
        self.psp.advance(self.random.choice((1, 2, 600, 3600, 3 * 3600)))
        if self.random.random() < 0.2:
            self.psp.close_settlement()

    def _try(self, path: str, body: dict[str, Any]) -> None:
        assert self.shop.request("POST", f"/control/{path}", body)[0] in (200, 400, 404)


@pytest.mark.parametrize(("seed", "late_lines"), [(0, 0.0), (1, 0.0), (2, 0.4)])
def test_the_lines_of_a_random_day_are_its_effects(
    own_sandbox: SandboxProcess, seed: int, late_lines: float
) -> None:
    own_sandbox.set_behavior(settlement_period_seconds=3600, late_lines=late_lines)
    days = [Day(own_sandbox, seed), Day(own_sandbox, seed + 1000)]
    for _ in range(120):
        for day in days:
            day.act()
    while own_sandbox.close_settlement():
        own_sandbox.kill()  # The journal knows which lines are still to come.
        own_sandbox.start()
    kinds_seen: set[str] = set()
    for day in days:
        effects = [
            each
            for each in own_sandbox.effects(order_id=day.shop.order_id)
            if each["kind"] in SIGNS
        ]
        kinds_seen |= {each["kind"] for each in effects}
        names = [each["name"] for each in day.shop.reports()]
        lines = [line for name in names for line in reports.read(file_of(day.shop.report(name)))]
        in_order = [f"sln_{each['seq']}" for each in effects]
        identities = [line.identity for line in lines]
        assert (identities == in_order) == (late_lines == 0.0)
        assert sorted(identities) == sorted(in_order)
        for currency in ("USD", "JPY"):
            owed = sum(
                SIGNS[each["kind"]] * each["amount_minor"]
                for each in effects
                if each["currency"] == currency
            )
            assert sum(line.net.minor for line in lines if line.net.currency == currency) == owed
    assert kinds_seen == SIGNS.keys()
