"""The log explorer and the error pages as people use them, with script."""

import re

import pytest

from headrace.kit import times
from tests.browser.conftest import HEAR, Window, hear
from tests.browser.driver import CONTROL, ENTER, ESCAPE, TAB
from tests.web.conftest import NAUGHTY
from tests.web.test_pages import hostile_log

LOGS = "/ui/projects/{slug}/logs"
OPEN_DIALOGS = "return document.querySelectorAll('dialog[open]').length"


def some(window: Window, rows: int = 120) -> None:
    """Send logs spread over the last 50 minutes."""
    now = window.origin.clock()
    levels = ("info", "info", "debug", "warning", "error")
    logs = [
        {
            "timestamp": times.show(now - i * 25 * times.SECOND),
            "level": levels[i % len(levels)],
            "message": f"order {i:03} {'timed out' if i % 4 == 0 else 'was paid'}",
            "environment": "staging" if i % 3 == 0 else "production",
            "attributes": {"service": "api" if i % 2 else "web", "user": {"id": i}},
        }
        for i in range(rows)
    ]
    window.visitor.send(*logs, origin=window.origin)


def shown(window: Window) -> int:
    return int(window.browser.run("return document.querySelectorAll('#events tr[data-id]').length"))


def test_search_and_brush(window: Window) -> None:
    some(window)
    page = window.browser
    window.open(LOGS)
    page.see("120 events", ".sums")
    page.type("#q", '"timed out"' + ENTER)
    page.see("30 events", ".sums")
    assert "q=%22timed" in page.url
    assert page.run("return document.querySelector('#events mark').textContent") == "timed out"
    page.clear("#q")
    page.type("#q", "level:eror" + ENTER)
    page.see("Position 7:", "#complaint")
    assert shown(window) == 30
    page.clear("#q")
    page.type("#q", "level:er")
    page.see("level:error", "#offers")
    page.type("#q", TAB)
    assert page.run("return document.querySelector('#q').value") == "level:error "
    page.type("#q", ENTER)
    page.see("24 events", ".sums")
    page.clear("#q")
    page.type("#q", ENTER)
    page.see("120 events", ".sums")
    page.find(".u-over")
    page.drag(".u-over", 0.5, 0.75)
    page.until(lambda: "from=" in page.url, "brushing changed no period")
    page.until(lambda: 5 < shown(window) < 60, "brushing narrowed nothing")
    narrowed = shown(window)
    page.run("history.back()")
    page.until(lambda: "from=" not in page.url and shown(window) > narrowed, "going back brought nothing back")
    page.click("#time summary")
    page.click("input[value='5m']")
    page.until(lambda: "period=5m" in page.url and shown(window) < 20, "the preset was not taken")


def test_facets_include_and_exclude(window: Window) -> None:
    some(window)
    page = window.browser
    window.open(LOGS)
    page.click("[data-facet=level] a.value[title='Only error']")
    page.see("24 events", ".sums")
    assert page.run("return document.querySelector('#q').value") == "level:error"
    page.click("[data-facet=level] a.value[title='Only warning']")
    page.see("48 events", ".sums")
    page.click("[data-facet=environment] a.not[title='Exclude staging']")
    page.see("32 events", ".sums")
    assert page.run("return document.querySelector('#q').value") == "level:(error OR warning) -environment:staging"
    page.click("[data-facet=level] a.value[title='Drop error']")
    page.see("16 events", ".sums")
    page.click("[data-facet=environment] a.not[title='Allow staging']")
    page.see("24 events", ".sums")
    page.click("#facets details[hx-get*='attributes.service'] summary")
    page.click("#facets details[hx-get*='attributes.service'] a.value")
    page.see("12 events", ".sums")


def test_the_drawer_and_the_keyboard(window: Window) -> None:
    some(window, 10)
    page = window.browser
    window.open(LOGS)
    page.see("10 events", ".sums")  # Above the rows; they move no more.
    page.click("#events tr:nth-child(3) .message")
    page.see("order 002", ".drawer")
    assert "event=" in page.url
    page.press("j")
    page.see("order 003", ".drawer")
    page.press("k")
    page.press("k")
    page.see("order 001", ".drawer")
    opened = page.url
    page.click(".drawer details.lazy summary")
    page.see("order 000", ".around")
    page.see("order 002", ".around")
    page.press(ESCAPE)
    page.until(lambda: "event=" not in page.url, "the event stayed open")
    page.open(opened)
    page.see("order 001", ".drawer")
    page.click(".drawer tr:has(th) .acts a[aria-label='Only user.id']")
    page.see("1 event", ".sums")
    assert "user.id:1" in page.run("return document.querySelector('#q').value")
    page.press("?")
    page.see("next, previous event", "#help")
    page.press(ESCAPE)
    page.until(lambda: not page.run(OPEN_DIALOGS), "the list of keys stayed open")
    page.press("E")
    page.see("Errors of")


