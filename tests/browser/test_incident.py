"""The log explorer in an incident: what moves by itself, what is copied, what this browser remembers."""

from urllib.parse import parse_qs, urlsplit

import pytest

from headrace.kit import times
from headrace.web.zones import zone
from tests.browser.conftest import Window
from tests.browser.driver import ENTER, ESCAPE, Browser
from tests.browser.test_explorer import LOGS, shown, some

# The clipboard of a page that nobody granted anything: what was handed to it is kept instead.
LISTEN = """
    window.copied = [];
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => window.copied.push(text) } })"""
# The next two counts are those of before.
LATE = """
    const ask = window.fetch;
    window.short = 2;
    const before = ask(document.querySelector('[data-live]').dataset.counts).then((answer) => answer.text());
    window.fetch = async (where, how) => {
      if (!String(where).includes('/histogram') || !window.short) return ask(where, how);
      window.short -= 1;
      return new Response(await before);
    };
    return before.then(() => true)"""
HISTOGRAM = "return JSON.parse(document.querySelector('[data-histogram]').dataset.histogram)"
SEARCH = "return document.querySelector('#q').value"
# The contrast of an element's text with what is behind it, as WCAG 2 counts it.
CONTRAST = """
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (colours) => {
      paint.clearRect(0, 0, 1, 1);
      for (const one of colours) { paint.fillStyle = one; paint.fillRect(0, 0, 1, 1); }
      return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (parts) => parts.map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
      .reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0);
    return arguments[0].map((selector) => {
      const element = document.querySelector(selector);
      const behind = [];
      let opacity = 1;
      for (let one = element; one; one = one.parentElement) {
        behind.unshift(getComputedStyle(one).backgroundColor);
        opacity *= Number(getComputedStyle(one).opacity);
      }
      const back = rgb(behind);
      const full = rgb([...behind, getComputedStyle(element).color]);
      const ink = full.map((one, i) => one * opacity + back[i] * (1 - opacity));
      const [high, low] = [light(ink), light(back)].sort((a, b) => b - a);
      return [selector, (high + 0.05) / (low + 0.05)];
    })"""


def copied(page: Browser) -> str:
    return str(page.until(lambda: page.run("return window.copied.pop() ?? ''"), "nothing was copied"))


def test_the_histogram_follows_what_comes_live(window: Window) -> None:
    some(window, 10)
    page = window.browser
    window.open(LOGS + "?live=1")
    page.see("10 events", ".sums")
    page.see("Live ·", ".tail")
    page.find(".u-over")
    page.run("window.standing = document.querySelector('.u-over')")
    window.visitor.send(*({"message": f"news {n}", "level": "critical"} for n in range(7)), origin=window.origin)
    page.see("17 events", ".sums")
    page.see("critical 7", ".sums")
    assert sum(page.run(HISTOGRAM)["series"]["critical"]) == 7
    assert page.run("return window.standing.isConnected"), "the plot was made again"
    window.origin.clock.advance(120)
    now = times.show(window.origin.clock())
    window.visitor.send({"message": "later", "level": "critical", "timestamp": now}, origin=window.origin)
    page.see("critical 8", ".sums")
    assert page.run(HISTOGRAM)["series"]["critical"][-1] == 1
    assert page.run("return window.standing.isConnected")


def test_what_is_found_late_is_counted_too(window: Window) -> None:
    """Rows come live before a question finds them: counts that are short at first are made again."""
    some(window, 10)
    page = window.browser
    window.open(LOGS + "?live=1")
    page.see("10 events", ".sums")
    page.see("Live ·", ".tail")
    page.run(LATE)
    window.visitor.send(*({"message": f"news {n}"} for n in range(7)), origin=window.origin)
    page.see("17 events", ".sums")
    assert page.run("return window.short") == 0


def test_conditions_are_turned_around_and_taken_away(window: Window) -> None:
    some(window)
    page = window.browser
    window.open(LOGS + "?q=order level:error environment:staging")
    page.see("8 events", ".sums")
    assert page.text(".pills").split("\n")[::2] == ["level:error", "environment:staging"]
    page.click(".pill:nth-child(2) a:first-child")
    page.see("16 events", ".sums")
    assert page.run(SEARCH) == "order level:error -environment:staging"
    page.click(".pill:nth-child(1) a:last-child")
    page.see("80 events", ".sums")
    assert page.run(SEARCH) == "order -environment:staging"
    page.click(".pill a:last-child")
    page.see("120 events", ".sums")
    assert page.run(SEARCH) == "order"
    assert not page.run("return document.querySelector('.pills')")


def test_what_came_since_is_offered(window: Window) -> None:
    some(window, 5)
    page = window.browser
    window.open(LOGS)
    page.see("5 events", ".sums")
    window.origin.clock.advance(2)
    now = times.show(window.origin.clock())
    window.visitor.send(*({"message": f"news {n}", "timestamp": now} for n in range(3)), origin=window.origin)
    page.see("3 newer events", ".newer")
    assert "news" not in page.text("#events")
    page.click(".newer a")
    page.see("news 2", "#events")
    page.see("8 events", ".sums")


