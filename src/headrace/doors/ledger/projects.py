"""Projects: create, list, look up by slug, change, quota."""

from typing import Annotated

from litestar import get, patch, post
from litestar.params import FromPath, JSONBody, PathParameter

from headrace.core import projects
from headrace.core.rules import LARGEST
from headrace.doors.ledger import shapes
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["projects"]
Id = Annotated[int, PathParameter(ge=1, le=LARGEST)]


@post(
    "/api/v1/projects",
    opt=terms("J", body="body_limit", crash="Failed to create project", errors=(403, 409)),
    tags=TAGS,
    sync_to_thread=True,
)
def create(call: Incoming, data: JSONBody[shapes.NewProject]) -> shapes.ProjectOut:
    """Create a project in the session's organization."""
    made = projects.create(call.house, call.who, name=data.name, slug=data.slug, environment=data.environment)
    return shapes.ProjectOut.of(made)


@get("/api/v1/projects", opt=terms("J", crash="Failed to list projects"), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming) -> shapes.ProjectList:
    """List the organization's projects, oldest first."""
    found = [shapes.ProjectOut.of(project) for project in projects.list_all(call.house, call.who)]
    return shapes.ProjectList(found, len(found))


@get(
    "/api/v1/projects/{project_slug:str}",
    opt=terms("J", crash="Failed to get project", errors=(404,)),
    tags=TAGS,
    sync_to_thread=True,
)
def get_by_slug(call: Incoming, project_slug: FromPath[str]) -> shapes.ProjectOut:
    """Return the project with this slug."""
    return shapes.ProjectOut.of(projects.get_by_slug(call.house, call.who, slug=project_slug))


@patch(
    "/api/v1/projects/{project_id:str}",
    opt=terms("J", body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, project_id: Id, data: JSONBody[shapes.ProjectChange]) -> shapes.ProjectOut:
    """Change a project's name, environment, retention or daily quota; for admins of the organization."""
    changed = projects.update(
        call.house,
        call.who,
        project_id=project_id,
        name=data.name,
        environment=data.environment,
        retention_days=data.retention_days,
        daily_quota=data.daily_quota,
    )
    return shapes.ProjectOut.of(changed)


@get(
    "/api/v1/projects/{project_id:str}/quota",
    opt=terms("J", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def quota(call: Incoming, project_id: Id) -> shapes.QuotaOut:
    """Return how much of today's quota is used."""
    found = projects.quota(call.house, call.who, project_id=project_id)
    project = found.project
    return shapes.QuotaOut(
        project_id=project.project_id,
        project_name=project.name,
        project_slug=project.slug,
        environment=project.environment,
        logs=shapes.LogQuota(found.quota, found.usage, found.remaining),
        quota_reset_at=times.show(found.reset_at),
        retention_days=project.retention_days,
    )


ROUTES = (create, list_all, get_by_slug, update, quota)