def test_keys_with_control(window: Window) -> None:
    some(window, 30)
    page = window.browser
    window.open(LOGS + "?q=level:error")
    page.see("6 events", ".sums")
    opened = "return document.querySelectorAll('#facets .facet[open]').length"
    page.until(lambda: page.run(opened) > 0, "the fields did not come")
    page.press(CONTROL, "/")
    assert page.run(opened) == 0
    page.press(CONTROL, "/")
    assert page.run(opened) > 0

    page.press(CONTROL, "f")
    page.type("#find input", "order 01")
    page.see("1 of 2", "#find")
    page.press(ENTER)
    page.see("2 of 2", "#find")
    page.see("order 019", "#events tr.found")
    page.press(ESCAPE)
    page.until(lambda: not page.run("return document.querySelectorAll('tr.found').length"), "it stayed found")

    window.open("/ui/projects/{slug}/keys")
    page.press(CONTROL, "k")
    page.type("#palette input", "before error")
    page.see("level:error", "#palette li[aria-selected=true]")
    page.press(ENTER)
    page.until(lambda: "q=level%3Aerror" in page.url, "the search of before was not opened")
    page.press(CONTROL, "k")
    page.type("#palette input", "field service")
    page.see("service:", "#palette li[aria-selected=true]")
    page.press(ENTER)
    assert page.run("return document.querySelector('#q').value") == "level:error service:"
    page.press(ESCAPE)

    page.click("main h1, .tabs")
    page.click("[data-help]")
    page.click("#single-keys")
    page.press(ESCAPE)
    page.until(lambda: not page.run(OPEN_DIALOGS), "the list of keys stayed open")
    page.press("A")
    assert "/alerts" not in page.url
    page.run("localStorage.clear()")
    page.press("A")
    page.until(lambda: "/alerts" in page.url, "the key did nothing")


def test_what_fits_no_more_is_not_taken(window: Window) -> None:
    """Who types on and presses Tab at once means what is typed, not the first of what was offered before."""
    some(window, 10)
    page = window.browser
    window.open(LOGS)
    page.type("#q", "level:")
    page.see("level:info", "#offers")
    page.type("#q", "er" + TAB)
    assert page.run("return document.querySelector('#q').value") == "level:error "


def test_the_list_goes_on(window: Window) -> None:
    some(window, 250)
    page = window.browser
    window.open(LOGS + "?period=4h")
    page.until(lambda: shown(window) >= 100, "there are no rows")

    def all_there() -> bool:
        page.run("scrollTo(0, document.body.scrollHeight)")
        return shown(window) == 250

    page.until(all_there, "the list did not go on")
    page.see("That is all", "#events")


def test_live_mode(window: Window) -> None:
    page = window.browser
    window.open(LOGS)
    page.click(".live")
    page.see("Live ·", ".tail")
    assert "live=1" in page.url
    window.visitor.send({"message": "first <b>bold</b>"}, {"message": "second"}, origin=window.origin)
    texts = "return [...document.querySelectorAll('#events .message')].map((one) => one.textContent)"
    page.until(lambda: page.run(texts) == ["second", "first <b>bold</b>"], "what was sent did not come, newest on top")
    page.press(" ")
    page.see("Resume", ".tail")
    window.visitor.send({"message": "third"}, origin=window.origin)
    page.see("Resume (1 new)", ".tail")
    page.press(" ")
    page.see("third", "#events")
    page.click("#events tr:nth-child(1) .message")
    page.see("third", ".drawer")
    page.press(ESCAPE)
    page.click(".live")
    page.until(lambda: "live=" not in page.url, "live mode stayed on")
    assert shown(window) == 3


def test_errors_by_keyboard(window: Window) -> None:
    error = {"level": "error", "log_type": "exception", "error_type": "KeyError", "stack_trace": "KeyError: 'x'"}
    window.visitor.send(error, origin=window.origin)
    page = window.browser
    window.open("/ui/projects/{slug}/errors")
    page.click("a.title")
    page.see("Stack trace")
    page.press("r")
    page.see("resolved", ".facts .state")
    page.press("u")
    page.see("unresolved", ".facts .state")


def test_an_error_comes_back_and_is_talked_about(window: Window) -> None:
    """Resolved by a person, reopened by an event; then a comment, a mute with its end, a release."""
    clock = window.origin.clock
    error = {"level": "error", "error_type": "KeyError", "stack_trace": 'File "/app/a.py", line 1, in f\n    g()'}
    window.visitor.send(error | {"release": "1.0"}, origin=window.origin)
    page = window.browser
    window.open("/ui/projects/{slug}/errors")
    page.click("a.title")
    page.see("/app/a.py:1", ".frames")
    page.find(".hours .u-over")
    page.press("r")
    page.see("resolved", ".facts .state")
    clock.advance(60)
    window.visitor.send(error | {"timestamp": times.show(clock.now), "release": "1.1"}, origin=window.origin)
    page.run("location.reload()")
    page.see("It came back in release 1.1", ".timeline")
    page.see("regressed", ".facts .badge")
    page.find(".hours .u-over")  # Scripts have run.
    page.press("[")
    page.until(lambda: "event=" in page.url, "the older event was not opened")
    page.see("1.0", "table.fields")
    page.type(".say textarea", "Since <b>Tuesday</b>.")
    page.click(".say button")
    page.see("Since <b>Tuesday</b>.", ".timeline .comment")
    page.press("m")
    page.type("[name=events]", "100")
    page.type("[name=minutes]", "60")
    page.click("[value=limit]")
    page.see("until 100 events in 1 hour", ".facts")
    page.press("u")
    page.see("unresolved", ".facts .state")
    page.click("summary[title='Resolve in a release']")
    page.click(".deeds form.sheet button")
    page.see("in 1.1", ".facts dd")


