"""When money that moved at a PSP is in one of its settlement reports at the latest. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import holidays

_CUTOFF: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_END_OF_DAY: Final = "24:00"
_DAYS_MOST: Final = 60
_DAY: Final = timedelta(days=1)
_HINT: Final = (
    'write {"country": "DE", "time_zone": "Europe/Berlin", "cutoff": "17:00", "business_days": 2}, '
    'any part of it, or {"watched": false}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementCalendar:
    """On which days a PSP settles, and how many of them it takes until a report says so."""

    country: str = ""
    """Whose public holidays are no business days: a country (DE), or a financial calendar (XECB).
    Empty: Saturdays and Sundays alone."""
    time_zone: str = "UTC"
    cutoff: str = _END_OF_DAY
    """Local time from which an operation counts for the next business day."""
    business_days: int = 3
    """So many after the one that an operation counts for, until the end of which it is reported."""
    watched: bool = True
    """Whether what is not reported in time is a finding."""

    def reported_by(self, moved_at: datetime) -> datetime:
        """The time until which money that moved then must be in a report."""
        day = _next_business_day(self.country, self._value_day(moved_at), 0)
        return self._end_of(_next_business_day(self.country, day, self.business_days))

    def due(self, now: datetime) -> Due:
        """What must be in a report by now."""
        today = now.astimezone(ZoneInfo(self.time_zone)).date()
        last = _business_day_before(self.country, today)
        counted_for = last
        for _ in range(self.business_days):
            counted_for = _business_day_before(self.country, counted_for)
        return Due(
            moved_before=self._cutoff_of(counted_for), day_began_at=self._end_of(last - _DAY)
        )

    def _value_day(self, moved_at: datetime) -> date:
        local = moved_at.astimezone(ZoneInfo(self.time_zone))
        return local.date() + (_DAY if moved_at >= self._cutoff_of(local.date()) else timedelta())

    def _cutoff_of(self, day: date) -> datetime:
        if self.cutoff == _END_OF_DAY:
            return self._end_of(day)
        local = time.fromisoformat(self.cutoff)
        return datetime.combine(day, local, ZoneInfo(self.time_zone)).astimezone(UTC)

    def _end_of(self, day: date) -> datetime:
        return datetime.combine(day + _DAY, time(), ZoneInfo(self.time_zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """What must be in a report by a certain time."""

    moved_before: datetime
    """Whatever moved before then."""
    day_began_at: datetime
    """When the last day on which the newest of it could be reported began."""


def calendar_with(calendar: SettlementCalendar, given: Any) -> SettlementCalendar:
    """The calendar, with the parts that an operator gives; refuses others with ValueError."""
    if not isinstance(given, Mapping) or not given.keys() <= _FORMS.keys():
        raise ValueError(f"settlement_calendar: {_HINT}")
    for name, value in given.items():
        if not _FORMS[name](value):
            raise ValueError(f"settlement_calendar: {name} cannot be {value}; {_HINT}")
    return replace(calendar, **given)


def _is_country(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value in ("", *holidays.list_supported_countries(), *holidays.list_supported_financial())


def _is_number_of_days(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _DAYS_MOST


_FORMS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "country": _is_country,
    "time_zone": lambda value: isinstance(value, str) and value in available_timezones(),
    "cutoff": lambda value: (
        isinstance(value, str) and (value == _END_OF_DAY or _CUTOFF.fullmatch(value) is not None)
    ),
    "business_days": _is_number_of_days,
    "watched": lambda value: isinstance(value, bool),
}


@cache
def _holidays_of(country: str) -> holidays.HolidayBase:
    if country in holidays.list_supported_financial():
        return holidays.financial_holidays(country)
    return holidays.country_holidays(country)


@cache
def _is_business_day(country: str, day: date) -> bool:
    if not country:
        return day.weekday() < 5
    return bool(_holidays_of(country).is_working_day(day))


def _next_business_day(country: str, day: date, count: int) -> date:
    """The business day so many after `day`; 0: that day itself, or the next one."""
    while not _is_business_day(country, day):
        day += _DAY
    for _ in range(count):
        day += _DAY
        while not _is_business_day(country, day):
            day += _DAY
    return day


def _business_day_before(country: str, day: date) -> date:
    day -= _DAY
    while not _is_business_day(country, day):
        day -= _DAY
    return day
