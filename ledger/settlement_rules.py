"""Posting rules of settlement: what a PSP reports to have moved on our balance with it (1110).

One line of a settlement report books its gross by one rule, each component of its fee by another. A
capture that is settled leaves 1100, a refund leaves 2200. Either account of a payment may have the
other sign for a while: a capture was reversed after its settlement, and the PSP still holds the
money for us.

A charge of 100.00 with a fee of 1.65, which the PSP states by component:

      1110 psp_balance   1100 psp_receivable   5100 psp_markup   5110 interchange   5120 scheme_fee
    100.00 |   0.35            | 100.00          0.35 |            1.10 |             0.20 |
           |   1.10
           |   0.20

A fee that the PSP states as one amount is its commission, on 5100.

A charge of 100.00 USD that the PSP settles as 92.00 EUR, with a fee of 1.50 EUR. Each currency sums
to zero; the merchant is still owed dollars:

      1100 USD        1900 USD      1110 EUR       1900 EUR      5100 EUR
       | 100.00      100.00 |      92.00 | 1.50      | 92.00     1.50 |

Of no payment are a payout (here of 90.00), a reserve (5.00) and a fee of the account (1.00):

      1110 psp_balance     1120 payout_in_transit    1130 psp_reserve    5600 account_fee
           |  90.00            90.00 |                 5.00 |              1.00 |
           |   5.00
           |   1.00

A line that was given up (here 7.00 received) is in suspense until it is explained:

      1110 psp_balance        1990 psp_suspense
      7.00 |                        |   7.00

What stays unexplained is written off, once a second person approved that (here the 7.00, a gain):

     1990 psp_suspense         4300 other_gain
      7.00 |   7.00                 |   7.00
"""

from __future__ import annotations

from typing import Final

from ledger import chart
from ledger.posting_rules import EntryType, Rule

SOURCE: Final = "settlement_line"
"""Source type of what a line of a settlement report books. The source id is the line's number."""

CASE_SOURCE: Final = "case"
"""Source type of what closes a case. The source id is the case's."""

