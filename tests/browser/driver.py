"""A browser that a test drives: Chromium, by the WebDriver protocol over HTTP. No page is known here."""

import base64
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import PATIENCE

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
ENTER, ESCAPE, TAB, CONTROL = "\ue007", "\ue00c", "\ue004", "\ue009"


def programs() -> tuple[str, str] | None:
    """Return Chromium and its driver; None when one of them is not installed."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def started(driver: str) -> tuple["subprocess.Popen[str]", str]:
    """Start the driver; return it and its port. A port that it finds free may be taken by the time that it opens it."""
    for _ in range(5):
        process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        said = next((line for line in process.stdout if "successfully on port" in line), None)
        if said is not None:
            return process, said.split("port ")[1].strip(" .\n")
        process.stdout.close()
        process.wait(10)
    raise LookupError("chromedriver does not start")


class Browser:
    """One window. `find` and `see` wait until the page has what is looked for."""

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 850) -> None:
        found = programs()
        assert found is not None
        self.process, port = started(found[1])
        assert self.process.stdout is not None
        self.reader = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.reader.start()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60 * PATIENCE)
        options = {
            "binary": found[0],
            "args": [*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}"],
            "perfLoggingPrefs": {"enableNetwork": True},
        }
        wanted = {
            "alwaysMatch": {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "unhandledPromptBehavior": "ignore",
            }
        }
        self.session = ""
        self.session = self.ask("POST", "/session", {"capabilities": wanted})["sessionId"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        at = f"/session/{self.session}{path}" if self.session else path
        answer = self.http.request(method, at, json=(body or {}) if method == "POST" else None)
        value = answer.json()["value"]
        if answer.status_code != 200:
            raise LookupError(f"{value['error']}: {value['message'].splitlines()[0]}")
        return value

    def close(self) -> None:
        self.ask("DELETE", "")
        self.http.close()
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self.ask("GET", "/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> str:
        """Wait for an element that is shown; return its id."""
        visible = """
            return [...document.querySelectorAll(arguments[0])].find((one) => one.checkVisibility()) || null"""
        found = self.until(lambda: self.run(visible, selector), f"nothing like {selector} is shown")
        return str(found[ELEMENT])

    def click(self, selector: str) -> None:
        self.until(lambda: self._clicked(selector), f"{selector} could not be clicked")

    def _clicked(self, selector: str) -> bool:
        try:
            self.ask("POST", f"/element/{self.find(selector)}/click")
        except LookupError:
            return False  # Replaced by the page in between, or still under something.
        return True

    def type(self, selector: str, text: str) -> None:
        self.ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def clear(self, selector: str) -> None:
        self.ask("POST", f"/element/{self.find(selector)}/clear")

    def press(self, *keys: str) -> None:
        """Press a key, held together with those before it."""
        strokes = [{"type": "keyDown", "value": key} for key in keys]
        strokes += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def drag(self, selector: str, first: float, last: float) -> None:
        """Drag across an element, from one share of its width to another."""
        box = self.run("const b = document.querySelector(arguments[0]).getBoundingClientRect(); return b", selector)
        y = round(box["y"] + box["height"] / 2)
        ends = [round(box["x"] + box["width"] * share) for share in (first, (first + last) / 2, last)]
        moves = [{"type": "pointerMove", "duration": 30, "x": x, "y": y} for x in ends]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.ask("POST", "/actions", {"actions": [pointer]})

    def text(self, selector: str = "body") -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def see(self, words: str, selector: str = "body") -> None:
        """Wait until an element says these words, as words: `unresolved` does not say `resolved`."""
        said = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
        self.until(lambda: said.search(self.text(selector)), f"{selector} does not say {words!r}")

    def until(self, condition: Callable[[], Any], otherwise: str, seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds * PATIENCE
        pause = threading.Event()
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{otherwise}, at {self.url}:\n{self.text()[:2000]}")
            pause.wait(0.05)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": size}
        self.ask("POST", "/goog/cdp/execute", command)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what was logged since it was last asked: `browser` (the console) or `performance` (the network)."""
        entries: list[dict[str, Any]] = self.ask("POST", "/se/log", {"type": kind})
        return entries
