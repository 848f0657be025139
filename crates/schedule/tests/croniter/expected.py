"""The times of schedules in time zones, by croniter (which knows fields) and zoneinfo (which knows clocks).

Reads the cases from the file cases.json, writes the times of each, in seconds since 1970, to the file expected.json.
croniter is asked for times of the wall clock only. What these mean where clocks change is decided here.
"""

import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter


def first_instant_after_gap(before, after):
    """The change of the clock between these two instants, to the minute."""
    zone, minute = before.tzinfo, timedelta(minutes=1)
    time = after.astimezone(timezone.utc)
    offset = time.astimezone(zone).utcoffset()
    while time.astimezone(zone).utcoffset() == offset:
        time += minute
    return time


def instants(wall, zone, goes_by_elapsed_time):
    """The instants at which clocks show this time, or what the schedule does instead."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    utc = [time.astimezone(timezone.utc) for time in (first, second)]
    if utc[0].astimezone(zone).replace(tzinfo=None) != wall:
        return [] if goes_by_elapsed_time else [first_instant_after_gap(first, second)]
    return sorted(set(utc)) if goes_by_elapsed_time else utc[:1]


def times(schedule, zone, begin, end):
    minute, hour, *_ = schedule.split()
    goes_by_elapsed_time = not (minute.isdigit() and hour.isdigit())
    walls = croniter(schedule, begin - timedelta(days=1), ret_type=datetime)
    found = set()
    while (wall := walls.get_next()) < end + timedelta(days=1):
        found.update(int(time.timestamp()) for time in instants(wall, zone, goes_by_elapsed_time))
    begin, end = (int(time.replace(tzinfo=timezone.utc).timestamp()) for time in (begin, end))
    return sorted(time for time in found if begin < time <= end)


with open("cases.json") as file:
    cases = json.load(file)
expected = [
    times(case["schedule"], ZoneInfo(case["zone"]), *(datetime.fromisoformat(case[key]) for key in ("begin", "end")))
    for case in cases
]
with open("expected.json", "w") as file:
    json.dump(expected, file)
