"""Saved searches, alerts, patterns, differences and the dashboard as people use them, with script."""

import pytest

from headrace.core import alerts
from tests.browser.conftest import Window
from tests.browser.driver import ENTER
from tests.browser.test_explorer import LOGS, shown, some
from tests.web.conftest import NAUGHTY
from tests.web.test_pages import hostile_log

CHARTED = "return document.querySelectorAll('[data-chart] canvas').length"


def test_a_search_is_saved_and_opened(window: Window) -> None:
    some(window, 20)
    page = window.browser
    window.open(LOGS)
    page.type("#q", "level:error" + ENTER)
    page.see("4 events", ".sums")
    page.click("#events tr:nth-child(1) .message")
    page.click(".drawer a[aria-label='Column environment']")
    page.find("td.chosen")
    saved = page.url
    page.click("#saved summary")
    page.see("Nothing is saved yet", "#saved")
    page.type("#saved [name=name]", "Errors by environment")
    page.click("#saved form button")
    closed = "return document.querySelector('#saved')?.open === false"
    page.until(lambda: page.run(closed) and page.url == saved, "saving did not come back to where it was")
    window.open(LOGS)
    page.see("20 events", ".sums")
    page.click("#saved summary")
    page.click("#saved .list a[href*='/logs?']")  # A link to the page of all stands there before.
    page.see("4 events", ".sums")
    page.find("td.chosen")
    assert page.url == saved
    assert shown(window) == 4


def test_an_alert_fires_and_shows(window: Window) -> None:
    some(window, 40)
    window.origin.clock.advance(10)  # What has just arrived may not be searchable yet, and does not count.
    # The server evaluates by itself, every two seconds of the wall clock.
    assert window.visitor.post("/ui/pauses", {"kind": "alert.evaluate"}).status_code == 303
    page = window.browser
    window.open(LOGS)
    page.press("A")
    page.see("no alerts yet")
    page.press("n")
    page.see("The last day", "#preview")
    page.type("[name=name]", "Too many")
    page.type("[name=query]", "level:error")
    page.clear("[name=threshold]")
    page.type("[name=threshold]", "3")
    page.clear("[name=window_seconds]")
    page.type("[name=window_seconds]", "1h\ue004")
    page.see("8 events in 1 h", "#preview")
    page.until(lambda: page.run(CHARTED) == 1, "the preview has no chart")
    page.click("form.alert button.main")
    page.see("Not evaluated yet")
    assert window.visitor.post("/ui/pauses/resume", {"kind": "alert.evaluate"}).status_code == 303
    alerts.enqueue_due(window.origin.house)
    path = page.url

    def fires() -> bool:
        page.open(path)
        return "firing" in page.text("h1")

    page.until(fires, "the alert did not fire")
    page.see("8 events in 1 h (alert: > 3)", ".list")
    page.until(lambda: page.run(CHARTED) == 1, "the alert has no chart")  # It pushes down what is below it.
    page.click(".list a")
    page.see("order", ".drawer")
    page.open(path)
    page.click("button[data-key=m]")
    page.see("Muted until")
    page.press("A")
    page.see("muted", ".list")
    page.see("firing", ".list .state")


def test_the_form_shows_what_a_kind_takes(window: Window) -> None:
    page = window.browser
    window.open("/ui/projects/{slug}/alerts/new")
    seen = """
        return [...document.querySelectorAll('form.alert [name]')]
            .filter((one) => one.checkVisibility()).map((one) => one.name)"""
    common = ["window_seconds", "for_seconds", "cool_down_seconds", "every_seconds", "is_enabled"]
    for kind, own in (
        ("threshold", ["query", "comparison", "threshold"]),
        ("rate", ["query", "measure", "comparison", "threshold"]),
        ("absence", ["query", "threshold"]),
        ("new_pattern", ["query", "look_back_seconds"]),
        ("new_error", ["news"]),
    ):
        page.run(
            "const one = document.querySelector('[name=kind]'); one.value = arguments[0];"
            " one.dispatchEvent(new Event('change', {bubbles: true}))",
            kind,
        )
        assert sorted(page.run(seen)) == sorted(["name", "kind", *own, *common])


