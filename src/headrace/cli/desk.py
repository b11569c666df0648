"""The operator's desk: the metadata of a data folder, and for which organization one acts there.

It needs no server and disturbs none: a running one notices each change at its next request.
"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.cli.configuration import office
from headrace.cli.screen import Trouble
from headrace.core import announcements, jobs, keys, projects, webhooks
from headrace.core.identity import operators, overview
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.identity.records import Organization
    from headrace.core.projects import Project


@contextmanager
def desk(given: Namespace, *, make: bool = False) -> Iterator["House"]:
    """Open the metadata, and say a refusal of core as the command's own sentence."""
    from headrace.core.migrations import OldSchemaError

    try:
        with office(given, make=make) as house:
            # What is changed here is told like what is changed there; a running server sends it.
            jobs.define(house, webhooks.kind(house))
            house.part(announcements.Listeners).all.append(webhooks.heard)
            yield house
    except Refusal as refusal:
        raise Trouble(refusal.text) from refusal
    except OldSchemaError as problem:
        raise Trouble(str(problem)) from problem


def acting(house: "House", given: Namespace, *, project: str | None = None, key_id: int | None = None) -> Principal:
    """The operator, in the organization that `--organization` names, in the only one, or in that of a thing.

    A project (by its slug or id) or a key tells its organization; a slug that several have does not.
    """
    if given.organization is not None:
        return operators.principal(house, organization=given.organization)
    found = everywhere(house)
    if len(found) > 1 and project is not None:
        owners = projects.owners(house, project=project)
        found = [one for one in found if one.organization_id in owners]
        if not found:
            raise Trouble(f"there is no project {project}; `headrace project list` shows those of all organizations")
    elif len(found) > 1 and key_id is not None:
        owner = keys.owner(house, key_id=key_id)
        found = [one for one in found if one.organization_id == owner]
        if not found:
            raise Trouble(f"there is no key {key_id}; `headrace key list` shows those of all organizations")
    if len(found) > 1:
        slugs = ", ".join(one.slug for one in found[:10])
        what = (
            "there are several organizations" if project is None else f"several organizations have a project {project}"
        )
        raise Trouble(f"{what} ({slugs}); name one with --organization")
    return operators.principal(house, organization=found[0].slug)


def everywhere(house: "House") -> "list[Organization]":
    """Return the organizations, of which there has to be one."""
    found = overview.list_organizations(house)
    if not found:
        raise Trouble("there is no organization yet; `headrace admin account EMAIL` makes an account with one")
    return found


def project_named(house: "House", who: Principal, text: str) -> "Project":
    """Find a project by slug; by id where no slug is the same."""
    try:
        return projects.get_by_slug(house, who, slug=text)
    except Refusal:
        if not text.isdigit():
            slugs = ", ".join(project.slug for project in projects.list_all(house, who)[:10]) or "none"
            raise Trouble(f"there is no project {text}; there are: {slugs}") from None
    return projects.get(house, who, project_id=int(text))
