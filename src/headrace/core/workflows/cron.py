"""Cron expressions: which times they name in a time zone, and which of these were missed. No SQL."""

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from headrace.core.refusals import invalid
from headrace.kit.times import EPOCH, MICROSECOND, MINUTE, SECOND

FIELDS = 5
# Of a schedule that makes up for all, after a long silence.
MISSED_AT_MOST = 100
# A run that is later than this was missed.
LATE_US = MINUTE


def following(cron: str, zone: str, after: int) -> int:
    """Return the first time after `after` (us) that an expression names. Refused: one that cannot be read."""
    return _stepped(cron, zone, after, back=False)


def last(cron: str, zone: str, now: int) -> int:
    """Return the last time up to `now` (us) that an expression names. Refused as above."""
    return _stepped(cron, zone, now + SECOND, back=True)


def _stepped(cron: str, zone: str, start: int, *, back: bool) -> int:
    local = (EPOCH + timedelta(microseconds=start)).astimezone(_zone(zone))
    try:
        if len(cron.split()) != FIELDS:
            raise CronSimError
        found: datetime = next(CronSim(cron, local, reverse=back))
    except (CronSimError, StopIteration) as error:
        rule = "must be a cron expression of five fields that comes true"
        raise invalid("cron", rule) from error
    return (found - EPOCH) // MICROSECOND


@cache
def _known(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)


def _zone(zone: str) -> ZoneInfo:
    try:
        return _known(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("time_zone", "must be the name of a time zone, as in Europe/Berlin") from error


def due(cron: str, zone: str, next_at: int, now: int, missed: str) -> tuple[list[int], int]:
    """Return the runs to be made now, those to make up for first, and the time of the next one."""
    times: list[int] = []
    at = next_at
    while at <= now and len(times) < MISSED_AT_MOST:
        times.append(at)
        at = following(cron, zone, at)
    if at <= now:
        at = following(cron, zone, now)
        if missed != "all":
            times.append(last(cron, zone, now))
    if missed == "once":
        times = times[-1:]
    elif missed == "skip":
        times = [time for time in times if now - time < LATE_US][-1:]
    return times, at
