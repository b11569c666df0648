"""Schedules of workflows: when each runs next, what the last run came to; made, changed, paused, removed."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headrace.core import jobs
from headrace.core.jobs import Standing
from headrace.core.refusals import Refusal, invalid
from headrace.core.workflows import MISSED, OVERLAP, Schedule, schedules
from headrace.web import forms
from headrace.web.jobs import duration
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PATH = "/ui/schedules"
TEXTS = ("workflow", "cron", "time_zone", "missed", "overlap")
# A payload that is longer is not for editing in a table; the API changes it.
LONGEST_PAYLOAD = 2_000
MISSED_WORDS = {"once": "made up for once", "skip": "left out", "all": "all made up for"}
OVERLAP_WORDS = {"skip": "left out", "allow": "begun all the same"}


class Line(msgspec.Struct, frozen=True):
    """A schedule; `left` is how long until its next run; `last` is the job of its last run, if that is still kept."""

    schedule: Schedule
    left: str
    last: Standing | None
    payload: str | None


def list_all(call: Call) -> Answer:
    return _page(call)


def create(call: Call) -> Answer:
    given = forms.fields(call)

    def make() -> Schedule:
        fields = {"workflow": None, "cron": None} | _fields(given)
        return schedules.create(call.house, call.who, name=given.get("name"), **fields)

    return _done(call, make, given)


def change(call: Call) -> Answer:
    given = forms.fields(call)
    return _done(call, lambda: schedules.update(call.house, call.who, name=given.get("name", ""), **_fields(given)))


def pause(call: Call) -> Answer:
    given = forms.fields(call)
    paused = given.get("paused") == "1"
    return _done(call, lambda: schedules.update(call.house, call.who, name=given.get("name", ""), paused=paused))


def remove(call: Call) -> Answer:
    given = forms.fields(call)
    return _done(call, lambda: schedules.remove(call.house, call.who, name=given.get("name", "")))


def _done(call: Call, verb: Callable[[], Schedule], given: Mapping[str, str] | None = None) -> Answer:
    """Go back to the list, or show it with the reason; `given` is what was written into the form of a new one."""
    try:
        verb()
    except Refusal as refusal:
        return _page(call, refused=forms.said(refusal), given=given)
    return moved(PATH)


def _page(call: Call, *, refused: Refusal | None = None, given: Mapping[str, str] | None = None) -> Answer:
    found = schedules.list_all(call.house, call.who)
    ran = [one.last_job_id for one in found if one.last_job_id is not None]
    last = jobs.standings(call.house, call.who, job_ids=ran)
    return page(
        call,
        "schedules.html",
        lines=[_line(call, one, last) for one in found],
        missed=[(word, MISSED_WORDS[word]) for word in MISSED],
        overlap=[(word, OVERLAP_WORDS[word]) for word in OVERLAP],
        refused=refused,
        given=given or {},
    )


def _line(call: Call, one: Schedule, last: Mapping[int, Standing]) -> Line:
    payload = editable(one.payload)
    return Line(
        one,
        duration(one.next_at - call.house.clock()),
        last.get(one.last_job_id or 0),
        payload if len(payload) <= LONGEST_PAYLOAD else None,
    )


def editable(value: Any) -> str:
    """Return a value as JSON that can be read and edited: what cannot be seen is escaped."""
    text = msgspec.json.encode(value).decode()
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def _fields(given: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form gives; what it leaves empty is the usual, or stays."""
    found: dict[str, Any] = {name: given[name].strip() for name in TEXTS if given.get(name, "").strip()}
    payload = given.get("payload", "").strip()
    if payload:
        try:
            found["payload"] = msgspec.json.decode(payload)
        except (msgspec.DecodeError, RecursionError):
            raise invalid("payload", 'must be a JSON object, as {"days": 1}') from None
    return found


ROUTES = (
    route("GET", PATH, list_all),
    route("POST", PATH, create),
    route("POST", f"{PATH}/change", change),
    route("POST", f"{PATH}/pause", pause),
    route("POST", f"{PATH}/remove", remove),
)
