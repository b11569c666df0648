"""Substring search: the condition for "this text is somewhere in the message or the error". Words stand in `search`."""

import re
from typing import Any

from headrace.eventstore.search.text import lower, lowered

INNER_WORD = re.compile(r"(?<=[^a-zA-Z0-9\x80-\U0010ffff])[a-zA-Z0-9]+(?=[^a-zA-Z0-9\x80-\U0010ffff])")
SEARCHED = ("message", "error_type", "error_message")


def condition(text: str, params: dict[str, Any]) -> str:
    """Return the condition for a case-insensitive substring, and put its parameters into `params`.

    Words with a separator on both sides inside the text are whole words of the event too: the word index narrows by
    them. The first and last word may be parts of longer ones, so nothing but reading the columns finds them.
    """
    if text.isascii():
        params["substring"], place = text, "positionCaseInsensitive({}, {{substring:String}})"
    else:  # The engine's own function for it finds the Kelvin sign in `a long k` and not in `k`.
        params["substring"], place = lower(text), f"position({lowered('{}')}, {{{{substring:String}}}})"
    found = " OR ".join(f"{place.format(column)} > 0" for column in SEARCHED)
    words = sorted({word.lower() for word in INNER_WORD.findall(text)})
    if not words:
        return f"({found})"
    params["inner_words"] = words
    return f"(hasAllTokens(text, {{inner_words:Array(String)}}) AND ({found}))"
