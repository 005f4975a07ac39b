"""Verifies cards, and accounts to debit, for later payments: no money moves, so there is no effect.

And what tokens stand for, of payments too.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from psp_adapters.sandbox_psp.refusals import found, invalid
from psp_adapters.sandbox_psp.state.records import Account, Setup, iso
from psp_adapters.sandbox_psp.state.truth import Truth
from psp_adapters.sandbox_psp.tokens import (
    AUTHENTICATION_FAILED,
    NOT_DECLINED,
    SEPA_DEBIT,
    TOKENS,
    Decline,
    TestToken,
)

_SET_UP: Final = ("card", SEPA_DEBIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOrder:
    """A setup as a request orders it, validated field by field."""

    reference: str
    token: str
    usage: str
    challenge_requested: bool = False
    return_url: str = ""
    mandate: str = ""
    """The account's reference of the mandate, for a bank account that is debited by one."""


class Setups:
    """Executes setups against one Truth."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def set_up(
        self, account: Account, order: SetupOrder, *, now_ms: int, decline: Decline | None
    ) -> Setup:
        """Verify a card: it is kept, declined, or waits for the customer's challenge."""
        token, spent = charged_token(account, order.token, now_ms=now_ms)
        if token.method_type not in _SET_UP:
            raise invalid("no method of this type can be set up", code="setup_unsupported")
        require_mandate(token, order.mandate)
        status, reason = _first_answer(token, order, decline)
        setup_id = f"sset_{secrets.token_hex(10)}"
        self._truth.record(
            {
                "t": "setup",
                "id": setup_id,
                "account": account.id,
                "reference": order.reference,
                "token": token.token,
                "spent": spent,
                "usage": order.usage,
                "return_url": order.return_url,
                "status": status,
                "code": reason.code,
                "decline_code": reason.decline_code,
                "message": reason.message,
                "at": now_ms,
            }
        )
        return self._truth.setups[setup_id]

    def answer_challenge(self, setup: Setup, *, completed: bool, now_ms: int) -> None:
        """Finish or fail the customer's challenge; a repeat changes nothing."""
        if setup.status != "requires_action":
            return
        decline = _decline_of(TOKENS[setup.token]) if completed else AUTHENTICATION_FAILED
        reason = decline or NOT_DECLINED
        self._truth.record(
            {
                "t": "setup_status",
                "id": setup.id,
                "status": "declined" if decline else "succeeded",
                "code": reason.code,
                "decline_code": reason.decline_code,
                "message": reason.message,
                "at": now_ms,
            }
        )


def require_mandate(token: TestToken, mandate: str) -> None:
    """Refuse to debit, or keep, an account of the SEPA scheme without a mandate; raises Refusal."""
    if token.method_type == SEPA_DEBIT and not mandate:
        raise invalid("a SEPA debit needs a mandate", code="mandate_required")


def charged_token(account: Account, name: str, *, now_ms: int) -> tuple[TestToken, str]:
    """What a token stands for, and its own name if the card fields made it.

    Raises Refusal for one that does not exist, was used before without being kept, or is too old.
    """
    made = account.field_tokens.get(name)
    if made is None:
        return found(TOKENS.get(name), "token"), ""
    if not made.is_usable(now_ms=now_ms):
        if made.spent:
            raise invalid("this token was charged before; make a new one", code="token_spent")
        raise invalid("this token is too old; make a new one", code="token_expired")
    return TOKENS[made.stands_for], made.id


def _first_answer(
    token: TestToken, order: SetupOrder, decline: Decline | None
) -> tuple[str, Decline]:
    if decline is not None:
        return "declined", decline
    if token.challenge or (token.challenge_on_request and order.challenge_requested):
        return "requires_action", NOT_DECLINED
    reason = _decline_of(token)
    return ("declined", reason) if reason else ("succeeded", NOT_DECLINED)


def _decline_of(token: TestToken) -> Decline | None:
    return None if token.sets_up_although_declined else token.decline


def setup_view(setup: Setup, *, base_url: str) -> dict[str, Any]:
    """One setup as JSON."""
    view: dict[str, Any] = {
        "object": "setup",
        "id": setup.id,
        "reference": setup.reference,
        "token": setup.token,
        "usage": setup.usage,
        "status": setup.status,
        "return_url": setup.return_url,
        "network_transaction_id": _network_id(setup),
        "created_at": iso(setup.at_ms),
    }
    if setup.code:
        view["error"] = _reason(setup)
    if setup.status == "requires_action":
        view["challenge_url"] = f"{base_url}/challenge/{setup.id}"
    return view


def _network_id(setup: Setup) -> str:
    """That of the card network: a bank account has none."""
    is_card = TOKENS[setup.token].method_type == "card"
    return setup.network_transaction_id if is_card else ""


def setup_answer(setup: Setup, *, base_url: str) -> tuple[int, dict[str, Any]]:
    """The status and body of the answer to a setup."""
    view = setup_view(setup, base_url=base_url)
    if setup.status != "declined":
        return 200, view
    return 402, {"error": {"type": "declined", **_reason(setup)}, "setup": view}


def _reason(setup: Setup) -> dict[str, str]:
    return {
        "code": setup.code,
        "decline_code": setup.decline_code,
        "message": setup.message,
    }
