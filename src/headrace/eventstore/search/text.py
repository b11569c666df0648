"""What a word is: how text is folded for the index, and how a pattern becomes tokens and a regular expression.

The engine and Python must agree to the letter, so both work from the same ranges and the same expression.
"""

import re
from functools import lru_cache

import msgspec

from headrace.eventstore.search.fields import TEXT_COLUMNS

# Outside ASCII, only these make up words with their neighbours: alphabets that write spaces between words. Every other
# character (CJK, kana, hangul, Thai, typographic quotes and dashes, emoji) stands alone, because the engine's
# tokenizer splits at ASCII alone: it would glue a curly quote to the word it encloses, and a Chinese sentence into one.
ALPHABETIC = (
    (0xAA, 0xAA),
    (0xB5, 0xB5),
    (0xBA, 0xBA),
    (0xC0, 0xD6),
    (0xD8, 0xF6),
    (0xF8, 0x60B),
    (0x60D, 0x61A),
    (0x61C, 0x61E),
    (0x620, 0x669),
    (0x66E, 0x6D3),
    (0x6D5, 0x963),
    (0x966, 0xDFF),
    (0x10A0, 0x10FF),
    (0x1200, 0x167F),
    (0x1C80, 0x1FFF),
    (0x200C, 0x200D),
    (0x2C00, 0x2DFF),
    (0xA640, 0xA7FF),
    (0xAB30, 0xABBF),
    (0xFB00, 0xFDFF),
    (0xFE70, 0xFEFE),
)
MAX_TOKENS = 64  # Enough to narrow a search; the regular expression decides.

ALONE = re.compile("([^\\x00-\\x7f" + "".join(f"{chr(a)}-{chr(b)}" for a, b in ALPHABETIC) + "])")
ALONE_RE2 = "([^\\x00-\\x7f" + "".join(f"\\x{{{a:x}}}-\\x{{{b:x}}}" for a, b in ALPHABETIC) + "])"

TOKEN = re.compile("[a-z0-9\x80-\U0010ffff]+")
# The same text is read by Python and by RE2, which differ in what \w, \s and $ mean; spelled out, they do not.
START = r"(?:^|[^a-z0-9\x80-" + "\U0010ffff])"
END = r"(?:$|[^a-z0-9\x80-" + "\U0010ffff])"
RUN = r"[^\t\n\x0b\x0c\r ]*"


def lowered(column: str) -> str:
    """Return the SQL expression that lowers a column as `lower` lowers text."""
    return f"replaceAll(lowerUTF8({column}), '\u03c2', '\u03c3')"


def lower(text: str) -> str:
    """Lower the case; a sigma is the same at the end of a word."""
    return text.lower().replace("\u03c2", "\u03c3")


def folded(column: str) -> str:
    """Return the SQL expression that folds a column as `fold` folds text."""
    apart = ALONE_RE2.replace("\\", "\\\\")
    return rf"if(isValidASCII({column}), lower({column}), replaceRegexpAll({lowered(column)}, '{apart}', ' \\1 '))"


# What words are looked for in. The table has it as the ALIAS column `text`, under the text index.
TEXT = folded("concat(" + r", '\n', ".join(TEXT_COLUMNS) + ")")


def fold(text: str) -> str:
    """Lower the case and set characters that make no words apart with spaces."""
    if text.isascii():
        return text.lower()
    return ALONE.sub(r" \1 ", lower(text))


class Pattern(msgspec.Struct, frozen=True):
    """`re2` and `python` decide, on folded text. `tokens` must all be there, and so must `fragment`: for the index.

    `exact`: one whole token, which the tokens alone decide.
    """

    re2: str
    python: str
    tokens: tuple[str, ...]
    fragment: str
    exact: bool

    @property
    def regex(self) -> re.Pattern[str]:
        return compiled(self.python)


@lru_cache(maxsize=4096)
def compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


@lru_cache(maxsize=4096)
def pattern(pieces: tuple[str, ...]) -> Pattern:
    """Turn typed pieces, with a wildcard between each two, into what is looked for in folded text.

    A wildcard stands for any run without white space. Where an end of the pattern is a letter or digit, a word has to
    begin or end there in the text too.
    """
    texts = [fold(piece) for piece in pieces]
    texts[0] = texts[0].lstrip(" ")
    texts[-1] = texts[-1].rstrip(" ")
    begins = TOKEN.match(texts[0]) is not None
    ends = TOKEN.match(texts[-1][-1:]) is not None
    first, *others = map(re.escape, texts)
    first = START + first if begins else first
    others[-1:] = [other + END if ends else other for other in others[-1:]]
    first = first + END if ends and not others else first
    whole, parts = tokens(texts)
    return Pattern(
        re2=RUN.join([first, *others]),
        # The first place where a piece follows is as good as any later one: never to return to it saves a search with
        # many wildcards from taking time by the power of their number. RE2 needs no such care, and knows no such group.
        python=first + "".join(f"(?>{RUN}?{other})" for other in others),
        tokens=whole[:MAX_TOKENS],
        fragment="" if whole else max((part for part in parts if part.isascii()), key=len, default=""),
        exact=len(texts) == 1 and whole == (texts[0],),
    )


def tokens(texts: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tokens that are whole, each once, and those that a wildcard may continue."""
    whole: dict[str, None] = {}
    parts = []
    for index, text in enumerate(texts):
        for found in TOKEN.finditer(text):
            cut_left = index > 0 and found.start() == 0
            cut_right = index < len(texts) - 1 and found.end() == len(text)
            if cut_left or cut_right:
                parts.append(found[0])
            else:
                whole[found[0]] = None
    return tuple(whole), tuple(parts)
