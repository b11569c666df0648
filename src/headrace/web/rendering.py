"""Templates into answers: everything is escaped, and what every page shows is added here."""

from collections.abc import Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from headrace.core import projects
from headrace.core.groups.frames import Frame
from headrace.core.identity import accounts, organizations
from headrace.core.projects import Project
from headrace.core.refusals import Refusal
from headrace.web import assets, browser, hostile, period
from headrace.wire.call import Answer, Call
from headrace.wire.headers import Header
from headrace.wire.statuses import STATUS

HTML = b"text/html; charset=utf-8"
SEE_OTHER = 303
# Has the browser put an answer where complaints stand, and keep everything else.
STAYS: tuple[Header, ...] = (
    (b"hx-retarget", b"#complaint"),
    (b"hx-reselect", b"#complaint"),
    (b"hx-reswap", b"outerHTML"),
    (b"hx-push-url", b"false"),
)
TEMPLATES = Path(__file__).parent / "templates"
THOUSAND = 1_000
BAR_HEIGHT = 100


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"asset": assets.url, "presets": period.PRESETS}
    made.filters |= {
        "seen": hostile.seen,
        "line": hostile.line,
        "shown": period.shown,
        "count": count,
        "short": short,
        "bars": bars,
        "runs": runs,
    }
    return made


def fragment(template: str, /, *headers: Header, status: int = 200, **facts: Any) -> Answer:
    """Render a part of a page."""
    text = environment().get_template(template).render(facts)
    return Answer(status, text.encode("utf-8", "replace"), headers, HTML)


def page(
    call: Call,
    template: str,
    /,
    *,
    status: int = 200,
    project: Project | None = None,
    refused: Refusal | None = None,
    bare: bool = False,
    **facts: Any,
) -> Answer:
    """Render a whole page; with a session's menu when there is one. `project` is the one whose pages these are.

    What was `refused` is said on it, as `complaint`, and gives the answer its status. A `bare` page asks the database
    nothing.
    """
    now = call.house.clock()
    known: dict[str, Any] = {"account": None, "organization": None, "projects": [], "role": "", "admin": False}
    if call.principal is not None and not bare:
        known = {
            "account": accounts.me(call.house, call.who).account,
            "organization": organizations.current(call.house, call.who),
            "projects": projects.list_all(call.house, call.who),
            "role": call.who.role,
            "admin": call.who.is_admin,
        }
    shared = {"theme": browser.theme(call), "here": here(call), "project": project, "ago": partial(_ago, now)}
    if refused is not None:
        status = STATUS[refused.kind]
    complaint = "" if refused is None else refused.text
    return fragment(template, status=status, complaint=complaint, **(known | shared | facts))


def _ago(now: int, moment: int) -> str:
    return period.ago(moment, now)


def here(call: Call) -> str:
    """Return the path and query of this page."""
    query = call.scope["query_string"].decode("latin-1")
    return f"{call.scope['path']}?{query}" if query else str(call.scope["path"])


def moved(target: str) -> Answer:
    """Send the browser to another page of ours."""
    return Answer(SEE_OTHER, b"", ((b"location", target.encode()),), HTML)


def partial_wanted(call: Call) -> bool:
    """Tell whether a part of a page is asked for, to be put into the one that is open."""
    return b"hx-request" in call.headers and b"hx-history-restore-request" not in call.headers


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def short(number: int) -> str:
    """A number in four characters."""
    size = float(number)
    for unit in ("", "k", "M", "G"):
        if size < THOUSAND:
            return f"{number}" if not unit else f"{size:.1f}{unit}" if size < THOUSAND / 10 else f"{size:.0f}{unit}"
        size /= THOUSAND
    return f"{size:.0f}T"


def runs(frames: Sequence[Frame]) -> list[tuple[bool, list[Frame]]]:
    """Return frames that follow one another together: (whether they are the project's own, they)."""
    return [(own, list(some)) for own, some in groupby(frames, key=lambda frame: frame.own)]


def bars(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return (y, height) of each bar of a sparkline that is 100 high; what is there is seen."""
    most = max(counts, default=0) or 1
    heights = [max(6, one * BAR_HEIGHT // most) if one else 0 for one in counts]
    return [(BAR_HEIGHT - height, height) for height in heights]
