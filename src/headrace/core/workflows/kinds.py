"""Which kind of job a workflow's jobs are, and how each kind runs. Defined by `app.py` before the engine starts."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import functions, jobs
from headrace.core.functions import BrokenFunctionError
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.jobs import Job, Kind, Kinds
from headrace.core.principal import Principal
from headrace.core.processing import job as processing
from headrace.core.refusals import conflict
from headrace.core.workflows import defining, definitions, push, requests
from headrace.core.workflows.definitions import Definition

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
# Twice what its steps may hold (core/processing), which is told before this is reached.
PROCESSING_BYTES = 512 << 20
UNBOUNDED = 1 << 30

log = logging.getLogger(__name__)


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
        Kind(
            name=REQUEST,
            run=requests.run,
            isolation="async",
            timeout_seconds=requests.LONGEST_SECONDS + 15.0,
            outward=True,
        ),
        Kind(
            name=PROCESSING,
            run=processing.run,
            isolation="process",
            prepare=prepared,
            memory_bytes=PROCESSING_BYTES,
            timeout_seconds=PROCESSING_SECONDS,
            per_lane=share(house),
        ),
        Kind(
            name=PUSH,
            run=push.run,
            isolation="async",
            timeout_seconds=longest + 15.0,
            tries=defining.DEFAULT_TRIES,
            outward=True,
        ),
        Kind(name=QUEUE, run=None),
        *installed(),
    ]
    for kind in made:
        jobs.define(house, msgspec.structs.replace(limited(house, kind), ended=ended, replayed=replayed))
    # Functions that only another server has, or that are broken here: their jobs wait.
    others = Kind(name=functions.PREFIX, run=None, ended=ended, replayed=replayed)
    jobs.define_family(house, functions.PREFIX, others)


def limited(house: House, kind: Kind) -> Kind:
    """Return a kind with what its lanes may have at once, where definitions say that."""
    if not may_be_defined(kind.name):
        return kind
    return msgspec.structs.replace(kind, per_lane=partial(most_at_once, house, kind))


def installed() -> list[Kind]:
    """Return one kind of job for each function that is installed; what is broken is told in the log, and left out."""
    found = []
    for name, entry in functions.installed().items():
        try:
            _, options = functions.load(entry)
        except BrokenFunctionError as error:
            log.error("the workflow %r is not served, its jobs wait: %s", name, error)  # noqa: TRY400  It says it all.
            continue
        found.append(
            Kind(
                name=functions.kind_name(name),
                run=functions.run_async if options.isolation == "async" else functions.run,
                isolation=options.isolation,
                timeout_seconds=options.timeout_seconds,
                tries=options.tries,
                in_flight=options.in_flight,
            )
        )
    return found


def share(house: House) -> int:
    """Return how many of this server's threads or processes the jobs of one organization may fill: half of them."""
    return max(1, house.settings.jobs_workers // 2)


def place(house: House, organization_id: int, workflow: str) -> Place:
    """Decide who serves a workflow: what is built in (nobody defines these), its definition, a function, or `echo`."""
    if workflow in BUILTIN:
        return Place(BUILTIN[workflow])
    found = definitions.find(house, organization_id, workflow)
    if found is not None:
        return Place(_kind_of(found), workflow, found.tries)
    if workflow not in functions.installed():
        return Place(ECHO)
    return Place(functions.kind_name(workflow))


def pausable(house: House, who: Principal) -> list[str]:
    """Return the kinds of jobs that the organization may have: those of this server, and its own functions'."""
    own = {_kind_of(one) for one in definitions.list_all(house, definitions.owner(who))}
    return sorted(own | house.part(Kinds).named.keys())


def replayed(house: House, job: Job) -> int:
    """Return how many tries a replay has: its definition's. Refused (conflict) for a job that nobody would serve."""
    usual = house.part(Kinds)[job.kind].tries
    found = definitions.find(house, job.organization_id, job.name or "")
    if found is not None and job.kind == _kind_of(found):
        return found.tries
    if job.kind in {PUSH, QUEUE}:
        word = job.kind.removeprefix(f"{ECHO}.")
        raise conflict(
            f"The workflow {job.name!r} is no longer defined as one of the kind {word}; define it again first"
        )
    return usual


def _kind_of(definition: Definition) -> str:
    return {"push": PUSH, "queue": QUEUE}.get(definition.kind) or functions.kind_name(definition.name)


def may_be_defined(kind: str) -> bool:
    """Tell whether jobs of a kind stand in lanes of their workflow, which an organization's definition bounds."""
    return kind == PUSH or kind.startswith(functions.PREFIX)


def most_at_once(house: House, kind: Kind, lane: str) -> int:
    """Return how many jobs of a lane (`<organization>/<workflow>`) may be under way; none of one that is paused."""
    organization_id, slash, name = lane.partition("/")
    if not slash and kind.isolation != "async":
        return share(house)
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


def prepared(context: "Context") -> dict[str, str]:
    """Return what the process of a `data_processing` job has to know of its house."""
    owner = Principal(kind="operator", organization_id=context.job.organization_id)
    slug = organizations.current(context.house, owner).slug
    return {"folders": context.house.settings.source_folders, "slug": slug}
