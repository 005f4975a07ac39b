"""The cards that the Adyen-speaking face stores: what the sandbox PSP knows each of them as.

Any customer has all of them. What Adyen keeps of a card by itself is kept here: the network's id of
the agreement that a first payment made, and that the card was deleted.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from psp_adapters.contract.setups import SetupRequest

Json = dict[str, Any]
STORED_CARDS = {
    "GOODCARD00000001": "pm_card_visa",
    "GOODCARD00000002": "pm_card_visa",
    "DECLINED00000001": "pm_card_visa_chargeDeclined",
    "CHALLENGED000001": "pm_card_threeDSecure2Required",
    "ONCECHALLENGED01": "pm_card_authenticationRequiredOnSetup",
}
_MODELS = {"CardOnFile": "on_session", "UnscheduledCardOnFile": "off_session"}


class StoredCards:
    def __init__(self) -> None:
        self.deleted: set[tuple[str, str]] = set()
        """Customer and stored card."""
        self.refuses_deletions = False
        self._agreements: dict[tuple[str, str], str] = {}

    def token_of(self, body: Json) -> str | None:
        """The sandbox PSP's token of a payment's card; None if there is no such card."""
        named = _named(body)
        return None if named in self.deleted else STORED_CARDS.get(named[1])

    def terms_of(self, body: Json) -> Json:
        """What a payment by a stored card tells the sandbox PSP of the customer's agreement."""
        usage = _MODELS[body["recurringProcessingModel"]]
        if body.get("storePaymentMethod"):
            assert body["shopperInteraction"] == "Ecommerce"
            return {"save_for": usage}
        assert body["shopperInteraction"] == "ContAuth"
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
        left = [each for each in STORED_CARDS if (customer, each) not in self.deleted]
        methods = [{"id": each, **card, **expiry} for each in left]
        return {"shopperReference": customer, "storedPaymentMethods": methods}

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
