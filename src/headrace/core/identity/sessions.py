"""Sessions and their tokens. The session row is read on every request: ended means now, in every process.

A session names an account and its current organization. Roles are read from the store, never from a token.
"""

import secrets
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import sqlalchemy as sa

from headrace.core import audit
from headrace.core.house import Doubts, House
from headrace.core.identity.records import Pair, Refreshed, account_with
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, unauthenticated
from headrace.core.rules import text
from headrace.core.schema import accounts, memberships, organizations, refresh_tokens, sessions
from headrace.kit import keys
from headrace.kit.keyring import TOKEN
from headrace.kit.times import DAY, MINUTE, SECOND
from headrace.kit.tokens import InvalidTokenError

ACCESS_SECONDS = 3600
FAMILY_US = 7 * DAY
GRACE_US = 20 * SECOND
SEEN_US = MINUTE
# Ended sessions tell which addresses an account was signed in from.
KEPT_US = 90 * DAY
BROWSER = "browser|session"
MEMBER = sa.and_(
    memberships.c.organization_id == sessions.c.organization_id, memberships.c.account_id == sessions.c.account_id
)
STANDING = (
    sa.select(
        sessions.c.account_id,
        sessions.c.organization_id,
        sessions.c.last_seen_at,
        accounts.c.is_super_admin,
        sa.case((memberships.c.is_active == 1, memberships.c.role)).label("role"),
    )
    .select_from(
        sessions.join(accounts, accounts.c.id == sessions.c.account_id)
        .join(organizations, organizations.c.id == sessions.c.organization_id)
        .outerjoin(memberships, MEMBER)
    )
    .where(
        sessions.c.id == sa.bindparam("sid"),
        sessions.c.revoked_at.is_(None),
        sessions.c.expires_at > sa.bindparam("now"),
        sessions.c.auth_version == accounts.c.auth_version,
        accounts.c.is_active == 1,
        organizations.c.is_active == 1,
        sa.or_(memberships.c.is_active == 1, accounts.c.is_super_admin == 1),
    )
)
FIRST_USE = (
    sa.update(refresh_tokens)
    .where(refresh_tokens.c.id == sa.bindparam("token"), refresh_tokens.c.used_at.is_(None))
    .values(used_at=sa.bindparam("now"))
)


class Seen:
    """When sessions were last used, until the next `flush`: never a write per request."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        self.times: dict[str, int] = {}


def refused() -> Refusal:
    return unauthenticated("Invalid or expired token")


def resolve(house: House, token: str) -> Principal:
    """Turn an access token into its principal, or refuse (unauthenticated)."""
    now = house.clock()
    try:
        claims = house.tokens.claims_of(token, now)
    except InvalidTokenError as error:
        raise refused() from error
    who = standing(house, claims["sid"], now)
    if str(who.account_id) != claims["sub"]:
        raise refused()
    return who


def sealed(house: House, who: Principal) -> str:
    """Return the caller's session as a text that only this instance can read: what a browser keeps."""
    return urlsafe_b64encode(house.keyring.seal((who.session_id or "").encode(), BROWSER)).decode().rstrip("=")


def unsealed(house: House, text: str) -> Principal:
    """Turn what `sealed` made into its principal while the session runs, or refuse (unauthenticated)."""
    try:
        sid = house.keyring.unseal(urlsafe_b64decode(text + "=" * (-len(text) % 4)), BROWSER).decode()
    except ValueError as error:
        raise refused() from error
    return standing(house, sid, house.clock())


def standing(house: House, sid: str, now: int) -> Principal:
    """Return the principal of a running session, or refuse (unauthenticated)."""
    with house.db.read() as connection:
        row = connection.execute(STANDING, {"sid": sid, "now": now}).one_or_none()
    if row is None:
        raise refused()
    if now - row.last_seen_at >= SEEN_US:
        house.part(Seen).times[sid] = now
    return Principal(
        kind="user",
        organization_id=row.organization_id,
        account_id=row.account_id,
        role=_role(row),
        session_id=sid,
    )


def begin(
    connection: sa.Connection, house: House, *, account_id: int, organization_id: int, door: str, address: str
) -> Pair:
    """Make a session and its first pair, inside the caller's transaction. `door` names where the person came in."""
    sid, now = secrets.token_hex(16), house.clock()
    version = sa.select(accounts.c.auth_version).where(accounts.c.id == account_id)
    values = {
        "id": sid,
        "account_id": account_id,
        "organization_id": organization_id,
        "door": door,
        "auth_version": connection.execute(version).scalar_one(),
        "created_at": now,
        "last_seen_at": now,
        "expires_at": now + FAMILY_US,
        "address_hash": audit.person(house, address),
    }
    connection.execute(sessions.insert(), values)
    refresh_token, _ = _issue(connection, house, sid, expires_at=now + FAMILY_US)
    return Pair(access_token=_access(house, account_id, sid), refresh_token=refresh_token)


