"""Accounts: register, log in, refresh, log out, who am I."""

from litestar import get, post
from litestar.params import JSONBody

from headrace.core.identity import accounts, sessions
from headrace.core.identity.records import LoggedIn, Refreshed
from headrace.doors.ledger import shapes
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["accounts"]


@post(
    "/api/v1/accounts/register",
    opt=terms(body="body_limit", crash="Registration failed", errors=(409,)),
    tags=TAGS,
    sync_to_thread=True,
)
def register(call: Incoming, data: JSONBody[shapes.Registration]) -> shapes.Registered:
    """Create an account, with an organization of its own or, by invitation, in another's."""
    made = accounts.register(
        call.house,
        email=data.email,
        password=data.password,
        name=data.name,
        organization_name=data.organization_name,
        invitation_token=data.invitation_token,
        door="ledger",
        address=call.address,
    )
    return shapes.Registered(
        account_id=made.account.account_id,
        email=made.account.email,
        name=made.account.name,
        message="Account created successfully",
        organization_id=made.organization.organization_id,
        access_token=made.pair.access_token,
        refresh_token=made.pair.refresh_token,
        expires_in=made.pair.expires_in,
    )


@post(
    "/api/v1/accounts/login",
    opt=terms(body="body_limit", crash="Login failed", errors=(401, 403)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def log_in(call: Incoming, data: JSONBody[shapes.LogIn]) -> shapes.LoggedIn:
    """Log in with e-mail address and password."""
    done = accounts.log_in(
        call.house,
        email=data.email,
        password=data.password,
        organization_id=data.organization_id,
        door="ledger",
        address=call.address,
    )
    return logged_in(done)


@post(
    "/api/v1/accounts/refresh",
    opt=terms(body="body_limit", errors=(401,)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def refresh(call: Incoming, data: JSONBody[shapes.Refresh]) -> shapes.LoggedIn:
    """Exchange a refresh token for a new pair of the same session."""
    done = sessions.refresh(call.house, refresh_token=data.refresh_token)
    return logged_in(done)


@post(
    "/api/v1/accounts/logout",
    opt=terms("J", crash="Logout failed"),
    tags=TAGS,
    status_code=204,
    sync_to_thread=True,
)
def log_out(call: Incoming) -> None:
    """End the session: its tokens are refused from the next request, everywhere."""
    sessions.log_out(call.house, call.who)


@get(
    "/api/v1/accounts/me",
    opt=terms("J", crash="Failed to fetch account", errors=(404,)),
    tags=TAGS,
    sync_to_thread=True,
)
def me(call: Incoming) -> shapes.Me:
    """Return the account behind the token."""
    found = accounts.me(call.house, call.who)
    return shapes.Me(
        account_id=found.account.account_id,
        email=found.account.email,
        name=found.account.name,
        created_at=times.show(found.account.created_at),
        organization_id=found.organization_id,
        role=found.role,
    )


def logged_in(done: LoggedIn | Refreshed) -> shapes.LoggedIn:
    return shapes.LoggedIn(
        access_token=done.pair.access_token,
        refresh_token=done.pair.refresh_token,
        account_id=done.account.account_id,
        email=done.account.email,
        organization_id=done.organization_id,
        expires_in=done.pair.expires_in,
    )


ROUTES = (register, log_in, refresh, log_out, me)
