"""Errors: the list of a project's error groups, and what is done to several of them at once."""

from typing import Any

from headrace.core import groups, rules
from headrace.core.identity import members
from headrace.core.refusals import Refusal, invalid
from headrace.kit import times
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import project_of, route
from headrace.wire.call import Answer, Call

PAGE = 25
TABS = ("unresolved", "muted", "ignored", "resolved", "all")
# What a person may do, and the state that follows.
ACTIONS = (
    ("e", "Resolve", "resolved"),
    ("m", "Mute", "muted"),
    ("i", "Ignore", "ignored"),
    ("u", "Reopen", "unresolved"),
)
# For how long errors are muted with one click.
SPANS = (("1h", "an hour", times.HOUR), ("1d", "a day", times.DAY), ("7d", "a week", 7 * times.DAY))
SORT_WORDS = {"last_seen": "last seen", "first_seen": "first seen", "events": "most events", "users": "most users"}


def list_all(call: Call, slug: str) -> Answer:
    return shown(call, slug, forms.query(call))


def shown(call: Call, slug: str, given: dict[str, str], *, ticked: set[int] | None = None, said: str = "") -> Answer:
    """Show the list; `ticked` are rows to which nothing was done, and `said` is why."""
    project = project_of(call, slug)
    tab = forms.choice(given, "status", TABS)
    sort = forms.choice(given, "sort", SORT_WORDS)
    assignee = given.get("assigned", "")
    offset = forms.number(given.get("offset", ""))
    search = given.get("search", "")[:200]
    found = groups.list_all(
        call.house,
        call.who,
        project_id=project.project_id,
        status=None if tab == "all" else tab,
        sort=sort,
        search=search or None,
        assigned_to={"me": call.who.account_id, "nobody": 0}.get(assignee),
        limit=PAGE,
        offset=offset,
    )
    sparks = groups.sparklines(call.house, found.groups)
    path = f"/ui/projects/{project.slug}/errors"
    kept = {"sort": sort if sort != "last_seen" else None, "search": search, "assigned": assignee}
    older, newer = forms.steps(path, offset, PAGE, more=found.has_more, status=tab, **kept)
    return page(
        call,
        "errors.html",
        status=409 if said else 200,
        project=project,
        listed=[(one, [rows for _, rows in sparks[one.id].hours]) for one in found.groups],
        offset=offset,
        total=found.total,
        tabs=[(name, forms.address(path, status=None if name == TABS[0] else name, **kept)) for name in TABS],
        tab=tab,
        sort=sort,
        sorts=SORT_WORDS,
        search=search,
        assigned=assignee,
        filtered=bool(search or assignee),
        older=older,
        newer=newer,
        fresh_from=call.house.clock() - times.DAY,
        actions=ACTIONS,
        spans=SPANS,
        people=members.names(call.house, call.who),
        ticked=ticked or set(),
        said=said,
        back=forms.address(path, status=tab, offset=str(offset) if offset else None, **kept),
    )


def several(call: Call, slug: str) -> Answer:
    """Do one thing to the rows that are ticked; those to which it does not apply stay ticked."""
    project = project_of(call, slug)
    given = forms.fields(call)
    chosen = [rules.path_id(one, "group") for one in forms.values(call, "group")][:PAGE]
    target = forms.own(given.get("back", ""))
    if not chosen:
        return shown(call, slug, forms.of_address(target), said="Tick the errors first.")
    try:
        left = act(call, project.project_id, given, chosen)
    except Refusal as refusal:
        text = forms.said(refusal).text
        return shown(call, slug, forms.of_address(target), ticked=set(chosen), said=text)
    if left:
        reasons = "; ".join(sorted({refusal.text for refusal in left.values()}))
        text = f"{len(left)} of {len(chosen)} could not be changed: {reasons}"
        return shown(call, slug, forms.of_address(target), ticked=set(left), said=text)
    return moved(target)


def act(call: Call, project_id: int, given: dict[str, str], chosen: list[int]) -> dict[int, Refusal]:
    """Do what the pressed button says; return what was refused."""
    what = given.get("action", "")
    house, who = call.house, call.who
    if what == "merge" and len(chosen) == 1:
        raise invalid("group", "must be two or more", text="Tick two errors or more to merge them.")
    if what == "merge":
        groups.merge(house, who, project_id=project_id, group_id=chosen[0], group_ids=chosen[1:])
        return {}
    facts: dict[str, Any] = {}
    if what == "assign":
        person = given.get("assigned_to", "")
        facts = {"assigned_to": rules.path_id(person, "assigned_to") if person else None}
    elif what not in groups.STATUSES:
        raise invalid("action", "is not known", text="Choose what to do with them.")
    left = {}
    for group_id in chosen:
        of: dict[str, Any] = {"project_id": project_id, "group_id": group_id}
        try:
            if what == "assign":
                groups.assign(house, who, **of, **facts)
            elif what == "muted":
                groups.mute(house, who, **of, until=end_of(call, given.get("span", "")))
            else:
                groups.set_status(house, who, **of, status=what)
        except Refusal as refusal:
            left[group_id] = refusal
    return left


def end_of(call: Call, span: str) -> str | None:
    """Return when a mute of this span ends; None for one without an end."""
    length = {name: length for name, _, length in SPANS}.get(span)
    return None if length is None else times.show(call.house.clock() + length)


ROUTES = (
    route("GET", "/ui/projects/{slug}/errors", list_all),
    route("POST", "/ui/projects/{slug}/errors", several),
)
