"""The closed list of what reconciliation finds: each difference has one code, its meaning, and what
an operator does about it.

A settlement line that is not matched, and a case of reconciliation, name one of them. PostgreSQL
has the same list.
"""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices


class Discrepancy(TextChoices):
    """What differs between our books, a PSP's settlement reports and the bank."""

    MISSING_INTERNAL = "MISSING_INTERNAL", "The line reports what our books do not know."
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH", "The line reports another amount than our books."
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH", "The line reports another currency than our books."
    TYPE_MISMATCH = "TYPE_MISMATCH", "The line reports an operation of ours as another kind."
    STATUS_MISMATCH = (
        "STATUS_MISMATCH",
        "The line reports money that, by our books and the PSP's look-up, has not moved so.",
    )
    PARTIAL_SETTLEMENT = (
        "PARTIAL_SETTLEMENT",
        "The lines report a part of an amount; the rest is in no report yet.",
    )
    DUPLICATE_AT_PSP = "DUPLICATE_AT_PSP", "The PSP reports the same money twice."
    UNKNOWN_LINE_TYPE = "UNKNOWN_LINE_TYPE", "No rule knows lines of this type."
    MALFORMED_LINE = (
        "MALFORMED_LINE",
        "The line has a sign or an amount that its kind cannot have, another fee than its "
        "components, or no id.",
    )
    PSP_UNANSWERED = "PSP_UNANSWERED", "The PSP could not be asked about the line."
    ATTEMPT_FAILED = "ATTEMPT_FAILED", "Our software failed at the line."

    FX_VARIANCE = (
        "FX_VARIANCE",
        "What the PSP settled is not the amount at the rate that it states; it is booked.",
    )
    FEE_VARIANCE = "FEE_VARIANCE", "The fee of a charge is not the agreed one; it is booked."

    MISSING_AT_PSP = (
        "MISSING_AT_PSP",
        "Money that should be in a settlement report by now is in none.",
    )
    LATE_SETTLEMENT = "LATE_SETTLEMENT", "It came, later than the settlement calendar says."
    BALANCE_DRIFT = "BALANCE_DRIFT", "The balance that the PSP states is not that of our books."

    FILE_GAP = "FILE_GAP", "A report or statement that should be here is not."
    FILE_CHANGED = "FILE_CHANGED", "A file or a line came again with other content."
    FILE_UNREADABLE = "FILE_UNREADABLE", "A file is not a whole one of its kind; no line counts."

    BATCH_SUM_MISMATCH = (
        "BATCH_SUM_MISMATCH",
        "The lines that the PSP says to be in a payout do not add up to it.",
    )
    PAYOUT_NOT_ON_BANK = "PAYOUT_NOT_ON_BANK", "A payout of the PSP is on no bank statement."
    BANK_UNIDENTIFIED = "BANK_UNIDENTIFIED", "A bank entry is known as no payout."
    BANK_AMOUNT_MISMATCH = (
        "BANK_AMOUNT_MISMATCH",
        "A bank entry has another amount than its payout.",
    )
    AMBIGUOUS = "AMBIGUOUS", "Several candidates match equally well."


D = Discrepancy

OF_LINES: Final = frozenset(
    {
        *(D.MISSING_INTERNAL, D.AMOUNT_MISMATCH, D.CURRENCY_MISMATCH, D.TYPE_MISMATCH),
        *(D.STATUS_MISMATCH, D.DUPLICATE_AT_PSP, D.UNKNOWN_LINE_TYPE, D.MALFORMED_LINE),
        *(D.PSP_UNANSWERED, D.ATTEMPT_FAILED, D.PARTIAL_SETTLEMENT, D.AMBIGUOUS),
    }
)
"""What a line of a settlement report can be, while it is not matched."""
OF_MATCHED_LINES: Final = frozenset({D.FEE_VARIANCE, D.FX_VARIANCE})
"""What may differ on a line that is matched: it is booked as it says."""
OF_BANK_LINES: Final = frozenset(
    {D.BANK_UNIDENTIFIED, D.BANK_AMOUNT_MISMATCH, D.AMBIGUOUS, D.ATTEMPT_FAILED}
)
"""The same of a line of a bank statement."""

_REQUEUE: Final = "then requeue the line (settlement_reports --requeue)."

ADVICE: Final[dict[Discrepancy, str]] = {
    D.MISSING_INTERNAL: (
        "Find the payment in the PSP's dashboard. If another system made it, move that to an "
        "account of its own; if it is ours, have the PSP's look-up show it, " + _REQUEUE
    ),
    D.AMOUNT_MISMATCH: "Compare the amount in the PSP's dashboard; have the PSP correct it.",
    D.CURRENCY_MISMATCH: (
        "Find out whether the PSP converted it: then its report should say from which amount."
    ),
    D.TYPE_MISMATCH: "A new type of the PSP may be mapped to a wrong kind: correct the adapter.",
    D.STATUS_MISMATCH: (
        "Compare both sides in the PSP's dashboard. Once its look-up says what its report says, "
        + _REQUEUE
    ),
    D.PARTIAL_SETTLEMENT: (
        "Ask the PSP for the rest, or why it settled less. Once the rest comes, both lines match."
    ),
    D.DUPLICATE_AT_PSP: "Ask the PSP which of the lines counts, and to reverse the other.",
    D.UNKNOWN_LINE_TYPE: "Find out what the type means; have the adapter learn it, " + _REQUEUE,
    D.MALFORMED_LINE: "Ask the PSP what the line means; the adapter may read it wrongly.",
    D.PSP_UNANSWERED: "Nothing, unless it lasts: then check the account's credentials.",
    D.ATTEMPT_FAILED: "A defect: its text names it. Once it is repaired, " + _REQUEUE,
    D.FEE_VARIANCE: (
        "Compare it with the contract: have the PSP return the difference, or correct the costs of "
        "the account (psp_accounts change --costs)."
    ),
    D.FX_VARIANCE: "Ask the PSP at which rate it converted; have it correct the amount.",
    D.MISSING_AT_PSP: (
        "Look the operation up in the PSP's dashboard: was it settled, and in which report? If "
        "that report is here, ask the PSP why it is not in it. The case closes when the line comes."
    ),
    D.LATE_SETTLEMENT: "Nothing. If it is frequent, correct the account's settlement calendar.",
    D.BALANCE_DRIFT: "Ask the PSP for a statement of the account, and compare its lines.",
    D.FILE_GAP: "Fetch it again (settlement_reports --fetch), or ask the PSP for it.",
    D.FILE_CHANGED: "Ask the PSP why, and which one counts; what came first counts here.",
    D.FILE_UNREADABLE: (
        "Ask the PSP for a whole file; if its format has changed, correct the adapter and read it "
        "again (settlement_reports --read-again)."
    ),
    D.BATCH_SUM_MISMATCH: (
        "Ask the PSP for the lines of the payout, and compare them. Import the report that has a "
        "line which is missing; the case closes once they add up."
    ),
    D.PAYOUT_NOT_ON_BANK: "Ask the bank, then the PSP, where the payout is.",
    D.BANK_UNIDENTIFIED: "Find out who paid it; a person decides what it is.",
    D.BANK_AMOUNT_MISMATCH: "Ask the bank whether it took a fee, and the PSP what it sent.",
    D.AMBIGUOUS: "A person decides which one it is; none is taken by itself.",
}
"""What an operator does, by code."""
