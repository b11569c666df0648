"""Where a buyer goes on with an order of the local provider, and where every checkout comes back to.

Nobody is signed in here: the order's id, which cannot be guessed, opens its page.
"""

from headrace.core import billing
from headrace.core.billing import Checkout
from headrace.core.refusals import Refusal
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import ANYBODY, route
from headrace.wire.call import Answer, Call

SUCCESS, CANCEL = "/success", "/cancel"
PLACE = "{CHECKOUT_SESSION_ID}"
# ISO 4217: how many digits of an amount are behind the point; two, where nothing is said.
DIGITS = dict.fromkeys(("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd"), 0)
DIGITS |= dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3)


def show(call: Call, session_id: str) -> Answer:
    order = billing.order(call.house, session_id=session_id)
    if order.status == "complete":
        return moved(forms.address(SUCCESS, session_id=order.id))
    return _order(call, order)


def place(call: Call, session_id: str) -> Answer:
    try:
        placed = billing.place(call.house, session_id=session_id)
    except Refusal as refusal:
        return _order(call, billing.order(call.house, session_id=session_id), forms.said(refusal))
    return moved(forms.address(SUCCESS, session_id=placed.id))


def done(call: Call) -> Answer:
    """Thank the buyer; of a local order with what it was, and the way back to whoever sent them."""
    name = forms.query(call).get("session_id", "")
    try:
        order = billing.order(call.house, session_id=name)
    except Refusal:
        return page(call, "checkout_done.html", order=None, money=money, back="")
    if order.status != "complete":
        return moved(f"/ui/checkout/{order.id}")
    # A single payment comes back to this page, a plan to whoever sold it.
    back = order.success_url.replace(PLACE, order.id) if order.mode == "subscription" else ""
    return page(call, "checkout_done.html", order=order, money=money, back=back)


def abandoned(call: Call) -> Answer:
    return page(call, "checkout_cancelled.html")


def money(amount: int | None, currency: str) -> str:
    """An amount in minor units, as people write it."""
    if amount is None:
        return "as agreed"
    digits = DIGITS.get(currency.lower(), 2)
    return f"{amount / 10**digits:,.{digits}f} {currency.upper()}"


def _order(call: Call, order: Checkout, refused: Refusal | None = None) -> Answer:
    return page(call, "checkout.html", refused=refused, order=order, money=money)


ROUTES = (
    route("GET", "/ui/checkout/{session_id}", show, ANYBODY),
    route("POST", "/ui/checkout/{session_id}", place, ANYBODY),
    route("GET", SUCCESS, done, ANYBODY),
    route("GET", CANCEL, abandoned, ANYBODY),
)
