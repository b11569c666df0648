"""Webhooks in a browser: an endpoint made, its secret copied, a test sent to a receiver that answers with markup."""

from typing import Any

import pytest
from aiohttp import web

from tests.browser.conftest import HEAR, Window, hear
from tests.receiver import Receiver
from tests.web.conftest import NAUGHTY, UNHURRIED

# What breaks inside a word, or lies beside the screen.
ON_A_PHONE = """return [...document.querySelectorAll('.stack .title, .stack .state')].filter(one => {
  const lines = new Set([...one.getClientRects()].map(each => each.top)), box = one.getBoundingClientRect();
  return lines.size > 1 || box.right > innerWidth || box.left < 0;
}).map(one => one.textContent)"""


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"outbound_allow": ("127.0.0.0/8",), **UNHURRIED}


def test_a_webhook_from_its_form_to_its_log(window: Window, receiver: Receiver) -> None:
    receiver.answer = lambda _: web.Response(body="\n".join(NAUGHTY).encode(), content_type="text/html")
    browser = window.browser
    browser.click(".menu.right summary")
    browser.click("a[href='/ui/webhooks']")
    browser.see("There are no webhooks yet")
    browser.type("[name=url]", f"{receiver.url}/hook")
    browser.type("[name=events]", "job.* key.created")
    browser.click("form.card button.main")
    browser.see("shown this once")
    assert browser.text("#secret").startswith("whsec_")
    browser.run(HEAR)
    browser.click("[data-copy-from=secret]")
    hear(browser, "Copied")
    browser.click("form[action$='/test'] button")
    browser.see("webhook.test")

    def delivered() -> bool:
        browser.open(browser.url)
        return "delivered" in browser.text("h1")

    browser.until(delivered, "the test was not delivered")
    browser.see("window.broken = 1", "pre")
    assert browser.run("return window.broken") is None
    browser.click("form[action$='/redeliver'] button")

    def delivered_again() -> bool:
        browser.open(browser.url)
        return int(browser.run("return document.querySelectorAll('details.card').length")) == 2

    browser.until(delivered_again, "the test was not delivered again")
    window.open("/ui/webhooks/deliveries?status=delivered")
    browser.see("Deliveries")
    browser.resize(390, 800)
    for path in ("/ui/webhooks/deliveries", "/ui/jobs"):
        window.open(path)
        browser.see("delivered" if path.endswith("deliveries") else "webhook.deliver")
        assert browser.run(ON_A_PHONE) == []
    browser.resize(1280, 800)
    window.open("/ui/webhooks")
    browser.click(".list a.title")
    browser.click("form[action$='/switch'] button")
    browser.see("switched off")
