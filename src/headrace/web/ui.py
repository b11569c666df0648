"""The browser's pages as a door: `/ui`. The pages stand in modules of their own."""

import asyncio

from headrace.core.refusals import Kind, Refusal, forbidden
from headrace.web import (
    alerts,
    assets,
    audit,
    browser,
    checkout,
    clocks,
    dashboards,
    deletions,
    differences,
    error_group,
    errors,
    forms,
    invoices,
    jobs,
    keys,
    logs,
    patterns,
    pauses,
    people,
    projects,
    schedules,
    search_help,
    searches,
    webhooks,
    workflows,
)
from headrace.web.rendering import HTML, STAYS, fragment, here, moved, page, partial_wanted
from headrace.web.routing import PERSON
from headrace.wire import admission
from headrace.wire.call import Answer, Call
from headrace.wire.door import Door, HotRoute, Terms
from headrace.wire.statuses import STATUS

ROOT = "/ui"
FORM = "application/x-www-form-urlencoded"
SIGN_IN = "/ui/sign-in"
# A checkout comes back to addresses that Stripe is told too, so that they stand beside the pages.
OWNED = frozenset({ROOT, checkout.SUCCESS, checkout.CANCEL})
ELSEWHERE = "This form was sent from another site. Open the page again and repeat it there."


def door() -> Door:
    """Build the door; the assets are read now."""
    rooms = (
        people,
        projects,
        keys,
        clocks,
        logs,
        errors,
        error_group,
        checkout,
        invoices,
        search_help,
        searches,
        deletions,
        patterns,
        differences,
        alerts,
        dashboards,
        jobs,
        webhooks,
        workflows,
        schedules,
        pauses,
        audit,
    )
    open_to_all = Terms(limited=False)
    return Door(
        name="ui",
        title="Pages",
        owns=owns,
        hot=[
            HotRoute(method="GET", path=ROOT, run=home, terms=open_to_all, listed=False),
            *assets.routes(),
            *(one for room in rooms for one in room.ROUTES),
        ],
        admit=admit,
        peek=lambda _call: None,
        render=render,
        reads=lambda media: media.partition(";")[0].strip().lower() in {"", FORM},
    )


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is a page's."""
    del method, query
    return path in OWNED or path.startswith(ROOT + "/")


async def home(call: Call) -> Answer:
    del call
    return moved(forms.HOME)


async def admit(call: Call) -> None:
    """Let a call in, or refuse it: its origin, its budgets, its session, in that order."""
    call.family = "page"
    if call.route is not None and call.route.terms.limited:
        await asyncio.to_thread(check, call)


def check(call: Call) -> None:
    if call.method not in browser.SAFE and not browser.same_origin(call):
        raise forbidden(ELSEWHERE)
    if call.route is None or call.route.terms.credential != PERSON:
        _count(call, f"web_address/{call.bucket}")
        return
    call.principal = browser.person(call)
    _count(call, f"web_account/{call.who.account_id}")


def _count(call: Call, bucket: str) -> None:
    admission.take(call, admission.budgets(call.house, bucket))
    call.rates = ()  # People read no rate headers.


def render(refusal: Refusal, call: Call) -> Answer:
    """Say no as a page, as a part of one, or by the way to the sign-in page."""
    call.family = "page"
    if refusal.kind is Kind.UNAUTHENTICATED:
        return _to_sign_in(call)
    status = STATUS[refusal.kind]
    text = refusal.text if status < 500 or refusal.kind is Kind.UNAVAILABLE else "Something went wrong here."  # noqa: PLR2004
    if partial_wanted(call):
        # What would have replaced the explorer leaves it as it is, and says why beside it.
        whole = call.header("hx-target") == "explorer"
        return fragment("refused.html", *(STAYS if whole else ()), status=status, text=text, whole=whole)
    signed_in = call.principal is not None
    return page(call, "error.html", status=status, bare=True, text=text, code=status, signed_in=signed_in)


def _to_sign_in(call: Call) -> Answer:
    if partial_wanted(call):
        return Answer(401, b"", ((b"hx-redirect", SIGN_IN.encode()),), HTML)
    back = here(call) if call.method in browser.SAFE else ""
    return moved(forms.address(SIGN_IN, next=back if back != forms.HOME else None))