def test_lines_and_views_are_copied(window: Window) -> None:
    some(window, 6)
    page = window.browser
    window.open(LOGS + "?q=order&period=15m")
    page.see("6 events", ".sums")
    page.run(LISTEN)
    page.run("document.querySelector('#events tr:nth-child(3) a.open').focus()")
    page.click("[data-line=text]")
    line = copied(page)
    assert line.endswith("debug  web  order 002 was paid")
    assert times.parse(line.split("  ")[0]) == window.origin.clock() - 50 * times.SECOND
    page.click("[data-line=link]")
    link = copied(page)
    page.click("[data-line=context]")
    page.see("order 003", ".around")
    page.click(".drawer [data-step='1']")
    page.until(lambda: "order 003" in page.text(".drawer .message"), "the next event was not opened")
    page.press(ESCAPE)
    page.until(lambda: "event=" not in page.url, "the event stayed open")
    page.click("#events tr:nth-child(2) .message")
    page.see("order 001", ".drawer .message")
    page.run("document.querySelector('[data-copy-link=view]').click()")
    shared = copied(page)
    asked = parse_qs(urlsplit(shared).query)
    assert shared.startswith(window.origin.url)
    assert {"q", "from", "to", "event"} == set(asked)
    page.open(link)
    page.see("order 002", ".drawer .message")
    page.open(shared)
    page.see("order 001", ".drawer .message")
    page.see("6 events", ".sums")


def test_how_the_list_looks_is_remembered(window: Window) -> None:
    some(window, 6)
    page = window.browser
    window.open(LOGS)
    page.see("6 events", ".sums")
    page.find(".facet .value")
    page.click("#facets [data-fold]")
    page.until(lambda: not page.run("return document.querySelectorAll('.facet[open]').length"), "nothing was folded")
    page.press("w")
    page.find("[data-wrap][aria-pressed=true]")
    page.click(".rail > summary span")
    page.until(lambda: not page.run("return document.querySelector('.rail').open"), "the fields stayed")
    wide = page.run("return document.querySelector('.results').offsetWidth")
    window.open(LOGS + "?period=4h")
    page.find("[data-wrap][aria-pressed=true]")
    assert page.run("return document.querySelector('#events').className") == "events wrapped"
    assert not page.run("return document.querySelector('.rail').open")
    assert page.run("return document.querySelector('.results').offsetWidth") == wide > 1_000
    page.run("localStorage.clear()")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_small_text_can_be_read(window: Window, theme: str) -> None:
    some(window, 6)
    page = window.browser
    page.run("document.cookie = `headrace_theme=${arguments[0]}; path=/`", theme)
    window.open(LOGS + "?q=-level:critical")
    page.see("6 events", ".sums")
    page.click("#events tr:nth-child(2) .message")
    page.find(".drawer .acts")
    page.find(".facet .rows")
    read = [
        ".drawer .acts a",
        ".drawer .acts button",
        ".events tr.warning .level",
        ".events tr.error .level",
        ".events tr.debug .level",
        ".events .when .day",
        ".pill.out a",
        ".rows",
    ]
    assert [one for one in page.run(CONTRAST, read) if one[1] < 4.5] == []


def test_local_time_is_offered_and_kept(window: Window) -> None:
    there = zone("Asia/Kolkata")
    # Noon there, so that what is brushed is of one day.
    window.origin.clock.advance((12 - int(there.fine(window.origin.clock())[1][:2])) % 24 * 3600)
    some(window, 12)
    page = window.browser
    place = {"cmd": "Emulation.setTimezoneOverride", "params": {"timezoneId": "Asia/Kolkata"}}
    page.ask("POST", "/goog/cdp/execute", place)
    window.open(LOGS)
    page.see("12 events", ".sums")
    page.see("UTC", "#time summary")
    page.click("#time summary")
    page.click("[data-local-zone]")
    page.see("IST", "#time summary")
    newest = there.fine(window.origin.clock())[1]
    assert page.text("#events tr:nth-child(1) time").endswith(newest)
    # The plot's ticks are of the same zone.
    page.find(".u-over")
    page.drag(".u-over", 0.85, 0.999)
    page.until(lambda: "from=" in page.url, "brushing changed no period")
    assert "Z" in parse_qs(urlsplit(page.url).query)["from"][0]
    page.until(lambda: 0 < shown(window) <= 12, "there are no rows")
    assert page.text("#time summary").startswith(there.shown(window.origin.clock())[:10])
    page.click("#time summary")
    typed = page.run("return document.querySelector('[name=from]').value")
    page.clear("[name=to]")
    page.clear("[name=from]")
    page.run("document.querySelector('#explorer').dataset.before = 'yes'")
    page.type("[name=from]", f"{typed[:16]} - {newest[:5]}" + ENTER)
    page.until(lambda: not page.run("return document.querySelector('[data-before]')"), "the page stayed")
    assert "zone=Asia" in page.url
    page.see(typed[:16], "#time summary")
    page.click("#time summary")
    page.click("[name=clock][value=received]")
    page.see("arrival", "#time summary")
    assert "clock=received" in page.url
    page.ask("POST", "/goog/cdp/execute", place | {"params": {"timezoneId": ""}})


def test_an_event_of_all_projects_opens_in_its_own(window: Window) -> None:
    some(window, 6)
    page = window.browser
    for path in ("/ui/logs", LOGS):
        window.open(path)
        page.see("6 events", ".sums")
        page.find(".facet .value")
    window.open("/ui/logs")
    page.see("6 events", ".sums")
    page.see("An App", "#events tr:nth-child(2) .project")
    page.run(LISTEN)
    page.run("document.querySelector('#events tr:nth-child(3) a.open').focus()")
    page.click("[data-line=link]")
    link = copied(page)
    page.click("#events tr:nth-child(2) .message")
    page.see("order 001", ".drawer .message")
    assert urlsplit(page.url).path == LOGS.format(slug=window.visitor.tenant.slug)
    page.open(link)
    page.see("order 002", ".drawer .message")
