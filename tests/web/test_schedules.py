"""Pages of schedules and of pauses: what they show, what their forms do, for whom."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import jobs, workflows
from headrace.core.identity import sessions
from headrace.core.principal import Principal
from headrace.core.schema import memberships
from headrace.core.schema.jobs import jobs as jobs_table
from headrace.core.schema.workflows import workflow_schedules
from headrace.core.workflows import fire, schedules
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor

FIELDS = {"name": "nightly", "workflow": "report", "cron": "30 2 * * *", "time_zone": "Europe/Berlin"}


@pytest.fixture
def who(origin: Origin, visitor: Visitor) -> Principal:
    return sessions.resolve(origin.house, visitor.tenant.token)


def test_a_schedule_is_made_changed_paused_and_removed(origin: Origin, visitor: Visitor, who: Principal) -> None:
    assert "A schedule starts a" in visitor.get("/ui/schedules").text
    assert visitor.post("/ui/schedules", FIELDS | {"payload": '{"days": 1}', "missed": "all"}).status_code == 303
    made = schedules.get(origin.house, who, name="nightly")
    assert (made.payload, made.missed, made.overlap) == ({"days": 1}, "all", "skip")
    shown = visitor.get("/ui/schedules").text
    for text in ("nightly", "30 2 * * *", "Europe/Berlin", "never yet", "UTC</time>", ">active<", "&#34;days&#34;:1"):
        assert text in shown, text
    again = visitor.post("/ui/schedules", FIELDS)
    assert (again.status_code, "exists already" in again.text, 'value="report"' in again.text) == (409, True, True)
    change = {"name": "nightly", "cron": "0 3 * * *", "payload": '{"days": 2}'}
    assert visitor.post("/ui/schedules/change", change).status_code == 303
    changed = schedules.get(origin.house, who, name="nightly")
    assert (changed.cron, changed.time_zone, changed.payload) == ("0 3 * * *", "Europe/Berlin", {"days": 2})
    assert visitor.post("/ui/schedules/pause", {"name": "nightly", "paused": "1"}).status_code == 303
    assert ">paused<" in visitor.get("/ui/schedules").text
    assert visitor.post("/ui/schedules/pause", {"name": "nightly", "paused": "0"}).status_code == 303
    assert schedules.get(origin.house, who, name="nightly").paused_at is None
    assert visitor.post("/ui/schedules/remove", {"name": "nightly"}).status_code == 303
    assert visitor.post("/ui/schedules/remove", {"name": "nightly"}).status_code == 404
    assert schedules.list_all(origin.house, who) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cron", "every day", "cron: must be a cron expression of five fields"),
        ("cron", "", "cron: field required"),
        ("time_zone", "Mars/Base", "time_zone: must be the name of a time zone"),
        ("payload", "{days: 1}", "payload: must be a JSON object"),
        ("payload", "[1]", "payload: must be an object"),
        ("missed", "never", "missed: must be one of"),
    ],
)
def test_what_cannot_be_is_said_and_the_form_keeps_it(visitor: Visitor, field: str, value: str, said: str) -> None:
    answer = visitor.post("/ui/schedules", FIELDS | {field: value})
    assert (answer.status_code, said in answer.text) == (400, True)
    assert 'value="nightly"' in answer.text


def test_the_last_run_and_why_one_does_not_run_are_shown(origin: Origin, visitor: Visitor, who: Principal) -> None:
    house = origin.house
    workflows.define(house, who, name="report", kind="queue", tries=1)
    made = schedules.create(house, who, **FIELDS)
    origin.clock.now = made.next_at
    fire(house)  # The server may have been faster: it looks once a second of the wall clock.
    (job,) = jobs.list_all(house, who).jobs
    assert ">ready<" in visitor.get("/ui/schedules").text
    fence = workflows.lease(house, who, queues=["report"], worker="w")[0].fence
    workflows.fail(house, who, fence=fence, worker="w", error="no <b>paper</b>")
    shown = visitor.get("/ui/schedules").text
    for text in (f'href="/ui/jobs/{job.id}"', ">failed<", "no &lt;b&gt;paper&lt;/b&gt;"):
        assert text in shown, text
    following = schedules.get(house, who, name=made.name).next_at
    with house.db.write() as connection:
        connection.execute(sa.update(workflow_schedules).values(time_zone="Mars/Base"))
        connection.execute(sa.delete(jobs_table).where(jobs_table.c.id == job.id))  # As retention does.
    origin.clock.now = following  # Some days have 25 hours.
    assert fire(house) == 0
    shown = visitor.get("/ui/schedules").text
    assert ">stuck<" in shown
    assert f'href="/ui/jobs/{job.id}"' not in shown
    assert "does not run: time_zone: must be the name of a time zone" in shown


def test_schedules_of_others_are_not_seen(
    origin: Origin, visitor: Visitor, new_tenant: Callable[[], Any], who: Principal
) -> None:
    other = sessions.resolve(origin.house, new_tenant().token)
    schedules.create(origin.house, other, **FIELDS)
    assert "nightly" not in visitor.get("/ui/schedules").text.partition("New schedule")[0]
    for verb in ("change", "pause", "remove"):
        assert visitor.post(f"/ui/schedules/{verb}", {"name": "nightly", "paused": "1"}).status_code == 404
    assert schedules.list_all(origin.house, other)[0].paused_at is None
    assert jobs.standings(origin.house, who, job_ids=[1, 2, 3]) == {}


@pytest.mark.parametrize("text", NAUGHTY, ids=range(len(NAUGHTY)))
def test_hostile_text_is_inert(visitor: Visitor, origin: Origin, who: Principal, text: str) -> None:
    name = "".join(character for character in text if character.isprintable())[:120]
    schedules.create(origin.house, who, **FIELDS | {"name": name, "workflow": name}, payload={text[:900]: text[:900]})
    shown = visitor.get("/ui/schedules").text
    for bad in ("<script>window", "<img src=x", "<svg/onload", "<iframe", "\x1b", "\u202e", "\u0007"):
        assert bad not in shown, bad


def test_kinds_are_held_back_and_let_go(origin: Origin, visitor: Visitor, who: Principal) -> None:
    assert "Nothing is held back" in visitor.get("/ui/pauses").text
    for kind in ("workflow.push", "all"):
        assert visitor.post("/ui/pauses", {"kind": kind}).status_code == 303
    assert [one.kind for one in jobs.paused(origin.house, who)] == ["", "workflow.push"]
    assert "<td>all jobs</td>" in visitor.get("/ui/pauses").text
    assert "Held back: all jobs, workflow.push." in visitor.get("/ui/jobs").text
    for kind in ("all", "workflow.push"):
        assert visitor.post("/ui/pauses/resume", {"kind": kind}).status_code == 303
    assert jobs.paused(origin.house, who) == []
    for fields, status in (
        ({}, 400),
        ({"kind": ""}, 400),
        ({"kind": "x"}, 400),
        ({"kind": "all", "everywhere": "1"}, 403),
    ):
        assert visitor.post("/ui/pauses", fields).status_code == status
    assert jobs.paused(origin.house, who) == []


def test_who_is_no_admin_only_looks(origin: Origin, visitor: Visitor, who: Principal) -> None:
    jobs.pause(origin.house, who, kind="workflow.push")
    with origin.house.db.write() as connection:
        mine = memberships.c.account_id == who.account_id
        connection.execute(sa.update(memberships).where(mine).values(role="user"))
    shown = visitor.get("/ui/pauses").text
    assert "workflow.push" in shown
    assert "<form class" not in shown
    assert "/ui/pauses/resume" not in shown
    assert visitor.post("/ui/pauses/resume", {"kind": "workflow.push"}).status_code == 403
