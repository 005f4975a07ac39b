"""A fault in the alert rules or the dashboard is found, and those that ship have none."""

from __future__ import annotations

import json

import pytest

from paymentsite.tidy import observability
from paymentsite.tidy.observability import PAGE, RULES, findings, of_dashboard, of_query, of_rules

DESCRIBED = PAGE.read_text()


def test_what_ships_has_no_fault() -> None:
    assert findings() == []
    assert "payments_oldest_unknown_operation_seconds > 300" in RULES.read_text(), (
        "an unknown outcome alerts after five minutes"
    )


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("up", "no metric is queried"),
        ("payments_gone > 0", "payments_gone is no metric"),
        ("sum(payments_api_requests_total) > 0", "without its range"),
        ("rate(payments_operations_unknown[5m]) > 0", "of a gauge"),
        ("delta(payments_api_requests_total[5m]) > 0", "of a counter"),
        ("rate(payments_sweep_runs[5m]) > 0", "payments_sweep_runs is no metric"),
        ('payments_cases_open{old="1d"} > 0', "payments_cases_open has no label old"),
        ('payments_cases_open{age=~"7d|2w"} > 0', "age is never 2w"),
        ('payments_sweep_age_seconds{sweep=~"heart-.*"} > 0', "sweep is never heart-.*"),
        ("sum by (kind, shop) (payments_cases_open) > 0", "no metric of it has the label shop"),
    ],
)
def test_a_query_of_what_is_not_there_is_a_fault(query: str, fault: str) -> None:
    faults = list(of_query(query, page=DESCRIBED))
    assert [each for each in faults if fault in each], faults


def test_a_metric_that_the_page_does_not_describe_is_a_fault() -> None:
    page = DESCRIBED.replace("`payments_cases_open", "`cases")
    assert list(of_query("payments_cases_open > 0", page=page)) == [
        "operations.md does not describe payments_cases_open"
    ]


def test_an_alert_without_a_row_or_a_row_without_an_alert_is_a_fault() -> None:
    rules = RULES.read_text()
    assert of_rules(rules.replace("alert: CaseWaits", "alert: CaseIsOld"), page=DESCRIBED) == [
        "alert CaseIsOld: operations.md has no row",
        "operations.md explains CaseWaits: no such alert",
    ]
    assert of_rules("groups: [", page=DESCRIBED)[0].startswith("alerts.yml cannot be read")


def test_an_alert_names_its_severity_and_what_is_wrong_with_labels_that_it_has() -> None:
    faults = of_rules(
        RULES.read_text()
        .replace("severity: page", "severity: loud", 1)
        .replace("{{ $labels.kind }} has been open", "{{ $labels.merchant }} has been open"),
        page=DESCRIBED,
    )
    assert faults == [
        "alert CaseWaits: no metric of it has the label merchant",
        "alert PaymentUnknown: labels.severity is one of page, ticket",
    ]


def test_a_panel_with_a_fault_is_named() -> None:
    dashboard = json.loads(observability.DASHBOARD.read_text())
    graph = next(panel for panel in dashboard["panels"] if panel["type"] != "row")
    graph["targets"][0]["expr"] = "payments_gone"
    faults = of_dashboard(json.dumps(dashboard), page=DESCRIBED)
    assert f"panel '{graph['title']}': payments_gone is no metric" in faults
    assert of_dashboard("{}", page=DESCRIBED) == [
        "dashboard.json cannot be read: KeyError('panels')"
    ]
