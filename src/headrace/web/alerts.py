"""Alerts: the list with their states, one with its history, the form with a preview. What may be, core says."""

import re
from typing import Any

import msgspec

from headrace.core import alerts, rules
from headrace.core.alerts import Rule
from headrace.core.alerts.definition import TAKES, length
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.eventstore.ids import read_public_id
from headrace.kit import times
from headrace.web import forms
from headrace.web.rendering import fragment, moved, page
from headrace.web.routing import project_of, route
from headrace.web.view import AROUND
from headrace.wire.call import Answer, Call

PAGE = 50
LINES = 100
MUTES = {"1h": "an hour", "8h": "8 hours", "1d": "a day", "7d": "a week"}
LENGTH = re.compile(r"([0-9]{1,7})\s*(s|m|min|h|d|)")
UNITS = {"s": 1, "": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
LENGTHS = ("window_seconds", "look_back_seconds", "every_seconds", "for_seconds", "cool_down_seconds")
WORDS = {
    "threshold": "a number of events",
    "rate": "a rate",
    "absence": "no events",
    "new_pattern": "a new pattern of messages",
    "new_error": "a new error",
}
# What the form of a new alert begins with.
FRESH = {
    "kind": "threshold",
    "window_seconds": "5m",
    "comparison": ">",
    "threshold": "10",
    "measure": "per_minute",
    "look_back_seconds": "7d",
    "news": "any",
    "every_seconds": "1m",
    "for_seconds": "0s",
    "cool_down_seconds": "10m",
}


def list_all(call: Call, slug: str) -> Answer:
    project = project_of(call, slug)
    offset = forms.number(forms.query(call).get("offset", ""))
    found = alerts.list_all(call.house, call.who, project_id=project.project_id, limit=PAGE, offset=offset)
    later, earlier = forms.steps(_path(project), offset, PAGE, more=found.has_more)
    return page(
        call,
        "alerts.html",
        project=project,
        listed=found.rules,
        sentence=alerts.sentence,
        words=WORDS,
        now=call.house.clock(),
        later=later,
        earlier=earlier,
    )


def show(call: Call, slug: str, alert_id: str) -> Answer:
    project = project_of(call, slug)
    return _shown(call, project, alert_id)


def write(call: Call, slug: str) -> Answer:
    """Show the form of a new alert, begun with what the address says."""
    given = FRESH | {name: value for name, value in forms.query(call).items() if name in {*FRESH, "name", "query"}}
    return _form(call, project_of(call, slug), given)


def rewrite(call: Call, slug: str, alert_id: str) -> Answer:
    project = project_of(call, slug)
    rule = _rule(call, project, alert_id)
    return _form(call, project, _written(rule), rule=rule)


def create(call: Call, slug: str) -> Answer:
    project = project_of(call, slug)
    given = forms.fields(call)
    try:
        made = alerts.create(call.house, call.who, project_id=project.project_id, **_read(given))
    except Refusal as refusal:
        return _form(call, project, given, refused=forms.said(refusal))
    return moved(f"{_path(project)}/{made.id}")


def update(call: Call, slug: str, alert_id: str) -> Answer:
    project = project_of(call, slug)
    rule = _rule(call, project, alert_id)
    given = forms.fields(call)
    try:
        alerts.update(call.house, call.who, alert_id=rule.id, **_read(given))
    except Refusal as refusal:
        return _form(call, project, given, rule=rule, refused=forms.said(refusal))
    return moved(f"{_path(project)}/{rule.id}")


def delete(call: Call, slug: str, alert_id: str) -> Answer:
    project = project_of(call, slug)
    alerts.delete(call.house, call.who, alert_id=_rule(call, project, alert_id).id)
    return moved(_path(project))


def mute(call: Call, slug: str, alert_id: str) -> Answer:
    """Mute for a while; without one the mute ends."""
    project = project_of(call, slug)
    rule = _rule(call, project, alert_id)
    chosen = forms.fields(call).get("mute", "")
    if chosen:
        until = call.house.clock() + seconds(chosen, "mute") * times.SECOND
        alerts.mute(call.house, call.who, alert_id=rule.id, until=times.show(until))
    else:
        alerts.unmute(call.house, call.who, alert_id=rule.id)
    return moved(f"{_path(project)}/{rule.id}")


def test(call: Call, slug: str, alert_id: str) -> Answer:
    """Show what an evaluation would find now."""
    project = project_of(call, slug)
    try:
        trial = alerts.test(call.house, call.who, alert_id=_rule(call, project, alert_id).id)
    except Refusal as refusal:
        return _shown(call, project, alert_id, refused=forms.said(refusal, Kind.UNAVAILABLE))
    return _shown(call, project, alert_id, trial=trial)


def preview(call: Call, slug: str) -> Answer:
    """Return the last day's values of what the form says, or what it still lacks: it is asked while one writes."""
    project = project_of(call, slug)
    try:
        read = _read(forms.fields(call))
        given = {name: value for name, value in read.items() if name not in {"name", "every_seconds", "is_enabled"}}
        found = alerts.preview(call.house, call.who, project_id=project.project_id, **given)
    except Refusal as refusal:
        return fragment("alert_preview.html", complaint=forms.said(refusal).text)
    chart = {
        "x": [at // times.SECOND for at, _ in found.points],
        "series": [{"label": "value", "colour": "accent", "values": [value for _, value in found.points]}],
        "limit": found.definition.threshold,
    }
    return fragment("alert_preview.html", complaint="", preview=found, chart=msgspec.json.encode(chart).decode())


def seconds(text: str, field: str) -> int:
    """Read a length of time: `90s`, `5m`, `1h`, `7d`, or seconds alone."""
    found = LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise invalid(field, "length", text=f"{field}: write a length of time such as 90s, 5m, 1h or 7d")
    return int(found[1]) * UNITS[found[2]]


def brief(number: int) -> str:
    """Write a length of time as `seconds` reads it."""
    return length(number).replace(" min", "m").replace(" ", "")


def _read(given: dict[str, str]) -> dict[str, Any]:
    """Return the fields of an alert that its kind takes, from a form that has those of all."""
    kind = given.get("kind", "")
    taken = {"kind", "name", *LENGTHS, *TAKES.get(kind, ())} - (
        {"look_back_seconds"} if kind != "new_pattern" else set()
    )
    fields: dict[str, Any] = {name: value for name, value in given.items() if name in taken and value != ""}
    for name in LENGTHS:
        if name in fields:
            fields[name] = seconds(fields[name], name)
    if "threshold" in fields:
        try:
            fields["threshold"] = float(fields["threshold"])
        except ValueError:
            raise invalid("threshold", "must be a number") from None
    return fields | {"name": given.get("name"), "is_enabled": given.get("is_enabled", "1") == "1"}


def _written(rule: Rule) -> dict[str, str]:
    """Return an alert as its form has it."""
    found = msgspec.structs.asdict(rule) | msgspec.structs.asdict(rule.definition)
    given = FRESH | {name: str(found[name]) for name in (*FRESH, "name", "query") if found.get(name) is not None}
    given |= {name: brief(found[name]) for name in LENGTHS if found.get(name) is not None}
    return given | {"threshold": f"{rule.definition.threshold:g}", "is_enabled": "1" if rule.is_enabled else "0"}


def _shown(
    call: Call, project: Project, alert_id: str, *, trial: alerts.Trial | None = None, refused: Refusal | None = None
) -> Answer:
    rule = _rule(call, project, alert_id)
    lines = alerts.history(call.house, call.who, alert_id=rule.id, limit=LINES)
    return page(
        call,
        "alert.html",
        project=project,
        rule=rule,
        given=_written(rule),
        lines=[(one, _sample(project, one.sample_log_id)) for one in lines.transitions],
        more=lines.has_more,
        sample=_sample(project, rule.sample_log_id),
        sentence=alerts.sentence,
        words=WORDS,
        length=length,
        mutes=MUTES,
        muted=rule.muted(call.house.clock()),
        trial=trial,
        refused=refused,
        logs=forms.address(f"/ui/projects/{project.slug}/logs", q=rule.definition.query),
    )


def _form(
    call: Call, project: Project, given: dict[str, str], *, rule: Rule | None = None, refused: Refusal | None = None
) -> Answer:
    return page(
        call,
        "alert_form.html",
        project=project,
        given=FRESH | {"name": "", "query": "", "is_enabled": "1"} | given,
        rule=rule,
        words=WORDS,
        comparisons=list(alerts.COMPARISONS),
        measures={"per_minute": "events a minute", "change_percent": "change in % against the window before"},
        news=alerts.NEWS,
        refused=refused,
    )


def _rule(call: Call, project: Project, alert_id: str) -> Rule:
    rule = alerts.get(call.house, call.who, alert_id=rules.path_id(alert_id, "alert_id"))
    if rule.project_id != project.project_id:
        raise Refusal(Kind.NOT_FOUND, "Alert not found")
    return rule


def _sample(project: Project, log_id: str | None) -> str:
    """Return where an event and the time around it are shown; empty without one."""
    place = read_public_id(log_id) if log_id else None
    if place is None:
        return ""
    ends = {"from": times.show(place[0] - AROUND), "to": times.show(place[0] + AROUND)}
    return forms.address(f"/ui/projects/{project.slug}/logs", event=log_id, **ends)


def _path(project: Project) -> str:
    return f"/ui/projects/{project.slug}/alerts"


ROUTES = (
    route("GET", "/ui/projects/{slug}/alerts", list_all),
    route("POST", "/ui/projects/{slug}/alerts", create),
    route("GET", "/ui/projects/{slug}/alerts/new", write),
    route("POST", "/ui/projects/{slug}/alerts/preview", preview),
    route("GET", "/ui/projects/{slug}/alerts/{alert_id}", show),
    route("POST", "/ui/projects/{slug}/alerts/{alert_id}", update),
    route("GET", "/ui/projects/{slug}/alerts/{alert_id}/edit", rewrite),
    route("POST", "/ui/projects/{slug}/alerts/{alert_id}/delete", delete),
    route("POST", "/ui/projects/{slug}/alerts/{alert_id}/mute", mute),
    route("POST", "/ui/projects/{slug}/alerts/{alert_id}/test", test),
)
