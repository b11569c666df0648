"""Kinds of jobs that are held back: which, since when, by whom; for admins to hold back and to let go."""

from collections.abc import Callable

from headrace.core import jobs, rules, workflows
from headrace.core.refusals import Refusal
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PATH = "/ui/pauses"
# In a form; core has the empty word for it.
ALL = "all"


def list_all(call: Call) -> Answer:
    return _page(call)


def pause(call: Call) -> Answer:
    return _change(call, jobs.pause)


def resume(call: Call) -> Answer:
    return _change(call, jobs.resume)


def _change(call: Call, verb: Callable[..., None]) -> Answer:
    given = forms.fields(call)
    kind, everywhere = given.get("kind"), given.get("everywhere") == "1"
    try:
        if not kind:
            raise rules.missing("kind")
        verb(call.house, call.who, kind="" if kind == ALL else kind, everywhere=everywhere)
    except Refusal as refusal:
        return _page(call, refused=forms.said(refusal))
    return moved(PATH)


def _page(call: Call, *, refused: Refusal | None = None) -> Answer:
    return page(
        call,
        "pauses.html",
        pauses=jobs.paused(call.house, call.who),
        kinds=workflows.pausable(call.house, call.who),
        all=ALL,
        refused=refused,
    )


ROUTES = (
    route("GET", PATH, list_all),
    route("POST", PATH, pause),
    route("POST", f"{PATH}/resume", resume),
)