def refresh(house: House, *, refresh_token: Any) -> Refreshed:
    """Exchange a refresh token for a new pair of the same session.

    A token used again within 20 seconds gives the same successor (a lost answer, two tabs); later it is theft, and the
    session ends.
    """
    token = text(refresh_token, "refresh_token", most=1 << 16)
    done = None
    if keys.REFRESH.fullmatch(token) and keys.intact(token):
        # The refusal is raised outside: what theft ends has to be committed.
        with house.db.write() as connection:
            done = _rotate(connection, house, token)
    if done is None:
        raise refused()
    return done


def _rotate(connection: sa.Connection, house: House, token: str) -> Refreshed | None:
    now = house.clock()
    query = sa.select(refresh_tokens).where(refresh_tokens.c.mac.in_(house.keyring.macs(TOKEN, token)))
    row = connection.execute(query).one_or_none()
    standing = row and connection.execute(STANDING, {"sid": row.session_id, "now": now}).one_or_none()
    if not row or not standing or row.expires_at <= now:
        return None
    if connection.execute(FIRST_USE, {"token": row.id, "now": now}).rowcount:
        successor, _ = _issue(connection, house, row.session_id, expires_at=row.expires_at, parent_id=row.id)
        sealed = house.keyring.seal(successor.encode(), _place(row.id))
        connection.execute(_sealing(row.id, sealed))
        # The one before needs its successor no longer: this one was received.
        connection.execute(_sealing(row.parent_id, None))
    else:
        row = connection.execute(query).one()
        if now - row.used_at > GRACE_US or row.successor is None:
            _stolen(connection, house, row.session_id, standing)
            return None
        successor = house.keyring.unseal(row.successor, _place(row.id)).decode()
    account = account_with(connection, standing.account_id)
    assert account is not None  # noqa: S101  The row above was joined with it.
    pair = Pair(access_token=_access(house, account.account_id, row.session_id), refresh_token=successor)
    return Refreshed(account=account, organization_id=standing.organization_id, pair=pair)


def _stolen(connection: sa.Connection, house: House, sid: str, standing: sa.Row[Any]) -> None:
    end(connection, house, sessions.c.id == sid, reason="token_reuse")
    who = Principal(kind="user", organization_id=standing.organization_id, account_id=standing.account_id)
    audit.record(connection, house, who, "account:session:token_reuse", target=f"session:{sid}", outcome="failure")


def _sealing(token_id: int | None, sealed: bytes | None) -> sa.Update:
    return sa.update(refresh_tokens).where(refresh_tokens.c.id == token_id).values(successor=sealed)


def log_out(house: House, who: Principal) -> None:
    """End the caller's session: its access and refresh tokens are refused from the next request."""
    with house.db.write() as connection:
        end(connection, house, sessions.c.id == who.session_id, reason="logout")
        audit.record(connection, house, who, "account:session:revoked", target=f"session:{who.session_id}")


def end(connection: sa.Connection, house: House, which: sa.ColumnElement[bool], *, reason: str) -> int:
    """End every running session that `which` (a condition on the table) selects; return how many."""
    running = sa.update(sessions).where(which, sessions.c.revoked_at.is_(None))
    house.db.after_commit(house.part(Doubts).tell)
    return connection.execute(running.values(revoked_at=house.clock(), revoke_reason=reason)).rowcount


def flush(house: House) -> int:
    """Write when sessions were last used; return how many. Called every few seconds by one thread."""
    part = house.part(Seen)
    with part.lock:
        times, part.times = part.times, {}
    if times:
        statement = (
            sa.update(sessions)
            .where(sessions.c.id == sa.bindparam("sid"), sessions.c.last_seen_at < sa.bindparam("seen"))
            .values(last_seen_at=sa.bindparam("seen"))
        )
        with house.db.write() as connection:
            connection.execute(statement, [{"sid": sid, "seen": seen} for sid, seen in sorted(times.items())])
    return len(times)


def purge(house: House) -> int:
    """Delete sessions that ended long ago, with their refresh tokens; return how many. Once a day is enough."""
    old = sessions.c.expires_at <= house.clock() - KEPT_US
    with house.db.write() as connection:
        gone = sa.select(sessions.c.id).where(old)
        connection.execute(sa.delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(gone)))
        return connection.execute(sa.delete(sessions).where(old)).rowcount


def _role(row: Any) -> str:
    role: str = "super_admin" if row.is_super_admin else row.role
    return role


def _access(house: House, account_id: int, sid: str) -> str:
    now = house.clock() // SECOND
    claims = {"sub": str(account_id), "sid": sid, "jti": secrets.token_hex(16), "iat": now, "exp": now + ACCESS_SECONDS}
    return house.tokens.sign(claims)


def _issue(
    connection: sa.Connection, house: House, sid: str, *, expires_at: int, parent_id: int | None = None
) -> tuple[str, int]:
    token = keys.refresh_token()
    values = {
        "mac": house.keyring.mac(TOKEN, token),
        "session_id": sid,
        "parent_id": parent_id,
        "expires_at": expires_at,
        "created_at": house.clock(),
    }
    made: int = connection.execute(refresh_tokens.insert().returning(refresh_tokens.c.id), values).scalar_one()
    return token, made


def _place(token_id: int) -> str:
    return f"refresh_tokens|successor|{token_id}"
