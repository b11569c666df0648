"""Workflows: what serves which name, and defining, changing, pausing and removing an organization's own."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from headrace.core import workflows
from headrace.core.refusals import Refusal
from headrace.core.workflows import Defined, Definition, Worker
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PATH = "/ui/workflows"
NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
NUMBERS = ("timeout_seconds", "tries", "concurrency")
WORDS = {
    "echo": "Gives back its input; what nobody registered runs this.",
    "http_request": "Sends one request and keeps the answer.",
    "data_processing": "Filters, derives, groups and sorts records, given or from a file.",
}


class Line(msgspec.Struct, frozen=True):
    """A definition, who pulls from it, and whether the function that it names is installed here."""

    definition: Definition
    workers: list[Worker]
    is_installed: bool


def list_all(call: Call) -> Answer:
    return _page(call)


def create(call: Call) -> Answer:
    """Define a workflow; the answer is the one page that ever shows a push's secret."""
    given = forms.fields(call)
    name, kind = given.get("name"), given.get("kind")

    def make() -> Defined:
        url = given.get("url") or None
        return workflows.define(call.house, call.who, name=name, kind=kind, url=url, **_numbers(given))

    return _done(call, make, given)


def change(call: Call) -> Answer:
    given = forms.fields(call)
    more = {"url": given.get("url") or None, **_numbers(given)}
    return _done(call, lambda: workflows.update(call.house, call.who, name=given.get("name", ""), **more), given)


def pause(call: Call) -> Answer:
    given = forms.fields(call)
    paused = given.get("paused") == "1"
    return _done(call, lambda: workflows.update(call.house, call.who, name=given.get("name", ""), paused=paused), given)


def remove(call: Call) -> Answer:
    given = forms.fields(call)
    return _done(call, lambda: workflows.remove(call.house, call.who, name=given.get("name", "")), given)


def _done(call: Call, verb: Callable[[], Defined | Definition], given: dict[str, str]) -> Answer:
    """Go back to the list, or show it with what is to be said: a new secret, or why not."""
    try:
        made = verb()
    except Refusal as refusal:
        return _page(call, refused=forms.said(refusal), given=given)
    if isinstance(made, Defined) and made.secret:
        return _page(call, made=made)
    return moved(PATH)


def _page(
    call: Call,
    *,
    made: Defined | None = None,
    refused: Refusal | None = None,
    given: dict[str, str] | None = None,
) -> Answer:
    seen = workflows.list_workers(call.house, call.who)
    here = workflows.installed()
    defined = workflows.list_all(call.house, call.who)
    names = {one.name for one in defined}
    return page(
        call,
        "workflows.html",
        lines=[Line(one, [who for who in seen if who.queue == one.name], one.name in here) for one in defined],
        builtin=sorted(WORDS.items()),
        functions=sorted(name for name in here if name not in names),
        made=made,
        refused=refused,
        given=given or {},
    )


def _numbers(given: dict[str, str]) -> dict[str, Any]:
    """Read the numbers of a form; what is none goes on as it is, and core says so."""
    sent = {name: given.get(name, "").strip() for name in NUMBERS}
    return {name: int(text) if NUMBER.fullmatch(text) else text for name, text in sent.items() if text}


ROUTES = (
    route("GET", PATH, list_all),
    route("POST", PATH, create),
    route("POST", f"{PATH}/change", change),
    route("POST", f"{PATH}/pause", pause),
    route("POST", f"{PATH}/remove", remove),
)
