"""Random sequences of merchant, PSP and clock events; the invariants hold after every step.

`make model EXAMPLES=1000` plays more of them. What a step does is in `model_world`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.services import forget_known_accounts
from payments.models import Operation, PaymentIntent
from payments.services.callers.caller import Answer
from payments.tests.support.model_world import (
    DAY,
    FAULTS,
    HOUR,
    ORDERS_PER_SHOP,
    SHOPS,
    Fate,
    World,
)
from payments.tests.support.shop import Shop
from psp_adapters.tests.support.sandbox_process import SandboxProcess

T = TypeVar("T")

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES") or 0)
EXAMPLES_IN_EVERY_TEST_RUN = 3
STEPS = 20

TOKENS = (
    *("pm_card_visa",) * 4,
    "pm_card_chargeDeclined",
    "pm_card_authenticationRequired",
    "pm_card_pendingRefund",
    "pm_bankDebit_success",
    "pm_bankDebit_fail",
)
# Around what is decided by age: a lease, the last repeat, the first case, the PSP's window.
PAUSES = (1, 9, 31, 61, HOUR, DAY - 60, DAY + 60, 8 * DAY, 401 * DAY)
KINDS = {"confirm": "authorize", "cancel": "void"}

# The first order of the first merchant is popular: most is about two that want the same.
shops = st.sampled_from((*[0] * 3, *range(SHOPS)))
orders = st.sampled_from((*[0] * 3, *range(ORDERS_PER_SHOP)))
# Not at once; when it is due, while the PSP may not find it yet; later; too late for a repeat.
asked = st.sampled_from((0, 3, 3, 9, 61))
choices = st.integers(0, 7)
amounts = st.sampled_from((1, 2_500, 5_000, 10_000, 12_000))
fates = st.one_of(
    st.just(Fate()),
    st.builds(Fate, crash_at=st.integers(1, 60), looked_up_after=st.sampled_from((0, 31, 61))),
    st.builds(Fate, fault=st.sampled_from(FAULTS), looked_up_after=asked),
)


class Life(RuleBasedStateMachine):
    """One life, which begins with an empty database."""

    sandbox: ClassVar[SandboxProcess]
    empty_the_database: ClassVar[Callable[[], None]]

    def __init__(self) -> None:
        super().__init__()
        type(self).empty_the_database()
        self.world = World(self.sandbox)
        self.world.begin()

    def teardown(self) -> None:
        try:
            self.world.settle()
        finally:
            self.world.end()

    @invariant()
    def the_books_hold_and_no_order_is_charged_twice(self) -> None:
        self.world.check()

    @rule(
        shop=shops, order=orders, amount=amounts, token=st.sampled_from(TOKENS),
        manual=st.booleans(), confirm=st.sampled_from((True, True, False)), fate=fates,
    )  # fmt: skip
    def create(
        self, shop: int, order: int, amount: int, token: str,
        manual: bool, confirm: bool, fate: Fate,
    ) -> None:  # fmt: skip
        seller = self.world.shops[shop]

        def command(key: str) -> Answer:
            return seller.create(
                amount,
                token=token,
                manual=manual,
                confirm=confirm,
                order_id=f"{seller.order_id}-{order}",
                caller=seller.caller(key=key, body=key),
            )

        self.world.send(seller, command, fate, "authorize")

    @precondition(lambda self: PaymentIntent.objects.exists())
    @rule(
        verb=st.sampled_from(("confirm", "capture", "refund", "increment", "cancel")),
        which=choices, amount=amounts, token=st.sampled_from(TOKENS),
        final=st.booleans(), fate=fates,
    )  # fmt: skip
    def change(
        self, verb: str, which: int, amount: int, token: str, final: bool, fate: Fate
    ) -> None:
        intent = self._one_of(list(PaymentIntent.objects.order_by("id")), which)
        seller = self._seller_of(intent)

        def command(key: str) -> Answer:
            caller, identifier = seller.caller(key=key, body=key), intent.public_id
            verbs: dict[str, Callable[[], Answer]] = {
                "confirm": lambda: seller.confirm(identifier, token=token, caller=caller),
                "capture": lambda: seller.capture(identifier, amount, final=final, caller=caller),
                "refund": lambda: seller.refund(identifier, amount, caller=caller),
                "increment": lambda: seller.increment(identifier, amount, caller=caller),
                "cancel": lambda: seller.cancel(identifier, caller=caller),
            }
            return verbs[verb]()

        self.world.send(seller, command, fate, KINDS.get(verb, verb))

    @precondition(lambda self: self.world.requests)
    @rule(which=choices)
    def repeat(self, which: int) -> None:
        self.world.repeat(self._one_of(self.world.requests[::-1], which))

    @precondition(lambda self: Operation.objects.exists())
    @rule(which=choices, how=st.sampled_from(("once", "doubled", "forged")))
    def tell(self, which: int, how: str) -> None:
        newest = list(Operation.objects.select_related("psp_account").order_by("-id"))
        self.world.tell(self._one_of(newest, which), how=how)

    @precondition(lambda self: PaymentIntent.objects.exclude(next_action_url="").exists())
    @rule(which=choices, fails=st.booleans())
    def customer_answers(self, which: int, fails: bool) -> None:
        asked = list(PaymentIntent.objects.exclude(next_action_url="").order_by("id"))
        url = self._one_of(asked, which).next_action_url
        self.sandbox.complete_challenge(url, fail=fails)

    @rule(seconds=st.sampled_from(PAUSES))
    def time_passes(self, seconds: int) -> None:
        self.world.time.pass_by(seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    def _one_of(self, all_: list[T], which: int) -> T:
        return all_[which % len(all_)]

    def _seller_of(self, intent: PaymentIntent) -> Shop:
        return next(s for s in self.world.shops if s.merchant.id == intent.merchant_id)


@pytest.fixture
def healthy_circuits() -> Iterator[None]:
    """A circuit stays open for real seconds, but the model's clock is virtual."""
    before = django_settings.PSP_BREAKERS
    django_settings.PSP_BREAKERS = False
    yield
    django_settings.PSP_BREAKERS = before


def test_the_invariants_hold_after_every_step_of_a_random_life(
    database: None,
    sandbox_psp: SandboxProcess,
    healthy_circuits: None,
    request: pytest.FixtureRequest,
) -> None:
    tables = request.getfixturevalue("_tables")

    def empty() -> None:
        tables.restore()
        forget_known_accounts()

    class LifeHere(Life):
        sandbox = sandbox_psp
        empty_the_database = staticmethod(empty)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        LifeHere,
        settings=settings(
            max_examples=EXAMPLES or EXAMPLES_IN_EVERY_TEST_RUN,
            stateful_step_count=STEPS,
            deadline=None,
            # A test run always draws the same lives; a run by hand others, with a printed seed.
            derandomize=not EXAMPLES,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
