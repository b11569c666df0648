"""A real browser on a served house. Skipped where Chromium or its driver is not installed."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.browser.driver import Browser, programs
from tests.conftest import PASSWORD
from tests.doors.conftest import Origin, client, origin, tenant
from tests.web.conftest import Visitor, more_settings, visitor

__all__ = ["client", "more_settings", "origin", "tenant", "visitor"]

# What a page says for a moment is kept: it may be gone before anybody looks.
HEAR = """
    const said = document.querySelector('#said');
    window.heard = [];
    new MutationObserver(() => window.heard.push(said.textContent)).observe(said, { childList: true })"""


class Window(NamedTuple):
    """A window with somebody signed in; `visitor` is the same person over plain HTTP."""

    browser: Browser
    visitor: Visitor
    origin: Origin

    def open(self, path: str) -> None:
        self.browser.open(self.origin.url + path.format(**self.visitor.tenant._asdict()))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if programs() is None:
        pytest.skip("Chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(started: Browser, origin: Origin) -> Iterator[Browser]:
    """A window that remembers nothing. At the end nothing may have been complained about, or asked of another place."""
    started.open(origin.url + "/ui/sign-in")
    started.ask("DELETE", "/cookie")
    started.run("localStorage.clear()")
    started.resize(1280, 850)
    for kind in ("browser", "performance"):
        started.log(kind)  # What was before is not this test's.
    yield started
    complaints = [one for one in started.log("browser") if "favicon" not in one["message"]]
    assert not complaints
    foreign = [url for url in asked(started.log("performance")) if not url.startswith((origin.url, "data:"))]
    assert not foreign


@pytest.fixture
def window(browser: Browser, visitor: Visitor, origin: Origin) -> Window:
    browser.open(origin.url + "/ui/sign-in")
    browser.type("[name=email]", visitor.tenant.email)
    browser.type("[name=password]", PASSWORD)
    browser.click("main button.main")
    browser.see("New project")
    return Window(browser, visitor, origin)


def hear(page: Browser, words: str) -> None:
    """Wait until the page has said this since HEAR was run."""
    page.until(lambda: words in page.run("return window.heard"), f"the page did not say {words!r}")


def asked(log: list[dict[str, Any]]) -> Iterator[str]:
    """Return the address of every request that the page made."""
    for entry in log:
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            yield event["params"]["request"]["url"]
