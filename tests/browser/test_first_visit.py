"""From nothing to the first log: sign up, make a project and a key, send by the command that is shown, see it."""

import shutil
import subprocess

import pytest

from tests.browser.conftest import HEAR, hear
from tests.browser.driver import Browser
from tests.conftest import PASSWORD
from tests.doors.conftest import Origin


def test_from_the_first_visit_to_the_first_log(browser: Browser, origin: Origin) -> None:
    browser.open(origin.url + "/")
    browser.click("a[href='/ui/sign-up']")
    browser.type("[name=name]", "Grace Hopper")
    browser.type("[name=email]", "grace@example.com")
    browser.type("[name=password]", PASSWORD)
    browser.click("main button.main")
    browser.see("Make the first one")
    browser.type("[name=name]", "Compiler")
    browser.click("main button.main")
    browser.see("Waiting for the first event")
    browser.type("[name=name]", "laptop")
    browser.click("main button.main")
    browser.see("shown this once")
    command = browser.text("#curl")
    assert "ldg_proj_" in command
    browser.run(HEAR)
    browser.click("[data-copy-from=curl]")
    hear(browser, "Copied")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    sent = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert "log_id" in sent.stdout or "accepted" in sent.stdout, sent.stdout
    browser.see("The first event is here")
    browser.click("#first a[href*=event]")
    browser.see("Hello from curl", ".drawer")
    browser.see("42", ".drawer")
    browser.open(origin.url + "/ui/projects/compiler/keys")
    browser.click(".sure summary")
    browser.click(".sure button.danger")
    browser.see("revoked")
    browser.click(".menu.right summary")
    browser.click("form[action='/ui/sign-out'] button")
    browser.find("[name=password]")
