"""The `headrace` command. Here: `main`, which reads the arguments and makes the one call that a verb is.

What a verb needs is imported when the verb is asked for, so that `headrace --help` and a second start are quick.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from headrace.cli.arguments import parser
from headrace.cli.screen import Misuse, Trouble, complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 it failed, 2 wrong usage or a wrong setting."""
    given = parser().parse_args(arguments)
    try:
        return _verb(given.verb)(given)
    except Misuse as problem:
        complain(f"headrace {given.verb}: {problem}")
        return 2
    except Trouble as problem:
        complain(f"headrace {given.verb}: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output (`| head`) has enough; Python would complain again while flushing at the end.
        sys.stdout = None
        return 0


def _verb(name: str) -> Callable[[Namespace], int]:
    match name:
        case "serve" | "demo" | "worker":
            return _process(name)
        case "import" | "search" | "export" | "tail":
            return _client(name)
        case "key" | "project" | "admin" | "audit":
            return _operator(name)
        case "backup" | "restore":
            from headrace.cli import backup

            return backup.run
        case "doctor":
            from headrace.cli import doctor

            return doctor.run
        case "docs":
            from headrace.cli import docs

            return docs.run
        case _:
            from headrace.cli import upkeep

            return upkeep.run


def _operator(name: str) -> Callable[[Namespace], int]:
    """Return the verb that works on a data folder, beside a running server or without one."""
    match name:
        case "key":
            from headrace.cli import key

            return key.run
        case "project":
            from headrace.cli import project

            return project.run
        case "admin":
            from headrace.cli import admin

            return admin.run
        case _:
            from headrace.cli import audit

            return audit.run


def _process(name: str) -> Callable[[Namespace], int]:
    """Return the verb that stays: a server, or a worker beside others."""
    if name == "worker":
        from headrace.cli import worker

        return worker.run
    from headrace.cli import serve

    return serve.run


def _client(name: str) -> Callable[[Namespace], int]:
    """Return the verb that asks a running server."""
    match name:
        case "import":
            from headrace.cli import importing

            return importing.run
        case "search":
            from headrace.cli import search

            return search.run
        case "export":
            from headrace.cli import export

            return export.run
        case _:
            from headrace.cli import tail

            return tail.run
