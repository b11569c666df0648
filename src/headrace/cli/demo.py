"""What `headrace demo` adds to a server: a sample account, project and key at the first start, and words to begin."""

import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from headrace.cli.screen import say

if TYPE_CHECKING:
    from headrace.core.house import House

EMAIL, ORGANIZATION, PROJECT = "sample@example.com", "sample", "sample"


# In a checkout the command is not on the PATH.
COMMAND = "headrace" if shutil.which("headrace") else sys.argv[0]


class Made(msgspec.Struct, frozen=True):
    """Shown once; only hashes of the two secrets are kept."""

    email: str
    password: str
    project_id: int
    key: str


def prepare(house: "House") -> Made | None:
    """Make the sample account (a super_admin), its project and a key; None when the data folder has accounts."""
    from headrace.core import keys, projects
    from headrace.core.identity import operators, overview

    if overview.first_account(house) is not None:
        return None
    account = operators.make_account(house, email=EMAIL, name="Sample", organization=ORGANIZATION, super_admin=True)
    who = operators.principal(house, organization=account.organization.slug)
    project = projects.create(house, who, name="Sample", slug=PROJECT)
    key = keys.create_project_key(house, who, project_id=project.project_id, name="sample")
    return Made(EMAIL, account.password or "", project.project_id, key.full_key)


def greet(made: Made | None, house: "House", url: str) -> None:
    say()
    if made is None:
        again(house, url)
        return
    say("A sample account, project and key were made. Keep them: they are shown this once.")
    say()
    say(f"  account   {made.email}")
    say(f"  password  {made.password}")
    say(f"  project   {PROJECT} (id {made.project_id})")
    say(f"  key       {made.key}")
    say()
    say(f"Open {url}/ui and sign in with it. Or, in another terminal, send a log, read it back, search:")
    say()
    say(f"  curl -X POST {url}/api/v1/ingest/single -H 'Authorization: Bearer {made.key}' \\")
    say("""    -d '{"timestamp":"'"$(date -u +%FT%TZ)"'","level":"error","message":"payment timeout"}'""")
    say(f"  curl '{url}/api/v1/logs?project_id={made.project_id}' -H 'Authorization: Bearer {made.key}'")
    say(f"  {COMMAND} search 'level:error timeout' --url {url} --key {made.key}")
    say()


def again(house: "House", url: str) -> None:
    """Say where things are, without any secret: none is kept."""
    from headrace.core import projects
    from headrace.core.identity import overview

    account = overview.first_account(house)
    folder, owners = house.settings.data, projects.owners(house, project=PROJECT)
    if account is not None:
        say(f"The account is {account.email}; its password was shown when it was made. Lost something?")
    say()
    say(f"  {url}/ui")
    say(f"  {COMMAND} admin password {account.email if account else EMAIL} --data {folder}")
    whose = f" --organization {ORGANIZATION}" if len(owners) > 1 else ""
    say(f"  {COMMAND} key create {PROJECT if owners else 'PROJECT'}{whose} --data {folder}")
    say(f"  {COMMAND} search --url {url} --key KEY")
    say()
