"""Posting rules of our bank accounts: what a bank statement shows (1200).

A line of a bank statement that is a payout takes it out of 1120, where the PSP's report has put it.
A payout of 90.00 that reached the bank:

    1120 payout_in_transit         1200 bank
     90.00 |  90.00                90.00 |

A line that no payout explains (here 7.00 received) is in suspense until it is explained:

         1200 bank             1990 psp_suspense
      7.00 |                        |   7.00

That suspense belongs to the bank account: which PSP sent the money is not known.
"""

from __future__ import annotations

from typing import Final

from ledger import chart
from ledger.posting_rules import EntryType, Rule

SOURCE: Final = "bank_line"
"""Source type of what a line of a bank statement books. The source id is the line's number."""

payout_on_bank: Final = Rule(
    "payout_on_bank", EntryType.SETTLEMENT, debit=chart.BANK, credit=chart.PAYOUT_IN_TRANSIT
)
"""A payout has reached our bank account."""
payout_returned_by_bank: Final = Rule(
    "payout_returned_by_bank",
    EntryType.SETTLEMENT,
    debit=chart.PAYOUT_IN_TRANSIT,
    credit=chart.BANK,
)
"""The PSP has taken a payout from our bank account again."""
unidentified_receipt: Final = Rule(
    "unidentified_receipt", EntryType.SETTLEMENT, debit=chart.BANK, credit=chart.PSP_SUSPENSE
)
"""The bank has received money for us, and no payout explains it."""
unidentified_payment: Final = Rule(
    "unidentified_payment", EntryType.SETTLEMENT, debit=chart.PSP_SUSPENSE, credit=chart.BANK
)
"""The bank has paid money of ours, and no returned payout explains it."""
