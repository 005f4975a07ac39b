"""Posting rules of disputes: which account each debits, and which it credits.

An inquiry moves no money: it is exposure. A chargeback is held from the merchant when it opens,
withdrawn when the PSP takes the money, and won or lost once. The PSP's side is 1110, as for the
lines of a settlement report, which find these postings made already.
"""

from __future__ import annotations

from typing import Final

from ledger import chart
from ledger.posting_rules import EntryType, Rule

FINAL_RULES: Final = (
    "dispute_won",
    "dispute_hold_released",
    "dispute_lost_by_merchant",
    "dispute_lost_by_platform",
)
"""A dispute with one of these is decided: no balance of it may stay open."""

dispute_exposed: Final = Rule(
    "dispute_exposed",
    EntryType.CHARGEBACK,
    debit=chart.DISPUTE_EXPOSURE,
    credit=chart.DISPUTE_EXPOSURE_CONTRA,
)
"""A bank opened an inquiry; it may charge the payment back later."""
dispute_exposure_ended: Final = Rule(
    "dispute_exposure_ended",
    EntryType.CHARGEBACK,
    debit=chart.DISPUTE_EXPOSURE_CONTRA,
    credit=chart.DISPUTE_EXPOSURE,
)
"""The inquiry was closed, or became a chargeback."""
dispute_held: Final = Rule(
    "dispute_held", EntryType.CHARGEBACK, debit=chart.MERCHANT_PAYABLE, credit=chart.DISPUTE_HELD
)
"""A chargeback opened: the merchant's money is held until it is decided."""
dispute_withdrawn: Final = Rule(
    "dispute_withdrawn",
    EntryType.CHARGEBACK,
    debit=chart.DISPUTE_RECEIVABLE,
    credit=chart.PSP_BALANCE,
)
"""The PSP took the disputed amount from what it holds for us."""
dispute_fee: Final = Rule(
    "dispute_fee", EntryType.FEE, debit=chart.DISPUTE_FEE, credit=chart.PSP_BALANCE
)
"""The PSP charges us for a dispute."""
dispute_fee_passed_on: Final = Rule(
    "dispute_fee_passed_on", EntryType.FEE, debit=chart.MERCHANT_PAYABLE, credit=chart.DISPUTE_FEE
)
"""The merchant bears the PSP's fee of a dispute."""
dispute_won: Final = Rule(
    "dispute_won", EntryType.CHARGEBACK, debit=chart.PSP_BALANCE, credit=chart.DISPUTE_RECEIVABLE
)
"""The PSP returned the withdrawn amount. Goes with `dispute_hold_released`."""
dispute_hold_released: Final = Rule(
    "dispute_hold_released",
    EntryType.CHARGEBACK,
    debit=chart.DISPUTE_HELD,
    credit=chart.MERCHANT_PAYABLE,
)
"""The merchant gets back what was held: the dispute was won, or the platform bears the loss."""
dispute_fee_returned: Final = Rule(
    "dispute_fee_returned", EntryType.FEE, debit=chart.PSP_BALANCE, credit=chart.DISPUTE_FEE
)
"""The PSP returned its fee."""
dispute_fee_given_back: Final = Rule(
    "dispute_fee_given_back", EntryType.FEE, debit=chart.DISPUTE_FEE, credit=chart.MERCHANT_PAYABLE
)
"""The merchant, who had borne the fee, gets it back. Goes with `dispute_fee_returned`."""
dispute_lost_by_merchant: Final = Rule(
    "dispute_lost_by_merchant",
    EntryType.CHARGEBACK,
    debit=chart.DISPUTE_HELD,
    credit=chart.DISPUTE_RECEIVABLE,
)
"""The dispute was lost, and the merchant bears it: what was held pays for what was withdrawn."""
dispute_lost_by_platform: Final = Rule(
    "dispute_lost_by_platform",
    EntryType.CHARGEBACK,
    debit=chart.CHARGEBACK_LOSS,
    credit=chart.DISPUTE_RECEIVABLE,
)
"""The dispute was lost, and the platform bears it. Goes with `dispute_hold_released`."""