charge_settled: Final = Rule(
    "charge_settled", EntryType.SETTLEMENT, debit=chart.PSP_BALANCE, credit=chart.PSP_RECEIVABLE
)
"""The PSP has added a capture to our balance."""
charge_settlement_reversed: Final = Rule(
    "charge_settlement_reversed",
    EntryType.SETTLEMENT,
    debit=chart.PSP_RECEIVABLE,
    credit=chart.PSP_BALANCE,
)
"""The PSP has taken a settled capture from our balance again: it was reversed."""
refund_settled: Final = Rule(
    "refund_settled", EntryType.SETTLEMENT, debit=chart.REFUND_IN_FLIGHT, credit=chart.PSP_BALANCE
)
"""The PSP has taken a refund from our balance."""
refund_settlement_reversed: Final = Rule(
    "refund_settlement_reversed",
    EntryType.SETTLEMENT,
    debit=chart.PSP_BALANCE,
    credit=chart.REFUND_IN_FLIGHT,
)
"""The PSP has added a settled refund to our balance again: it failed."""
charge_converted: Final = Rule(
    "charge_converted", EntryType.SETTLEMENT, debit=chart.FX_POSITION, credit=chart.PSP_RECEIVABLE
)
"""The PSP has converted a capture: in the currency of the payment it is no longer owed to us."""
charge_conversion_reversed: Final = Rule(
    "charge_conversion_reversed",
    EntryType.SETTLEMENT,
    debit=chart.PSP_RECEIVABLE,
    credit=chart.FX_POSITION,
)
"""A capture that was converted has been reversed."""
refund_converted: Final = Rule(
    "refund_converted", EntryType.SETTLEMENT, debit=chart.REFUND_IN_FLIGHT, credit=chart.FX_POSITION
)
"""The PSP has paid a refund out of another currency."""
refund_conversion_reversed: Final = Rule(
    "refund_conversion_reversed",
    EntryType.SETTLEMENT,
    debit=chart.FX_POSITION,
    credit=chart.REFUND_IN_FLIGHT,
)
"""A refund out of another currency has failed."""
conversion_received: Final = Rule(
    "conversion_received", EntryType.SETTLEMENT, debit=chart.PSP_BALANCE, credit=chart.FX_POSITION
)
"""The PSP has added to our balance what it converted."""
conversion_paid: Final = Rule(
    "conversion_paid", EntryType.SETTLEMENT, debit=chart.FX_POSITION, credit=chart.PSP_BALANCE
)
"""The PSP has taken from our balance what it converted."""
psp_markup: Final = Rule(
    "psp_markup", EntryType.FEE, debit=chart.PSP_MARKUP, credit=chart.PSP_BALANCE
)
"""The PSP charges its own price for a charge or a refund: a markup, a commission, or one fee for
everything."""
psp_markup_returned: Final = Rule(
    "psp_markup_returned", EntryType.FEE, debit=chart.PSP_BALANCE, credit=chart.PSP_MARKUP
)
"""The PSP has returned such a fee."""
interchange: Final = Rule(
    "interchange", EntryType.FEE, debit=chart.INTERCHANGE, credit=chart.PSP_BALANCE
)
"""The PSP passes on what the customer's bank takes."""
interchange_returned: Final = Rule(
    "interchange_returned", EntryType.FEE, debit=chart.PSP_BALANCE, credit=chart.INTERCHANGE
)
"""The PSP has returned such a fee."""
scheme_fee: Final = Rule(
    "scheme_fee", EntryType.FEE, debit=chart.SCHEME_FEE, credit=chart.PSP_BALANCE
)
"""The PSP passes on what the card network takes."""
scheme_fee_returned: Final = Rule(
    "scheme_fee_returned", EntryType.FEE, debit=chart.PSP_BALANCE, credit=chart.SCHEME_FEE
)
"""The PSP has returned such a fee."""
payout: Final = Rule(
    "payout", EntryType.SETTLEMENT, debit=chart.PAYOUT_IN_TRANSIT, credit=chart.PSP_BALANCE
)
"""The PSP has sent money to our bank."""
payout_returned: Final = Rule(
    "payout_returned",
    EntryType.SETTLEMENT,
    debit=chart.PSP_BALANCE,
    credit=chart.PAYOUT_IN_TRANSIT,
)
"""A payout did not reach the bank, and is on our balance with the PSP again."""
reserve_withheld: Final = Rule(
    "reserve_withheld", EntryType.SETTLEMENT, debit=chart.PSP_RESERVE, credit=chart.PSP_BALANCE
)
"""The PSP withholds a part of our balance against its risk."""
reserve_released: Final = Rule(
    "reserve_released", EntryType.SETTLEMENT, debit=chart.PSP_BALANCE, credit=chart.PSP_RESERVE
)
"""The PSP has released what it withheld."""
account_fee: Final = Rule(
    "account_fee", EntryType.FEE, debit=chart.ACCOUNT_FEE, credit=chart.PSP_BALANCE
)
"""The PSP charges us for the account: a monthly fee, scheme costs, the costs of a payout."""
account_fee_returned: Final = Rule(
    "account_fee_returned", EntryType.FEE, debit=chart.PSP_BALANCE, credit=chart.ACCOUNT_FEE
)
"""The PSP has returned such a fee."""
unexplained_receipt: Final = Rule(
    "unexplained_receipt", EntryType.SETTLEMENT, debit=chart.PSP_BALANCE, credit=chart.PSP_SUSPENSE
)
"""The PSP has added money to our balance for a reason that we could not find."""
unexplained_charge: Final = Rule(
    "unexplained_charge", EntryType.SETTLEMENT, debit=chart.PSP_SUSPENSE, credit=chart.PSP_BALANCE
)
"""The PSP has taken money from our balance for a reason that we could not find."""
suspense_written_off: Final = Rule(
    "suspense_written_off", EntryType.SETTLEMENT, debit=chart.WRITE_OFF, credit=chart.PSP_SUSPENSE
)
"""What the PSP took for an unknown reason is our loss: two people have decided so."""
suspense_kept: Final = Rule(
    "suspense_kept", EntryType.SETTLEMENT, debit=chart.PSP_SUSPENSE, credit=chart.OTHER_GAIN
)
"""What the PSP added for an unknown reason is our gain: two people have decided so."""
