"""Jobs of the organization: the list, and the page of one, which follows its progress until it is over."""

from typing import Any

import msgspec

from headrace.core import jobs, rules, workflows
from headrace.core.jobs import Job
from headrace.core.refusals import Refusal
from headrace.core.workflows import WaitingFor
from headrace.kit import times
from headrace.web import forms, shown
from headrace.web.rendering import fragment, moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PAGE = 50
# Words of the tabs, and the states that each asks for.
TABS = ("all", "scheduled", "ready", "running", "succeeded", "failed", "cancelled")
WORKFLOWS = "workflows"
# How kinds of jobs begin that are the server's own work.
OWN = ("webhook.", "alert.")
OVER = frozenset({"succeeded", "failed", "cancelled"})
# A page asks every second; after this many times a person has to say that they still look.
MOST_ASKS = 900
THOUSAND = 1_000


class Line(msgspec.Struct, frozen=True):
    """A job as the list shows it. `duration` is that of its last attempt."""

    job: Job
    duration: str
    percent: int | None
    waits: WaitingFor | None


def list_all(call: Call) -> Answer:
    given = forms.query(call)
    tab = forms.choice(given, "state", TABS)
    name = given.get("workflow", "").strip()
    before = forms.number(given.get("before", ""), rules.LARGEST) or None
    own = sorted(one for one in call.house.part(jobs.Kinds).named if one.startswith(OWN))
    kinds = {"": "all kinds", WORKFLOWS: "workflows", **{one: one for one in own}}
    kind = forms.choice(given, "kind", kinds)
    found = jobs.list_all(
        call.house,
        call.who,
        state=None if tab == TABS[0] else tab,
        kind=kind if kind in own else None,
        named=kind == WORKFLOWS,
        name=name or None,
        limit=PAGE,
        before=before,
    )
    notes = workflows.notes(call.house, call.who, found.jobs)
    kept = {"state": None if tab == TABS[0] else tab, "kind": kind, "workflow": name}
    return page(
        call,
        "jobs.html",
        lines=[line(call, job, notes.get(job.id)) for job in found.jobs],
        tab=tab,
        tabs=[(one, forms.address("/ui/jobs", **kept | {"state": one if one != TABS[0] else None})) for one in TABS],
        kind=kind,
        kinds=kinds,
        counts=jobs.counts(call.house, call.who),
        held=jobs.paused(call.house, call.who),
        name=name,
        older=forms.address("/ui/jobs", **kept, before=str(found.before)) if found.before else "",
        newest=forms.address("/ui/jobs", **kept) if before else "",
    )


def show(call: Call, job_id: str) -> Answer:
    return page(call, "job.html", **facts(call, job_id))


def now(call: Call, job_id: str) -> Answer:
    """Show what of a job changes; asked again and again by its page while it is not over."""
    return fragment("job_now.html", **facts(call, job_id), ago=lambda moment: since(call, moment))


def cancel(call: Call, job_id: str) -> Answer:
    return change(call, job_id, jobs.cancel)


def retry(call: Call, job_id: str) -> Answer:
    return change(call, job_id, jobs.retry)


def change(call: Call, job_id: str, verb: Any) -> Answer:
    """Do something to a job. One that changed meanwhile is shown as it is, with the reason."""
    try:
        verb(call.house, call.who, job_id=rules.path_id(job_id, "job_id"))
    except Refusal as refusal:
        return page(call, "job.html", refused=forms.said(refusal), **facts(call, job_id))
    return moved(f"/ui/jobs/{int(job_id)}")


def facts(call: Call, job_id: str) -> dict[str, Any]:
    job = jobs.get(call.house, call.who, job_id=rules.path_id(job_id, "job_id"))
    note = workflows.waiting_for(call.house, call.who, job)
    asked = forms.number(forms.query(call).get("asked", ""), MOST_ASKS)
    return {
        "line": line(call, job, note),
        "job": job,
        "failures": jobs.failures(call.house, call.who, job_id=job.id),
        "payload": pretty(job.payload),
        "result": pretty(job.result),
        "is_over": job.state in OVER,
        "asked": asked + 1,
        "most_asks": MOST_ASKS,
    }


def line(call: Call, job: Job, note: WaitingFor | None) -> Line:
    percent = None
    if job.progress_total and job.progress_done is not None:
        percent = max(0, min(100, job.progress_done * 100 // job.progress_total))
    ends = job.finished_at or (call.house.clock() if job.state in {"running", "cancelling"} else None)
    taken = duration(ends - job.started_at) if ends is not None and job.started_at is not None else ""
    return Line(job, taken, percent, note)


def duration(microseconds: int) -> str:
    """A length of time as people read it, in the two largest units that fit."""
    milliseconds = max(0, microseconds) // times.MILLISECOND
    if milliseconds < THOUSAND:
        return f"{milliseconds} ms"
    seconds = milliseconds // THOUSAND
    if seconds < 60:  # noqa: PLR2004  Seconds of a minute, as below minutes of an hour and hours of two days.
        return f"{milliseconds / THOUSAND:.1f} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"  # noqa: PLR2004


def since(call: Call, moment: int) -> str:
    return f"{duration(call.house.clock() - moment)} ago"


def pretty(value: Any) -> str:
    """A payload or result as indented JSON; empty for none."""
    return "" if value is None else shown.pretty(value)


ROUTES = (
    route("GET", "/ui/jobs", list_all),
    route("GET", "/ui/jobs/{job_id}", show),
    route("GET", "/ui/jobs/{job_id}/now", now),
    route("POST", "/ui/jobs/{job_id}/cancel", cancel),
    route("POST", "/ui/jobs/{job_id}/retry", retry),
)
