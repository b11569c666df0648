"""The arguments of every verb, in one place: `--help` and docs/cli.md are printed from here. Nothing is done here."""

import sys
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
    _ArgumentGroup,
)
from typing import Any, NoReturn

from headrace import __version__
from headrace.core.settings import SETTINGS, Setting, shown

# The first setting of each group of `headrace serve --help`; a test holds that each of them exists.
GROUPS = {
    "host": "where it listens",
    "secret": "secrets and stores",
    "key_per_minute": "limits of callers",
    "connector_gmail_url": "connectors",
    "billing": "billing",
    "body_limit": "limits of requests",
    "memory_engine": "event store",
}
# A process list shows a command line to every user of the machine.
NEVER_FLAGS = frozenset({"secret", "secret_previous", "stripe_api_key", "stripe_secret_levqor", "stripe_secret_vetrai"})
METAVARS = {"integer": "N", "folder": "DIR", "list": "A,B", "text": "TEXT"}
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class Parser(ArgumentParser):
    """argparse, with one line for a mistake instead of the whole usage."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        named.setdefault("formatter_class", RawDescriptionHelpFormatter)
        named.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **named)

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}; see {self.prog} --help\n")
        sys.exit(2)


def parser() -> Parser:
    top = Parser(
        prog="headrace", description="A self-hosted backend for logs and events: documented REST APIs on one core."
    )
    top.add_argument("--version", action="version", version=f"headrace {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    _serving(verbs)
    _importing(verbs)
    _searching(verbs)
    _keys(verbs)
    _projects(verbs)
    _admin(verbs)
    _audit(verbs)
    _upkeep(verbs)
    return top


def _verb(verbs: Any, name: str, text: str, more: str = "") -> Parser:
    made: Parser = verbs.add_parser(name, help=text, description=text + (f"\n\n{more}" if more else ""))
    return made


def _serving(verbs: Any) -> None:
    text = "Run the server."
    more = "A flag counts before the environment, that before the file, that before the default."
    _settings(_verb(verbs, "serve", text, more))
    text = "Run the server with a sample account, organization, project and key, made at the first start."
    _settings(
        _verb(verbs, "demo", text, "Takes what `headrace serve` takes. Secrets are printed once, at the first start.")
    )
    text = "Run jobs and nothing else, beside servers on the same PostgreSQL."
    _settings(_verb(verbs, "worker", text, "Takes what `headrace serve` takes; SIGTERM stops it politely."))


def _settings(verb: Parser) -> None:
    verb.add_argument("--config", metavar="FILE", help="TOML file with settings, by their names in small letters")
    group: _ArgumentGroup | None = None
    for setting in SETTINGS:
        if setting.name in GROUPS:
            group = verb.add_argument_group(GROUPS[setting.name])
        if setting.name not in NEVER_FLAGS:
            _flag(group or verb.add_argument_group("settings"), setting)


def _flag(group: _ArgumentGroup, setting: Setting) -> None:
    flag = "--" + setting.name.replace("_", "-")
    text = f"{setting.rule.help} [{setting.variable}; {shown(setting, setting.default)}]".replace("%", "%%")
    if setting.type == "switch":
        group.add_argument(flag, dest=setting.name, action="store_const", const="true", help=text)
    else:
        metavar = "|".join(setting.rule.choices) or METAVARS[setting.type]
        group.add_argument(flag, dest=setting.name, metavar=metavar, help=text)


def _importing(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "import",
        "Send files of logs to a running server.",
        'Reads NDJSON, a JSON array or {"logs": [...]}; plain, gzip or zstd; "-" is standard input. Stopped half-way,\n'
        "or on a file of lines that has grown since, the same command goes on after the server's last answer, and\n"
        "stores no line twice. Lines that the server refuses go to FILE.rejected, their reasons to FILE.rejected.why.\n"
        "Fields that a log does not have become attributes.",
    )
    verb.add_argument("files", nargs="+", metavar="FILE", help="a file of logs, or - for standard input")
    _where(verb, project="project: its slug (then --data makes a key for the import), or its id beside a --key")
    _organization(verb)
    _data(verb)
    verb.add_argument(
        "--map",
        type=pairs,
        default={},
        metavar="TO=FROM,...",
        help="fields under other names: timestamp=time,message=msg",
    )
    verb.add_argument(
        "--now", action="store_true", help="a line without a timestamp gets the time at which the import began"
    )
    verb.add_argument("--level", choices=LOG_LEVELS, help="level of a line that has none")
    verb.add_argument(
        "--again", action="store_true", help="import a file again from its start, though it was imported before"
    )
    verb.add_argument(
        "--patience",
        type=seconds,
        default=600,
        metavar="SECONDS",
        help="how long to wait for a server that is busy or away [600]",
    )
    verb.add_argument(
        "--batch", type=whole(1, 1000), default=1000, metavar="N", help="lines in one request, 1 to 1000 [1000]"
    )
    verb.add_argument("--json", action="store_true", help="print the counts as JSON")


def _searching(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "search",
        "Find logs on a running server, newest first.",
        "Example: headrace search 'level:error timeout' --from 2h --limit 20",
    )
    verb.add_argument(
        "query", nargs="*", metavar="QUERY", help="search language (docs/search.md); after -- if it begins with -"
    )
    _where(verb)
    verb.add_argument("--from", dest="since", metavar="TIME", help="from this time on: ISO 8601, or 15m, 2h, 7d ago")
    verb.add_argument("--to", dest="until", metavar="TIME", help="up to this time, likewise")
    verb.add_argument("--limit", type=whole(1, 1_000_000), default=100, metavar="N", help="most logs to print [100]")
    verb.add_argument("--json", action="store_true", help="print each log as one line of JSON")
    _exporting(verbs)
    verb = _verb(verbs, "tail", "Print logs as they arrive at a running server, until Ctrl-C.")
    verb.add_argument(
        "query", nargs="*", metavar="QUERY", help="search language (docs/search.md); after -- if it begins with -"
    )
    _where(verb)
    verb.add_argument(
        "--lines", type=whole(0, 1000), default=10, metavar="N", help="how many of the latest logs to begin with [10]"
    )
    verb.add_argument("--json", action="store_true", help="print each log as one line of JSON")


def _exporting(verbs: Any) -> None:
    verb = _verb(
        verbs,
        "export",
        "Write the logs that a search finds on a running server into a file, newest first.",
        "Example: headrace export 'level:error' --from 7d --format csv --output errors.csv\n"
        "The file appears when it is whole. What the server's limits leave out is told.",
    )
    verb.add_argument(
        "query", nargs="*", metavar="QUERY", help="search language (docs/search.md); after -- if it begins with -"
    )
    _where(verb)
    verb.add_argument("--from", dest="since", metavar="TIME", help="from this time on: ISO 8601, or 15m, 2h, 7d ago")
    verb.add_argument("--to", dest="until", metavar="TIME", help="up to this time, likewise")
    verb.add_argument(
        "--format", choices=("ndjson", "csv", "parquet"), default="ndjson", help="form of the file [ndjson]"
    )
    verb.add_argument("--output", metavar="FILE", help="file to write; it must not exist [standard output]")


def _keys(verbs: Any) -> None:
    verb = _verb(
        verbs, "key", "Make, list and end keys, in the data folder; a running server notices at the next request."
    )
    acts = verb.add_subparsers(dest="act", metavar="ACTION", required=True)
    act = _act(acts, "create", "Make a key and print it, once.")
    act.add_argument("project", nargs="?", help="slug or id of its project; without it an organization's key is made")
    act.add_argument("--name", default="command line", help="name of the key [command line]")
    act.add_argument(
        "--scopes",
        type=words,
        metavar="A,B",
        help="rights: ingest, logs:read, panels:*; of an organization's key read, write, admin",
    )
    act.add_argument(
        "--ingest", action="store_true", help="make (or replace) the project's ingest key, for the X-INGEST-KEY header"
    )
    act.add_argument("--account", metavar="EMAIL", help="owner of an organization's key [its first org_admin]")
    act.add_argument("--expires-days", type=whole(1, 365), metavar="N", help="end of an organization's key")
    act = _act(acts, "list", "List keys, without their secrets.")
    act.add_argument("project", nargs="?", help="slug or id of a project; without it all keys")
    for name, text in (
        ("revoke", "End a key for good, at once."),
        ("pause", "Refuse a key until `headrace key resume`."),
        ("resume", "Accept a paused key again."),
    ):
        _act(acts, name, text).add_argument(
            "key_id", type=whole(1, 2**63 - 1), metavar="KEY_ID", help="as `headrace key list` shows it"
        )
    _act(acts, "callback", "Print the secret that signs callbacks of jobs which no key made.")
    act = _act(
        acts, "import", "Take over an existing key as an organization's key. The key is read from standard input."
    )
    act.add_argument("--name", default="imported", help="name of the key [imported]")
    act.add_argument(
        "--scopes", type=words, metavar="A,B", help="rights: read, write, admin, or resource:action [read]"
    )
    act.add_argument("--account", metavar="EMAIL", help="owner of the key [the organization's first org_admin]")
    act = _act(acts, "limit", "Set how many requests a key may make.")
    act.add_argument("key_id", type=whole(1, 2**63 - 1), metavar="KEY_ID", help="as `headrace key list` shows it")
    act.add_argument("--per-minute", type=whole(1, 10_000_000), metavar="N", help="requests in a minute")
    act.add_argument("--per-hour", type=whole(1, 1_000_000_000), metavar="N", help="requests in an hour")


def _projects(verbs: Any) -> None:
    verb = _verb(verbs, "project", "Make and list projects, in the data folder.")
    acts = verb.add_subparsers(dest="act", metavar="ACTION", required=True)
    act = _act(acts, "create", "Make a project.")
    act.add_argument("slug", help="lower-case letters, digits and hyphens")
    act.add_argument("--name", help="name to show [the slug]")
    act.add_argument("--environment", choices=("production", "staging", "dev"), help="what runs there [production]")
    _act(acts, "list", "List projects.")


def _admin(verbs: Any) -> None:
    verb = _verb(verbs, "admin", "Accounts, organizations and limits, in the data folder.")
    acts = verb.add_subparsers(dest="act", metavar="ACTION", required=True)
    act = _act(acts, "account", "Make an account; its password is drawn and printed, once.")
    act.add_argument("email", help="address of the account")
    act.add_argument("--name", help="name of the person [the address]")
    act.add_argument("--super", action="store_true", help="make it a super_admin")
    act.add_argument("--password-stdin", action="store_true", help="take the password from standard input")
    act = _act(acts, "organization", "Make an organization.", organization=False)
    act.add_argument("name", help="name to show; its slug is made of it")
    act.add_argument("--admin", metavar="EMAIL", help="account that becomes its org_admin")
    act = _act(
        acts,
        "password",
        "Set a new password, drawn and printed once; ends all sessions of the account.",
        organization=False,
    )
    act.add_argument("email", help="address of the account")
    act.add_argument("--password-stdin", action="store_true", help="take the password from standard input")
    act = _act(acts, "super", "Make an account a super_admin, or with --revoke no longer.", organization=False)
    act.add_argument("email", help="address of the account")
    act.add_argument("--revoke", action="store_true", help="take it back")
    _act(acts, "invoices", "List the organization's invoices.")
    act = _act(acts, "invoice-paid", "Say that an invoice of local billing was paid.")
    act.add_argument("invoice", help="its id, in_local_...")
    act.add_argument("--amount", type=whole(0, 10**12), metavar="N", help="paid, in minor units [what it says]")
    for name, text in (
        ("quota", "Set how many logs a project may take in a day."),
        ("queue-limit", "Set how many logs of a project may wait to become searchable."),
    ):
        act = _act(acts, name, text)
        act.add_argument("project", help="slug or id")
        act.add_argument("number", type=whole(0, 2**53), metavar="N", help="how many")


def _audit(verbs: Any) -> None:
    verb = _verb(verbs, "audit", "Show who changed what, newest first, from the data folder.")
    _data(verb)
    verb.add_argument("--organization", metavar="SLUG", help="which organization [all of them]")
    verb.add_argument("--action", metavar="ACTION", help="an action, or its beginning up to a colon: apikey:key")
    verb.add_argument("--account", metavar="EMAIL", help="who did it")
    verb.add_argument("--limit", type=whole(1, 1000), default=100, metavar="N", help="most lines to print [100]")
    verb.add_argument("--before", type=whole(1, 2**63 - 1), metavar="ID", help="go on below this one")
    verb.add_argument("--json", action="store_true", help="print JSON")


def _upkeep(verbs: Any) -> None:
    _data(_verb(verbs, "migrate", "Bring the metadata database to this version's tables. Safe to repeat."))
    verb = _verb(verbs, "doctor", "Look at everything a server needs; exit 1 if something is wrong.")
    _data(verb)
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")
    verb = _verb(verbs, "backup", "Copy everything into a new folder, also while the server runs.")
    verb.add_argument("folder", metavar="DIR", help="folder to make; it must not exist or be empty")
    _data(verb)
    verb = _verb(verbs, "restore", "Fill an empty data folder from a backup, after checking every file.")
    verb.add_argument("folder", metavar="DIR", help="the backup")
    _data(verb)
    verb = _verb(verbs, "docs", "Print docs/settings.md and docs/cli.md anew from the code.")
    verb.add_argument("--folder", default="docs", metavar="DIR", help="where they lie [docs]")
    verb.add_argument("--check", action="store_true", help="change nothing; exit 1 if they differ")
    verb = _verb(verbs, "version", "Print the versions of Headrace and of what it stands on.")
    verb.add_argument("--json", action="store_true", help="print them as JSON")


def _act(acts: Any, name: str, text: str, *, organization: bool = True) -> Parser:
    act = _verb(acts, name, text)
    _data(act)
    if organization:
        _organization(act)
    act.add_argument("--json", action="store_true", help="print JSON")
    return act


def _organization(verb: Parser) -> None:
    verb.add_argument(
        "--organization", metavar="SLUG", help="which organization [the only one, or that of the project or key]"
    )


def _data(verb: Parser) -> None:
    verb.add_argument("--data", metavar="DIR", help="data folder [HEADRACE_DATA; data]")
    verb.add_argument("--config", metavar="FILE", help="TOML file with settings, as given to `headrace serve`")


def _where(verb: Parser, project: str = "id of the project, beside a key that is not the project's own") -> None:
    verb.add_argument("--url", metavar="URL", help="address of the server [HEADRACE_URL; http://127.0.0.1:8000]")
    verb.add_argument("--key", metavar="KEY", help="key or access token [HEADRACE_KEY]")
    verb.add_argument("--project", metavar="PROJECT", help=project)


def whole(least: int, most: int) -> Any:
    def read(text: str) -> int:
        digits = text.replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit() and least <= int(digits) <= most):
            raise ArgumentTypeError(f"must be a whole number from {least} to {most}, and is {text!r}")
        return int(digits)

    return read


def seconds(text: str) -> int:
    number: int = whole(0, 86_400)(text)
    return number


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def pairs(text: str) -> dict[str, str]:
    """Read `timestamp=time,message=msg` into {to: from}."""
    found: dict[str, str] = {}
    for pair in words(text):
        to, equals, source = pair.partition("=")
        if not (to and equals and source):
            raise ArgumentTypeError(f"must be like timestamp=time,message=msg, and has {pair!r}")
        found[to] = source
    return found
