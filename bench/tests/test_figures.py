"""The arithmetic of the bench."""

import pytest

from bench.figures import (
    Window,
    median_window,
    paired_ratio,
    percentile,
    shares,
    window_of,
    without_wait,
)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]


def test_a_percentile_of_few_values_is_the_largest() -> None:
    assert percentile([3.0, 1.0, 2.0], 95) == 3.0


def test_a_percentile_of_no_values_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_the_rate_of_a_window_is_answers_by_time() -> None:
    assert window_of([10.0] * 30, 2.0) == Window(15.0, 10.0, 10.0, 10.0)


def test_medians_are_taken_figure_by_figure() -> None:
    windows = [Window(1, 30, 300, 3), Window(2, 20, 200, 2), Window(9, 10, 100, 1)]
    assert median_window(windows) == Window(2, 20, 200, 2)


def test_windows_are_compared_with_their_neighbors() -> None:
    # The machine was twice as fast in the second round: medians of all would say something else.
    assert paired_ratio([60, 120, 60], [100, 200, 100]) == 0.6


def test_an_unpaired_window_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_shares_sum_to_one() -> None:
    assert shares({"API": 3.0, "PSP": 1.0}) == {"API": 0.75, "PSP": 0.25}


def test_without_any_use_every_share_is_zero() -> None:
    assert shares({"API": 0.0}) == {"API": 0.0}


def test_the_wait_for_the_psp_is_not_overhead() -> None:
    assert without_wait([85.0, 80.0, 79.9], wait_ms=80.0) == [5.0, 0.0, 0.0]
