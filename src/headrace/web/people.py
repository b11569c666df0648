"""Signing up, in and out, and the theme. Who may come in, and how often somebody may try, is core's."""

from headrace.core.identity import accounts, sessions
from headrace.core.refusals import Kind, Refusal
from headrace.web import browser, forms
from headrace.web.rendering import moved, page
from headrace.web.routing import ANYBODY, PERSON, route
from headrace.wire.call import Answer, Call

DOOR = "web"
# Of those who are not in yet, this is no reason to send them elsewhere.
AT_THE_DOOR = (Kind.UNAUTHENTICATED, Kind.RATE_LIMITED)


def sign_in_form(call: Call) -> Answer:
    given = forms.query(call)
    return _sign_in(call, {"next": given.get("next", "")})


def sign_in(call: Call) -> Answer:
    given = forms.fields(call)
    try:
        done = accounts.log_in(
            call.house, email=given.get("email"), password=given.get("password"), door=DOOR, address=call.address
        )
    except Refusal as refusal:
        return _sign_in(call, given, forms.said(refusal, *AT_THE_DOOR))
    browser.remember(call, sessions.resolve(call.house, done.pair.access_token))
    return moved(forms.own(given.get("next", "")))


def sign_up_form(call: Call) -> Answer:
    return _sign_up(call, {})


def sign_up(call: Call) -> Answer:
    given = forms.fields(call)
    try:
        made = accounts.register(
            call.house,
            email=given.get("email"),
            password=given.get("password"),
            name=given.get("name"),
            organization_name=given.get("organization_name") or None,
            door=DOOR,
            address=call.address,
        )
    except Refusal as refusal:
        return _sign_up(call, given, forms.said(refusal, *AT_THE_DOOR))
    browser.remember(call, sessions.resolve(call.house, made.pair.access_token))
    return moved(forms.HOME)


def sign_out(call: Call) -> Answer:
    """End the session for good: its cookie opens nothing any more, wherever it was copied to."""
    sessions.log_out(call.house, call.who)
    browser.forget(call)
    return moved("/ui/sign-in")


def choose_theme(call: Call) -> Answer:
    given = forms.fields(call)
    browser.choose_theme(call, forms.choice(given, "theme", browser.THEMES))
    return moved(forms.own(given.get("next", "")))


def _sign_in(call: Call, given: dict[str, str], refusal: Refusal | None = None) -> Answer:
    return _form(call, "sign_in.html", given, refusal)


def _sign_up(call: Call, given: dict[str, str], refusal: Refusal | None = None) -> Answer:
    return _form(call, "sign_up.html", given, refusal)


def _form(call: Call, template: str, given: dict[str, str], refusal: Refusal | None) -> Answer:
    if refusal is not None and "retry_after" in refusal.facts:
        call.added.append((b"retry-after", b"%d" % refusal.facts["retry_after"]))
    return page(
        call,
        template,
        refused=refusal,
        given=given,
        unprotected=browser.unprotected(call),
    )


ROUTES = (
    route("GET", "/ui/sign-in", sign_in_form, ANYBODY),
    route("POST", "/ui/sign-in", sign_in, ANYBODY),
    route("GET", "/ui/sign-up", sign_up_form, ANYBODY),
    route("POST", "/ui/sign-up", sign_up, ANYBODY),
    route("POST", "/ui/sign-out", sign_out, PERSON),
    route("POST", "/ui/theme", choose_theme, ANYBODY),
)
