"""`headrace worker`: a process that runs jobs and nothing else, beside servers on the same PostgreSQL."""

import logging
import signal
import threading
from argparse import Namespace

from headrace import __version__
from headrace.cli.configuration import settings, unreadable
from headrace.cli.screen import Misuse, Trouble, say
from headrace.cli.stores import database_shut
from headrace.wire import journal


def run(given: Namespace) -> int:
    from headrace import app
    from headrace.core.migrations import OldSchemaError
    from headrace.core.settings import SettingError

    chosen = settings(given)
    if not chosen.database_url:
        raise Misuse(
            "a worker needs PostgreSQL (--database-url or HEADRACE_DATABASE_URL): a SQLite file has one server, "
            "and that runs its jobs itself"
        )
    if not chosen.jobs_workers:
        raise Misuse("--jobs-workers is 0: this worker would run nothing")
    journal.configure(chosen.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        house = app.open_worker(chosen)
    except SettingError as problem:
        raise Misuse(str(problem)) from problem
    except OldSchemaError as problem:
        raise Trouble(str(problem)) from problem
    except unreadable() as problem:
        raise Trouble(database_shut(chosen, problem)) from problem
    try:
        say(f"Headrace {__version__} worker runs jobs, {chosen.jobs_workers} threads")
        stop.wait()
        say("stopping: what runs has 20 s, the rest is given back")
    finally:
        app.close_worker(house)
    say("stopped")
    return 0
