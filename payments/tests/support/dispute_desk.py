"""Disputes in tests: the bank's moves at the sandbox PSP, and the merchant's responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from payments.clock import now_utc
from payments.models import Dispute, DisputeResponse, Event, IdempotencyKey
from payments.objects.dispute import dispute_object
from payments.selectors.balance import balance_transactions_by_id
from payments.selectors.scope import Scope
from payments.services import commands
from payments.services.callers.caller import Answer, Caller, CommandRequest, Subject
from payments.services.disputes import sync
from payments.tests.support.shop import Shop, answered, body_of, uuid_of

LONG_AGO = "2000-01-01T00:00:00Z"


def render_dispute(subject: Subject, caller: Caller) -> Answer:
    """Render the dispute object, or the error of a declined response."""
    assert subject.dispute is not None
    body: dict[str, Any] = dispute_object(subject.dispute, now=now_utc())
    response = subject.response
    if response is not None and response.status == "DECLINED":
        return Answer(status=400, body=json.dumps({"error": {"code": response.code}}))
    return Answer(status=200, body=json.dumps(body))


@dataclass
class Desk:
    """One shop's disputes."""

    shop: Shop

    def pay(self, amount_minor: int = 25_000, **more: Any) -> str:
        """A captured payment; its public id."""
        intent_id: str = body_of(self.shop.create(amount_minor, **more))["id"]
        return intent_id

    def open(self, **more: Any) -> str:
        """The bank disputes the payment of the order. Returns the dispute's id at the PSP."""
        opened: str = self.shop.psp.open_dispute(order_id=self.shop.order_id, **more)["id"]
        return opened

    def move(self, psp_dispute_id: str, move: str, **more: Any) -> None:
        """The bank decides."""
        self.shop.psp.move_dispute(psp_dispute_id, move, **more)

    def sync(self, psp_dispute_id: str) -> Dispute:
        """Look the dispute up and record it, as after a notification."""
        sync.sync_dispute(account=self.shop.account, psp_dispute_id=psp_dispute_id, actor="test")
        return self.dispute(psp_dispute_id)

    def opened(self, **more: Any) -> Dispute:
        """A dispute that the bank opened and we recorded."""
        return self.sync(self.open(**more))

    def dispute(self, psp_dispute_id: str = "") -> Dispute:
        """The row; the only one unless named."""
        rows = Dispute.objects.filter(psp_account=self.shop.account)
        if psp_dispute_id:
            return rows.get(psp_dispute_id=psp_dispute_id)
        return rows.get()

    def at_the_psp(self) -> list[dict[str, Any]]:
        """Every dispute of the shop's order, as the PSP knows it."""
        return self.shop.psp.disputes(self.shop.order_id)

    def update(self, dispute: Dispute, *, caller: Caller | None = None, **more: Any) -> Answer:
        """Stage, submit, change metadata."""
        return answered(
            commands.update_dispute(
                CommandRequest(caller or self.shop.caller(), render=render_dispute),
                dispute_id=dispute.id,
                **more,
            )
        )

    def submit(
        self, dispute: Dispute, text: str = "It was delivered.", *, caller: Caller | None = None
    ) -> Answer:
        """Submit evidence."""
        return self.update(dispute, caller=caller, evidence={"uncategorized_text": text})

    def close(self, dispute: Dispute, *, caller: Caller | None = None) -> Answer:
        """Accept the dispute."""
        return answered(
            commands.close_dispute(
                CommandRequest(caller or self.shop.caller(), render=render_dispute),
                dispute_id=dispute.id,
            )
        )

    def events(self, intent_id: str) -> list[str]:
        """The types of the events about disputes, in order."""
        events = Event.objects.filter(aggregateid=uuid_of(intent_id)).order_by("seq")
        types = events.values_list("type", flat=True)
        return [type_ for type_ in types if type_.startswith("charge.dispute.")]

    def shown_in_the_ledger(self, dispute: Dispute) -> list[Any]:
        """The balance transactions that the dispute names, as the ledger shows them."""
        scope = Scope(dispute.merchant_id, dispute.livemode)
        ids = [each for each in (dispute.held_id, dispute.released_id) if each is not None]
        found = balance_transactions_by_id(scope, ids)
        return [found[identifier] for identifier in ids]

    def submissions(self) -> list[dict[str, str]]:
        """The evidence that the PSP accepted for the only dispute."""
        [dispute] = self.at_the_psp()
        found: list[dict[str, str]] = dispute["submissions"]
        return found

    def lose(self, fault: str, kind: str = "submit_evidence") -> None:
        """The PSP answers the next response with this fault."""
        self.shop.psp.script({fault: 1}, order_id=self.shop.order_id, kind=kind)


def end_leases() -> None:
    """Let time pass: the leases of dead workers end."""
    DisputeResponse.objects.filter(closed_at__isnull=True).update(
        lease_until=LONG_AGO, next_check_at=LONG_AGO
    )
    IdempotencyKey.objects.update(lease_until=LONG_AGO)


def effects_of(desk: Desk) -> list[tuple[str, int]]:
    """What the PSP did after the sale."""
    return [(e["kind"], e["amount_minor"]) for e in desk.shop.effects()][2:]
