"""Every crash point of the fault catalogue has a test that really stops something there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from payments.models import Event, PspNotification
from payments.services.jobs import wakeups
from payments.services.psp_notifications import processing
from payments.services.verification.rebuild import differences
from payments.tests.support.crash_points import (
    CRASH_POINTS,
    DEPENDENCY_FAULTS,
    MESSAGE_FAULTS,
    Point,
)
from payments.tests.support.crashes import crash_at
from payments.tests.support.notices import Hooks, lose_the_answer
from payments.tests.support.shop import Shop, body_of
from paymentsite.launcher.state import PROJECT

TESTS = Path(__file__).parents[1]
POINTS = CRASH_POINTS | MESSAGE_FAULTS | DEPENDENCY_FAULTS


def test_the_table_names_every_point_of_the_catalogue() -> None:
    assert {name.partition(" ")[0] for name in CRASH_POINTS} == {f"C{n}" for n in range(23)}
    assert set(MESSAGE_FAULTS) == {f"M{n}" for n in range(1, 21)}


def test_the_page_names_the_files_of_every_point_and_no_others() -> None:
    """Each row of its table: files, the points that they show, how."""
    page = (PROJECT / "docs" / "testing.md").read_text()
    section = page.split("\n## Crash points\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \| ([CD0-9, ]+) \|", section, flags=re.MULTILINE)
    told = {
        tuple(re.findall(r"`([^`]*)`", files)): set(points.split(", ")) for files, points in rows
    }
    points_of: dict[str, set[str]] = defaultdict(set)
    for name, point in (CRASH_POINTS | DEPENDENCY_FAULTS).items():
        for test in point.tests:
            points_of[test.partition("::")[0]].add(name.partition(" ")[0])
    assert sorted(file for files in told for file in files) == sorted(points_of)
    for files, points in told.items():
        assert points == set().union(*(points_of[file] for file in files)), files


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_point_is_shown_by_tests_that_exist(point: Point) -> None:
    assert point.tests
    for name in point.tests:
        file, _, function = name.partition("::")
        assert function in functions_of(file), f"{name} does not exist"


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_a_notification_whose_2xx_was_lost_is_recognized_when_it_is_sent_again(
    shop: Shop, hooks: Hooks
) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [notice] = hooks.caught("payment.authorized")
    # A worker is woken at once; the process that must answer dies while it wakes it.
    crash_at((wakeups.process_wakeups, "send", "before"), lambda: hooks.deliver(notice))
    assert processing.process_due_notifications() == 1

    assert hooks.deliver(notice).status_code == 200
    assert processing.process_due_notifications() == 0
    assert PspNotification.objects.get().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"
    assert Event.objects.filter(type="charge.succeeded").count() == 1
    assert len(shop.effects("capture")) == 1
    assert list(differences()) == []
