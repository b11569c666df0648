"""Columns of learned attributes: what they are called, how they are made, and how questions come to read them.

Questions are written with `attributes[{name:String}]`. The engine's seam puts a column in its place where there is one;
the map of all attributes, which the engine can only read whole, is left alone then.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

PREFIX: Final = "attribute_"
LONGEST_KEY: Final = 64  # Bytes; the name of a file is made of it.

# An attribute as questions read it, by the name of the parameter that has its key.
READ: Final = re.compile(r"attributes\[\{(\w+):String\}\]( IN \{\w+:Array\(String\)\})?")

REPEATED: Final = "LowCardinality(String)"  # Few values, which a rollup counts.
VARIOUS: Final = "String"  # Many, such as ids.


def name_of(key: str) -> str:
    """Return the name of an attribute's column, which has its JSON text, empty where it is absent."""
    return PREFIX + key.encode().hex()


def key_of(name: str) -> str:
    return bytes.fromhex(name.removeprefix(PREFIX)).decode()


def can_name(key: str) -> bool:
    """Tell whether an attribute may have a column of its own."""
    return 0 < len(key.encode(errors="replace")) <= LONGEST_KEY and "\0" not in key


def addition(key: str, kind: str = REPEATED) -> str:
    """Return what ALTER TABLE has to do for an attribute's column."""
    literal = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"ADD COLUMN IF NOT EXISTS {name_of(key)} {kind} MATERIALIZED attributes['{literal}']"


def removal(key: str) -> str:
    return f"DROP COLUMN IF EXISTS {name_of(key)}"


def read(sql: str, params: Mapping[str, Any], learned: Mapping[str, str]) -> str:
    """Return SQL that reads learned attributes from their columns; `learned` are the names of these and their types.

    One value of VARIOUS is looked for in the index over all values, which tells what need not be read. One of REPEATED
    is had by so many that looking there is in vain.
    """

    def column(found: re.Match[str]) -> str:
        key = params.get(found[1])
        name = name_of(key) if isinstance(key, str) and can_name(key) else ""
        if name not in learned:
            return found[0]
        if found[2] is None:
            return name
        return f"({name}{found[2]} AND indexHint({found[0]}))" if learned[name] == VARIOUS else f"{name}{found[2]}"

    return READ.sub(column, sql) if learned else sql
