"""Pages of jobs and workflows over HTTP: what they show, what their forms do, and that hostile text stays text."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import jobs, workflows
from headrace.core.identity import sessions
from headrace.core.principal import Principal
from headrace.web.jobs import duration
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor, links

Until = Callable[..., None]


@pytest.fixture
def who(origin: Origin, visitor: Visitor) -> Principal:
    return sessions.resolve(origin.house, visitor.tenant.token)


@pytest.fixture
def start(origin: Origin, who: Principal) -> Callable[..., jobs.Job]:
    def one(workflow: str, **payload: Any) -> jobs.Job:
        return workflows.start(origin.house, who, workflow=workflow, payload=payload)

    return one


def test_a_job_and_its_result_are_shown(
    origin: Origin, visitor: Visitor, who: Principal, start: Callable[..., jobs.Job], until: Until
) -> None:
    assert "No jobs." in visitor.get("/ui/jobs").text
    job = start("resize pictures", input={"width": 7})
    until(lambda: jobs.get(origin.house, who, job_id=job.id).state == "succeeded")
    listed = visitor.get("/ui/jobs").text
    assert "resize pictures" in listed
    assert f'href="/ui/jobs/{job.id}"' in listed
    shown = visitor.get(f"/ui/jobs/{job.id}").text
    for text in ("succeeded", "&#34;handler&#34;: &#34;echo&#34;", "&#34;width&#34;: 7", job.token, "1 of 4"):
        assert text in shown, text
    # It is over: nothing asks again, and there is nothing to cancel.
    assert "hx-get" not in shown
    assert "/cancel" not in shown
    assert visitor.post(f"/ui/jobs/{job.id}/cancel").status_code == 409


def test_a_job_that_waits_says_for_whom_and_is_cancelled_and_run_again(
    origin: Origin, visitor: Visitor, who: Principal, start: Callable[..., jobs.Job]
) -> None:
    workflows.define(origin.house, who, name="mail", kind="queue")
    job = start("mail")
    shown = visitor.get(f"/ui/jobs/{job.id}").text
    assert "Waits for a worker that pulls the queue &#39;mail&#39;" in shown
    assert f"/ui/jobs/{job.id}/now?asked=1" in links(shown)
    part = visitor.get(f"/ui/jobs/{job.id}/now?asked=1", headers={"HX-Request": "true"}).text
    assert part.startswith('<div id="job" hx-get="/ui/jobs/')
    assert "<html" not in part
    assert "hx-get" not in visitor.get(f"/ui/jobs/{job.id}/now?asked=900", headers={"HX-Request": "true"}).text
    assert visitor.post(f"/ui/jobs/{job.id}/cancel").status_code == 303
    assert "Run again" in visitor.get(f"/ui/jobs/{job.id}").text
    assert visitor.post(f"/ui/jobs/{job.id}/retry").status_code == 303
    assert jobs.get(origin.house, who, job_id=job.id).state == "ready"


def test_progress_and_failures_are_shown(
    origin: Origin, visitor: Visitor, who: Principal, start: Callable[..., jobs.Job], until: Until
) -> None:
    workflows.define(origin.house, who, name="mail", kind="queue", tries=2)
    job = start("mail")
    for number in (1, 2):
        fence = f"{job.id}:{number}"
        if number == 2:
            origin.clock.advance(10)
        until(lambda: workflows.lease(origin.house, who, queues=["mail"], worker="w"))
        workflows.heartbeat(
            origin.house, who, fence=fence, worker="w", progress={"done": 3, "total": 4, "message": "almost"}
        )
        if number == 1:
            shown = visitor.get(f"/ui/jobs/{job.id}").text
            assert 'value="75"' in shown
            assert "3 of 4 · almost" in shown
            assert 'value="75"' in visitor.get("/ui/jobs?state=running").text
        workflows.fail(origin.house, who, fence=fence, worker="w", error=f"no paper {number}")
    shown = visitor.get(f"/ui/jobs/{job.id}").text
    assert "no paper 1" in shown
    assert shown.count("no paper 2") == 2
    assert "no paper 2" in visitor.get("/ui/jobs?state=failed").text


def test_the_list_is_filtered_and_paged(
    origin: Origin, visitor: Visitor, who: Principal, start: Callable[..., jobs.Job]
) -> None:
    workflows.define(origin.house, who, name="a b&c", kind="queue")
    made = [start("a b&c") for _ in range(52)]
    page = visitor.get("/ui/jobs", params={"workflow": "a b&c", "state": "ready"}).text
    assert page.count('class="title"') == 50
    older = next(link for link in links(page) if "before=" in link)
    rest = visitor.get(older).text
    assert rest.count('class="title"') == 2
    assert f'href="/ui/jobs/{made[0].id}"' in rest
    assert "No ready jobs of “other”" in visitor.get("/ui/jobs?state=ready&workflow=other").text
    for odd in ("state=%00", "before=x", "before=99999999999999999999", "workflow=%00", "state=ready&state=failed"):
        assert visitor.get(f"/ui/jobs?{odd}").status_code == 200, odd


def test_workflows_are_defined_changed_paused_and_removed(visitor: Visitor, origin: Origin, who: Principal) -> None:
    assert visitor.post("/ui/workflows", {"name": "mail", "kind": "queue"}).status_code == 303
    fields = {"name": "render", "kind": "push", "url": "https://hooks.example/run"}
    made = visitor.post("/ui/workflows", fields).text
    secret = next(word for word in made.replace("<", " ").replace(">", " ").split() if word.startswith("whsec_"))
    assert secret not in visitor.get("/ui/workflows").text
    page = visitor.get("/ui/workflows").text
    assert "no worker has asked yet" in page
    assert "https://hooks.example/run" in page
    again = visitor.post("/ui/workflows", fields)
    assert (again.status_code, "is defined already" in again.text) == (409, True)
    bad = visitor.post("/ui/workflows/change", {"name": "mail", "tries": "many"})
    assert (bad.status_code, "tries: must be an integer" in bad.text) == (400, True)
    assert (
        visitor.post("/ui/workflows/change", {"name": "mail", "tries": "7", "timeout_seconds": "9"}).status_code == 303
    )
    assert visitor.post("/ui/workflows/pause", {"name": "mail", "paused": "1"}).status_code == 303
    found = workflows.get(origin.house, who, name="mail")
    assert (found.tries, found.timeout_seconds, found.paused_at is not None) == (7, 9, True)
    workflows.update(origin.house, who, name="mail", paused=False)
    workflows.lease(origin.house, who, queues=["mail"], worker="printer-1")
    assert "printer-1" in visitor.get("/ui/workflows").text
    assert visitor.post("/ui/workflows/remove", {"name": "mail"}).status_code == 303
    assert visitor.post("/ui/workflows/remove", {"name": "mail"}).status_code == 404
    assert [one.name for one in workflows.list_all(origin.house, who)] == ["render"]


def test_another_organizations_job_is_not_found(
    visitor: Visitor, new_tenant: Callable[[], Any], origin: Origin
) -> None:
    other = sessions.resolve(origin.house, new_tenant().token)
    job = workflows.start(origin.house, other, workflow="x", payload={})
    for path in (f"/ui/jobs/{job.id}", f"/ui/jobs/{job.id}/now", "/ui/jobs/0x1", "/ui/jobs/99999999999999999999"):
        assert visitor.get(path).status_code in {400, 404}
    for verb in ("cancel", "retry"):
        assert visitor.post(f"/ui/jobs/{job.id}/{verb}").status_code == 404


@pytest.mark.parametrize("text", NAUGHTY, ids=range(len(NAUGHTY)))
def test_hostile_text_is_inert(origin: Origin, visitor: Visitor, who: Principal, text: str) -> None:
    name = "".join(character for character in text if character.isprintable())[:120]
    workflows.define(origin.house, who, name=name, kind="queue")
    job = workflows.start(origin.house, who, workflow=name, payload={"said": text, text[:200]: [text]})
    fence = workflows.lease(origin.house, who, queues=[name], worker="w")[0].fence
    workflows.heartbeat(
        origin.house, who, fence=fence, worker="w", progress={"done": 1, "total": 2, "message": text[:200]}
    )
    workflows.fail(origin.house, who, fence=fence, worker="w", error=text[:500], retry=False)
    for path in ("/ui/jobs", f"/ui/jobs/{job.id}", "/ui/workflows"):
        shown = visitor.get(path).text
        for bad in ("<script>window", "<img src=x", "<svg/onload", "<iframe", "\x1b", "\u202e", "\u0007"):
            assert bad not in shown, (path, bad)
        assert "onmouseover=" not in shown.replace("&#34; onmouseover=", "")
    assert workflows.list_workers(origin.house, who)[0].queue == name


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (-5, "0 ms"),
        (999_999, "999 ms"),
        (1_500_000, "1.5 s"),
        (61_000_000, "1 min 1 s"),
        (3_720_000_000, "1 h 2 min"),
        (50 * 3_600_000_000, "2 d 2 h"),
    ],
)
def test_durations(microseconds: int, text: str) -> None:
    assert duration(microseconds) == text


def test_the_list_is_narrowed_to_a_kind(
    origin: Origin, visitor: Visitor, who: Principal, start: Callable[..., jobs.Job]
) -> None:
    mine = start("resize pictures")
    facts: dict[str, Any] = {"kind": "webhook.resend", "organization_id": who.organization_id, "payload": {}}
    with origin.house.db.write() as connection:
        own = jobs.enqueue(origin.house, connection, **facts, run_at=origin.clock.now + 10**12)

    def listed(query: str) -> list[int]:
        found = [
            link.rpartition("/")[2] for link in links(visitor.get(f"/ui/jobs?{query}").text) if "/ui/jobs/" in link
        ]
        return list(dict.fromkeys(int(one) for one in found if one.isdigit()))

    assert listed("") == [own.id, mine.id]
    assert listed("kind=workflows") == [mine.id]
    assert listed("kind=webhook.resend") == [own.id]
    assert listed("kind=unheard-of") == [own.id, mine.id]
    assert "kind=workflows" in visitor.get("/ui/jobs?kind=workflows").text, "the tabs keep it"
