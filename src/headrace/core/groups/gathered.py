"""What one fingerprint received in a segment: the engine's counts of its hours, releases and environments together."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TypeVar

import msgspec

from headrace.eventstore.drain import ErrorSummary
from headrace.eventstore.ids import public_id
from headrace.kit import times

LONGEST = 255
K = TypeVar("K")


class Span(msgspec.Struct):
    """Events between two times, in microseconds, both included."""

    rows: int
    first: int
    last: int

    def add(self, rows: int, first: int, last: int) -> None:
        self.rows += rows
        self.first, self.last = min(self.first, first), max(self.last, last)


class Part(msgspec.Struct, kw_only=True):
    """One fingerprint. `places` are (release, environment), `minutes` counted from 1970; `users` are registers."""

    organization: int
    project: int
    fingerprint: str
    all: Span
    latest: ErrorSummary
    hours: dict[int, int]
    minutes: dict[int, int]
    places: dict[tuple[str, str], Span]
    users: dict[int, int]

    @property
    def sample(self) -> str:
        return public_id(self.latest.sample_ts, self.latest.sample_id)

    @property
    def releases(self) -> dict[str, Span]:
        found: dict[str, Span] = {}
        for (release, _), span in self.places.items():
            widen(found, release, span)
        return found


def gather(errors: Iterable[ErrorSummary], organizations: Mapping[int, int]) -> list[Part]:
    """Add up by fingerprint; `organizations` is by project, those that are not gone."""
    ordered = sorted(errors, key=lambda error: (error.project, error.fingerprint))
    grouped = groupby(ordered, key=lambda error: (error.project, error.fingerprint))
    return [part(list(rows), organizations[project]) for (project, _), rows in grouped if project in organizations]


def part(errors: list[ErrorSummary], organization: int) -> Part:
    found = Part(
        organization=organization,
        project=errors[0].project,
        fingerprint=errors[0].fingerprint,
        all=Span(0, errors[0].first_ts, errors[0].last_ts),
        latest=max(errors, key=lambda error: (error.sample_ts, error.sample_id)),
        hours={},
        minutes={},
        places={},
        users={},
    )
    for error in errors:
        span = Span(error.rows, error.first_ts, error.last_ts)
        found.all.add(span.rows, span.first, span.last)
        add(found.hours, error.hour, error.rows)
        widen(found.places, ((error.release or "")[:LONGEST], (error.environment or "")[:LONGEST]), span)
        for minute, rows in zip(*error.minutes, strict=True):
            add(found.minutes, minute, rows)
        for place, rank in zip(*error.users, strict=True):
            found.users[place] = max(rank, found.users.get(place, 0))
    if not found.minutes:
        found.minutes = {found.all.last // times.MINUTE: found.all.rows}
    return found


def add(counts: dict[int, int], key: int, rows: int) -> None:
    counts[key] = counts.get(key, 0) + rows


def widen(spans: dict[K, Span], key: K, span: Span) -> None:
    if key in spans:
        spans[key].add(span.rows, span.first, span.last)
    else:
        spans[key] = Span(span.rows, span.first, span.last)
