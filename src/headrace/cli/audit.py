"""`headrace audit`: the audit log for the operator, of all organizations and of the instance itself."""

from argparse import Namespace
from typing import Any

import msgspec

from headrace.cli.desk import acting, desk, everywhere
from headrace.cli.screen import as_json, note, table
from headrace.core import audit
from headrace.core.identity import overview
from headrace.kit.times import show

COLUMNS = ("id", "at", "organization", "actor", "action", "target", "outcome", "address_network")


def run(given: Namespace) -> int:
    with desk(given) as house:
        account = None if given.account is None else overview.account(house, email=given.account).account_id
        page = audit.list_everywhere(
            house,
            organization_id=None if given.organization is None else acting(house, given).organization_id,
            action=given.action,
            account_id=account,
            limit=given.limit,
            before=given.before,
        )
        slugs = {one.organization_id: one.slug for one in everywhere(house)}
    rows = [_row(event, slugs) for event in page.events]
    if given.json:
        as_json({"events": rows, "before": page.before})
    elif rows:
        table(COLUMNS, rows)
    else:
        note("there are none")
    if page.before is not None and not given.json:
        note(f"older ones: --before {page.before}")
    return 0


def _row(event: audit.AuditEvent, slugs: dict[int, str]) -> dict[str, Any]:
    actor = event.actor_kind + ("" if event.actor_id is None else f" {event.actor_id}")
    organization = slugs.get(event.organization_id or 0)
    return msgspec.structs.asdict(event) | {"at": show(event.at), "actor": actor, "organization": organization}
