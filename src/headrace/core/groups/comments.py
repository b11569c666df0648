"""Comments on a group: plain text, never rendered as HTML or Markdown. Changed by their author alone."""

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, projects, rules
from headrace.core.groups import activity, finding
from headrace.core.groups.finding import find
from headrace.core.groups.record import Group
from headrace.core.groups.triage import require_write
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found
from headrace.core.schema.groups import group_comments

if TYPE_CHECKING:
    from headrace.core.house import House

LONGEST = 10_000
MOST = 1_000


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """`account_id` is its author: the person, or the owner of the key; None for the operator."""

    id: int
    group_id: int
    account_id: int | None
    text: str
    created_at: int
    edited_at: int | None


SHOWN = [group_comments.c[name] for name in Comment.__struct_fields__]


def list_all(house: "House", who: Principal, *, project_id: int, group_id: int) -> list[Comment]:
    """A group's comments, oldest first."""
    group = finding.get(house, who, project_id=project_id, group_id=group_id)
    query = sa.select(*SHOWN).where(group_comments.c.group_id == group.id).order_by(group_comments.c.id)
    with house.db.read() as connection:
        return [comment_of(row) for row in connection.execute(query)]


def add(house: "House", who: Principal, *, project_id: int, group_id: int, text: Any) -> Comment:
    """Comment on a group. Refused: the 1,001st comment."""
    require_write(who)
    said = checked(text)
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        group = find(connection, project, group_id)
        count = sa.select(sa.func.count()).where(group_comments.c.group_id == group.id)
        if connection.execute(count).scalar_one() >= MOST:
            raise invalid("text", "full", text=f"A group may have {MOST} comments; delete some first")
        values = {
            "organization_id": group.organization_id,
            "group_id": group.id,
            "account_id": who.account_id,
            "text": said,
            "created_at": house.clock(),
        }
        comment = comment_of(connection.execute(group_comments.insert().values(values).returning(*SHOWN)).one())
        note(connection, house, who, group, "commented", comment)
        return comment


def edit(house: "House", who: Principal, *, project_id: int, group_id: int, comment_id: int, text: Any) -> Comment:
    """Change the text of a comment of one's own."""
    require_write(who)
    said = checked(text)
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        group = find(connection, project, group_id)
        own(connection, who, group, comment_id)
        statement = sa.update(group_comments).where(group_comments.c.id == comment_id)
        values = {"text": said, "edited_at": house.clock()}
        comment = comment_of(connection.execute(statement.values(values).returning(*SHOWN)).one())
        note(connection, house, who, group, "comment_edited", comment)
        return comment


def delete(house: "House", who: Principal, *, project_id: int, group_id: int, comment_id: int) -> None:
    """Delete a comment: one's own, or as an admin any."""
    require_write(who)
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        group = find(connection, project, group_id)
        comment = own(connection, who, group, comment_id, or_admin=True)
        connection.execute(sa.delete(group_comments).where(group_comments.c.id == comment_id))
        note(connection, house, who, group, "comment_deleted", comment)


def checked(text: Any) -> str:
    return rules.name(text, "text", most=LONGEST)


def own(connection: sa.Connection, who: Principal, group: Group, comment_id: int, *, or_admin: bool = False) -> Comment:
    query = sa.select(*SHOWN).where(group_comments.c.group_id == group.id, group_comments.c.id == comment_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found("Comment not found")
    comment = comment_of(row)
    is_own = comment.account_id is not None and comment.account_id == who.account_id
    if not is_own and not (or_admin and who.is_admin):
        raise forbidden("You did not write this comment")
    return comment


def note(  # noqa: PLR0917  Called from the verbs above only.
    connection: sa.Connection, house: "House", who: Principal, group: Group, kind: str, comment: Comment
) -> None:
    data = {"comment_id": comment.id}
    activity.record(connection, house, who, group.id, kind, data)
    audit.record(connection, house, who, f"group:comment:{kind}", target=f"group:{group.id}", data=data)


def comment_of(row: sa.Row[Any]) -> Comment:
    return msgspec.convert(row._mapping, Comment)  # noqa: SLF001  SQLAlchemy's documented name for a row as a mapping.
