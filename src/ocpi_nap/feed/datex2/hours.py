"""OCPI Hours as DATEX II OperatingHours: valid periods are alternatives, exception periods win, times are local."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ocpi_nap.feed.datex2.common import Json, literal, moment
from ocpi_nap.model.objects import ExceptionalPeriod, Hours, RegularHours

ALWAYS = "2020-01-01T00:00:00Z"
"""A fixed start of what has none: the current time would make each edition differ."""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)", re.ASCII)


def clock(value: str | None) -> str | None:
    """``07:00:00`` of ``07:00``; None for what is no time of day."""
    match = _CLOCK.fullmatch(value or "")
    if match is None or (match[1] == "24" and match[2] != "00"):
        return None
    return f"{match[0]}:00"


def time_ranges(begin: str | None, end: str | None) -> list[tuple[int, str, str]]:
    """(days later, from, to) of a period; one that runs past midnight is two. Midnight as an end is the end of the day."""
    first, last = clock(begin), clock(end)
    if first is None or last is None or first == "24:00:00":
        return []
    if last == "00:00:00":
        last = "24:00:00"
    if first < last:
        return [(0, first, last)]
    return [(0, first, "24:00:00"), *([(1, "00:00:00", last)] if last != "00:00:00" else [])]


def periods(given: Iterable[ExceptionalPeriod]) -> list[Json]:
    """Periods by their moments."""
    found = []
    for one in given:
        period: Json = {}
        if one.period_begin is not None:
            period["startOfPeriod"] = moment(one.period_begin)
        if one.period_end is not None:
            period["endOfPeriod"] = moment(one.period_end)
        if period:
            found.append(period)
    return found


def days(numbers: Iterable[int]) -> list[Json]:
    """Weekdays, 0 is Monday."""
    return [{"comDayWeekMonth": {"applicableDay": [literal(_DAYS[number]) for number in sorted(set(numbers))]}}]


def _weekly(given: Iterable[RegularHours]) -> list[Json]:
    by_range: dict[tuple[str, str], list[int]] = {}
    for one in given:
        if one.weekday is None or not 1 <= one.weekday <= 7:
            continue
        for later, begin, end in time_ranges(one.period_begin, one.period_end):
            by_range.setdefault((begin, end), []).append((one.weekday - 1 + later) % 7)
    return [
        {
            "recurringTimePeriodOfDay": [{"startTimeOfPeriod": begin, "endTimeOfPeriod": end}],
            "recurringDayWeekMonthPeriod": days(weekdays),
        }
        for (begin, end), weekdays in by_range.items()
    ]


def operating_hours(hours: Hours | None, identity: str, version: str) -> Json | None:
    """OperatingHours of the AFIR package; None when nothing is known."""
    if hours is None:
        return None
    closings = periods(hours.exceptional_closings)
    valid: list[Json] = []
    if not hours.twentyfourseven:
        valid = _weekly(hours.regular_hours) + periods(hours.exceptional_openings)
        if not valid:
            return None
    elif not closings:
        return {"afacOpenAllHours": {}}
    overall: Json = {"overallStartTime": ALWAYS}
    if valid:
        overall["validPeriod"] = valid
    if closings:
        overall["exceptionPeriod"] = closings
    return {"afacOperatingHoursSpecification": {"idG": f"{identity}*OH", "versionG": version, "overallPeriod": overall}}
