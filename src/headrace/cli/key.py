"""`headrace key`: keys made, taken over, listed, limited, paused and ended; and the key of an import by slug."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from headrace.cli import records
from headrace.cli.desk import acting, desk, project_named
from headrace.cli.screen import Trouble, as_json, note, say
from headrace.core import keys, projects, webhooks
from headrace.core.identity import overview
from headrace.core.principal import Principal

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.keys import Key, NewKey

COLUMNS = ("key_id", "kind", "project_id", "name", "key_prefix", "scopes", "status", "last_used_at", "created_at")


def run(given: Namespace) -> int:
    with desk(given) as house:
        _do(house, given)
    return 0


def _do(house: "House", given: Namespace) -> None:
    if given.act == "list" and given.project is None:
        records.listed(house, given, _keys, COLUMNS)
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
            records.listing(keys.list_project_keys(house, who, project_id=project.project_id), COLUMNS, given)
        case "callback":
            secret = webhooks.organization_secret(house, who)
            records.told({"callback_secret": secret}, secret, given)
        case "limit":
            if given.per_minute is None and given.per_hour is None:
                raise Trouble("nothing to set; give --per-minute, --per-hour or both")
            limits = {"per_minute": given.per_minute, "per_hour": given.per_hour}
            key = keys.set_limits(house, who, key_id=given.key_id, **limits)
            records.show(
                key,
                f"key {key.key_id}: {key.per_minute or 'default'} a minute, {key.per_hour or 'default'} an hour",
                given,
            )
        case act:
            change = {"revoke": keys.revoke, "pause": keys.pause, "resume": keys.resume}[act]
            key = change(house, who, key_id=given.key_id)
            records.show(key, f"key {key.key_id} ({key.key_prefix}) is {key.status}", given)


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


def _show_new(made: "NewKey", given: Namespace, *, imported: bool = False) -> None:
    if given.json:
        shown = {"key_id": made.key_id, "full_key": None if imported else made.full_key}
        as_json({**records.plain(made.key), **shown, "signing_secret": made.signing_secret})
        return
    if imported:
        say(f"the key is taken over as key {made.key_id}")
    else:
        say(made.full_key)
    if made.signing_secret:
        say(f"signing secret: {made.signing_secret}")
    if not imported:
        note(f"Key {made.key_id}. Keep it: it is shown this once.")


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
