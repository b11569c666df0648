"""The organization's bills: its plan, subscriptions and invoices, for those who see to them."""

from headrace.core import billing, rules
from headrace.core.billing.records import OVER
from headrace.core.refusals import Kind, Refusal
from headrace.web import forms
from headrace.web.checkout import money
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PATH = "/ui/billing"
PAGE = 50
MOST_PAGES = 10_000


def show(call: Call) -> Answer:
    return _page(call)


def cancel(call: Call) -> Answer:
    """Have a subscription end."""
    given = forms.fields(call).get("subscription_id", "")
    try:
        billing.cancel(call.house, call.who, subscription_id=rules.path_id(given, "subscription_id"))
    except Refusal as refusal:
        return _page(call, refused=forms.said(refusal, Kind.UNAVAILABLE))
    return moved(PATH)


def _page(call: Call, *, refused: Refusal | None = None) -> Answer:
    number = max(1, forms.number(forms.query(call).get("page", ""), MOST_PAGES))
    found, count = billing.list_invoices(call.house, call.who, limit=PAGE, offset=(number - 1) * PAGE)
    return page(
        call,
        "invoices.html",
        invoices=found,
        subscriptions=billing.list_subscriptions(call.house, call.who)[0],
        money=money,
        number=number,
        more=number * PAGE < count,
        over=OVER,
        refused=refused,
    )


ROUTES = (route("GET", PATH, show), route("POST", f"{PATH}/cancel", cancel))
