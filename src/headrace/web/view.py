"""What the log explorer shows, as its address says it: search, period, open event. There is no other state."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from headrace.core import projects
from headrace.core.events import Filters
from headrace.core.projects import Project
from headrace.core.refusals import Refusal, not_found
from headrace.core.searches import MOST_COLUMNS, column_names
from headrace.eventstore.queries import TimeColumn
from headrace.eventstore.search import Node, SearchError, parse
from headrace.kit import times
from headrace.web import clocks, forms, hostile, period, query
from headrace.web.period import PRESETS, Period
from headrace.web.rendering import STAYS, fragment, page, partial_wanted
from headrace.web.zones import GREENWICH, Zone
from headrace.wire.call import Answer, Call

AROUND = 15 * times.MINUTE


class Complaint(NamedTuple):
    """Why a search cannot be understood: the position counts from 1; what stands before, at and after it."""

    sentence: str
    position: int
    before: str
    at: str
    after: str


class Pill(NamedTuple):
    """A condition of the search, with the addresses without it and with its opposite."""

    text: str
    excludes: bool
    flipped: str
    dropped: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """`node` is the search understood; None when it cannot be, and then `problem` says where and why.

    `arrival`: the period is of when events arrived, and so is their order. The browser may prefer that where an
    address does not say. `zone` is what times are shown in. Without a `project` it is of all `projects`, by id.
    """

    project: Project | None
    search: str
    period: Period
    node: Node | None
    problem: SearchError | None
    event: str = ""
    plain: bool = False
    live: bool = False
    columns: tuple[str, ...] = ()
    page: str = "logs"
    zone: Zone = GREENWICH
    arrival: bool = False
    prefers_arrival: bool = False
    projects: Mapping[int, Project] = {}

    @property
    def path(self) -> str:
        return f"/ui/{self.page}" if self.project is None else f"/ui/projects/{self.project.slug}/{self.page}"

    @property
    def order(self) -> TimeColumn:
        """The time that events are shown and counted by."""
        return "received_at" if self.arrival else "ts"

    @property
    def own(self) -> Project:
        """The project of a view that is of one."""
        if self.project is None:
            raise not_found("This is of one project")
        return self.project

    @property
    def project_id(self) -> int | None:
        return None if self.project is None else self.project.project_id

    def on(self, page: str) -> "View":
        """Return this view on another page of the project: logs, patterns, differences."""
        return msgspec.structs.replace(self, page=page, event="", live=False, plain=False, arrival=False)

    @property
    def filters(self) -> Filters:
        start, end, search = self.period.start, self.period.until, self.search or None
        if self.arrival:
            return Filters(received_from=start, received_to=end, query=search)
        return Filters(ts_from=start, ts_to=end, query=search)

    @property
    def label(self) -> str:
        """The period in words."""
        if self.period.name:
            return f"Last {PRESETS[self.period.name][0]}"
        first, last = self.zone.shown(self.period.start), self.zone.shown(self.period.end)
        return f"{first} to {last[11:] if last[:10] == first[:10] else last}"

    @property
    def clock(self) -> str | None:
        """What an address has to say of the clock; event time goes without saying."""
        if self.arrival:
            return "received"
        return "event" if self.prefers_arrival and self.page == "logs" and self.period.name else None

    @property
    def complaint(self) -> Complaint | None:
        problem, text = self.problem, self.search
        if problem is None:
            return None
        at = problem.position - 1
        return Complaint(problem.sentence, problem.position, text[:at], text[at : at + 1], text[at + 1 :])

    @property
    def words(self) -> re.Pattern[str] | None:
        return None if self.node is None else hostile.words(self.node)

    @property
    def pills(self) -> list[Pill]:
        """The conditions of the search; free text stays in the box alone."""
        return [] if self.node is None else [self._pill(at, term) for at, term in query.conditions(self.search)]

    def _pill(self, at: int, term: str) -> Pill:
        turned = query.replaced(self.search, at, query.flipped(term))
        return Pill(
            hostile.line(term),
            query.excludes(term),
            self.url(search=turned),
            self.url(search=query.replaced(self.search, at)),
        )

    @property
    def fixed(self) -> str:
        """Return the address of this view as it is now: with the ends of its period."""
        ended = msgspec.structs.replace(self, period=self.period._replace(name=""), live=False)
        return ended.url(event=self.event)

    def url(self, part: str = "", *, search: str | None = None, **more: str | None) -> str:
        """Return the address of this view, or of a part of it, with another search or other parameters."""
        wanted = self.search if search is None else search
        modes = {"plain": self.plain, "live": self.live and self.period.name}
        kept = {name: "1" if on and not part else None for name, on in modes.items()}
        listed = ",".join(self.columns) or None
        parameters: dict[str, str | None] = {"q": wanted, **self.period.parameters, "columns": listed, **kept}
        parameters |= {"clock": self.clock, **more}
        return forms.address(self.path + part, **parameters)

    def toggle(self, field: str, value: str, *, exclude: bool = False) -> str:
        """Return the address with a value of a field included or excluded; empty when no search can say so."""
        if not field:
            return ""
        changed = query.toggled(self.search, field, value, exclude=exclude)
        return self.url(search=changed) if query.readable(changed) else ""

    def column(self, name: str) -> str:
        """Return the address with a column more, or without one that is there; empty when there is no room."""
        kept = tuple(one for one in self.columns if one != name)
        changed = (*self.columns, name) if kept == self.columns else kept
        return "" if len(changed) > MOST_COLUMNS else msgspec.structs.replace(self, columns=changed).url()

    @property
    def turned(self) -> str:
        """Return the address of this view with its live mode turned on or off; a period that is over has none."""
        if self.live and self.period.name:
            return self.url(live=None)
        return self.url(live="1") if self.period.name else forms.address(self.path, q=self.search, live="1")

    def around(self, moment: int, *, search: str = "", **more: str | None) -> str:
        """Return the address of the time around a moment."""
        ends = {"from": times.show(moment - AROUND), "to": times.show(moment + AROUND)}
        return forms.address(self.path, q=search, **ends, **more)


def misunderstood(call: Call, view: View) -> Answer:
    """Say where the search cannot be understood; in an open page everything else stays as it is."""
    if partial_wanted(call):
        return fragment("complaint.html", *STAYS, view=view)
    return page(call, f"{view.page}.html", status=400, project=view.project, view=view)


def everywhere(call: Call) -> View:
    """Read the view of all projects of the organization."""
    known = {one.project_id: one for one in projects.list_all(call.house, call.who)}
    return msgspec.structs.replace(read(call, None), projects=known, event="", live=False)


def read(call: Call, project: Project | None, name: str = "logs") -> View:
    """Read the view from the address of a page: logs, patterns or differences. Columns that cannot be are left out."""
    given = forms.query(call)
    text = given.get("q", "").strip()
    node, problem = None, None
    try:
        node = parse(text)
    except SearchError as error:
        problem = error
    arrival = given.get("clock") or ("received" if wants_arrival(call, given) else "")
    return View(
        project=project,
        search=text,
        period=period.read(given, call.house.clock()),
        node=node,
        problem=problem,
        event=given.get("event", ""),
        plain=given.get("plain") == "1",
        live=given.get("live") == "1",
        columns=columns(given.get("columns", "")),
        page=name,
        zone=clocks.of(call),
        arrival=name == "logs" and arrival == "received",
        prefers_arrival=clocks.prefers_arrival(call),
    )


def wants_arrival(call: Call, given: Mapping[str, str]) -> bool:
    """Tell whether the browser's choice holds: not for ends that some link names, which are of event time."""
    return clocks.prefers_arrival(call) and not given.get("from") and not given.get("to")


def columns(text: str) -> tuple[str, ...]:
    """Read the names of columns, with commas between; what is no column is left out."""
    found: list[str] = []
    for name in text.split(","):
        try:
            found = column_names([*found, name])
        except Refusal:
            continue
    return tuple(found)
