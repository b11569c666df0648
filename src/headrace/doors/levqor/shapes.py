"""What this door reads and writes, field for field as the document shows it. Times are whole epoch seconds."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from headrace.core.people import Person
from headrace.kit.times import SECOND

PRIORITIES = ("low", "normal", "high")
Status = Literal["queued", "running", "succeeded", "failed"]
Seconds = Annotated[int, Meta(description="Epoch seconds")]
# How this door's jobs are told from those of others.
VIEW = "levqor"
LONGEST_WORKFLOW, LONGEST_CALLBACK = 128, 1_024


class Front(msgspec.Struct, kw_only=True):
    ok: bool
    service: str
    version: str
    build: str


class Health(msgspec.Struct, kw_only=True):
    """One body for the two documents that name this path."""

    status: str
    ok: bool
    ts: Seconds


class Metrics(msgspec.Struct, kw_only=True):
    """Percentages, and jobs since 00:00 UTC."""

    uptime_rolling_7d: float
    jobs_today: int
    audit_coverage: int
    last_updated: Seconds


class NewJob(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A job as it is asked for; `payload` is at most 204,800 bytes of compact JSON."""

    workflow: Annotated[str, Meta(min_length=1, max_length=LONGEST_WORKFLOW)]
    payload: dict[str, Any]
    callback_url: Annotated[str, Meta(min_length=1, max_length=LONGEST_CALLBACK)] | None = None
    priority: Annotated[str, Meta(extra_json_schema={"enum": list(PRIORITIES)})] | None = None


class Queued(msgspec.Struct, kw_only=True, gc=False):
    job_id: str
    status: str = "queued"


class JobStatus(msgspec.Struct, kw_only=True):
    """`result` is null until the job succeeded, `error` unless it failed."""

    job_id: str
    status: Status
    created_at: Seconds
    result: Any
    error: str | None


class NewUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A person, found by the address; what is left out stays. Null in `meta` takes a key away."""

    email: str
    name: str | None = None
    locale: str | None = None
    currency: str | None = None
    meta: dict[str, Any] | None = None


class Changes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """At least one of them."""

    name: str | None = None
    locale: str | None = None
    currency: str | None = None
    meta: dict[str, Any] | None = None


class User(msgspec.Struct, kw_only=True):
    id: str
    email: str
    name: str | None
    locale: str | None
    currency: str | None
    meta: dict[str, Any]
    created_at: Seconds
    updated_at: Seconds


class Created(msgspec.Struct, kw_only=True):
    created: bool
    user: User


class Known(msgspec.Struct, kw_only=True):
    created: bool
    updated: bool
    user: User


class Updated(msgspec.Struct, kw_only=True):
    updated: bool
    user: User


def user(person: Person) -> User:
    return User(
        id=person.id,
        email=person.email,
        name=person.name,
        locale=person.locale,
        currency=person.currency,
        meta=person.meta,
        created_at=person.created_at // SECOND,
        updated_at=person.updated_at // SECOND,
    )
