"""What each search text becomes, and where each bad one is refused."""

import re
from pathlib import Path

import pytest

from headrace.eventstore import search
from headrace.eventstore.ids import public_id
from headrace.eventstore.search.nodes import (
    All,
    And,
    Attribute,
    AttributeExists,
    AttributeWithin,
    Bounds,
    Exists,
    Node,
    Not,
    OneOf,
    Or,
    Text,
    Within,
    Words,
)

A, B, C = Words(("a",)), Words(("b",)), Words(("c",))
DAY = 86_400_000_000
NEW_YEAR = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", All()),
        (" \t\n", All()),
        ("*", All()),
        ("a", A),
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a b OR c", Or((And((A, B)), C))),
        ("a OR b c", Or((A, And((B, C))))),
        ("a (b OR c)", And((A, Or((B, C))))),
        ("((a))", A),
        ("(a)(b)", And((A, B))),
        ("NOT a b", And((Not(A), B))),
        ("-a", Not(A)),
        ("--a", Not(Not(A))),
        ("NOT -a", Not(Not(A))),
        ("-(a OR b)", Not(Or((A, B)))),
        ("NOT(a)", Not(A)),
        ("a - b", And((A, Words(("-",)), B))),
        ("and or not", And((Words(("and",)), Words(("or",)), Words(("not",))))),
        ('"OR"', Words(("OR",))),
        ("ORDER", Words(("ORDER",))),
        ('"timed out"', Words(("timed out",))),
        ('-"timed out"', Not(Words(("timed out",)))),
        (r'"a \"b\" \\ \n"', Words((r'a "b" \ \n',))),
        ('"a*b"', Words(("a*b",))),
        ("time*out", Words(("time", "out"))),
        ("a**b*", Words(("a", "b", ""))),
        (r"a\*b", Words(("a*b",))),
        (r"a\ b\(\)", Words(("a b()",))),
        ("trailing\\", Words(("trailing\\",))),
        ("err_id=12", Words(("err_id=12",))),
        ("https://x.org/a:b", Words(("https://x.org/a:b",))),
        ("10:22:31", Words(("10:22:31",))),
        ("KeyError: a", And((Words(("KeyError",)), A))),
        ("日本語", Words(("日本語",))),
        ("{a", Words(("{a",))),
    ],
)
def test_words_and_operators(text: str, tree: Node) -> None:
    assert search.parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("level:error", OneOf("level", ("error",))),
        ("LEVEL:ERROR", OneOf("level", ("error",))),
        ("level:warn", OneOf("level", ("warning",))),
        ("level:>=warning", OneOf("level", ("warning", "error", "critical"))),
        ("level:<fatal", OneOf("level", ("debug", "info", "warning", "error"))),
        ("level:[info TO error}", OneOf("level", ("info", "warning"))),
        ("level:>critical", OneOf("level", ())),
        ("level:*r*", OneOf("level", ("warning", "error", "critical"))),
        ("level:*", All()),
        ("type:exception", OneOf("log_type", ("exception",))),
        ("level:(error OR critical)", Or((OneOf("level", ("error",)), OneOf("level", ("critical",))))),
        ("-level:(-error)", Not(Not(OneOf("level", ("error",))))),
        ("service:api", Text("service", ("api",))),
        ('service:"api gateway"', Text("service", ("api gateway",))),
        ('service:""', Text("service", ("",))),
        ("service:api*", Text("service", ("api", ""))),
        ("env:prod", Text("environment", ("prod",))),
        ("error:KeyError", Text("error_type", ("KeyError",))),
        ("path:/a/b?c=1:2", Text("path", ("/a/b?c=1:2",))),
        ("service:*", Exists("service")),
        ("msg:time*", Words(("time", ""), "message")),
        ('stack:"in f"', Words(("in f",), "stack_trace")),
        ('message:""', Text("message", ("",))),
        ("message:(a b)", And((Words(("a",), "message"), Words(("b",), "message")))),
        ("status:500", Within("status_code", Bounds(500, 500))),
        ("status:5xx", Within("status_code", Bounds(500, 599))),
        ("status:>4xx", Within("status_code", Bounds(low=499, low_open=True))),
        ("status_code:[500 TO 599]", Within("status_code", Bounds(500, 599))),
        ("status_code:{500 TO 599}", Within("status_code", Bounds(500, 599, low_open=True, high_open=True))),
        ("status:[500 TO *}", Within("status_code", Bounds(low=500))),
        ("status:500..504", Within("status_code", Bounds(500, 504))),
        ("duration_ms:>500", Within("duration_ms", Bounds(low=500, low_open=True))),
        ("duration:<=1.5s", Within("duration_ms", Bounds(high=1500.0))),
        ("duration:*", Exists("duration_ms")),
        ("id:17", Within("id", Bounds(17, 17))),
        ("id:" + public_id(7, 15), And((Within("ts", Bounds(7, 7)), Within("id", Bounds(15, 15))))),
        ("time:2026-01-01", Within("ts", Bounds(NEW_YEAR, NEW_YEAR + DAY - 1))),
        ("timestamp:>=2026-01-01", Within("ts", Bounds(low=NEW_YEAR))),
        ("timestamp:>2026-01-01", Within("ts", Bounds(low=NEW_YEAR + DAY - 1, low_open=True))),
        ("timestamp:<2026-01-01", Within("ts", Bounds(high=NEW_YEAR, high_open=True))),
        ("timestamp:[2025-12-31 TO 2026-01-01]", Within("ts", Bounds(NEW_YEAR - DAY, NEW_YEAR + DAY - 1))),
        ("received:>2026-01-01T01:00:00+01:00", Within("received_at", Bounds(low=NEW_YEAR, low_open=True))),
        ('ts:<"2026-01-01 00:00:01"', Within("ts", Bounds(high=NEW_YEAR + 1_000_000, high_open=True))),
        ("user:17", Attribute("user", ("17",))),
        ("user.id:17", Attribute("user.id", ("17",))),
        ("attributes.user.id:17", Attribute("user.id", ("17",))),
        ("attributes.level:x", Attribute("level", ("x",))),
        (r"a\:b:c", Attribute("a:b", ("c",))),
        ("@x:y*", Attribute("@x", ("y", ""))),
        ("user:*", AttributeExists("user")),
        ("n:>1", AttributeWithin("n", Bounds(low=1.0, low_open=True))),
        ("n:1..2.5", AttributeWithin("n", Bounds(1.0, 2.5))),
        ("n:a..b", Attribute("n", ("a..b",))),
        ("n:(1 OR >5)", Or((Attribute("n", ("1",)), AttributeWithin("n", Bounds(low=5.0, low_open=True))))),
        ("Größe:1", Attribute("Größe", ("1",))),
    ],
)
def test_fields(text: str, tree: Node) -> None:
    assert search.parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "part"),
    [
        ("a OR", 5, "missing at the end"),
        ("OR a", 1, "missing before OR"),
        ("a AND OR b", 7, "missing before OR"),
        ("a NOT", 6, "missing at the end"),
        ("()", 2, "missing before )"),
        ("a (b", 3, "never closed"),
        ("a b)", 4, "closes nothing"),
        ("level:(error", 7, "never closed"),
        ('a "b', 3, "never closed"),
        ('""', 1, "nothing between"),
        ("level:eror", 7, "it is one of debug, info"),
        ("level:x*", 7, "it is one of"),
        ("level:>x", 8, "it is one of"),
        ("level:", 1, "has no value"),
        ("a level: error", 3, "has no value"),
        ("attributes:x", 1, "name the attribute"),
        ("service:>a", 1, "takes no range"),
        ("status:many", 8, "a number is needed here, not 'many'"),
        ("status:5*", 8, "a number is needed"),
        ("status:9xx", 8, "a class of status is 1xx to 5xx, not '9xx'"),
        ("status:[2xx TO 0xx]", 16, "a class of status is 1xx to 5xx"),
        ("duration:>", 11, "a number is missing"),
        ("n:>x", 4, "a number is needed"),
        ("n:>nan", 4, "a number is needed"),
        ("n:[1 TO x]", 9, "a number is needed"),
        ("n:[1 2]", 3, "written [low TO high]"),
        ("n:[1 TO 2", 3, "never closed with ] or }"),
        ("id:99999999999999999999", 4, "an id is"),
        ("timestamp:yesterday", 11, "a time such as"),
        ("ts:>2026-13-01", 5, "a time such as"),
        ("a.b.c.d.e.f.g.h.i:1", 1, "at most 8 parts"),
        ("x" * 2001, 2001, "at most 2,000 characters"),
        (" ".join(["x"] * 101), 201, "at most 100 terms"),
        ("a\0b", 2, "no NUL"),
        ("(" * 21 + "x" + ")" * 21, 21, "at most 20 deep"),
        ("-" * 21 + "x", 21, "at most 20 deep"),
    ],
)
def test_refusals(text: str, position: int, part: str) -> None:
    with pytest.raises(search.SearchError) as caught:
        search.parse(text)
    assert caught.value.position == position
    assert part in caught.value.sentence
    assert str(caught.value) == f"position {position}: {caught.value.sentence}"


