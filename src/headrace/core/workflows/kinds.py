"""Which kind of job a workflow's jobs are, and how each kind runs. Defined by `app.py` before the engine starts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import functions, jobs
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.jobs import Job, Kind, Kinds, NonRetryable
from headrace.core.principal import Principal
from headrace.core.workflows import defining, definitions, push, requests
from headrace.core.workflows.definitions import Definition
from headrace.core.workflows.folders import folders
from headrace.core.workflows.processing import ProcessingError, process

if TYPE_CHECKING:
    from headrace.core.jobs import Context

Ended = Callable[[sa.Connection, House, Job], None]

ECHO = "workflow"
REQUEST = "workflow.http_request"
PROCESSING = "workflow.data_processing"
PUSH = "workflow.push"
QUEUE = "workflow.queue"
BUILTIN = {"echo": ECHO, "http_request": REQUEST, "data_processing": PROCESSING}
PROCESSING_SECONDS = 900.0
UNBOUNDED = 1 << 30


class Place(msgspec.Struct, frozen=True):
    """Where a workflow's jobs go: their kind, their lane (None: the organization's), their tries (None: the kind's)."""

    kind: str
    lane: str | None = None
    tries: int | None = None


def define(house: House, ended: Ended | None = None) -> None:
    """Define every kind. `ended` is called in the transaction that writes a job's final state."""
    longest = defining.LONGEST_SECONDS["push"]
    made = [
        Kind(name=ECHO, run=echo, isolation="async", timeout_seconds=30.0),
        Kind(name=REQUEST, run=requests.run, isolation="async", timeout_seconds=requests.LONGEST_SECONDS + 15.0),
        Kind(name=PROCESSING, run=processing, timeout_seconds=PROCESSING_SECONDS),
        Kind(
            name=PUSH,
            run=push.run,
            isolation="async",
            timeout_seconds=longest + 15.0,
            tries=defining.DEFAULT_TRIES,
        ),
        Kind(name=QUEUE, run=None),
        *functions.kinds(),
    ]
    for kind in made:
        limits = {"per_lane": lambda lane: most_at_once(house, lane)} if may_be_defined(kind.name) else {}
        jobs.define(house, msgspec.structs.replace(kind, ended=ended, **limits))


def place(house: House, organization_id: int, workflow: str) -> Place:
    """Decide who serves a workflow: what is built in (nobody defines these), its definition, a function, or `echo`."""
    if workflow in BUILTIN:
        return Place(BUILTIN[workflow])
    found = definitions.find(house, organization_id, workflow)
    if found is not None:
        kind = {"push": PUSH, "queue": QUEUE}.get(found.kind) or functions.kind_name(workflow)
        ensure(house, kind)
        return Place(kind, workflow, found.tries)
    kind = functions.kind_name(workflow)
    return Place(kind if workflow in functions.installed() and kind in house.part(Kinds).named else ECHO)


def ensure(house: House, kind: str) -> None:
    """Know the kind of a function that another server has: its jobs wait here until that one takes them."""
    named = house.part(Kinds).named
    if kind not in named:
        named[kind] = Kind(name=kind, run=None, ended=named[ECHO].ended)


def may_be_defined(kind: str) -> bool:
    """Tell whether jobs of a kind stand in lanes of their workflow, which an organization's definition bounds."""
    return kind == PUSH or kind.startswith(functions.PREFIX)


def most_at_once(house: House, lane: str) -> int:
    """Return how many jobs of a lane (`<organization>/<workflow>`) may be under way; none of one that is paused."""
    organization_id, slash, name = lane.partition("/")
    found = definitions.find(house, int(organization_id), name) if slash else None
    # What is no longer defined is claimed too: a push then fails with its reason.
    return UNBOUNDED if found is None else at_once(found)


def at_once(definition: Definition) -> int:
    return 0 if definition.paused_at is not None else definition.concurrency


async def echo(context: "Context") -> dict[str, Any]:
    """Give back what came: `payload.input`, else the payload."""
    payload = context.payload
    given = payload.get("input", payload) if isinstance(payload, dict) else payload
    return {"output": given, "handler": "echo"}


def processing(context: "Context") -> dict[str, Any]:
    """Run `data_processing`; what cannot work is not tried again."""
    house, total = context.house, None
    if isinstance(context.payload, dict) and isinstance(context.payload.get("records"), list):
        total = len(context.payload["records"])
    owner = Principal(kind="operator", organization_id=context.job.organization_id)

    def progress(done: int) -> None:
        context.check()
        context.progress(done, total, "records read")

    try:
        slug = organizations.current(house, owner).slug
        return process(context.payload, folders(house.settings.source_folders), slug, progress)
    except ProcessingError as error:
        raise NonRetryable(str(error)) from error
