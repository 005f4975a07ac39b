"""The bench's verdict on its figures."""

from typing import Any

from bench.report import lines_of, verdict_lines, verdicts_of, void_because


def _figures(**database: Any) -> dict[str, Any]:
    window = {"per_second": 100.0, "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0}
    side = {
        "window": window,
        "processor_shares": {"API": 0.9, "sandbox PSP": 0.1},
        "microseconds_per_payment": {"API": 900.0, "sandbox PSP": 100.0},
    }
    both = {"overhead": window, "total": window}
    return {
        "machine": {
            "cores": 2,
            "postgresql": {"server_version": "18", "fsync": "on", "synchronous_commit": "on"},
        },
        "clients": 16,
        "rounds": 5,
        "seconds": 6.0,
        "rate": {"platform": side, "reference": side, "ratio": 0.7, "processor_ratio": 0.7},
        "overhead": {
            "psp_ms": 80.0,
            "rate": 50.0,
            "platform": both,
            "reference": both,
            "p95_ratio": 1.2,
            "total_p95_ms": 200.0,
        },
        "database": {
            "statements": 5,
            "statements_before": 5,
            "writing_commits": 2.01,
            "reads": {"a page of payments": [1, 1]},
            "payments_between": 120,
            **database,
        },
        "hanging": {
            "checkouts": 200,
            "window": window,
            "failed": 0,
            "lost": 0,
            "settled_seconds": 9.0,
        },
        "open_breaker": {"statuses": {"503": 200}, "window": window},
        "ledger": {"hot_ratio": 0.95, "post_ratio": 0.7},
    }


def _missed(figures: dict[str, Any]) -> list[str]:
    return [verdict.what for verdict in verdicts_of(figures) if not verdict.reached]


def test_figures_that_reach_every_target_miss_none() -> None:
    assert _missed(_figures()) == []
    assert void_because(_figures()) == []


def test_a_read_whose_statements_grow_with_data_is_named() -> None:
    figures = _figures(reads={"a page of payments": [1, 101]})
    assert _missed(figures) == ["query counts that grow with data"]


def test_a_checkout_that_was_lost_while_the_psp_hung_is_missed() -> None:
    figures = _figures()
    figures["hanging"]["lost"] = 1
    assert _missed(figures) == ["of these checkouts failed, lost"]


def test_an_open_circuit_that_answers_anything_but_503_is_missed() -> None:
    figures = _figures()
    figures["open_breaker"]["statuses"]["200"] = 4
    assert _missed(figures) == [], "probes of half-open circuits"
    figures["open_breaker"]["statuses"]["500"] = 1
    assert _missed(figures) == ["circuit open: p95 of the answer that nothing was sent"]


def test_a_third_writing_commit_is_missed() -> None:
    assert _missed(_figures(writing_commits=3.0)) == ["writing commits of a payment"]


def test_a_run_whose_psp_took_too_much_is_void() -> None:
    figures = _figures()
    figures["rate"]["platform"]["processor_shares"]["sandbox PSP"] = 0.16
    assert void_because(figures) == ["the sandbox PSP took 16% of the processor time (15% at most)"]


def test_a_run_that_did_not_wait_for_the_disk_is_void() -> None:
    figures = _figures()
    figures["machine"]["postgresql"]["fsync"] = "off"
    assert void_because(figures) == ["PostgreSQL runs with fsync=off"]
    assert list(lines_of(figures))
    shown = verdict_lines(verdicts_of(figures), void_because(figures))
    assert any("VOID" in line for line in shown)
