"""Every seeded bug still changes the product: one that does not could never be found."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import pytest

from bench.chaos.faults.bugs import BUGS, places, planted
from bench.chaos.faults.bugs.places import PLACES, Place
from bench.chaos.verdict.invariants import INVARIANTS
from payments.services.operations import execution
from paymentsite.launcher import state

# In a process of their own, and one fork each: a planted bug stays planted.
_PLANT_ALL = """
import os, sys, traceback
import paymentsite.wsgi
from bench.chaos.faults.bugs import BUGS
from bench.chaos.faults.bugs.planted import plant
for bug in BUGS:
    child = os.fork()
    if not child:
        try:
            plant(bug)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        sys.exit(bug)
print(len(BUGS), "planted")
"""


def test_every_place_of_a_bug_exists_in_the_product() -> None:
    assert len(PLACES) > 15
    assert [str(place) for place in PLACES if not place.exists()] == []


def test_a_bug_is_planted_only_at_a_place_of_the_table() -> None:
    """Then the test above speaks of all of them."""
    code = inspect.getsource(planted)
    assert "setattr" not in code
    used = set(re.findall(r"places\.([A-Z_]+)", code))
    assert used == {name for name, value in vars(places).items() if isinstance(value, Place)}


def test_a_bug_cannot_be_planted_where_the_product_has_nothing() -> None:
    with pytest.raises(AttributeError, match=r"operations.execution.gone is gone: name the place"):
        Place(execution, "gone").plant(None)


def test_a_bug_breaks_invariants_that_exist_and_is_listed_once() -> None:
    listed = [bug.listed for bug in BUGS.values() if bug.listed is not None]
    assert len(listed) == len(set(listed)) == 10
    for bug in BUGS.values():
        assert bug.found_by
        assert bug.found_by <= set(INVARIANTS)


def test_relays_and_publisher_begin_with_a_bug_too(database_urls: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos.faults.bugs.entry", "publish_events", "--help"],
        cwd=state.PROJECT,
        env={**os.environ, "CHAOS_BUG": "no_delivery_order"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "--status" in done.stdout


def test_every_bug_can_be_planted(database_urls: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PLANT_ALL],
        cwd=state.PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{len(BUGS)} planted"
