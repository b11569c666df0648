"""Projects: what groups events inside an organization; they carry the retention, the quota and the queue limit."""

from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House, bump_epoch
from headrace.core.limits import quota as quotas
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, forbidden, invalid, not_found
from headrace.core.schema import projects
from headrace.kit.times import DAY, day

ENVIRONMENTS = ("production", "staging", "dev")
RETENTION_DAYS, LONGEST_RETENTION_DAYS = 30, 365
LEAST_QUOTA = 1_000
BY_ID = sa.select(projects).where(projects.c.id == sa.bindparam("id"))


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """`created_by` is the account that made it; None for one made by the operator or anonymously."""

    project_id: int
    organization_id: int
    name: str
    slug: str
    environment: str
    retention_days: int
    daily_quota: int
    queue_limit: int
    created_by: int | None
    created_at: int


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """Today's quota in events; `reset_at` is the next 00:00 UTC in microseconds."""

    project: Project
    quota: int
    usage: int
    remaining: int
    reset_at: int


def create(house: House, who: Principal, *, name: Any, slug: Any, environment: Any = None) -> Project:
    """Make a project in the caller's organization. Refused: a slug that is taken there (conflict)."""
    rules.require(who, "projects", "write")
    now = house.clock()
    values = {
        "organization_id": who.organization_id,
        "name": rules.name(name),
        "slug": rules.slug(slug),
        "environment": "production" if environment is None else rules.choice(environment, "environment", ENVIRONMENTS),
        "retention_days": RETENTION_DAYS,
        "daily_quota": house.settings.daily_quota,
        "queue_limit": house.settings.queue_limit,
        "created_by": who.account_id,
        "created_at": now,
        "updated_at": now,
    }
    count = sa.select(sa.func.count()).where(projects.c.organization_id == who.organization_id)
    with house.db.write() as connection:
        if connection.execute(count).scalar_one() >= house.settings.project_limit:
            raise invalid("project", "full", text=f"Project limit reached: {house.settings.project_limit}")
        insert = house.db.insert(projects).values(values).on_conflict_do_nothing()
        row = connection.execute(insert.returning(projects)).one_or_none()
        if row is None:
            raise conflict(f"Project with slug '{values['slug']}' already exists")
        # Somebody may have asked for this id before it was one.
        bump_epoch(connection)
        audit.record(connection, house, who, "project:project:created", target=f"project:{row.id}")
    return project_of(row)


def list_all(house: House, who: Principal) -> list[Project]:
    """The organization's projects by ascending id; of a key that belongs to one project, that one."""
    rules.require(who, "projects", "read")
    query = sa.select(projects).where(projects.c.organization_id == who.organization_id).order_by(projects.c.id)
    if who.project_id is not None:
        query = query.where(projects.c.id == who.project_id)
    with house.db.read() as connection:
        return [project_of(row) for row in connection.execute(query)]


def get_by_slug(house: House, who: Principal, *, slug: str) -> Project:
    """Refused: not found, also when the slug is another organization's."""
    rules.require(who, "projects", "read")
    lowered = slug.lower()
    query = sa.select(projects).where(projects.c.organization_id == who.organization_id, projects.c.slug == lowered)
    row = None
    if rules.SLUG.fullmatch(lowered):
        with house.db.read() as connection:
            row = connection.execute(query).one_or_none()
    if row is None or who.project_id not in {None, row.id}:
        raise not_found(f"Project '{lowered}' not found")
    return project_of(row)


def get(house: House, who: Principal, *, project_id: int) -> Project:
    """Refused: 404 for an unknown project, 403 for one the caller does not own.

    Asks no scope: that of the thing wanted (logs, panels, settings) is asked by the verb that wants it.
    """
    with house.db.read() as connection:
        row = connection.execute(BY_ID, {"id": project_id}).one_or_none()
    return owned(who, None if row is None else project_of(row))


def owned(who: Principal, project: Project | None) -> Project:
    """The one rule of whose a project is."""
    if project is None:
        raise not_found("Project not found")
    if project.organization_id != who.organization_id or who.project_id not in {None, project.project_id}:
        raise forbidden("You do not own this project")
    return project


def update(
    house: House,
    who: Principal,
    *,
    project_id: int,
    name: Any = None,
    environment: Any = None,
    retention_days: Any = None,
    daily_quota: Any = None,
) -> Project:
    """Change what is given (None stays). For admins of the organization; the operator sets the ceiling of the quota."""
    rules.require_admin(who, "projects")
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = rules.name(name)
    if environment is not None:
        values["environment"] = rules.choice(environment, "environment", ENVIRONMENTS)
    if retention_days is not None:
        values["retention_days"] = rules.integer(retention_days, "retention_days", 1, LONGEST_RETENTION_DAYS)
    if daily_quota is not None:
        ceiling = house.settings.daily_quota
        values["daily_quota"] = rules.integer(daily_quota, "daily_quota", LEAST_QUOTA, ceiling)
    return _change(house, who, project_id, values)


def set_limits(
    house: House, who: Principal, *, project_id: int, daily_quota: int | None = None, queue_limit: int | None = None
) -> Project:
    """The operator's own numbers, without a ceiling."""
    if who.kind != "operator":
        raise forbidden("Insufficient permissions")
    values: dict[str, Any] = {}
    if daily_quota is not None:
        values["daily_quota"] = rules.integer(daily_quota, "daily_quota", 0)
    if queue_limit is not None:
        values["queue_limit"] = rules.integer(queue_limit, "queue_limit", 0)
    return _change(house, who, project_id, values)


def _change(house: House, who: Principal, project_id: int, values: dict[str, Any]) -> Project:
    with house.db.write() as connection:
        row = connection.execute(BY_ID, {"id": project_id}).one_or_none()
        project = owned(who, None if row is None else project_of(row))
        if not values:
            return project
        same = sa.and_(projects.c.id == project_id, projects.c.organization_id == who.organization_id)
        changed = sa.update(projects).where(same).values(**values, updated_at=house.clock()).returning(projects)
        row = connection.execute(changed).one()
        bump_epoch(connection)
        audit.record(
            connection, house, who, "project:project:changed", target=f"project:{project_id}", data={"new": values}
        )
        return project_of(row)


def quota(house: House, who: Principal, *, project_id: int) -> Quota:
    """How much of today's quota is used."""
    project = get(house, who, project_id=project_id)
    used = quotas.usage(house, project_id)
    return Quota(
        project=project,
        quota=project.daily_quota,
        usage=used,
        remaining=max(0, project.daily_quota - used),
        reset_at=(day(house.clock()) + 1) * DAY,
    )


def project_of(row: sa.Row[Any]) -> Project:
    return Project(
        project_id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        slug=row.slug,
        environment=row.environment,
        retention_days=row.retention_days,
        daily_quota=row.daily_quota,
        queue_limit=row.queue_limit,
        created_by=row.created_by,
        created_at=row.created_at,
    )
