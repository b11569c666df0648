"""Kinds of jobs that are held back: by an organization's admin its own, by the operator everybody's."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.params import FromPath, QueryParameter

from headrace.core import jobs, workflows
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed

TAGS = ["jobs"]
READ, ADMIN = ("jobs", "read"), ("jobs", "admin")
PATH = "/api/v1/job-pauses"
DONE = 204
# In paths and answers; core has the empty word for it.
ALL = "all"

Everywhere = Annotated[bool, QueryParameter(description="Of all organizations; for the operator")]


class PauseOut(msgspec.Struct):
    """`kind` is `all` for every kind; `everywhere`: the operator holds it back, for all organizations."""

    kind: str
    everywhere: bool
    since: Time


class PauseList(msgspec.Struct):
    """`kinds` are those that there are."""

    job_pauses: Sequence[PauseOut]
    kinds: Sequence[str]


@get(PATH, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming) -> PauseList:
    """List what is held back for the organization, and the kinds of jobs."""
    return listed(call)


@put(PATH + "/{kind:str}", opt=terms("A", ADMIN, errors=(403,)), tags=TAGS, sync_to_thread=True)
def pause(call: Incoming, kind: FromPath[str], everywhere: Everywhere = False) -> PauseList:  # noqa: FBT002
    """Hold back the jobs of a kind, or `all`, until that ends; what runs goes on."""
    jobs.pause(call.house, call.who, kind=named(kind), everywhere=everywhere)
    return listed(call)


@delete(PATH + "/{kind:str}", opt=terms("A", ADMIN, errors=(403,)), tags=TAGS, status_code=DONE, sync_to_thread=True)
def resume(call: Incoming, kind: FromPath[str], everywhere: Everywhere = False) -> None:  # noqa: FBT002
    """End a pause, if there is one."""
    jobs.resume(call.house, call.who, kind=named(kind), everywhere=everywhere)


def named(kind: str) -> str:
    return "" if kind == ALL else kind


def listed(call: Incoming) -> PauseList:
    found = [PauseOut(**timed(one, "since") | {"kind": one.kind or ALL}) for one in jobs.paused(call.house, call.who)]
    return PauseList(found, workflows.pausable(call.house, call.who))


ROUTES = (list_all, pause, resume)
