"""The records of identity, and how a row becomes one."""

from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.schema import accounts, organizations


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person, at every API. Times in microseconds."""

    account_id: int
    email: str
    username: str | None
    first_name: str
    last_name: str
    is_active: bool
    is_super_admin: bool
    is_verified: bool
    created_at: int
    last_login_at: int | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}" if self.last_name else self.first_name


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant."""

    organization_id: int
    name: str
    slug: str
    domain: str | None
    plan: str
    is_active: bool
    max_users: int
    max_api_keys: int
    created_at: int
    updated_at: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """An access token and the refresh token of the same session; `expires_in` in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int = 3600


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    organization: Organization
    role: str
    pair: Pair


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    organization_id: int
    role: str
    pair: Pair


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    organization_id: int
    pair: Pair


class Me(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    organization_id: int
    role: str


ACCOUNT_BY_ID = sa.select(accounts).where(accounts.c.id == sa.bindparam("id"))
ACCOUNT_BY_EMAIL = sa.select(accounts).where(accounts.c.email == sa.bindparam("email"))
ORGANIZATION_BY_ID = sa.select(organizations).where(organizations.c.id == sa.bindparam("id"))


def account_of(row: sa.Row[Any]) -> Account:
    return Account(
        account_id=row.id,
        email=row.email,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        is_active=bool(row.is_active),
        is_super_admin=bool(row.is_super_admin),
        is_verified=bool(row.is_verified),
        created_at=row.created_at,
        last_login_at=row.last_login_at,
    )


def organization_of(row: sa.Row[Any]) -> Organization:
    return Organization(
        organization_id=row.id,
        name=row.name,
        slug=row.slug,
        domain=row.domain,
        plan=row.plan,
        is_active=bool(row.is_active),
        max_users=row.max_users,
        max_api_keys=row.max_api_keys,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def account_with(connection: sa.Connection, account_id: int) -> Account | None:
    row = connection.execute(ACCOUNT_BY_ID, {"id": account_id}).one_or_none()
    return None if row is None else account_of(row)
