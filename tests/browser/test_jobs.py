"""A job in the browser: it appears, its page follows its progress by itself, its result comes, another is cancelled."""

from headrace.core import jobs, workflows
from headrace.core.identity import sessions
from tests.browser.conftest import Window


def test_a_job_is_watched_and_cancelled(window: Window) -> None:
    house, browser = window.origin.house, window.browser
    who = sessions.resolve(house, window.visitor.tenant.token)
    window.open("/ui/workflows")
    browser.type("[name=name]", 'mail <img src=x onerror="window.broken = 1">')
    browser.click("main form.card button.main")
    browser.see("no worker has asked yet")
    name = workflows.list_all(house, who)[0].name
    job = workflows.start(house, who, workflow=name, payload={"to": "<script>window.broken = 1</script>"})
    window.open("/ui/projects")
    browser.click("a[href='/ui/jobs']")
    browser.see("waits for a worker that pulls the queue")
    browser.click(f"a.title[href='/ui/jobs/{job.id}']")
    browser.see("Waits for a worker")
    browser.see("<script>window.broken = 1</script>", "#payload")
    mine = {"fence": workflows.lease(house, who, queues=[name], worker="w")[0].fence, "worker": "w"}
    workflows.heartbeat(house, who, **mine, progress={"done": 3, "total": 4, "message": "<b>almost</b>"})
    # The page is not touched: it asks by itself.
    browser.see("75 %")
    browser.see("3 of 4 · <b>almost</b>")
    workflows.complete(house, who, **mine, result={"sent": "<script>window.broken = 1</script>"})
    browser.see("succeeded", "#job .state")
    browser.see("<script>window.broken = 1</script>", "#result")
    second = workflows.start(house, who, workflow=name, payload={})
    window.open(f"/ui/jobs/{second.id}")
    browser.click("form[action$='/cancel'] button")
    browser.see("cancelled", "#job .state")
    assert jobs.get(house, who, job_id=second.id).state == "cancelled"
    browser.click("form[action$='/retry'] button")
    browser.see("ready", "#job .state")
    assert browser.run("return window.broken ?? 0") == 0
