"""Projects: what groups events inside an organization; they carry the retention, the quota and the queue limit."""

import itertools
import re
import unicodedata
from collections.abc import Iterator
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
LONGEST_SLUG = 255
LEAST_QUOTA = 1_000
BY_ID = sa.select(projects).where(projects.c.id == sa.bindparam("id"))


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """`created_by` is the account that made it; None for one made by the operator or anonymously.

    `app_name` is unique in the organization and stays: the name it was made by as an app, else the slug.
    """

    project_id: int
    organization_id: int
    name: str
    slug: str
    app_name: str
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
    values = {
        "name": rules.name(name),
        "slug": rules.slug(slug),
        "environment": "production" if environment is None else rules.choice(environment, "environment", ENVIRONMENTS),
    }
    values["app_name"] = values["slug"]
    with house.db.write() as connection:
        _check_room(connection, house, who)
        made = _insert(connection, house, who, values)
        if made is None:
            raise conflict(f"Project with slug '{values['slug']}' already exists")
    return made


def make_app(connection: sa.Connection, house: House, who: Principal, name: Any) -> Project:
    """Make a project by a name alone, in a transaction of the caller's.

    Its slug is the name with everything else than `[a-z0-9-]` as `-`, and a number where that is taken. Refused: a name
    that an app of the organization has (conflict).
    """
    rules.require(who, "projects", "write")
    title = rules.text(name, "name", least=1)
    if any(unicodedata.category(character) == "Cc" for character in title):
        raise invalid("name", "must not contain control characters")
    _check_room(connection, house, who)
    named = sa.select(projects.c.id).where(
        projects.c.organization_id == who.organization_id, projects.c.app_name == title
    )
    base = re.sub(r"[^a-z0-9-]", "-", title.lower())
    for slug in _free_slugs(connection, who, base):
        if connection.execute(named).first():
            break
        made = _insert(connection, house, who, {"name": title, "app_name": title, "slug": slug})
        if made is not None:
            return made
    raise conflict("application with this name already exists")


def _free_slugs(connection: sa.Connection, who: Principal, base: str) -> Iterator[str]:
    """Yield slugs from the base, `-2`, `-3` and so on, without those taken when it is first asked."""
    of_organization = sa.select(projects.c.slug).where(projects.c.organization_id == who.organization_id)
    taken = set(connection.execute(of_organization).scalars())
    for number in itertools.count(1):
        end = "" if number == 1 else f"-{number}"
        slug = base[: LONGEST_SLUG - len(end)] + end
        if slug not in taken:
            yield slug


def _check_room(connection: sa.Connection, house: House, who: Principal) -> None:
    count = sa.select(sa.func.count()).where(projects.c.organization_id == who.organization_id)
    if connection.execute(count).scalar_one() >= house.settings.project_limit:
        raise invalid("project", "full", text=f"Project limit reached: {house.settings.project_limit}")


def _insert(connection: sa.Connection, house: House, who: Principal, values: dict[str, Any]) -> Project | None:
    """Insert a project; None when its slug or its name as an app is taken."""
    now = house.clock()
    defaults = {
        "organization_id": who.organization_id,
        "environment": "production",
        "retention_days": RETENTION_DAYS,
        "daily_quota": house.settings.daily_quota,
        "queue_limit": house.settings.queue_limit,
        "created_by": who.account_id,
        "created_at": now,
        "updated_at": now,
    }
    insert = house.db.insert(projects).values(defaults | values).on_conflict_do_nothing()
    row = connection.execute(insert.returning(projects)).one_or_none()
    if row is None:
        return None
    # Somebody may have asked for this id before it was one.
    bump_epoch(connection, house)
    audit.record(connection, house, who, "project:project:created", target=f"project:{row.id}")
    return project_of(row)


def list_all(house: House, who: Principal) -> list[Project]:
    """The organization's projects by ascending id; of a key that belongs to one project, that one.

    Who may read the logs of projects may know which there are.
    """
    if not who.allows("logs", "read"):
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


def owners(house: House, *, project: str) -> list[int]:
    """Return the organizations with a project of this slug, else that of this id. Not reachable over HTTP."""
    slug = rules.SLUG.fullmatch(project.lower())
    number = project.isascii() and project.isdigit() and len(project) < len(str(rules.LARGEST))
    mine = sa.select(projects.c.organization_id).order_by(projects.c.organization_id)
    with house.db.read() as connection:
        found = connection.execute(mine.where(projects.c.slug == slug[0])).scalars().all() if slug else ()
        if not found and number:
            found = connection.execute(mine.where(projects.c.id == int(project))).scalars().all()
    return list(found)


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
        bump_epoch(connection, house)
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
        app_name=row.app_name,
        environment=row.environment,
        retention_days=row.retention_days,
        daily_quota=row.daily_quota,
        queue_limit=row.queue_limit,
        created_by=row.created_by,
        created_at=row.created_at,
    )
