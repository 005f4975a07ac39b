"""The settlement calendar: what is in a report when, by business days, cut-off and holidays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psp_adapters.contract.settlement_calendar import SettlementCalendar, calendar_with

GERMAN = SettlementCalendar(
    country="DE", time_zone="Europe/Berlin", cutoff="17:00", business_days=2
)
CALENDARS = (
    GERMAN,
    SettlementCalendar(),
    SettlementCalendar(country="XECB", time_zone="Europe/Amsterdam", business_days=0),
    SettlementCalendar(country="AE", time_zone="Asia/Dubai", business_days=1),
    SettlementCalendar(country="US", time_zone="America/New_York", cutoff="20:00"),
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 3, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("moved_at", "reported_by"),
    [
        ("2026-03-02T15:59:59", "2026-03-04T23:00:00"),  # Monday before 17:00: end of Wednesday
        ("2026-03-02T16:00:00", "2026-03-05T23:00:00"),  # at the cut-off: as on Tuesday
        ("2026-03-07T09:00:00", "2026-03-11T23:00:00"),  # Saturday: as on Monday
        ("2026-04-02T14:00:00", "2026-04-08T22:00:00"),  # before Good Friday, with Easter Monday
        ("2026-12-24T10:00:00", "2026-12-29T23:00:00"),
    ],
)
def test_weekends_holidays_and_the_cutoff_move_the_day(moved_at: str, reported_by: str) -> None:
    moment = datetime.fromisoformat(moved_at).replace(tzinfo=UTC)
    assert GERMAN.reported_by(moment) == datetime.fromisoformat(reported_by).replace(tzinfo=UTC)


@given(now=MOMENTS, days=st.floats(-9, 9), calendar=st.sampled_from(CALENDARS))
def test_what_is_due_is_just_what_should_be_reported(
    now: datetime, days: float, calendar: SettlementCalendar
) -> None:
    due = calendar.due(now)
    for moved_at in (due.moved_before, due.moved_before - timedelta(seconds=1)):
        assert (calendar.reported_by(moved_at) <= now) == (moved_at < due.moved_before)
    near = due.moved_before + timedelta(days=days)
    assert (calendar.reported_by(near) <= now) == (near < due.moved_before)
    assert due.moved_before <= now


def test_a_part_of_a_calendar_is_changed_and_what_is_none_is_refused() -> None:
    changed = calendar_with(GERMAN, {"business_days": 5})
    assert (changed.country, changed.business_days) == ("DE", 5)
    for wrong in ({"country": "XX"}, {"time_zone": "Berlin"}, {"cutoff": "25:00"}, {"days": 1}):
        with pytest.raises(ValueError, match="settlement_calendar"):
            calendar_with(GERMAN, wrong)
