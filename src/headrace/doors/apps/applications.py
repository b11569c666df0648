"""Applications: create (with the ingest key, shown once), get, list."""

import asyncio
from typing import Annotated

from litestar import get, post
from litestar.params import PathParameter

from headrace.core import keys, projects
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal, not_found
from headrace.core.rules import LARGEST, positive
from headrace.doors.apps import shapes
from headrace.kit import times
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Terms, terms

TAGS = ["applications"]
READ, MAKE = ("projects", "read"), ("projects", "write")
Id = Annotated[int, PathParameter(ge=1, le=LARGEST)]
Name = Annotated[str, PathParameter(description="1-255 characters, none of them a control character; unique.")]


@post("/apps/{name:str}", opt=terms("M", MAKE, errors=(403, 409)), tags=TAGS, sync_to_thread=True)
def create(call: Incoming, name: Name) -> shapes.NewApp:
    """Create an application. Its ingest key is shown only here."""
    del name  # A slash in it is still encoded there.
    project, key = keys.create_app(call.house, call.who, name=call.part(2))
    return shapes.NewApp(
        id=project.project_id,
        name=project.app_name,
        ingest_key=key.full_key,
        created_at=times.show(project.created_at),
    )


@get("/apps/{app_id:str}", opt=terms("M", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, app_id: Id) -> shapes.App:
    """Return an application."""
    return shapes.app(existing(call, app_id))


async def list_all(call: Call) -> Answer:
    """List the applications by ascending id."""
    found = await asyncio.to_thread(projects.list_all, call.house, call.who)
    return answer(200, [shapes.app(project) for project in found])


def existing(call: Call, app_id: int) -> Project:
    """Return the project of an application that the caller may see; every other one does not exist."""
    try:
        return keys.resolved_project(call.house, call.who, app_id)
    except Refusal as refusal:
        if refusal.kind not in {Kind.NOT_FOUND, Kind.FORBIDDEN}:
            raise
        raise not_found("application with this id does not exist") from refusal


def path_id(call: Call) -> int | None:
    """Return the id in the path of a hot route; None where none can be."""
    return positive(call.path.split("/")[2])


ROUTES = (create, get_one)
# Past the framework, for which the two paths are one.
HOT = tuple(
    HotRoute(
        method="GET",
        path=path,
        run=list_all,
        terms=Terms(credential="M", action=READ, errors=(403,)),
        summary="List applications",
        gives=list[shapes.App],
        tag="applications",
        listed=path == "/apps/",
    )
    for path in ("/apps/", "/apps")
)
