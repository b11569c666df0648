"""Stripe by its own library, which is loaded where it is used and nowhere else. Amounts and words are Stripe's."""

import logging
import threading
from typing import TYPE_CHECKING, Any

from headrace.core.billing.records import Checkout, Customer
from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

VERSION = "2026-10-28.endive"
# Two tries fit into the time that one request of ours may take.
CONNECT_SECONDS, READ_SECONDS, RETRIES = 3.0, 8.0, 1
RETRY_SECONDS = 5
CALLS = 8


class Remote:
    """The house's client of Stripe."""

    def __init__(self, house: House) -> None:
        stripe = _library()
        stripe.enable_telemetry = False
        transport = stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS))
        self.client = stripe.StripeClient(
            house.settings.stripe_api_key,
            stripe_version=VERSION,
            base_addresses={"api": house.settings.stripe_url.rstrip("/")},
            max_network_retries=RETRIES,
            http_client=transport,
        )
        self.transport = transport
        # Each call holds a thread that answers requests; a slow Stripe must not have them all.
        self.free = threading.BoundedSemaphore(CALLS)

    def close(self) -> None:
        self.transport.close()


def make_customer(house: House, *, organization_id: int, name: str) -> str:
    """Make the customer of an organization; the same again is the same one."""
    sent: Any = {"name": name, "metadata": {"organization_id": str(organization_id)}}
    client = house.part(Remote).client
    made = _asked(house, lambda: client.v1.customers.create(sent, _once(house, f"customer/{organization_id}/{name}")))
    return str(made.id)


def start(house: House, order: Checkout, *, price_id: str, customer: str | None) -> tuple[str, str]:
    """Make a checkout session of the order; return its id and the page where the buyer goes on."""
    metadata = {"organization_id": str(order.organization_id)}
    if order.reference is not None:
        metadata["user_id"] = order.reference
    sent: Any = {
        "mode": order.mode,
        "line_items": [{"price": price_id, "quantity": 1}],
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "metadata": metadata,
    }
    if order.mode == "subscription":
        metadata["plan"] = order.item
        sent["subscription_data"] = {"metadata": metadata}
        sent["client_reference_id"] = str(order.organization_id)
        sent["customer"] = customer
    else:
        optional = {"customer_email": order.email, "client_reference_id": order.reference}
        sent |= {name: value for name, value in optional.items() if value is not None}
    client = house.part(Remote).client
    made = _asked(house, lambda: client.v1.checkout.sessions.create(sent, _once(house, f"checkout/{order.id}")))
    return str(made.id), str(made.url)


def subscribe(house: House, customer: Customer, *, plan: str, price_id: str, method: str) -> Any:
    """Make a subscription that is paid by this method; return it as Stripe shows it.

    Until one is known to have been answered, the same again is the same one.
    """
    sent: Any = {
        "customer": customer.external_id,
        "items": [{"price": price_id}],
        "default_payment_method": method,
        "metadata": {"organization_id": str(customer.organization_id), "plan": plan},
    }
    client = house.part(Remote).client
    _asked(house, lambda: client.v1.payment_methods.attach(method, {"customer": customer.external_id}))
    what = f"subscription/{customer.external_id}/{customer.answers}/{plan}/{price_id}/{method}"
    made = _asked(house, lambda: client.v1.subscriptions.create(sent, _once(house, what)))
    return made.to_dict()


def cancel(house: House, external_id: str) -> Any:
    """Have a subscription end with the period that is paid."""
    client = house.part(Remote).client
    made = _asked(house, lambda: client.v1.subscriptions.update(external_id, {"cancel_at_period_end": True}))
    return made.to_dict()


def _library() -> Any:
    import stripe  # noqa: PLC0415  It takes a second to load, and most never use it.

    return stripe


def _once(house: House, what: str) -> Any:
    """The idempotency key of a request; of another instance with the same account it is another."""
    return {"idempotency_key": house.keyring.mac("billing/1", what).hex()}


def _asked(house: House, send: "Callable[[], Any]") -> Any:
    """Send, and turn Stripe's refusals into ours."""
    stripe, free = _library(), house.part(Remote).free
    if not free.acquire(blocking=False):
        raise _away()
    try:
        return send()
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # The operator's key is wrong: that is nothing to tell a caller, and its message quotes the key's end.
        log.error("Stripe refuses the key of this server (%s)", type(error).__name__)  # noqa: TRY400  As above.
        raise _away() from None
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        log.warning("Stripe cannot be reached: %s", type(error).__name__)
        raise _away() from None
    except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
        text = error.user_message or "Stripe refuses this request"
        raise Refusal(Kind.INVALID, text[:500], rule="refused") from None
    except stripe.StripeError as error:
        log.warning("Stripe failed: %s %s", type(error).__name__, error.http_status)
        raise _away() from None
    finally:
        free.release()


def _away() -> Refusal:
    return unavailable("Stripe cannot be reached", RETRY_SECONDS)
