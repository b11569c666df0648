"""The organization's bills: its plan, subscriptions and invoices, for those who see to them."""

from headrace.core import billing
from headrace.web import forms
from headrace.web.checkout import money
from headrace.web.rendering import page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PAGE = 50
MOST_PAGES = 10_000


def show(call: Call) -> Answer:
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
    )


ROUTES = (route("GET", "/ui/billing", show),)
