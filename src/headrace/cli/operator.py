"""`headrace key`, `project` and `admin`: the operator's verbs, on the data folder's metadata database.

They need no server and disturb none: a running one notices each change at its next request.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.cli.configuration import office
from headrace.cli.screen import Trouble, as_json, note, say, table
from headrace.core import announcements, billing, jobs, keys, projects, webhooks
from headrace.core.identity import operators, overview
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from headrace.kit.times import show

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.identity.records import Organization
    from headrace.core.keys import Key, NewKey
    from headrace.core.projects import Project

KEY_COLUMNS = ("key_id", "kind", "project_id", "name", "key_prefix", "scopes", "status", "last_used_at", "created_at")
INVOICE_COLUMNS = ("external_id", "description", "status", "amount_due", "amount_paid", "currency", "created_at")
PROJECT_COLUMNS = ("project_id", "slug", "name", "environment", "retention_days", "daily_quota", "queue_limit")


def run(given: Namespace) -> int:
    with desk(given, make=(given.verb, given.act) in {("admin", "account"), ("admin", "organization")}) as house:
        match given.verb:
            case "key":
                _key(house, given)
            case "project":
                _project(house, given)
            case _:
                _admin(house, given)
    return 0


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


def _listed(
    house: "House", given: Namespace, read: "Callable[[House, Principal], list[Any]]", columns: tuple[str, ...]
) -> None:
    """Show what `read` finds in the organization that was named; without a name in all, and in which."""
    if given.organization is not None:
        _list(read(house, acting(house, given)), columns, given)
        return
    found = everywhere(house)
    of = {one.slug: read(house, operators.principal(house, organization=one.slug)) for one in found}
    rows = [{"organization": slug} | _plain(record) for slug, records in of.items() for record in records]
    _rows(rows, columns if len(found) == 1 else ("organization", *columns), given)


def project_named(house: "House", who: Principal, text: str) -> "Project":
    """Find a project by slug; by id where no slug is the same."""
    try:
        return projects.get_by_slug(house, who, slug=text)
    except Refusal:
        if not text.isdigit():
            slugs = ", ".join(project.slug for project in projects.list_all(house, who)[:10]) or "none"
            raise Trouble(f"there is no project {text}; there are: {slugs}") from None
    return projects.get(house, who, project_id=int(text))


def import_key(given: Namespace) -> "NewKey":
    """Make the key by which an import of `--project SLUG` writes; `end_key` ends it."""
    with desk(given) as house:
        who = acting(house, given, project=given.project)
        project = project_named(house, who, given.project)
        return keys.create_project_key(
            house, who, project_id=project.project_id, name="headrace import", scopes=["ingest"]
        )


def end_key(given: Namespace, key_id: int) -> None:
    with desk(given) as house:
        keys.revoke(house, acting(house, given, key_id=key_id), key_id=key_id)


def _key(house: "House", given: Namespace) -> None:
    if given.act == "list" and given.project is None:
        _listed(house, given, _keys, KEY_COLUMNS)
        return
    who = acting(house, given, project=getattr(given, "project", None), key_id=getattr(given, "key_id", None))
    match given.act:
        case "create":
            _show_new(_create(house, who, given), given)
        case "import":
            secret = sys.stdin.readline().strip()
            made = keys.import_key(
                house,
                who,
                secret=secret,
                name=given.name,
                scopes=given.scopes or ("read",),
                owner_id=_owner(house, who, given),
            )
            _show_new(made, given, imported=True)
        case "list":
            project = project_named(house, who, given.project)
            _list(keys.list_project_keys(house, who, project_id=project.project_id), KEY_COLUMNS, given)
        case "callback":
            secret = webhooks.organization_secret(house, who)
            _told({"callback_secret": secret}, secret, given)
        case "limit":
            if given.per_minute is None and given.per_hour is None:
                raise Trouble("nothing to set; give --per-minute, --per-hour or both")
            limits = {"per_minute": given.per_minute, "per_hour": given.per_hour}
            key = keys.set_limits(house, who, key_id=given.key_id, **limits)
            _show(
                key,
                f"key {key.key_id}: {key.per_minute or 'default'} a minute, {key.per_hour or 'default'} an hour",
                given,
            )
        case act:
            change = {"revoke": keys.revoke, "pause": keys.pause, "resume": keys.resume}[act]
            key = change(house, who, key_id=given.key_id)
            _show(key, f"key {key.key_id} ({key.key_prefix}) is {key.status}", given)


def _create(house: "House", who: Principal, given: Namespace) -> "NewKey":
    if given.project is None:
        if given.ingest:
            raise Trouble("an ingest key belongs to a project: headrace key create PROJECT --ingest")
        return keys.create_organization_key(
            house,
            who,
            name=given.name,
            scopes=given.scopes or ("read",),
            expires_days=given.expires_days,
            owner_id=_owner(house, who, given),
        )
    project_id = project_named(house, who, given.project).project_id
    if given.ingest:
        return keys.create_ingest_key(house, who, project_id=project_id)
    scopes = None if given.scopes is None else list(given.scopes)
    return keys.create_project_key(house, who, project_id=project_id, name=given.name, scopes=scopes)


def _keys(house: "House", who: Principal) -> "list[Key]":
    found = keys.list_organization_keys(house, who)
    for project in projects.list_all(house, who):
        found += keys.list_project_keys(house, who, project_id=project.project_id)
    return sorted(found, key=lambda key: key.key_id)


def _owner(house: "House", who: Principal, given: Namespace) -> int:
    if given.account is not None:
        return overview.account(house, email=given.account).account_id
    found = overview.first_admin(house, who)
    if found is None:
        raise Trouble("the organization has no org_admin who could own the key; name an account with --account")
    return found


def _project(house: "House", given: Namespace) -> None:
    if given.act == "list":
        _listed(house, given, projects.list_all, PROJECT_COLUMNS)
        return
    who = acting(house, given)
    made = projects.create(house, who, name=given.name or given.slug, slug=given.slug, environment=given.environment)
    _show(
        made, f"project {made.slug} has the id {made.project_id}; `headrace key create {made.slug}` makes a key", given
    )


def _admin(house: "House", given: Namespace) -> None:
    match given.act:
        case "account":
            _account(house, given)
        case "organization":
            made = overview.make_organization(house, name=given.name, admin=given.admin)
            _show(made, f"organization {made.slug} has the id {made.organization_id}", given)
        case "password":
            drawn = operators.set_password(house, email=given.email, password=_password(given))
            _told(
                {"email": given.email, "password": drawn},
                f"{given.email} has a new password; all its sessions ended",
                given,
            )
        case "super":
            operators.set_super_admin(house, email=given.email, is_super_admin=not given.revoke)
            word = "no longer a super_admin" if given.revoke else "a super_admin"
            _told({"email": given.email, "super_admin": not given.revoke}, f"{given.email} is {word}", given)
        case "invoices":
            _list(billing.list_invoices(house, acting(house, given))[0], INVOICE_COLUMNS, given)
        case "invoice-paid":
            who = acting(house, given)
            paid = billing.mark_paid(house, who, invoice=given.invoice, amount=given.amount)
            _show(paid, f"invoice {paid.external_id} is paid: {paid.amount_paid:,} {paid.currency}, minor units", given)
        case act:
            who = acting(house, given, project=given.project)
            project_id = project_named(house, who, given.project).project_id
            name = {"quota": "daily_quota", "queue-limit": "queue_limit"}[act]
            changed = projects.set_limits(house, who, project_id=project_id, **{name: given.number})
            words = f"project {changed.slug}: {changed.daily_quota:,} logs a day, {changed.queue_limit:,} may wait"
            _show(changed, words, given)


def _account(house: "House", given: Namespace) -> None:
    slug = given.organization
    if slug is None:
        found = overview.list_organizations(house)
        if len(found) > 1:
            raise Trouble("there are several organizations; name the account's with --organization")
        slug = found[0].slug if found else "main"
    made = operators.make_account(
        house,
        email=given.email,
        password=_password(given),
        name=given.name or given.email.partition("@")[0],
        organization=slug,
        super_admin=given.super,
    )
    facts = {
        "account_id": made.account.account_id,
        "email": made.account.email,
        "organization": made.organization.slug,
        "super_admin": made.account.is_super_admin,
        "password": made.password,
    }
    _told(facts, f"account {made.account.email} is an org_admin of {made.organization.slug}", given)


def _password(given: Namespace) -> str | None:
    return sys.stdin.readline().rstrip("\n") if given.password_stdin else None


def _told(facts: dict[str, Any], words: str, given: Namespace) -> None:
    """Say what was done; a password that was drawn is among the facts and is shown this once."""
    if given.json:
        as_json(facts)
        return
    say(words)
    if facts.get("password"):
        say(f"password: {facts['password']}")
        note("Keep it: it is shown this once.")


def _show_new(made: "NewKey", given: Namespace, *, imported: bool = False) -> None:
    if given.json:
        shown = {"key_id": made.key_id, "full_key": None if imported else made.full_key}
        as_json({**_plain(made.key), **shown, "signing_secret": made.signing_secret})
        return
    if imported:
        say(f"the key is taken over as key {made.key_id}")
    else:
        say(made.full_key)
    if made.signing_secret:
        say(f"signing secret: {made.signing_secret}")
    if not imported:
        note(f"Key {made.key_id}. Keep it: it is shown this once.")


def _show(record: msgspec.Struct, words: str, given: Namespace) -> None:
    if given.json:
        as_json(_plain(record))
    else:
        say(words)


def _list(records: "list[Any]", columns: tuple[str, ...], given: Namespace) -> None:
    _rows([_plain(record) for record in records], columns, given)


def _rows(rows: list[dict[str, Any]], columns: tuple[str, ...], given: Namespace) -> None:
    if given.json:
        as_json(rows)
    elif rows:
        table(columns, rows)
    else:
        note("there are none")


def _plain(record: msgspec.Struct) -> dict[str, Any]:
    """A record as people and programs read it: times as text."""
    values = msgspec.structs.asdict(record)
    return {
        name: show(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in values.items()
    }
