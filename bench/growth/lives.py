"""What happens to a payment in its life: one function each, which yields between two steps.

What a yield gives is how long the next step is waited for. Amounts are whole units (`visits`), and
such that our fee of 5 % is too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench.growth.visits import Visit

FEE_BASIS_POINTS: Final = 500
Days = tuple[float, float]
"""At least and at most so many."""
_MINUTES: Final = 1 / 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One kind of life, and how often it is lived."""

    live: Callable[[Visit], Iterator[Days]]
    share: float
    """Of all lives, in thousandths."""
    currency: str = "USD"
    oldest_days: float = 0.0
    """It cannot have begun earlier, since something would have happened to it; 0: any time ago."""

    @property
    def name(self) -> str:
        return f"{self.live.__name__}_{self.currency.lower()}"


def sale(visit: Visit) -> Iterator[Days]:
    """Paid at once."""
    visit.pay()
    yield from ()


def debit_card_sale(visit: Visit) -> Iterator[Days]:
    """Another card."""
    visit.pay(method="pm_card_mastercard_debit")
    yield from ()


def returning_customer(visit: Visit) -> Iterator[Days]:
    """A customer with a saved card comes back twice."""
    customer = visit.customer()
    card = visit.saved_card(customer)
    visit.pay(40, customer=customer, method=card)
    yield 3, 20
    visit.pay(60, customer=customer, method=card)
    yield 3, 20
    visit.pay(20, customer=customer, method=card)


def captured_in_part(visit: Visit) -> Iterator[Days]:
    """Authorized, half of it captured the next day."""
    intent = visit.pay(capture_method="manual")
    yield 0.2, 2
    visit.post(f"payment_intents/{intent}/capture", amount_to_capture=20 * 400_000)


def captured_later(visit: Visit) -> Iterator[Days]:
    """Authorized, captured the next day."""
    intent = visit.pay(capture_method="manual")
    yield 0.2, 3
    visit.post(f"payment_intents/{intent}/capture")


def canceled_hold(visit: Visit) -> Iterator[Days]:
    """Authorized, then the customer cancels."""
    intent = visit.pay(capture_method="manual")
    yield 0.1, 3
    visit.post(f"payment_intents/{intent}/cancel", cancellation_reason="requested_by_customer")


def declined_then_paid(visit: Visit) -> Iterator[Days]:
    """A declined card, another one a minute later."""
    intent = visit.pay(method="pm_card_visa_chargeDeclinedInsufficientFunds")
    yield 0.5 * _MINUTES, 5 * _MINUTES
    visit.post(f"payment_intents/{intent}/confirm", payment_method="pm_card_amex")


def declined_and_canceled(visit: Visit) -> Iterator[Days]:
    """A declined card; the merchant gives up."""
    intent = visit.pay(method="pm_card_chargeDeclined")
    yield 0.01, 1
    visit.post(f"payment_intents/{intent}/cancel", cancellation_reason="abandoned")


def challenged(visit: Visit) -> Iterator[Days]:
    """The customer's bank wants to see them, and they pass."""
    visit.pay(method="pm_card_threeDSecure2Required", return_url="https://shop.example/done")
    yield 0.3 * _MINUTES, 4 * _MINUTES
    visit.answer_challenge()


def bank_debit(visit: Visit) -> Iterator[Days]:
    """Processing for days, then paid."""
    visit.pay(method="pm_bankDebit_success")
    yield 2, 5


def bank_debit_refused(visit: Visit) -> Iterator[Days]:
    """Processing for days, then refused by the bank; given up."""
    intent = visit.pay(method="pm_bankDebit_fail")
    yield 2, 5
    yield 0.1, 2
    visit.post(f"payment_intents/{intent}/cancel")


def refunded(visit: Visit) -> Iterator[Days]:
    """All of it went back."""
    intent = visit.pay()
    yield 1, 30
    visit.post("refunds", payment_intent=intent, reason="requested_by_customer")


def refunded_in_parts(visit: Visit) -> Iterator[Days]:
    """Half of it went back, and later a quarter more."""
    intent = visit.pay(80)
    yield 1, 15
    visit.post("refunds", payment_intent=intent, amount=40 * 400_000)
    yield 1, 15
    visit.post("refunds", payment_intent=intent, amount=20 * 400_000)


def refunded_slowly(visit: Visit) -> Iterator[Days]:
    """The refund is pending for days."""
    intent = visit.pay(method="pm_card_pendingRefund")
    yield 1, 30
    visit.post("refunds", payment_intent=intent)
    yield 1, 4


def dispute_lost(visit: Visit) -> Iterator[Days]:
    """Charged back, and accepted."""
    visit.pay()
    yield 5, 30
    visit.open_dispute(reason="product_not_received")
    yield 1, 6
    visit.post(f"disputes/{visit.disputes()[0]}/close")


def dispute_won(visit: Visit) -> Iterator[Days]:
    """Charged back, answered with evidence, won."""
    visit.pay()
    yield 5, 30
    opened = visit.open_dispute()
    yield 1, 6
    visit.post(
        f"disputes/{visit.disputes()[0]}",
        **{"evidence[uncategorized_text]": "It was delivered.", "submit": "true"},
    )
    yield 10, 40
    visit.decide(opened, "win")


def inquiry(visit: Visit) -> Iterator[Days]:
    """The bank asks, and closes its inquiry."""
    visit.pay()
    yield 5, 30
    opened = visit.open_dispute(inquiry=True)
    yield 3, 20
    visit.decide(opened, "close")


def open_hold(visit: Visit) -> Iterator[Days]:
    """Authorized, and not captured yet."""
    visit.pay(capture_method="manual")
    yield from ()


def unpaid(visit: Visit) -> Iterator[Days]:
    """Created, and not confirmed yet."""
    visit.pay(method="", confirm="")
    yield from ()


def declined(visit: Visit) -> Iterator[Days]:
    """A declined card; the customer may try another."""
    visit.pay(method="pm_card_chargeDeclinedExpiredCard")
    yield from ()


LIVES: Final = (
    Life(live=sale, share=380),
    Life(live=sale, share=130, currency="EUR"),
    Life(live=sale, share=30, currency="JPY"),
    Life(live=sale, share=15, currency="KWD"),
    Life(live=debit_card_sale, share=110),
    Life(live=returning_customer, share=55),
    Life(live=captured_later, share=40),
    Life(live=captured_in_part, share=20, currency="EUR"),
    Life(live=canceled_hold, share=15),
    Life(live=declined_then_paid, share=30),
    Life(live=declined_and_canceled, share=25),
    Life(live=challenged, share=45, currency="EUR"),
    Life(live=bank_debit, share=20),
    Life(live=bank_debit_refused, share=4),
    Life(live=refunded, share=35),
    Life(live=refunded_in_parts, share=15, currency="EUR"),
    Life(live=refunded_slowly, share=5),
    Life(live=dispute_lost, share=2),
    Life(live=dispute_won, share=1),
    Life(live=inquiry, share=1),
    # Holds end after seven days, and an unpaid payment is canceled after thirty.
    Life(live=open_hold, share=6, oldest_days=4),
    Life(live=unpaid, share=8, oldest_days=25),
    Life(live=declined, share=8, oldest_days=25),
)
