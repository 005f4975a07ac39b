"""Posting rules of disputes: one pure function per event, each with its T-accounts.

An inquiry moves no money: it is exposure. A chargeback is held from the merchant when it opens,
withdrawn when the PSP takes the money, and won or lost once. The PSP's side is 1110, as for the
lines of a settlement report, which find these postings made already.
"""

from __future__ import annotations

from typing import Final

from ledger import chart
from ledger.money import Money
from ledger.posting_rules import EntryType, Parties, Posting, move

_CHARGEBACK, _FEE = EntryType.CHARGEBACK, EntryType.FEE

FINAL_RULES: Final = (
    "dispute_won",
    "dispute_hold_released",
    "dispute_lost_by_merchant",
    "dispute_lost_by_platform",
)
"""A dispute with one of these is decided: no balance of it may stay open."""


def dispute_exposed(parties: Parties, amount: Money) -> Posting:
    """A bank opened an inquiry; it may charge the payment back later.

    Dr 9300 dispute_exposure  amount
        Cr 9400 dispute_exposure_contra  amount
    """
    return move(
        "dispute_exposed",
        chart.dispute_exposure(parties.psp_account, amount.currency),
        chart.dispute_exposure_contra(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_exposure_ended(parties: Parties, amount: Money) -> Posting:
    """The inquiry was closed, or became a chargeback.

    Dr 9400 dispute_exposure_contra  amount
        Cr 9300 dispute_exposure  amount
    """
    return move(
        "dispute_exposure_ended",
        chart.dispute_exposure_contra(parties.psp_account, amount.currency),
        chart.dispute_exposure(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_held(parties: Parties, amount: Money) -> Posting:
    """A chargeback opened: the merchant's money is held until it is decided.

    Dr 2100 merchant_payable  amount
        Cr 2300 dispute_held  amount
    """
    return move(
        "dispute_held",
        chart.merchant_payable(parties.merchant, amount.currency),
        chart.dispute_held(parties.merchant, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_withdrawn(parties: Parties, amount: Money) -> Posting:
    """The PSP took the disputed amount from what it holds for us.

    Dr 1300 dispute_receivable  amount
        Cr 1110 psp_balance  amount
    """
    return move(
        "dispute_withdrawn",
        chart.dispute_receivable(parties.psp_account, amount.currency),
        chart.psp_balance(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_fee(parties: Parties, amount: Money) -> Posting:
    """The PSP charges us for a dispute.

    Dr 5130 dispute_fee  amount
        Cr 1110 psp_balance  amount
    """
    return move(
        "dispute_fee",
        chart.dispute_fee(parties.psp_account, amount.currency),
        chart.psp_balance(parties.psp_account, amount.currency),
        amount,
        _FEE,
    )


def dispute_fee_passed_on(parties: Parties, amount: Money) -> Posting:
    """The merchant bears the PSP's fee of a dispute.

    Dr 2100 merchant_payable  amount
        Cr 5130 dispute_fee  amount
    """
    return move(
        "dispute_fee_passed_on",
        chart.merchant_payable(parties.merchant, amount.currency),
        chart.dispute_fee(parties.psp_account, amount.currency),
        amount,
        _FEE,
    )


def dispute_won(parties: Parties, amount: Money) -> Posting:
    """The PSP returned the withdrawn amount. Goes with `dispute_hold_released`.

    Dr 1110 psp_balance  amount
        Cr 1300 dispute_receivable  amount
    """
    return move(
        "dispute_won",
        chart.psp_balance(parties.psp_account, amount.currency),
        chart.dispute_receivable(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_hold_released(parties: Parties, amount: Money) -> Posting:
    """The merchant gets back what was held: the dispute was won, or the platform bears the loss.

    Dr 2300 dispute_held  amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "dispute_hold_released",
        chart.dispute_held(parties.merchant, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_fee_returned(parties: Parties, amount: Money) -> Posting:
    """The PSP returned its fee.

    Dr 1110 psp_balance  amount
        Cr 5130 dispute_fee  amount
    """
    return move(
        "dispute_fee_returned",
        chart.psp_balance(parties.psp_account, amount.currency),
        chart.dispute_fee(parties.psp_account, amount.currency),
        amount,
        _FEE,
    )


def dispute_fee_given_back(parties: Parties, amount: Money) -> Posting:
    """The merchant, who had borne the fee, gets it back. Goes with `dispute_fee_returned`.

    Dr 5130 dispute_fee  amount
        Cr 2100 merchant_payable  amount
    """
    return move(
        "dispute_fee_given_back",
        chart.dispute_fee(parties.psp_account, amount.currency),
        chart.merchant_payable(parties.merchant, amount.currency),
        amount,
        _FEE,
    )


def dispute_lost_by_merchant(parties: Parties, amount: Money) -> Posting:
    """The dispute was lost, and the merchant bears it: what was held pays for what was withdrawn.

    Dr 2300 dispute_held  amount
        Cr 1300 dispute_receivable  amount
    """
    return move(
        "dispute_lost_by_merchant",
        chart.dispute_held(parties.merchant, amount.currency),
        chart.dispute_receivable(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )


def dispute_lost_by_platform(parties: Parties, amount: Money) -> Posting:
    """The dispute was lost, and the platform bears it. Goes with `dispute_hold_released`.

    Dr 5200 chargeback_loss  amount
        Cr 1300 dispute_receivable  amount
    """
    return move(
        "dispute_lost_by_platform",
        chart.chargeback_loss(amount.currency),
        chart.dispute_receivable(parties.psp_account, amount.currency),
        amount,
        _CHARGEBACK,
    )
