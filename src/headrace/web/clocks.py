"""Which clock the explorer goes by: the zone of its times, and whether events count when they happened or arrived.

Both are kept in this browser. An address always means the same moments; only what it shows them as is the browser's.
"""

from urllib.parse import urlencode

from headrace.web import browser, forms
from headrace.web.rendering import moved
from headrace.web.routing import route
from headrace.web.zones import Zone, zone
from headrace.wire.call import Answer, Call

ZONE, CLOCK = "headrace_zone", "headrace_clock"
EVENT, RECEIVED = "event", "received"
CLOCKS = (EVENT, RECEIVED)


def of(call: Call) -> Zone:
    return zone(browser.cookie(call, ZONE))


def prefers_arrival(call: Call) -> bool:
    return browser.cookie(call, CLOCK) == RECEIVED


def choose(call: Call) -> Answer:
    """Keep a zone, or a clock, and go back to the view, which then goes by it."""
    given = forms.fields(call)
    target = forms.own(given.get("next", ""))
    if "zone" in given:
        browser.keep(call, ZONE, zone(given["zone"]).label)
    if "clock" in given:
        clock = forms.choice(given, "clock", CLOCKS)
        browser.keep(call, CLOCK, clock)
        path = target.partition("?")[0]
        kept = {name: value for name, value in forms.of_address(target).items() if name != "clock"}
        kept |= {"clock": RECEIVED} if clock == RECEIVED else {}
        target = f"{path}?{urlencode(kept)}" if kept else path
    return moved(target)


ROUTES = (route("POST", "/ui/clocks", choose),)
