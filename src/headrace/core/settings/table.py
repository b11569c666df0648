"""Every setting of the product in one table: the fields of `Settings`, each with its rule, help and reason."""

from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import msgspec

from headrace.kit.destinations import PORTS

PREFIX = "HEADRACE_"
MIB, PIB = 1 << 20, 1 << 50
# More than anybody has, and a number that every store can hold.
MANY = 10**15


class SettingError(Exception):
    """One line for the operator: which setting, which value, which rule."""


class Rule(msgspec.Struct, frozen=True):
    """What a field's name and type do not say. `least` and `most` bound integers; a hidden value is never printed."""

    help: str
    reason: str
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    hidden: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The table. A list is comma-separated text in the environment; a size may end in KiB, MiB or GiB."""

    host: Annotated[str, Rule("Address to listen on.", "Only this machine, unless you say otherwise.")] = "127.0.0.1"
    port: Annotated[int, Rule("Port to listen on; 0 takes a free one.", "The documents' base URL.", 0, 65_535)] = 8000
    data: Annotated[Path, Rule("Folder that holds everything.", "One folder to back up, one to delete.")] = Path("data")
    open: Annotated[
        bool,
        Rule(
            "Answer the documented anonymous requests without a credential.",
            "Closed by default: a forgotten switch must not publish anything.",
        ),
    ] = False
    log_level: Annotated[
        str,
        Rule(
            "Least severe lines of the server's own log.",
            "Requests are counted, not logged, at info.",
            choices=("debug", "info", "warning", "error"),
        ),
    ] = "info"
    public_url: Annotated[
        str, Rule("Address under which browsers reach this server.", "Behind a proxy the server cannot know it.")
    ] = ""
    certificate: Annotated[str, Rule("PEM file of the certificate chain, for HTTPS.", "A proxy usually does this.")] = (
        ""
    )
    certificate_key: Annotated[str, Rule("PEM file of the certificate's key.", "Wanted with `certificate`.")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Rule(
            "Addresses and networks whose X-Forwarded-For and Forwarded count.",
            "Anybody can send these headers; only a named proxy is believed.",
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        Rule(
            "Origins whose pages may call the APIs from a browser.", "Off: no page has a reason to until you name it."
        ),
    ] = ()
    outbound_allow: Annotated[
        tuple[str, ...],
        Rule(
            "Networks and hosts that requests may be sent to although they are private.",
            "A URL given by a caller must not reach what only this server reaches; "
            "169.254.169.254 needs an entry of its own, `169.254.169.254/32`.",
        ),
    ] = ()
    outbound_ports: Annotated[
        tuple[str, ...],
        Rule(
            "Ports that requests may be sent to, single or as ranges.",
            "A range leaves out those of databases and the like; one named alone counts.",
        ),
    ] = PORTS
    outbound_https_only: Annotated[
        bool, Rule("Send to https:// addresses alone.", "Receivers inside a house often have no certificate.")
    ] = False
    webhook_limit: Annotated[
        int, Rule("Webhook endpoints of one organization.", "Every event asks each of them.", 1, 10_000)
    ] = 50
    webhook_retry_seconds: Annotated[
        tuple[str, ...],
        Rule(
            "Waits between the attempts of a webhook or callback, each +-10 %; one attempt more than waits.",
            "A receiver that is deployed is back in seconds, one that is down overnight in the morning: 27.6 hours.",
        ),
    ] = ("1", "5", "30", "300", "1800", "7200", "18000", "36000", "36000")
    webhook_in_flight: Annotated[
        int, Rule("Webhook deliveries under way at once.", "Each holds a connection.", 1, 10_000)
    ] = 200
    webhook_in_flight_per_endpoint: Annotated[
        int,
        Rule(
            "Deliveries under way at once to one endpoint.", "A slow receiver must not take the others' room.", 1, 100
        ),
    ] = 2
    webhook_disable_hours: Annotated[
        int, Rule("An endpoint whose every attempt failed for so long is switched off.", "Five days.", 1, 8_760)
    ] = 120
    webhook_days: Annotated[
        int, Rule("Days for which deliveries and their attempts are kept.", "Documented default.", 1, 3_650)
    ] = 30

    secret: Annotated[
        str,
        Rule(
            "Instance secret, 32 bytes or more; without it one is kept in the file `secret` of the data folder.",
            "Every token, key hash and seal hangs on it.",
            hidden=True,
        ),
    ] = ""
    secret_previous: Annotated[
        tuple[str, ...],
        Rule("Earlier secrets that still verify.", "So that a new secret logs nobody out.", hidden=True),
    ] = ()
    database_url: Annotated[
        str,
        Rule("postgresql:// address of the metadata database.", "Without it: SQLite in the data folder.", hidden=True),
    ] = ""
    events_url: Annotated[
        str,
        Rule("http:// address of a ClickHouse server.", "Without it: the embedded engine.", hidden=True),
    ] = ""
    limits_url: Annotated[
        str,
        Rule(
            "redis:// or valkey:// address where several servers count together.",
            "Without it each process counts for itself.",
            hidden=True,
        ),
    ] = ""
    node: Annotated[
        int, Rule("Number of this server among several, for event ids.", "Ids must differ between servers.", 0, 1023)
    ] = 0

    key_per_minute: Annotated[
        int, Rule("Requests per minute of a key, account or address.", "Documented default.", 1, 10_000_000)
    ] = 1_000
    key_per_hour: Annotated[
        int, Rule("Requests per hour of a key, account or address.", "Documented default.", 1, 1_000_000_000)
    ] = 50_000
    limit_buckets: Annotated[
        int,
        Rule(
            "Rate windows kept in memory per width.",
            "About 290 bytes each; beyond it newcomers share one.",
            1_000,
            10_000_000,
        ),
    ] = 100_000
    daily_quota: Annotated[
        int,
        Rule("Events per day of a new project, and the most a project may set.", "Documented default.", 1_000, MANY),
    ] = 1_000_000
    queue_limit: Annotated[
        int,
        Rule("Events of one project that may wait to become searchable.", "About 1 GB of log lines.", 1_000, MANY),
    ] = 2_000_000
    project_limit: Annotated[
        int, Rule("Projects of one organization.", "Lists of projects are not paged.", 1, 100_000)
    ] = 1_000
    key_limit: Annotated[
        int, Rule("Keys of one project that are not revoked.", "Lists of keys are not paged.", 1, 100_000)
    ] = 1_000
    error_groups: Annotated[
        int,
        Rule(
            "Error groups of one project; errors of further ones are stored ungrouped.",
            "Random error types must not fill the database; the longest unseen groups go once an hour.",
            100,
            1_000_000,
        ),
    ] = 20_000
    workflow_limit: Annotated[
        int, Rule("Workflows that one organization defines.", "Lists of them are not paged.", 1, 10_000)
    ] = 200
    schedule_limit: Annotated[
        int, Rule("Schedules of one organization.", "Each may start a job every minute.", 1, 10_000)
    ] = 200
    source_folders: Annotated[
        str,
        Rule(
            "Folders whose files workflows may read, separated as in PATH; `folder=slug` is one organization's.",
            "Off: no request names a file of this machine until you say which.",
        ),
    ] = ""
    panel_limit: Annotated[
        int, Rule("Panels of one account in one organization.", "Lists of panels are not paged.", 1, 10_000)
    ] = 200
    search_limit: Annotated[
        int, Rule("Saved searches of one organization.", "Lists of them are not paged.", 1, 100_000)
    ] = 1_000

    alert_limit: Annotated[
        int, Rule("Alerts of one organization.", "Each is a query over and over, as often as it says.", 1, 100_000)
    ] = 200
    alert_settle_seconds: Annotated[
        int,
        Rule(
            "How long after its arrival an event counts for alerts.",
            "What was acknowledged a moment ago may not be searchable yet.",
            0,
            3_600,
        ),
    ] = 5
    alert_rows: Annotated[
        int,
        Rule("Events that one evaluation of an alert may read.", "It is asked again and again, unseen.", 1_000, MANY),
    ] = 50_000_000
    people_limit: Annotated[
        int, Rule("People of one organization.", "They are counted when one is added.", 1, 100_000_000)
    ] = 1_000_000

    levqor_writes_per_address: Annotated[
        int, Rule("Writes per minute of one address at the Levqor API.", "Documented default.", 1, 10_000_000)
    ] = 20
    levqor_writes: Annotated[
        int, Rule("Writes per minute of all addresses at the Levqor API.", "Documented default.", 1, 100_000_000)
    ] = 200
    levqor_reads_per_address: Annotated[
        int, Rule("Reads per minute of one address at the Levqor API.", "So that a job can be polled.", 1, 10_000_000)
    ] = 600
    levqor_body_limit: Annotated[
        int, Rule("Bytes of a body at the Levqor API, decompressed.", "Documented default.", 1_024, 1 << 30)
    ] = 512 << 10

    jobs_workers: Annotated[
        int,
        Rule(
            "Threads that run jobs, and job processes at once; 0 runs none here.",
            "With PostgreSQL jobs can be left to `headrace worker`.",
            0,
            256,
        ),
    ] = 4
    jobs_limit: Annotated[
        int,
        Rule(
            "Jobs of one organization that are not over; beyond, starting a workflow answers 503.",
            "A queue that nobody serves must not fill the disk.",
            1,
            1_000_000_000,
        ),
    ] = 1_000_000
    jobs_lease_seconds: Annotated[
        int,
        Rule(
            "Time after which a silent worker's jobs run again elsewhere.",
            "Renewed three times within; the metadata database tells the time.",
            1,
            3_600,
        ),
    ] = 24

    tails_per_project: Annotated[
        int, Rule("Live tails of one project at once.", "Each is sent every log that it asks for.", 1, 10_000)
    ] = 200
    tails_per_process: Annotated[
        int, Rule("Live tails of this server at once.", "Each holds a connection and up to 1 MiB of logs.", 1, 10_000)
    ] = 1_000

    export_rows: Annotated[
        int,
        Rule("Logs of one export.", "The rest is asked for by period; a file has to be opened too.", 1, 1_000_000_000),
    ] = 1_000_000
    export_seconds: Annotated[
        int,
        Rule("Longest time one export may be read for.", "It reads beside the searches of everybody.", 1, 86_400),
    ] = 600

    connector_gmail_url: Annotated[
        str, Rule("Address of the Gmail connector's mailbox.", "A proxy of yours, or a test's server.")
    ] = "https://gmail.googleapis.com/gmail/v1/users/me/"
    connector_google_token_url: Annotated[
        str, Rule("Address where Google renews a token that has expired.", "As above.")
    ] = "https://oauth2.googleapis.com/token"  # noqa: S105  An address.
    connector_notion_url: Annotated[str, Rule("Base address of the Notion connector.", "As above.")] = (
        "https://api.notion.com/v1/"
    )
    connector_slack_url: Annotated[str, Rule("Base address of the Slack connector.", "As above.")] = (
        "https://slack.com/api/"
    )
    connector_telegram_url: Annotated[
        str, Rule("Base address of the Telegram connector.", "Or of a Bot API server of your own.")
    ] = "https://api.telegram.org/"
    connector_calls: Annotated[
        int,
        Rule(
            "Calls of connectors that run at once.",
            "Beyond it 503: slow providers must not hold every thread that answers requests.",
            1,
            1_000,
        ),
    ] = 16
    connector_answer_bytes: Annotated[
        int,
        Rule(
            "Most bytes of a provider's answer to a connector.",
            "As of every answer that is read; pages of long entries, and attachments, want more.",
            64 << 10,
            1 << 30,
        ),
    ] = 64 << 10

    billing: Annotated[
        str,
        Rule(
            "Who takes payments: `stripe`, or `local`, where orders leave invoices that you mark as paid.",
            "Complete without an account anywhere.",
            choices=("local", "stripe"),
        ),
    ] = "local"
    stripe_secret_levqor: Annotated[
        tuple[str, ...],
        Rule(
            "Signing secrets of the Stripe endpoint `/billing/webhook`, comma-separated.",
            "Without one nobody could tell Stripe's events from anybody's. Several, while one is replaced.",
            hidden=True,
        ),
    ] = ()
    stripe_secret_vetrai: Annotated[
        tuple[str, ...],
        Rule("Signing secrets of the Stripe endpoint `/api/v1/webhooks/stripe`.", "As above.", hidden=True),
    ] = ()
    stripe_api_key: Annotated[str, Rule("Stripe's secret key.", "Wanted where `billing` is `stripe`.", hidden=True)] = (
        ""
    )
    stripe_url: Annotated[str, Rule("Base address of Stripe's API.", "A proxy of yours, or a test's server.")] = (
        "https://api.stripe.com"
    )
    prices: Annotated[
        tuple[str, ...],
        Rule(
            "Price of each thing for sale: `pro=price_123` under Stripe; locally `pro=2900 usd`, in minor units.",
            "Local orders take any price id while this is empty; you then name the amount when it is paid.",
        ),
    ] = ()
    currency: Annotated[str, Rule("Currency of local orders without a price.", "ISO 4217.")] = "usd"

    body_limit: Annotated[
        int, Rule("Bytes of an ordinary request body, decompressed.", "Documented default.", 1_024, 1 << 30)
    ] = 64 << 10
    body_limit_single: Annotated[
        int, Rule("Bytes of a body with one event, decompressed.", "Documented default.", 1_024, 1 << 30)
    ] = MIB
    body_limit_batch: Annotated[
        int, Rule("Bytes of a body with many events, decompressed.", "Documented default.", 1_024, 1 << 30)
    ] = 32 * MIB
    bodies_memory: Annotated[
        int,
        Rule(
            "Bytes of large request bodies held at once.",
            "Beyond it 503: uploads must not end the server.",
            64 * MIB,
            PIB,
        ),
    ] = 256 * MIB
    request_seconds: Annotated[
        int, Rule("Longest time one request may take.", "Then the caller gets a 503.", 1, 3_600)
    ] = 30

    memory_engine: Annotated[
        int,
        Rule("Bytes of memory that the embedded engine may use.", "A query must not end the server.", 64 * MIB, PIB),
    ] = 400 * MIB
    wal_limit_bytes: Annotated[
        int, Rule("Bytes of acknowledged events that may wait on disk.", "Beyond it ingest answers 503.", 16 * MIB, PIB)
    ] = 2 << 30
    segment_bytes: Annotated[
        int,
        Rule(
            "A segment is drained at this size.",
            "Large enough for one efficient insert; small enough to be one block of the engine, which replay needs.",
            64 << 10,
            32 * MIB,
        ),
    ] = 32 * MIB
    segment_rows: Annotated[
        int, Rule("A segment is drained at this many events.", "Bounds the memory of one insert.", 1, 100_000)
    ] = 64_000
    segment_age_ms: Annotated[
        int,
        Rule(
            "A segment is drained at this age, one of less than 5,000 events at 1.8 times of it.",
            "Events are searchable within a second or so.",
            10,
            60_000,
        ),
    ] = 500
    disk_refuse_percent: Annotated[
        int,
        Rule(
            "Ingest answers 503 when the disk is this full, in percent; it goes on 5 points below.",
            "The rest is for merges and backups.",
            6,
            100,
        ),
    ] = 95
    query_seconds: Annotated[
        int, Rule("Longest time of one query.", "A runaway query must not hold the engine.", 1, 3_600)
    ] = 10
    query_threads: Annotated[int, Rule("Queries that run at once.", "Each may use a core.", 1, 256)] = 4


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table, with its name and type written out."""

    name: str
    type: str
    default: Any
    rule: Rule

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def _rows() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    defaults = Settings()
    rows = []
    for name in Settings.__struct_fields__:
        kind, rule = get_args(hints[name])
        word = {int: "integer", bool: "switch", str: "text", Path: "folder"}.get(kind, "list")
        rows.append(Setting(name=name, type=word, default=getattr(defaults, name), rule=rule))
    return tuple(rows)


SETTINGS = _rows()
BY_NAME = {setting.name: setting for setting in SETTINGS}
