"""A merchant's month as T-accounts: the rules, as an accountant would check them."""

from __future__ import annotations

from collections.abc import Iterable

from ledger import dispute_rules as disputes
from ledger import posting_rules as rules
from ledger.chart import Direction
from ledger.money import Money
from ledger.posting_rules import Parties, Posting

PARTIES = Parties(psp_account="sandbox", merchant="0197a000-0000-7000-8000-000000000001")


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def t_accounts(postings: Iterable[Posting]) -> str:
    """The postings as T-accounts: debits on the left, credits on the right, then what is left."""
    sides: dict[str, tuple[list[int], list[int]]] = {}
    for posting in postings:
        for line in posting.lines:
            name = f"{line.account.code} {line.account.line.name}"
            debits, credits = sides.setdefault(name, ([], []))
            (debits if line.direction is Direction.DEBIT else credits).append(line.amount.minor)
    drawn = []
    for name, (debits, credits) in sorted(sides.items()):
        rest = sum(debits) - sum(credits)
        side = "Dr" if rest > 0 else "Cr"
        left, right = " ".join(map(str, debits)), " ".join(map(str, credits))
        drawn.append(f"{name}: {left} | {right} -> {f'{side} {abs(rest)}' if rest else '0'}")
    return "\n".join(drawn)


def test_a_sale_leaves_the_psp_owing_us_and_us_owing_the_shop() -> None:
    sale = [
        rules.authorized(PARTIES, usd(10000)),
        rules.capture_memo(PARTIES, usd(10000)),
        rules.captured(PARTIES, usd(10000)),
        rules.platform_fee(PARTIES, usd(290)),
    ]
    assert t_accounts(sale) == (
        "1100 psp_receivable: 10000 |  -> Dr 10000\n"
        "2100 merchant_payable: 290 | 10000 -> Cr 9710\n"
        "4100 platform_fee_income:  | 290 -> Cr 290\n"
        "9100 auth_held: 10000 | 10000 -> 0\n"
        "9200 auth_contra: 10000 | 10000 -> 0"
    )


def test_a_partial_capture_releases_the_rest() -> None:
    hotel = [
        rules.authorized(PARTIES, usd(30000)),
        rules.authorization_incremented(PARTIES, usd(5000)),
        rules.capture_memo(PARTIES, usd(20000)),
        rules.captured(PARTIES, usd(20000)),
        rules.capture_memo(PARTIES, usd(8000)),
        rules.captured(PARTIES, usd(8000)),
        rules.released(PARTIES, usd(7000)),
    ]
    assert t_accounts(hotel) == (
        "1100 psp_receivable: 20000 8000 |  -> Dr 28000\n"
        "2100 merchant_payable:  | 20000 8000 -> Cr 28000\n"
        "9100 auth_held: 30000 5000 | 20000 8000 7000 -> 0\n"
        "9200 auth_contra: 20000 8000 7000 | 30000 5000 -> 0"
    )


def test_what_was_only_held_leaves_no_real_money_behind() -> None:
    given_up = [
        rules.authorized(PARTIES, usd(4000)),
        rules.voided(PARTIES, usd(4000)),
        rules.authorized(PARTIES, usd(6000)),
        rules.expired(PARTIES, usd(6000)),
    ]
    assert t_accounts(given_up) == (
        "9100 auth_held: 4000 6000 | 4000 6000 -> 0\n9200 auth_contra: 4000 6000 | 4000 6000 -> 0"
    )


def test_the_shops_month() -> None:
    """Two sales, one partly refunded, one refund that failed, a capture the PSP reversed."""
    first = rules.captured(PARTIES, usd(10000))
    second = rules.captured(PARTIES, usd(2500))
    month = [
        first,
        rules.platform_fee(PARTIES, usd(290)),
        second,
        rules.refund_requested(PARTIES, usd(4000)),
        rules.refund_requested(PARTIES, usd(1000)),
        rules.refund_failed(PARTIES, usd(1000)),
        rules.reversal_of(second),
    ]
    assert t_accounts(month) == (
        "1100 psp_receivable: 10000 2500 | 2500 -> Dr 10000\n"
        "2100 merchant_payable: 290 4000 1000 2500 | 10000 2500 1000 -> Cr 5710\n"
        "2200 refund_in_flight: 1000 | 4000 1000 -> Cr 4000\n"
        "4100 platform_fee_income:  | 290 -> Cr 290"
    )
    # The shop is owed what it sold, less the refund, less our fee.
    assert 10_000 - 4_000 - 290 == 5_710


def test_a_chargeback_that_is_won_leaves_only_the_fee() -> None:
    won = [
        rules.captured(PARTIES, usd(25000)),
        disputes.dispute_exposed(PARTIES, usd(25000)),
        disputes.dispute_exposure_ended(PARTIES, usd(25000)),
        disputes.dispute_held(PARTIES, usd(25000)),
        disputes.dispute_withdrawn(PARTIES, usd(25000)),
        disputes.dispute_fee(PARTIES, usd(1500)),
        disputes.dispute_fee_passed_on(PARTIES, usd(1500)),
        disputes.dispute_won(PARTIES, usd(25000)),
        disputes.dispute_hold_released(PARTIES, usd(25000)),
    ]
    assert t_accounts(won) == (
        "1100 psp_receivable: 25000 |  -> Dr 25000\n"
        "1110 psp_balance: 25000 | 25000 1500 -> Cr 1500\n"
        "1300 dispute_receivable: 25000 | 25000 -> 0\n"
        "2100 merchant_payable: 25000 1500 | 25000 25000 -> Cr 23500\n"
        "2300 dispute_held: 25000 | 25000 -> 0\n"
        "5130 dispute_fee: 1500 | 1500 -> 0\n"
        "9300 dispute_exposure: 25000 | 25000 -> 0\n"
        "9400 dispute_exposure_contra: 25000 | 25000 -> 0"
    )


def _chargeback() -> list[Posting]:
    return [
        disputes.dispute_held(PARTIES, usd(25000)),
        disputes.dispute_withdrawn(PARTIES, usd(25000)),
        disputes.dispute_fee(PARTIES, usd(1500)),
    ]


def test_a_lost_chargeback_that_the_merchant_bears() -> None:
    lost = [
        *_chargeback(),
        disputes.dispute_fee_passed_on(PARTIES, usd(1500)),
        disputes.dispute_lost_by_merchant(PARTIES, usd(25000)),
    ]
    assert t_accounts(lost) == (
        "1110 psp_balance:  | 25000 1500 -> Cr 26500\n"
        "1300 dispute_receivable: 25000 | 25000 -> 0\n"
        "2100 merchant_payable: 25000 1500 |  -> Dr 26500\n"
        "2300 dispute_held: 25000 | 25000 -> 0\n"
        "5130 dispute_fee: 1500 | 1500 -> 0"
    )


def test_a_lost_chargeback_that_the_platform_bears() -> None:
    lost = [
        *_chargeback(),
        disputes.dispute_lost_by_platform(PARTIES, usd(25000)),
        disputes.dispute_hold_released(PARTIES, usd(25000)),
    ]
    assert t_accounts(lost) == (
        "1110 psp_balance:  | 25000 1500 -> Cr 26500\n"
        "1300 dispute_receivable: 25000 | 25000 -> 0\n"
        "2100 merchant_payable: 25000 | 25000 -> 0\n"
        "2300 dispute_held: 25000 | 25000 -> 0\n"
        "5130 dispute_fee: 1500 |  -> Dr 1500\n"
        "5200 chargeback_loss: 25000 |  -> Dr 25000"
    )
