"""The times of schedules in time zones for a year, by croniter (which knows fields) and zoneinfo (which knows clocks).

Reads cases.json: the schedules, the zones, and the begin and the end of the year in UTC. Writes one file of bits for each
schedule and zone, SCHEDULE-ZONE.bits, by their numbers: bit N is whether the schedule has the N-th minute after the begin.
croniter is asked for times of the wall clock only, every one of the year. What these mean where clocks change is decided here.
Minutes are counted from the first day of Python's calendar, in UTC and on the wall alike.
"""

import json
import multiprocessing
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter

DAY = timedelta(days=1)


def minute(time):
    return (time.toordinal() * 24 + time.hour) * 60 + time.minute


def walls(schedule, begin, end):
    """The times of the wall clock from begin on and before end that the schedule has."""
    found = []
    times = croniter(schedule, begin - timedelta(minutes=1), ret_type=datetime)
    while (time := times.get_next()) < end:
        found.append(minute(time))
    return found


def months(begin, end):
    """The days from before begin to after end in pieces, for several processes."""
    bounds = [begin - DAY]
    while bounds[-1] < end + DAY:
        bounds.append(min(bounds[-1] + 30 * DAY, end + DAY))
    return list(zip(bounds, bounds[1:]))


class Clock:
    """What clocks of a zone show."""

    def __init__(self, name, begin, end):
        zone = ZoneInfo(name)
        utc = begin.replace(tzinfo=timezone.utc) - DAY
        self.first = minute(utc)
        start, count = int(utc.timestamp()), int((end - begin + 2 * DAY).total_seconds()) // 60
        # For each minute, what clocks show then.
        self.shown = [minute(datetime.fromtimestamp(start + 60 * n, zone)) for n in range(count)]
        # For each time that clocks show, or leave out, the minute of that or the first one after it.
        self.firsts, self.after_gaps = {}, {}
        for n, shown in enumerate(self.shown):
            self.firsts.setdefault(shown, self.first + n)
            for left_out in range(self.shown[n - 1] + 1 if n else shown, shown):
                self.after_gaps.setdefault(left_out, self.first + n)

    def times(self, schedule, on_wall):
        """The minutes in UTC at which the schedule with these times of the wall clock is due."""
        fields = schedule.split()
        if fields[0].isdigit() and fields[1].isdigit():
            # One time a day comes once: the first one of two, and right after the gap that it is in.
            due = [self.firsts.get(wall, self.after_gaps.get(wall)) for wall in on_wall]
            return [time for time in due if time is not None]
        on_wall = set(on_wall)
        return [self.first + n for n, shown in enumerate(self.shown) if shown in on_wall]


def write_zone(task):
    number, zone, schedules, on_wall, begin, end = task
    clock = Clock(zone, begin, end)
    first, count = minute(begin), int((end - begin).total_seconds()) // 60
    for index, schedule in enumerate(schedules):
        bits = bytearray(count // 8 + 1)
        for time in clock.times(schedule, on_wall[index]):
            n = time - first
            if 0 < n <= count:
                bits[n // 8] |= 1 << n % 8
        with open(f"{index}-{number}.bits", "wb") as file:
            file.write(bits)


def main():
    with open("cases.json") as file:
        cases = json.load(file)
    schedules = cases["schedules"]
    begin, end = (datetime.fromisoformat(cases[key]) for key in ("begin", "end"))
    with multiprocessing.Pool() as pool:
        pieces = [(schedule, *month) for schedule in schedules for month in months(begin, end)]
        found = pool.starmap(walls, pieces, chunksize=1)
        on_wall = {schedule: [] for schedule in schedules}
        for (schedule, *_), part in zip(pieces, found):
            on_wall[schedule] += part
        on_wall = [on_wall[schedule] for schedule in schedules]
        zones = enumerate(cases["zones"])
        tasks = [(number, zone, schedules, on_wall, begin, end) for number, zone in zones]
        pool.map(write_zone, tasks, chunksize=1)


if __name__ == "__main__":
    main()
