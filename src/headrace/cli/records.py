"""How the operator's verbs show what they found or made: a table or a sentence for people, JSON for programs."""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.cli.desk import acting, everywhere
from headrace.cli.screen import as_json, note, say, table
from headrace.core.identity import operators
from headrace.kit import times

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.core.house import House
    from headrace.core.principal import Principal


def listed(
    house: "House", given: Namespace, read: "Callable[[House, Principal], list[Any]]", columns: tuple[str, ...]
) -> None:
    """Show what `read` finds in the organization that was named; without a name in all, and in which."""
    if given.organization is not None:
        listing(read(house, acting(house, given)), columns, given)
        return
    found = everywhere(house)
    of = {one.slug: read(house, operators.principal(house, organization=one.slug)) for one in found}
    rows = [{"organization": slug} | plain(record) for slug, records in of.items() for record in records]
    _rows(rows, columns if len(found) == 1 else ("organization", *columns), given)


def listing(records: "list[Any]", columns: tuple[str, ...], given: Namespace) -> None:
    _rows([plain(record) for record in records], columns, given)


def _rows(rows: list[dict[str, Any]], columns: tuple[str, ...], given: Namespace) -> None:
    if given.json:
        as_json(rows)
    elif rows:
        table(columns, rows)
    else:
        note("there are none")


def show(record: msgspec.Struct, words: str, given: Namespace) -> None:
    if given.json:
        as_json(plain(record))
    else:
        say(words)


def told(facts: dict[str, Any], words: str, given: Namespace) -> None:
    """Say what was done; a password that was drawn is among the facts and is shown this once."""
    if given.json:
        as_json(facts)
        return
    say(words)
    if facts.get("password"):
        say(f"password: {facts['password']}")
        note("Keep it: it is shown this once.")


def plain(record: msgspec.Struct) -> dict[str, Any]:
    """A record as people and programs read it: times as text."""
    values = msgspec.structs.asdict(record)
    return {
        name: times.show(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in values.items()
    }
