"""The same seed draws the same plan."""

from collections import Counter

from bench.chaos.load.plan import (
    DASHBOARD_ACTS,
    LEASE_SECONDS,
    SETTLEMENT_ACTS,
    plan_of,
    with_psp_behavior,
)
from payments.services.idempotency import keys


def test_the_same_seed_draws_the_same_schedule() -> None:
    one = plan_of(seed=7, payments=200, kills=20)
    same = plan_of(seed=7, payments=200, kills=20)
    assert one == same
    assert one.fingerprint() == same.fingerprint()


def test_another_seed_draws_another_schedule() -> None:
    one = plan_of(seed=7, payments=200, kills=20)
    other = plan_of(seed=8, payments=200, kills=20)
    assert one.fingerprint() != other.fingerprint()
    assert one.acts != other.acts


def test_every_kind_of_fault_and_habit_is_in_a_plan() -> None:
    plan = plan_of(seed=1, payments=500, kills=40)
    acts = Counter((act.kind, act.target) for act in plan.acts)
    assert sum(count for (kind, _), count in acts.items() if kind == "kill") == 40
    assert acts["postgres", "fast"] >= 1
    assert acts["postgres", "immediate"] >= 1
    assert acts["redis", "flush"] >= 1
    assert acts["redis", "kill"] >= 1
    assert {kind for kind, _ in acts} == {
        *("kill", "stop", "postgres", "redis", "psp", "bank", "dashboard", "settlement"),
    }
    assert {target for kind, target in acts if kind == "dashboard"} == set(DASHBOARD_ACTS)
    settled = {target for kind, target in acts if kind == "settlement"}
    assert settled == set(SETTLEMENT_ACTS)
    assert [act.at_seconds for act in plan.acts] == sorted(act.at_seconds for act in plan.acts)
    habits = Counter(payment.habit for payment in plan.payments)
    assert set(habits) == {
        *("plain", "returns", "sends twice", "gives up", "other key", "concurrent"),
        *("changed body", "late repeat"),
    }
    verbs = {step.verb for payment in plan.payments for step in payment.steps}
    assert verbs == {"capture", "cancel", "refund", "get", "list", "another payment"}
    assert any(not step.final for payment in plan.payments for step in payment.steps)


def test_some_orders_are_met_by_several_payments_but_most_by_one() -> None:
    plan = plan_of(seed=1, payments=1000, kills=10)
    orders = Counter(payment.order for payment in plan.payments)
    assert max(orders.values()) > 2
    assert sum(count == 1 for count in orders.values()) > 500


def test_added_behavior_changes_the_psp_and_nothing_else() -> None:
    plan = plan_of(seed=1, payments=200, kills=20)
    rainy = with_psp_behavior(plan, {"late": 0.5})
    assert rainy.payments == plan.payments
    for before, after in zip(plan.acts, rainy.acts, strict=True):
        if before.target == "usual":
            assert after.behavior == before.behavior | {"late": 0.5}
        else:
            assert after == before
    assert with_psp_behavior(plan, {}) == plan


def test_a_large_run_has_stops_longer_than_a_lease_that_end_in_time() -> None:
    assert LEASE_SECONDS == keys.LEASE_SECONDS
    plan = plan_of(seed=1, payments=1500, kills=500)
    suspensions = [act for act in plan.acts if act.kind == "long stop"]
    stops = [act for act in plan.acts if act.kind == "stop"]
    assert len(suspensions) == 20
    assert len(stops) == 30
    assert {act.target for act in suspensions} == {"api worker", "worker child"}
    assert all(LEASE_SECONDS < act.seconds < 60 for act in suspensions)
    assert all(act.at_seconds + act.seconds <= plan.main_seconds for act in suspensions)
    assert all(act.seconds < LEASE_SECONDS for act in stops)


def test_outages_are_longer_in_a_large_run_and_no_mood_ends_them() -> None:
    longest = {}
    for kills in (40, 500):
        plan = plan_of(seed=1, payments=500, kills=kills)
        psp = [act for act in plan.acts if act.kind == "psp"]
        outages = [act for act in psp if act.target != "usual"]
        ends = [(act.at_seconds, act.at_seconds + act.seconds) for act in outages]
        behaviors = [act.at_seconds for act in psp if act.target == "usual"]
        assert not any(begin <= at < end for at in behaviors for begin, end in ends)
        assert max(end for _, end in ends) in behaviors
        longest[kills] = max(act.seconds for act in outages)
    assert longest[40] <= 15
    assert 30 < longest[500] <= 40


def test_every_process_but_the_psp_is_killed_and_stopped() -> None:
    plan = plan_of(seed=1, payments=500, kills=2000)
    targets = {
        kind: {act.target for act in plan.acts if act.kind == kind} for kind in ("kill", "stop")
    }
    processes = {
        *("api worker", "api server", "worker", "worker child", "worker-routine"),
        *("beat", "relay-1", "relay-2", "publisher"),
    }
    assert targets == {"kill": processes, "stop": processes}
