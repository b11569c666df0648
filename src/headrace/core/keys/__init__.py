"""API keys: one table for project, organization, ingest and imported keys. A key is shown once and kept as a MAC."""

from headrace.core.keys import usage
from headrace.core.keys.changing import pause, resume, revoke, set_limits
from headrace.core.keys.making import (
    create_app,
    create_ingest_key,
    create_organization_key,
    create_project_key,
    import_key,
)
from headrace.core.keys.records import (
    Key,
    NewKey,
    get,
    list_organization_keys,
    list_project_keys,
    owner,
    signing_secret,
)
from headrace.core.keys.resolving import Entry, entry, fresh, resolve, resolve_ingest, resolved_project

__all__ = [
    "Entry",
    "Key",
    "NewKey",
    "create_app",
    "create_ingest_key",
    "create_organization_key",
    "create_project_key",
    "entry",
    "fresh",
    "get",
    "import_key",
    "list_organization_keys",
    "list_project_keys",
    "owner",
    "pause",
    "resolve",
    "resolve_ingest",
    "resolved_project",
    "resume",
    "revoke",
    "set_limits",
    "signing_secret",
    "usage",
]