def test_several_errors_by_keyboard(window: Window) -> None:
    errors = [{"level": "error", "error_type": f"Error{name}", "stack_trace": name} for name in "ABCD"]
    for error in errors:
        window.visitor.send(error, origin=window.origin)
    page = window.browser
    window.open("/ui/projects/{slug}/errors")
    titles = "return [...document.querySelectorAll('a.title')].map((one) => one.textContent)"
    before = page.run(titles)
    assert len(before) == 4
    for key in "jxjx":
        page.press(key)
    page.see("2 ticked")
    page.press("g")
    page.until(lambda: len(page.run(titles)) == 3, "nothing was merged")
    page.press("j")
    page.press("j")
    page.press("e")
    page.until(lambda: len(page.run(titles)) == 2, "nothing was resolved")
    page.run(HEAR)
    page.press("g")
    hear(page, "Tick the errors first")
    window.open("/ui/projects/{slug}/errors")
    page.click("a.title")
    page.click("[name=merged_id]")
    page.see("took", ".timeline")
    window.open("/ui/projects/{slug}/errors")
    page.until(lambda: len(page.run(titles)) == 3, "nothing was taken out")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_stands_out_of_the_page(window: Window, theme: str, width: int) -> None:
    some(window, 30)
    window.visitor.send(hostile_log("x" * 3_000), origin=window.origin)
    page = window.browser
    page.run("document.cookie = `headrace_theme=${arguments[0]}; path=/`", theme)
    page.resize(width, 800)
    for path in (LOGS, "/ui/projects/{slug}/errors", "/ui/projects/{slug}/keys", "/ui/projects"):
        window.open(path)
        page.find("main")
        if path == LOGS:
            page.find(".u-over")
        room = page.run(
            "return [document.documentElement.scrollWidth, innerWidth, document.documentElement.dataset.theme]"
        )
        assert room[0] <= room[1], path
        assert room[2] == theme


def test_hostile_text_does_nothing(window: Window) -> None:
    window.visitor.send(*(hostile_log(text) for text in NAUGHTY), origin=window.origin)
    for text in NAUGHTY[:6]:
        window.visitor.post("/ui/projects", {"name": text, "slug": re.sub(r"[^a-z]", "", text.lower())[:30] + "-p"})
    page = window.browser
    window.open(LOGS)
    page.find(".facet .value")
    page.until(lambda: shown(window) == len(NAUGHTY), "not every event is shown")
    texts = page.run("return [...document.querySelectorAll('#events .message')].map((one) => one.textContent)")
    assert NAUGHTY[0] in texts
    for index in range(1, len(NAUGHTY) + 1):
        page.click(f"#events tr:nth-child({index}) .when a")
        page.find(".drawer .fields")
        assert page.run(
            "return [window.broken ?? null, document.querySelectorAll('.drawer script, .drawer img').length]"
        ) == [None, 0]
        page.press(ESCAPE)
    for summary in range(page.run("return document.querySelectorAll('#facets details[hx-get] summary').length")):
        page.run("document.querySelectorAll('#facets details[hx-get] summary')[arguments[0]].click()", summary)
    page.type("#q", "environment:")
    page.find("#offers li")
    window.open("/ui/projects/{slug}/errors?status=all")
    page.find("a.title")
    for path in page.run("return [...document.querySelectorAll('a.title')].map((one) => one.pathname)"):
        window.open(path)
        page.find(".facts")
        assert page.run("return window.broken ?? null") is None
    window.open("/ui/projects")
    page.see(NAUGHTY[0])
    assert page.run("return [window.broken ?? null, document.querySelectorAll('main script, main img').length]") == [
        None,
        0,
    ]


def test_how_to_search_is_shown_by_examples(window: Window) -> None:
    window.visitor.send({"message": "Payment declined"}, {"message": "other"}, origin=window.origin)
    page = window.browser
    window.open("/ui/projects/{slug}/logs")
    page.see("other", "#events")
    page.click("#how > summary")
    page.run("document.querySelector('#how').dataset.old = 'yes'")
    page.see('"Payment declined"', "#how #examples")
    page.click("#how dl div:nth-child(3) a")
    page.until(lambda: not page.run("return document.querySelector('#how').dataset.old"), "the explorer stays")
    page.until(lambda: "q=%22Payment+declined%22" in page.url, "the address stays")
    page.see("Payment declined", "#events")
    assert "other" not in page.text("#events")
