"""From the command line to settings and to an open house: what every verb that touches a data folder begins with."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.cli.client import KEY_VARIABLE, URL_VARIABLE
from headrace.cli.screen import Misuse, Trouble
from headrace.cli.stores import database_shut
from headrace.core.settings import SETTINGS, SettingError, Settings, load

if TYPE_CHECKING:
    from headrace.core.house import House


def settings(given: Namespace) -> Settings:
    """Read the settings from the flags, the environment and `--config`. A wrong one is Misuse."""
    flags = {row.name: getattr(given, row.name, None) for row in SETTINGS}
    # These two say where a client finds a server; a server has no such setting.
    environ = {name: value for name, value in os.environ.items() if name not in {URL_VARIABLE, KEY_VARIABLE}}
    try:
        chosen = load(flags, environ, Path(given.config) if given.config else None)
    except SettingError as problem:
        raise Misuse(str(problem)) from problem
    # The engine's library changes the current folder for as long as it loads itself, beside whatever opens files then.
    return msgspec.structs.replace(chosen, data=chosen.data.absolute())


@contextmanager
def office(given: Namespace, *, make: bool = False) -> Iterator["House"]:
    """Open the metadata side of a house, without event store and limits: it works beside a running server.

    With `make` an absent data folder is made; without, it is Trouble, for a mistyped --data must not look empty.
    """
    from headrace.core.house import House

    chosen = settings(given)
    if not (make or chosen.database_url or (chosen.data / "headrace.db").exists()):
        raise Trouble(
            f"there is no data folder {chosen.data.absolute()}; name it with --data, or make it with `headrace demo` "
            "or `headrace admin account`"
        )
    nothing: Any = None
    try:
        house = House.open(chosen, limits=nothing, store=nothing, counters=nothing)
    except SettingError as problem:
        raise Misuse(str(problem)) from problem
    except unreadable() as problem:
        raise Trouble(database_shut(chosen, problem)) from problem
    except OSError as problem:
        raise Trouble(f"the data folder {chosen.data} cannot be used: {problem.strerror}") from problem
    try:
        yield house
    finally:
        house.close()


def unreadable() -> tuple[type[Exception], ...]:
    """Return what a database raises that is away, damaged or none at all."""
    import sqlite3

    from sqlalchemy.exc import DatabaseError

    from headrace.kit.database import UnreachableError

    return UnreachableError, DatabaseError, sqlite3.DatabaseError