def test_patterns_and_differences(window: Window) -> None:
    some(window, 60)
    window.visitor.send(*[{"message": f"disk {n} is full"} for n in range(15)], origin=window.origin)
    page = window.browser
    window.open(LOGS)
    page.see("75 events", ".sums")
    page.click(".modes a[href*='/patterns']")
    page.see("2 patterns in 75 events", ".sums")
    page.click(".patterns tbody tr:nth-child(2) .phrase a")
    page.see("15 events", ".sums")
    page.run("history.back()")
    page.see("2 patterns in 75 events", ".sums")
    page.click(".patterns tbody tr:nth-child(2) .acting a[aria-label=Exclude]")
    page.see("1 pattern in 60 events", ".sums")
    page.clear("#q")
    page.type("#q", "level:error" + ENTER)
    page.see("12 events", ".sums")
    page.click(".modes a[href*='/differences']")
    page.see("12 events compared with 75", ".sums")
    window.open(LOGS)
    page.find(".u-over")
    box = page.run("return document.querySelector('.u-over').getBoundingClientRect()")
    y = round(box["y"] + box["height"] / 2)
    ends = [round(box["x"] + box["width"] * share) for share in (0.6, 0.75, 0.95)]
    keys = [{"type": "keyDown", "value": "\ue008"}]
    moves = [{"type": "pointerMove", "duration": 30, "x": x, "y": y} for x in ends]
    drag = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
    page.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})
    pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": drag}
    page.ask("POST", "/actions", {"actions": [pointer]})
    page.ask("DELETE", "/actions")
    page.see("compared with", ".sums")
    assert "/differences?" in page.url
    assert "base_from=" in page.url


def test_a_dashboard_with_panels(window: Window) -> None:
    some(window, 40)
    page = window.browser
    window.open(LOGS)
    page.see("40 events", ".sums")
    page.press("D")
    page.see("no panels yet")
    form = "main > div > form.card"
    for number, name in enumerate(("First", "Second"), 1):
        page.type(f"{form} [name=name]", name)
        page.click(f"{form} button.main")
        page.until(lambda number=number: page.run(CHARTED) == number, "a panel has no chart")  # type: ignore[misc]
    order = "return [...document.querySelectorAll('.panel h2')].map((one) => one.textContent)"
    assert page.run(order) == ["First", "Second"]
    page.click(".panel:nth-child(2) button[value=earlier]")
    page.until(lambda: page.run(order) == ["Second", "First"], "the panel did not move")
    page.until(lambda: page.run(CHARTED) == 2, "a panel has no chart")  # They push down what is below them.
    page.click(".panel:nth-child(1) summary")
    page.click(".panel:nth-child(1) button.danger")
    page.until(lambda: page.run(order) == ["First"], "the panel is still there")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_nothing_stands_out_and_hostile_text_does_nothing(window: Window, theme: str, width: int) -> None:
    window.visitor.send(*(hostile_log(text) for text in (*NAUGHTY, "x" * 3_000)), origin=window.origin)
    fields = {"kind": "absence", "name": "x" * 200 + NAUGHTY[1], "window_seconds": "5m", "threshold": "1"}
    made = window.visitor.post("/ui/projects/{slug}/alerts", fields)
    back = f"/ui/projects/{window.visitor.tenant.slug}/logs?q=level:error"
    window.visitor.post("/ui/projects/{slug}/searches", {"name": "y" * 200 + NAUGHTY[2], "back": back})
    project = str(window.visitor.tenant.project_id)
    panel = {"name": "z" * 200 + NAUGHTY[2], "project_id": project, "type": "errors", "recent": "24h"}
    window.visitor.post("/ui/dashboards", panel)
    page = window.browser
    page.run("document.cookie = `headrace_theme=${arguments[0]}; path=/`", theme)
    page.resize(width, 800)
    root = "/ui/projects/{slug}"
    paths = [f"{root}/{name}" for name in ("patterns", "differences?q=log_type:exception", "searches", "alerts")]
    paths += ["/ui/dashboards", f"{root}/alerts/new", made.headers["location"], f"{root}/logs?columns=error_type"]
    for path in paths:
        window.open(path)
        page.find("main")
        if "dashboards" in path or "/alerts/" in path:
            page.until(lambda: page.run(CHARTED) == 1, f"{path} has no chart")
        room = page.run("return [document.documentElement.scrollWidth, innerWidth, window.broken ?? null]")
        assert room[0] <= room[1], path
        assert room[2] is None
        assert page.run("return document.querySelectorAll('main script, main img, main iframe').length") == 0
