"""The tests that `make quick` chooses, on a made-up project."""

from __future__ import annotations

from paymentsite.tidy.selection import choose, modules_of

# Above imports below: views → commands → outcomes (a package that exports recording) → clock.
_IMPORTS = {
    module: frozenset(imported.split())
    for module, imported in {
        "shop.clock": "",
        "shop.outcomes": "shop.outcomes.recording",
        "shop.outcomes.recording": "shop.clock",
        "shop.commands": "shop.outcomes",
        "shop.views": "shop.commands",
        "shop.http": "",
        "bank.recording": "",
        "shop.tests.orders": "shop.outcomes",
        "shop.tests.http.conftest": "",
        "shop.tests.test_clock": "",
        "shop.tests.test_commands": "shop.commands",
        "shop.tests.test_exported": "shop.outcomes shop.clock",
        "shop.tests.test_only_outcomes": "shop.outcomes",
        "shop.tests.test_orders": "shop.tests.orders",
        "shop.tests.test_recording": "shop.clock shop.views shop.commands",
        "shop.tests.test_recording_again": "shop.clock shop.views shop.commands",
        "shop.tests.test_views": "shop.views",
        "shop.tests.http.test_pages": "",
        "bank.tests.test_recording": "bank.recording",
    }.items()
}
_T = "shop.tests.test_"


def test_a_changed_test_is_run_alone() -> None:
    chosen = choose({f"{_T}views"}, _IMPORTS)
    assert (chosen.run, chosen.left) == ((f"{_T}views",), ())


def test_tests_are_run_nearest_first() -> None:
    chosen = choose({"shop.outcomes.recording", f"{_T}views"}, _IMPORTS)
    assert chosen.run == (
        f"{_T}views",  # changed
        f"{_T}recording",  # named after the changed module, in its app
        f"{_T}recording_again",
        f"{_T}only_outcomes",  # imports the package that exports it
        f"{_T}exported",  # and imports something else too
        f"{_T}commands",  # of a module that imports it
        f"{_T}orders",  # through a support module
    )


def test_tests_further_away_are_left_and_named() -> None:
    chosen = choose({"shop.clock"}, _IMPORTS)
    assert chosen.run[0] == f"{_T}clock", "it is named so, though it imports nothing"
    assert chosen.left == (f"{_T}commands", f"{_T}orders", f"{_T}views")


def test_no_more_files_are_chosen_than_fit() -> None:
    chosen = choose({"shop.outcomes.recording"}, _IMPORTS, most=1)
    assert chosen.run == (f"{_T}recording",)
    assert f"{_T}only_outcomes" in chosen.left


def test_every_changed_test_is_chosen() -> None:
    changed = {f"{_T}views", f"{_T}commands"}
    assert set(choose(changed, _IMPORTS, most=1).run) == changed


def test_a_folder_of_tests_belongs_to_the_package_of_its_name() -> None:
    assert choose({"shop.http"}, _IMPORTS).run == ("shop.tests.http.test_pages",)


def test_a_changed_support_module_runs_the_tests_that_use_it() -> None:
    assert choose({"shop.tests.orders"}, _IMPORTS).run == (f"{_T}orders",)


def test_a_deleted_module_chooses_no_tests() -> None:
    assert choose({"shop.gone"}, _IMPORTS).run == ()


def test_files_are_known_by_their_module() -> None:
    files = {"shop/outcomes/__init__.py", "shop/views.py", "docs/views.md", "shop/gone.py"}
    assert modules_of(files, _IMPORTS) == {"shop.outcomes", "shop.views"}


def test_changed_fixtures_change_the_tests_in_their_folder() -> None:
    assert modules_of({"shop/tests/http/conftest.py"}, _IMPORTS) == {
        "shop.tests.http.conftest",
        "shop.tests.http.test_pages",
    }