@pytest.mark.parametrize("text", ["x" * 2000, " ".join(["x"] * 100), "(" * 20 + "x" + ")" * 20])
def test_limits_themselves_are_allowed(text: str) -> None:
    search.parse(text)


def test_nothing_typed_stands_in_the_sql() -> None:
    typed = """k'ey.x:val'ue -service:ap'i* wor'd "phr'ase" n'ame:* n'ame:(>77 OR x*)"""
    compiled = search.compile(search.parse(typed), prefix="p")
    for part in ("ey", "val", "ap'", "wor", "phr", "ame", "77"):
        assert part not in compiled.sql.replace("message", "").replace("name", "")
    assert set(compiled.params) == {f"p_{number}" for number in range(len(compiled.params))}


PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"^\| `([^`]+)` \| [^|]*\|$", PAGE, re.MULTILINE))
def test_the_page_shows_searches_that_work(text: str) -> None:
    search.compile(search.parse(text))


@pytest.mark.parametrize("field", search.FIELDS, ids=lambda field: field.column)
def test_the_page_names_every_field(field: search.Field) -> None:
    names = ", ".join(f"`{alias}`" for alias in field.aliases)
    row = re.search(rf"^\| `{field.column}` \| {names} ?\| (.*)\| (.*)\|$", PAGE, re.MULTILINE)
    assert row is not None
    assert set(field.names) <= set(re.findall("`([a-z]+)`", row[1]))


def test_the_page_shows_a_true_refusal() -> None:
    text, refusal = re.findall(r"```\n(.*)\n(.*)\n```", PAGE)[0]
    with pytest.raises(search.SearchError) as caught:
        search.parse(text)
    assert str(caught.value) == refusal
