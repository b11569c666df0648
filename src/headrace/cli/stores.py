"""What a person reads when a store cannot be opened, in one line: which one, where, why, and what to do."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from headrace.core.settings import Settings

CLICKHOUSE_PORTS = {"http": 8123, "https": 8443}


def database_shut(chosen: Settings, problem: BaseException) -> str:
    if not chosen.database_url:
        return (
            f"the metadata database {chosen.data / 'headrace.db'} cannot be opened: {reason(problem)}; "
            "`headrace doctor` looks further"
        )
    # A socket of this machine has a folder for a host, behind the question mark.
    where = place(chosen.database_url, 5432) or "the socket that it names"
    return (
        f"the PostgreSQL server of HEADRACE_DATABASE_URL at {where} cannot be used: {reason(problem)}; "
        "see that it runs and can be reached from here, or change the setting"
    )


def events_shut(chosen: Settings, problem: BaseException) -> str:
    if not chosen.events_url:
        return f"{problem}; `headrace doctor` looks at everything"
    where = place(chosen.events_url, CLICKHOUSE_PORTS[urlsplit(chosen.events_url).scheme])
    return (
        f"the ClickHouse server of HEADRACE_EVENTS_URL at {where} cannot be used: {reason(problem)}; "
        "see that it runs and can be reached from here, or change the setting"
    )


def place(url: str, port: int) -> str:
    """Host and port of an address, without the user and password that may stand before them."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return host and f"{f'[{host}]' if ':' in host else host}:{parts.port or port}"


def reason(problem: BaseException) -> str:
    """Return the system's word for it (`Connection refused`) where there is one, else the driver's first line."""
    chain = list(_causes(problem))
    said = [one.strerror for one in chain if isinstance(one, OSError) and one.strerror]
    if said:
        return said[-1]
    drivers = [one for one in (getattr(one, "orig", None) for one in chain) if one is not None]
    return str(drivers[-1] if drivers else problem).strip().partition("\n")[0].strip()


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__
