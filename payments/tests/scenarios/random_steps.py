"""The random steps of a payment's life: commands, faults, and what happens at the PSP. No tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

TOKENS = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_visa_chargeDeclined",
    "pm_card_chargeDeclinedExpiredCard",
    "pm_card_threeDSecure2Required",
    "pm_card_pendingRefund",
    "pm_card_authorizationExpiresNow",
    "pm_bankDebit_success",
    "pm_bankDebit_fail",
    "pm_card_captureFails",
    "pm_card_captureFailsThenSucceeds",
    "pm_card_refundFail",
    "pm_card_declinedThenPaid",
    "pm_bankDebit_returned",
)
FAULTS = ("drop_after", "error_after", "truncate", "drop_before", "error_before", "rate_limit")


class Await(StrEnum):
    """Where a step waits for the PSP while something else is recorded."""

    UNSENT = "before its request is sent"
    UNRECORDED = "before its result is recorded"
    SYNCED = "before a snapshot taken earlier is adopted"
    REVERSED = "before its request is sent, and the PSP reverses its charge"
    REINSTATED = "the same, and the PSP then reinstates the charge"


@dataclass(frozen=True)
class Step:
    verb: str
    amount_minor: int = 0
    token: str = "pm_card_visa"
    final: bool = True
    twice: bool = False
    fault: str | None = None
    which: int = 0
    """Which of several charges or disputes the step acts on."""
    interleaved: Await | None = None
    """Where everything is looked up meanwhile; SYNCED: the step happens during a look-up."""


amounts = st.integers(min_value=1, max_value=12_000)
charges = st.integers(min_value=0, max_value=3)
sent = st.one_of(st.none(), st.none(), st.sampled_from(Await))
synced = st.one_of(st.none(), st.none(), st.just(Await.SYNCED))
faults = st.one_of(st.none(), st.none(), st.none(), st.sampled_from(FAULTS))
steps = st.one_of(
    st.builds(
        Step, verb=st.just("confirm"), token=st.sampled_from(TOKENS), twice=st.booleans(),
        fault=faults, interleaved=sent,
    ),
    st.builds(
        Step, verb=st.just("capture"), amount_minor=amounts, final=st.booleans(),
        twice=st.booleans(), fault=faults, interleaved=sent,
    ),
    st.builds(
        Step, verb=st.just("refund"), amount_minor=amounts, twice=st.booleans(), fault=faults,
        interleaved=sent,
    ),
    st.builds(
        Step, verb=st.just("increment"), amount_minor=amounts, fault=faults, interleaved=sent
    ),
    st.builds(
        Step, verb=st.just("cancel"), twice=st.booleans(), fault=faults, interleaved=sent
    ),
    st.builds(Step, verb=st.just("challenge"), final=st.booleans(), interleaved=synced),
    st.builds(
        Step, verb=st.sampled_from(["dashboard capture", "dashboard void", "dashboard refund",
            "dashboard increment", "forced capture", "forced refund"]),
        amount_minor=amounts, final=st.booleans(), which=charges, interleaved=synced,
    ),
    st.builds(Step, verb=st.sampled_from(["fails later", "fails later", "succeeds after all"]),
        which=st.integers(min_value=0, max_value=7), final=st.booleans(), interleaved=synced),
    st.builds(Step, verb=st.just("closed falsely"), final=st.booleans()),
    st.builds(Step, verb=st.just("update"), amount_minor=amounts, final=st.booleans(),
        interleaved=synced),
    st.builds(Step, verb=st.just("dispute"), amount_minor=amounts, final=st.booleans(),
        which=charges, interleaved=synced),
    st.builds(Step, verb=st.sampled_from(["bank win", "bank lose", "bank prevent",
        "bank escalate"]), which=charges, interleaved=synced),
    st.builds(Step, verb=st.sampled_from(["wait", "time", "sync", "reversals", "deadlines",
        "pay otherwise"]),
        interleaved=synced),
)  # fmt: skip

PAID = Step(verb="confirm", token="pm_card_visa")
BEGINNINGS = {
    "not at all": [],
    "paid": [PAID],
    "paid twice": [Step(verb="confirm", token="pm_card_declinedThenPaid"), PAID, Step(verb="wait")],
    "paid twice, not synced": [
        Step(verb="confirm", token="pm_card_declinedThenPaid"), PAID, Step(verb="time"),
    ],
    "paid twice, and reversed while it is voided": [
        Step(verb="confirm", token="pm_card_declinedThenPaid"), PAID, Step(verb="time"),
        Step(verb="cancel", interleaved=Await.REVERSED),
    ],
    "replaced": [Step(verb="confirm", token="pm_card_threeDSecure2Required"), PAID],
    "returned": [Step(verb="confirm", token="pm_bankDebit_returned"), Step(verb="wait")],
    "returned, and its order paid otherwise": [
        PAID, Step(verb="refund", amount_minor=2_000), Step(verb="fails later"), Step(verb="wait"),
        Step(verb="pay otherwise"), Step(verb="succeeds after all"), Step(verb="sync"),
    ],
    "captured twice": [
        PAID, Step(verb="capture", amount_minor=4_000, final=False),
        Step(verb="capture", amount_minor=6_000),
    ],
}  # fmt: skip
