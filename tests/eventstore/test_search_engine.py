"""The engine and Python answer every search alike, with the indexes and without; and the indexes are used."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.eventstore import search
from headrace.eventstore.search import attributes

LEVELS = "'debug' = 1, 'info' = 2, 'warning' = 3, 'error' = 4, 'critical' = 5"
STRINGS = [
    *("log_type", "importance", "service", "host", "environment", "release", "error_type", "sdk_version"),
    *("platform", "platform_version", "error_fingerprint", "method", "path"),
]
TABLE = f"""
CREATE TABLE search_events (
  tenant UInt32, ts Int64, received_at Int64, id UInt64, level Enum8({LEVELS}),
  {", ".join(f"{name} LowCardinality(String)" for name in STRINGS)},
  message String, error_message String, stack_trace String,
  attributes Map(LowCardinality(String), String), status_code UInt16, duration_ms Float64,
  text String ALIAS {search.TEXT},
  INDEX i_values mapValues(attributes) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX i_text text TYPE text(tokenizer = 'splitByNonAlpha')
) ENGINE = MergeTree ORDER BY (tenant, id)
SETTINGS map_serialization_version = 'with_buckets', index_granularity = 16
"""
COLUMNS = [
    *(("ts", "Int64"), ("received_at", "Int64"), ("id", "UInt64"), ("level", "String")),
    *((name, "String") for name in (*STRINGS, "message", "error_message", "stack_trace", "attributes")),
    *(("status_code", "UInt16"), ("duration_ms", "Float64")),
]
ABSENT: dict[str, Any] = {name: {"String": "", "Float64": -1.0}.get(kind, 0) for name, kind in COLUMNS}
Search = Callable[[list[dict[str, Any]], list[str]], None]


def stored(value: Any) -> Any:
    """A text that was sent empty is kept as one NUL."""
    return "\0" if value == "" else value


@pytest.fixture(scope="module")
def table(search_engine: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., int]]:
    """Insert events, each batch for a tenant of its own, whose number is returned."""
    file = tmp_path_factory.mktemp("search") / "events.json"
    tenants = count(1)
    search_engine.command(TABLE)
    structure = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)

    def insert(events: list[dict[str, Any]]) -> int:
        tenant = next(tenants)
        lines = []
        for event in events:
            row = ABSENT | {name: stored(value) for name, value in event.items()}
            row["attributes"] = json.dumps(event.get("attributes") or {}, ensure_ascii=event["id"] % 2 == 0)
            lines.append(json.dumps(row, ensure_ascii=event["id"] % 3 == 0))
        file.write_text("\n".join(lines))
        names = [name for name, _ in COLUMNS]
        values = [
            "CAST(JSONExtractKeysAndValuesRaw(attributes) AS Map(String, String))" if name == "attributes" else name
            for name in names
        ]
        search_engine.command(
            f"INSERT INTO search_events (tenant, {', '.join(names)}) "
            f"SELECT {tenant}, {', '.join(values)} FROM file('{file}', 'JSONEachRow', '{structure}')"
        )
        return tenant

    yield insert
    search_engine.command("DROP TABLE search_events SYNC")


def ids(engine: Client, tenant: int, text: str, extra: str = "") -> list[int]:
    compiled = search.compile(search.parse(text))
    sql = f"SELECT id FROM search_events WHERE tenant = {tenant} AND {compiled.sql} ORDER BY id SETTINGS {extra}"
    return [row[0] for row in engine.query(sql + "use_query_condition_cache = 0", compiled.params).result_rows]


@pytest.fixture
def agree(search_engine: Client, table: Callable[..., int]) -> Search:
    def check(events: list[dict[str, Any]], texts: list[str]) -> None:
        tenant = table(events)
        for text in texts:
            node = search.parse(text)
            expected = [event["id"] for event in events if search.matches(node, event)]
            assert ids(search_engine, tenant, text) == expected, text
            assert ids(search_engine, tenant, text, "use_skip_indexes = 0, ") == expected, text

    return check


WORDS = [
    "time",
    "out",
    "Timeout",
    "TIMEOUT",
    "err_id",
    "12",
    "Ошибка",
    "ошибка",
    "ΟΔΟΣ",
    "οδος",
    "Größe",
    "GRÖSSE",
    "İ",
    "日本",
    "語",
    "naïve",
    "😀",
    "a",
    "b",
    "é",
]
MARKS = [*"“”—…'\\%_=:/.-\t\n(*\u00a0\u2028", " ", "  ", " x "]
FRAGMENTS = st.sampled_from(WORDS + MARKS)
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cn"), exclude_characters="\0"), max_size=6)
TEXTS = st.lists(FRAGMENTS, max_size=8).map("".join) | ANY_TEXT
SCALARS = (
    TEXTS
    | st.sampled_from(["", "17", 17, 17.0, 1e21, 1e-7, -0.0, True, False, None, 2**64, 2**63, 0.1, "true", "null"])
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.sampled_from(["user", "id", "user.id", "tags", "a:b", "Größe", "x y", "", "k'\"\\"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2), max_leaves=4
)
MOMENTS = st.sampled_from([0, -1, 1_767_225_600_000_000, 1_767_225_599_999_999, -(10**16), 2 * 10**16])
EVENT = st.fixed_dictionaries(
    {
        "ts": MOMENTS,
        "received_at": MOMENTS,
        "level": st.sampled_from(["debug", "info", "warning", "error", "critical"]),
    },
    optional={
        "message": TEXTS,
        "error_type": TEXTS,
        "error_message": TEXTS,
        "stack_trace": TEXTS,
        "service": TEXTS,
        "status_code": st.sampled_from([200, 404, 500, 599, 65535]),
        "duration_ms": st.sampled_from([0.0, 0.5, 500.0, 1e9]),
        "attributes": st.dictionaries(KEYS, VALUES, max_size=3),
    },
)


def escaped(text: str) -> str:
    return "".join(f"\\{character}" for character in text)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


LITERAL = TEXTS.filter(bool).map(escaped)
WILD = st.lists(LITERAL | st.just("*"), min_size=1, max_size=4).map("".join)
PHRASE = TEXTS.filter(str.strip).map(quoted)
WORD = (
    LITERAL.filter(lambda text: bool(text.replace("\\", "").strip()))
    | PHRASE
    | WILD.filter(lambda text: bool(text.replace("\\", "").strip()))
)
NUMBERS = st.sampled_from(["17", "0", "-1", "500", "0.1", "1e21", "9007199254740993", "18446744073709551615"])
RANGE = st.tuples(st.sampled_from([">", ">=", "<", "<="]), NUMBERS).map("".join) | st.tuples(
    st.sampled_from("[{"), NUMBERS | st.just("*"), st.just(" TO "), NUMBERS | st.just("*"), st.sampled_from("]}")
).map("".join)
VALUE_TEXT = SCALARS.map(lambda value: quoted(value if isinstance(value, str) else json.dumps(value))) | WILD
PATH = st.lists(KEYS.filter(bool).map(escaped), min_size=1, max_size=3).map(".".join)
TERM = (
    WORD
    | st.tuples(
        st.sampled_from(["message:", "error_message:", "stack:", "service:", "error:"]), WORD | st.just('""')
    ).map("".join)
    | st.tuples(st.just("attributes."), PATH, st.just(":"), VALUE_TEXT | RANGE | st.just("*")).map("".join)
    | st.tuples(st.sampled_from(["status:", "duration:"]), RANGE | NUMBERS | st.just("*")).map("".join)
    | st.sampled_from(
        ["level:>=warning", "level:error", "level:*r*", "level:<debug", "service:*", "status:5xx", "message:*"]
    )
    | st.sampled_from(
        ["ts:2026-01-01", "ts:<1970-01-01", "received:>=2026-01-01", "received:{1969-12-31 TO *]", "ts:>9000-01-01"]
    )
)
QUERY = st.recursive(
    TERM,
    lambda inner: (
        st.tuples(inner, st.sampled_from([" ", " AND ", " OR "]), inner).map("".join)
        | inner.map(lambda text: f"-({text})")
    ),
    max_leaves=4,
)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENT, max_size=12), st.lists(QUERY, min_size=1, max_size=6), st.booleans())
def test_engine_and_python_agree(agree: Search, events: list[dict[str, Any]], texts: list[str], twice: bool) -> None:
    rows = [dict(event, id=number) for number, event in enumerate(events * (1 + twice))]
    agree(rows, texts)


@settings(max_examples=300)
@given(st.text(st.sampled_from('ab :"()[]{}<>=-*\\.ANDORTlevel:status1'), max_size=40) | st.text(max_size=40))
@example("level:[* TO *]")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        node = search.parse(text)
    except search.SearchError as refused:
        error = refused
    else:
        assert isinstance(search.matches(node, {}), bool)
        assert search.compile(node).sql
        return
    assert 1 <= error.position <= len(text) + 1


CASES = [
    ("timeout", "Connection TIMEOUT to db", True),
    ("timeout", "read_timeout=5", True),
    ("timeout", "timeouts", False),
    ("timeout", "“Timeout”…", True),
    ("time*", "timeouts", True),
    ("*outs", "timeouts", True),
    ("time*out", "time to get out", False),
    ("time*out", "time/x/out", True),
    ("/api/*/users", "GET /api/v1/users 200", True),
    ("err_id=12", "err_id=12;", True),
    ("err_id=12", "err id 12", False),
    ("err_id=12", "err_id=123", False),
    ('"timed out"', "It TIMED OUT.", True),
    ('"timed out"', "timed  out", False),
    ('"timed out"', "timed outside", False),
    ("a.b", "aXb", False),
    ("100%", "at 100% now", True),
    ("100%", "at 1000", False),
    ("ошибка", "Ошибка сети", True),
    ("größe", "GRÖSSE GRÖßE", True),
    ("日本", "これは日本語です", True),
    ("本日", "これは日本語です", False),
    ("😀", "ok😀", True),
    ("ok", "ok😀", True),
    ("κόσμος", "ΚΌΣΜΟΣ", True),
    ("x", "", False),
    ("-x", "", True),
]


@pytest.mark.parametrize(("text", "message", "found"), CASES)
def test_words(agree: Search, text: str, message: str, found: bool) -> None:
    event = {"id": 1, "level": "info", "message": message}
    assert search.matches(search.parse(text), event) is found
    agree([event], [text])


ATTRIBUTES = {
    "user": {"id": 17, "name": "Ann"},
    "n": 17,
    "s": "17",
    "user.id": "x",
    "tags": ["a", "b"],
    "none": None,
    "f": 1.0,
    "zero": 0,
    "minus": -0.0,
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n:17", True),
        ("s:17", True),
        ('n:"17"', True),
        ("n:17.0", True),
        ("f:1", True),
        ("zero:0", True),
        ("zero:-0.0", True),
        ("minus:0", True),
        ("minus:0.0", True),
        ("minus:-0", True),
        ("n:0", False),
        ("n:1", False),
        ("n:>16 n:<=17", True),
        ("s:>1", False),
        ("n:[10 TO 17}", False),
        ("user.id:17", True),
        ("user.id:x", True),
        ("user.name:Ann", True),
        ("user.name:ann", False),
        ("user.name:A*", True),
        ("user.name:*", True),
        ("user.age:*", False),
        ("-user.age:3", True),
        ("-n:17", False),
        ("none:*", True),
        ("none:null", True),
        ('tags:"["a","b"]"', False),
        ('tags:*\\"b\\"*', True),
        ("absent:*", False),
    ],
)
def test_attributes(agree: Search, text: str, found: bool) -> None:
    event = {"id": 1, "level": "info", "attributes": ATTRIBUTES}
    assert search.matches(search.parse(text), event) is found
    assert search.matches(search.parse(text), event | {"attributes": json.dumps(ATTRIBUTES)}) is found
    agree([event], [text])


def test_values_are_spelled_as_the_engine_spells_them(search_engine: Client) -> None:
    values: list[Any] = [
        0.0,
        -0.0,
        1.0,
        1e5,
        0.1,
        1e-6,
        1e-7,
        1.5e-9,
        123.456,
        1e20,
        1e21,
        1.25e22,
        5e-324,
        1.7976931348623157e308,
    ]
    values += [0, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, True, None, [1.0, {"a": "b"}], {}]
    values += ["".join(map(chr, range(1, 128))), "\u2028\u2029\ufeff\u00ad\ud7ff\ufffd\U0010ffff", "</script>"]
    for value in values:
        sql = "SELECT CAST(JSONExtractKeysAndValuesRaw({d:String}) AS Map(String, String))['k']"
        assert search_engine.query(sql, {"d": json.dumps({"k": value})}).result_rows[0][0] == attributes.spell(value)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("needle", "i_text"),
        ("-level:debug needle", "i_text"),
        ('"needle here"', "i_text"),
        ("needle*here", "i_text"),
        ("message:needle", "i_text"),
        ("error_message:needle", "i_text"),
        ("k:17", "i_values"),
        ("needle OR k:17", "i_values"),
    ],
)
def test_indexes_are_used(search_engine: Client, table: Callable[..., int], text: str, index: str) -> None:
    rows: list[dict[str, Any]] = [{"id": number, "level": "info", "message": f"row {number}"} for number in range(400)]
    rows[200] |= {"message": "a needle here", "error_message": "needle", "attributes": {"k": 17}}
    tenant = table(rows)
    compiled = search.compile(search.parse(text))
    sql = f"EXPLAIN indexes = 1 SELECT id FROM search_events WHERE tenant = {tenant} AND {compiled.sql}"
    plan = [row[0].strip() for row in search_engine.query(sql, compiled.params).result_rows]
    assert f"Name: {index}" in plan
    granules = [line for line in plan if line.startswith("Granules: ")]
    assert granules[-1].split()[1].startswith("1/"), plan


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(f"w{number}*x" for number in range(100)),
        " ".join(f'"{chr(97 + number % 26)} {number}"' for number in range(100)),
        "NOT (" * 10 + "x" + ")" * 10,
        '"' + "x " * 990 + '"',
        "x*" * 900,
        "a.b.c.d.e.f.g.h:1",
    ],
)
def test_the_largest_searches_run(agree: Search, text: str) -> None:
    agree([{"id": 1, "level": "info", "message": "x-" * 5000, "attributes": {"a": {"b.c": {"d": 1}}}}], [text])
