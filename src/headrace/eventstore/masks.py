"""Masks: a message with its changing parts taken out, in the engine's SQL and in Python alike."""

import re
from typing import Final

from headrace.eventstore.engine import quoted

# What follows the first lines of a message is a dump, and each regular expression reads all of it.
MASKED_CHARACTERS: Final = 500

# In this order: what an earlier one leaves is read by the next. Both engines of regular expressions read them alike, so
# no look-around. Eight letters of a to f are no word that anybody logs.
MASKS: Final = (
    # Colours and links of terminals.
    (r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)", "<*>"),
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<UUID>"),
    (
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]{1,5})?\b|\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b",
        "<IP>",
    ),
    (r"\b0[xX][0-9a-fA-F]+\b", "<HEX>"),
    (r"\b[0-9]+\.[0-9]+|\b[0-9]+\b", "<NUM>"),
    (r"\b[0-9a-fA-F]{8,}\b", "<HEX>"),
    (r"[0-9]+(?:\.[0-9]+)?", "<NUM>"),
)
# What stands for a change, in a mask or in a template of several masks.
HOLE: Final = re.compile(r"<(?:UUID|IP|HEX|NUM|\*)>")
PATTERNS: Final = tuple((re.compile(pattern, re.ASCII), name) for pattern, name in MASKS)


def sql(text: str) -> str:
    """Return SQL of a text's mask."""
    masked = f"leftUTF8({text}, {MASKED_CHARACTERS})"
    for pattern, name in MASKS:
        masked = f"replaceRegexpAll({masked}, {quoted(pattern)}, '{name}')"
    return masked


def mask(text: str) -> str:
    text = text[:MASKED_CHARACTERS]
    for pattern, name in PATTERNS:
        text = pattern.sub(name, text)
    return text
