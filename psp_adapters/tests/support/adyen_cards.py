"""The cards that the Adyen-speaking face stores: what the sandbox PSP knows each of them as.

Any customer has all of them. What Adyen keeps of a card by itself is kept here: the network's id of
the agreement that a first payment made, and that the card was deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from psp_adapters.contract.setups import SetupRequest
from psp_adapters.sandbox_psp.tokens import TOKENS

Json = dict[str, Any]
STORED_CARDS = {
    "GOODCARD00000001": "pm_card_visa",
    "GOODCARD00000002": "pm_card_visa",
    "DECLINED00000001": "pm_card_visa_chargeDeclined",
    "CHALLENGED000001": "pm_card_threeDSecure2Required",
    "ONCECHALLENGED01": "pm_card_authenticationRequiredOnSetup",
}
ENCRYPTED = "sealed."
"""How the double of Adyen's fields "encrypts": before the token that a card number stands for."""
_MODELS = {"CardOnFile": "on_session", "UnscheduledCardOnFile": "off_session"}


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class StoredCards:
    def __init__(self) -> None:
        self.deleted: set[tuple[str, str]] = set()
        """Customer and stored card."""
        self.refuses_deletions = False
        self._agreements: dict[tuple[str, str], str] = {}
        self.entered: dict[tuple[str, str], str] = {}
        """The sandbox PSP's token of each card that was stored encrypted, by customer and id."""

    def token_of(self, body: Json) -> str | None:
        """The sandbox PSP's token of a payment's card; None if there is no such card."""
        named = _named(body)
        if named in self.deleted:
            return None
        return self.entered.get(named) or STORED_CARDS.get(named[1])

    def terms_of(self, body: Json) -> Json:
        """What a payment by a stored card tells the sandbox PSP of the customer's agreement."""
        usage = _MODELS[body["recurringProcessingModel"]]
        if body.get("storePaymentMethod"):
            assert body["shopperInteraction"] == "Ecommerce"
            return {"save_for": usage}
        is_present = _named(body) in self.entered and usage == "on_session"
        assert body["shopperInteraction"] == ("Ecommerce" if is_present else "ContAuth")
        agreement = self._agreements.get(_named(body), "")
        off_session = usage == "off_session"
        return {"off_session": off_session, "network_transaction_id": agreement}

    def keep(self, body: Json, network_transaction_id: str) -> Json:
        """Keep what a first payment made; what its answer and its notification say of it."""
        if not network_transaction_id:
            return {}
        if body.get("storePaymentMethod"):
            self._agreements[_named(body)] = network_transaction_id
        return {"networkTxReference": network_transaction_id}

    def list_of(self, target: str) -> Json:
        customer = _query(target, "shopperReference")
        card = {"type": "scheme", "brand": "visa", "lastFour": "4242"}
        expiry = {"expiryMonth": "03", "expiryYear": "30", "alias": "H1234567890123456"}
        own = [stored_id for owner, stored_id in self.entered if owner == customer]
        left = [each for each in (*STORED_CARDS, *own) if (customer, each) not in self.deleted]
        methods = [{"id": each, **card, **expiry} for each in left]
        return {"shopperReference": customer, "storedPaymentMethods": methods}

    def answer(self, method: str, stored_id: str, target: str, body: Json) -> Answer | None:
        """The answer to a request about stored cards; None if it is refused."""
        if method == "POST":
            stored = self.store(body)
            return Answer(201, stored) if stored else None
        if method == "GET" and not stored_id:
            return Answer(200, self.list_of(target))
        is_deleted = method == "DELETE" and self.delete(stored_id, target)
        return Answer(204, None) if is_deleted else None

    def store(self, body: Json) -> Json | None:
        """Store what the double of Adyen's fields encrypted; None if it cannot be read."""
        card = body["paymentMethod"]
        assert body["recurringProcessingModel"] in _MODELS
        assert card["type"] == "scheme"
        token = card["encryptedCardNumber"].removeprefix(ENCRYPTED)
        if token not in TOKENS:
            return None
        stored_id = f"ENTERED{len(self.entered):09}"
        self.entered[body["shopperReference"], stored_id] = token
        return {"id": stored_id, "shopperReference": body["shopperReference"], "type": "scheme"}

    def delete(self, stored_id: str, target: str) -> bool:
        """Delete a card; False if it was deleted before, or deletions are refused."""
        if self.refuses_deletions:
            return False
        named = _query(target, "shopperReference"), stored_id
        is_new = named not in self.deleted
        self.deleted.add(named)
        return is_new


def verification_of(body: Json, *, key: str, token: str) -> SetupRequest:
    """The setup at the sandbox PSP that an authorization of nothing is."""
    asks = body["authenticationData"].get("attemptAuthentication") == "always"
    assert body["storePaymentMethod"] is True
    assert "manualCapture" not in body.get("additionalData", {})
    return SetupRequest(
        psp_key=key,
        reference=body["reference"],
        token=token,
        usage=_MODELS[body["recurringProcessingModel"]],
        three_d_secure="any" if asks else "",
        return_url=body["returnUrl"],
    )


def account_of(target: str) -> str:
    """The merchant account that an address names."""
    return _query(target, "merchantAccount")


def _named(body: Json) -> tuple[str, str]:
    stored_id = body["paymentMethod"].get("storedPaymentMethodId", "")
    return body.get("shopperReference", ""), stored_id


def _query(target: str, name: str) -> str:
    return parse_qs(urlsplit(target).query)[name][0]
