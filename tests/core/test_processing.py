"""The built-in `data_processing`: what each step makes of records, what is refused, which files may be read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.processing import ProcessingError, folders, process
from headrace.core.processing.aggregates import OPERATIONS as TALLIES
from headrace.core.processing.conditions import OPERATORS as CONDITION_OPERATORS
from headrace.core.processing.expressions import OPERATIONS, expression
from headrace.core.processing.room import size
from headrace.core.processing.steps import STEPS
from headrace.core.processing.values import number

ORDERS: list[dict[str, Any]] = [
    {"id": 1, "who": "ada", "amount": 10.5, "country": "NL", "tags": {"level": "gold"}},
    {"id": 2, "who": "bob", "amount": "7", "country": "DE", "tags": {"level": "tin"}},
    {"id": 3, "who": "eve", "amount": None, "country": "NL", "tags": {}},
    {"id": 4, "who": "Zoe", "amount": 3, "country": None, "tags": {"level": "gold"}},
]


def ran(*steps: dict[str, Any], records: list[Any] = ORDERS) -> list[Any]:
    told: list[int] = []
    result = process({"records": records, "steps": list(steps)}, [], "acme", told.append)
    assert result["records_processed"] <= len(records)
    assert told[-1] == result["records_processed"]
    assert result["records_out"] == len(result["records"])
    found: list[Any] = result["records"]
    return found


def ids(*steps: dict[str, Any]) -> list[int]:
    return [one["id"] for one in ran(*steps)]


def where(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"filter": {"field": field, "op": op, "value": value}}


CONDITIONS: list[tuple[dict[str, Any], list[int]]] = [
    ({"field": "who", "value": "ada"}, [1]),
    ({"field": "who", "op": "!=", "value": "ada"}, [2, 3, 4]),
    ({"field": "amount", "op": ">", "value": 5}, [1, 2]),
    ({"field": "amount", "op": "=", "value": 7}, [2]),
    ({"field": "amount", "op": "=", "value": "7"}, [2]),
    ({"field": "amount", "op": "<=", "value": 7}, [2, 4]),
    ({"field": "amount", "op": ">=", "value": 10.5}, [1]),
    ({"field": "amount", "op": "<", "value": "8"}, [2]),
    ({"field": "id", "op": "in", "value": [1, "2", 3.0, None]}, [1, 3]),
    ({"field": "country", "op": "in", "value": ["DE", None]}, [2, 4]),
    ({"field": "who", "op": "contains", "value": "o"}, [2, 4]),
    ({"field": "who", "op": "starts_with", "value": "Z"}, [4]),
    ({"field": "who", "op": "ends_with", "value": "e"}, [3, 4]),
    ({"field": "amount", "op": "is_null"}, [3]),
    ({"field": "amount", "op": "is_not_null"}, [1, 2, 4]),
    ({"field": "missing", "op": "is_null"}, [1, 2, 3, 4]),
    ({"field": "missing", "op": "!=", "value": 1}, [1, 2, 3, 4]),
    ({"field": "tags.level", "value": "gold"}, [1, 4]),
    ({"field": "tags.level.deeper", "op": "is_not_null"}, []),
    ({"field": "id", "value": True}, []),
    ({"not": {"field": "country", "value": "NL"}}, [2, 4]),
    ({"all": [{"field": "country", "value": "NL"}, {"field": "amount", "op": "is_null"}]}, [3]),
    ({"any": [{"field": "id", "value": 1}, {"field": "id", "value": 4}]}, [1, 4]),
]


@pytest.mark.parametrize(("condition", "found"), CONDITIONS)
def test_conditions(condition: dict[str, Any], found: list[int]) -> None:
    assert ids({"filter": condition}) == found
    assert ids({"filter": {"not": condition}}) == [one for one in (1, 2, 3, 4) if one not in found]


F, V = {"field": "amount"}, {"value": 4}
EXPRESSIONS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"op": "+", "of": [F, V]}, [14.5, 11, None, 7]),
    ({"op": "-", "of": [V, F, {"value": 1}]}, [-7.5, -4, None, 0]),
    ({"op": "*", "of": [F, {"value": 2}]}, [21.0, 14, None, 6]),
    ({"op": "/", "of": [F, {"value": 0}]}, [None, None, None, None]),
    ({"op": "%", "of": [F, V]}, [2.5, 3, None, 3]),
    ({"op": "abs", "of": [{"op": "-", "of": [V, F]}]}, [6.5, 3, None, 1]),
    ({"op": "round", "of": [F]}, [10, 7, None, 3]),
    ({"op": "round", "of": [{"op": "/", "of": [F, {"value": 3}]}, {"value": 2}]}, [3.5, 2.33, None, 1.0]),
    ({"op": "number", "of": [F]}, [10.5, 7, None, 3]),
    ({"op": "text", "of": [F]}, ["10.5", "7", None, "3"]),
    ({"op": "upper", "of": [{"field": "who"}]}, ["ADA", "BOB", "EVE", "ZOE"]),
    ({"op": "lower", "of": [{"field": "who"}]}, ["ada", "bob", "eve", "zoe"]),
    ({"op": "trim", "of": [{"value": " x "}]}, ["x"] * 4),
    ({"op": "length", "of": [{"field": "country"}]}, [2, 2, 2, None]),
    (
        {"op": "concat", "of": [{"field": "who"}, {"value": "/"}, {"field": "country"}]},
        ["ada/NL", "bob/DE", "eve/NL", "Zoe/"],
    ),
    ({"op": "coalesce", "of": [{"field": "country"}, {"value": "??"}]}, ["NL", "DE", "NL", "??"]),
    ({"value": {"a": [1]}}, [{"a": [1]}] * 4),
]


@pytest.mark.parametrize(("made", "found"), EXPRESSIONS)
def test_expressions(made: dict[str, Any], found: list[Any]) -> None:
    assert [one["x"] for one in ran({"derive": {"x": made}})] == found


def test_fields_are_chosen_and_renamed() -> None:
    assert ran({"select": ["id", "tags.level", "none"]}, {"limit": 1}) == [
        {"id": 1, "tags.level": "gold", "none": None}
    ]
    assert list(ran({"rename": {"who": "name"}}, {"limit": 1})[0]) == ["id", "name", "amount", "country", "tags"]
    assert process({"records": ORDERS, "steps": [{"select": ["id"]}]}, [], "", lambda _: None)["columns"] == ["id"]


def test_records_are_sorted_by_kind_and_value() -> None:
    assert ids({"sort": ["amount"]}) == [3, 4, 2, 1]
    assert ids({"sort": ["-amount"]}) == [1, 2, 4, 3]
    assert ids({"sort": ["country", "-id"]}) == [4, 2, 3, 1]
    mixed = [{"id": value} for value in ("b", "10", 9, True, None, "a", [1], False)]
    assert [one["id"] for one in ran({"sort": ["id"]}, records=mixed)] == [None, False, True, 9, "10", "a", "b", [1]]


def test_records_are_put_together() -> None:
    values = {
        "orders": {"op": "count"},
        "known": {"op": "count", "field": "amount"},
        "sum": {"op": "sum", "field": "amount"},
        "avg": {"op": "avg", "field": "amount"},
        "min": {"op": "min", "field": "amount"},
        "max": {"op": "max", "field": "amount"},
        "first": {"op": "first", "field": "who"},
        "last": {"op": "last", "field": "who"},
        "levels": {"op": "distinct", "field": "tags.level"},
    }
    whole = {
        "orders": 4,
        "known": 3,
        "sum": 20.5,
        "avg": 20.5 / 3,
        "min": 3,
        "max": 10.5,
        "first": "ada",
        "last": "Zoe",
    }
    assert ran({"aggregate": {"values": values}}) == [whole | {"levels": 2}]
    empty = dict.fromkeys(values) | {"orders": 0, "known": 0, "levels": 0}
    assert ran({"aggregate": {"values": values}}, records=[]) == [empty]
    assert ran({"aggregate": {"by": ["id"], "values": values}}, records=[]) == []
    by_country = {"aggregate": {"by": ["country"], "values": {"sum": {"op": "sum", "field": "amount"}}}}
    assert ran(by_country, {"sort": ["country"]}) == [
        {"country": None, "sum": 3},
        {"country": "DE", "sum": 7},
        {"country": "NL", "sum": 10.5},
    ]


DEEP: dict[str, Any] = {"field": "id", "op": "is_null"}
for _ in range(11):
    DEEP = {"not": DEEP}
NESTED: dict[str, Any] = {"value": 1}
for _ in range(11):
    NESTED = {"op": "abs", "of": [NESTED]}
TALL = {"x": {"op": "sum"}}
BAD: list[tuple[Any, str]] = [
    (7, "the payload must be an object"),
    ({}, "give either records or file_path"),
    ({"records": [], "file_path": "x.csv"}, "give either records or file_path"),
    ({"records": [], "code": "x"}, "unknown member 'code'"),
    ({"records": {}}, "records: must be a list"),
    ({"records": [1]}, r"records\[0\] is no object"),
    ({"records": [], "steps": {}}, "steps: must be a list"),
    ({"records": [], "steps": [{}] * 51}, "at most 50"),
    ({"records": [], "steps": [{}]}, r"steps\[0\]: must be an object of one member"),
    ({"records": [], "steps": [{"eval": "1"}]}, r"steps\[0\]: a step is one of"),
    ({"records": [], "steps": [{"filter": {}}]}, r"steps\[0\].filter: field is missing"),
    ({"records": [], "steps": [{"filter": {"field": 1}}]}, "a field's name"),
    ({"records": [], "steps": [{"filter": {"field": "a"}}]}, "value is missing"),
    ({"records": [], "steps": [{"filter": {"field": "a", "op": "~", "value": 1}}]}, "op is one of"),
    ({"records": [], "steps": [{"filter": {"field": "a", "op": [], "value": 1}}]}, "op is one of"),
    ({"records": [], "steps": [{"filter": {"field": "a", "op": "in", "value": 1}}]}, "in takes a list"),
    ({"records": [], "steps": [{"filter": {"field": "a", "op": "<", "value": None}}]}, "< takes a number or a text"),
    ({"records": [], "steps": [{"filter": {"field": "a", "op": "contains", "value": 1}}]}, "contains takes a text"),
    ({"records": [], "steps": [{"filter": {"field": "a", "value": 1, "x": 1}}]}, "there is no 'x' here"),
    ({"records": [], "steps": [{"filter": {"all": []}}]}, "all takes a list"),
    ({"records": [], "steps": [{"filter": DEEP}]}, "nested deeper than 10"),
    ({"records": [], "steps": [{"derive": {"x": NESTED}}]}, "nested deeper than 10"),
    ({"records": [], "steps": [{"derive": {"x": "a + b"}}]}, "must be an object"),
    ({"records": [], "steps": [{"derive": {"x": {"op": "eval", "of": []}}}]}, "op is one of"),
    ({"records": [], "steps": [{"derive": {"x": {"op": {}, "of": []}}}]}, "op is one of"),
    ({"records": [], "steps": [{"derive": {"x": {"op": "+", "of": [{"value": 1}]}}}]}, "2 to 20 expressions"),
    ({"records": [], "steps": [{"derive": {}}]}, "1 to 200 fields"),
    ({"records": [], "steps": [{"select": "a"}]}, "must be a list of 1 to 200"),
    ({"records": [], "steps": [{"select": [""]}]}, "a field's name"),
    ({"records": [], "steps": [{"rename": {"a": 1}}]}, "a field's name"),
    ({"records": [], "steps": [{"sort": []}]}, "must be a list of 1 to 200"),
    ({"records": [], "steps": [{"sort": ["-"]}]}, "a field's name"),
    ({"records": [], "steps": [{"limit": -1}]}, "from 0 to"),
    ({"records": [], "steps": [{"limit": True}]}, "from 0 to"),
    ({"records": [], "steps": [{"aggregate": {}}]}, "values is missing"),
    ({"records": [], "steps": [{"aggregate": {"by": "a", "values": {}}}]}, "by: must be a list"),
    ({"records": [], "steps": [{"aggregate": {"values": {}}}]}, "values: must be an object"),
    ({"records": [], "steps": [{"aggregate": {"values": TALL}}]}, "field is missing"),
    ({"records": [], "steps": [{"aggregate": {"values": {"x": {"op": "median", "field": "a"}}}}]}, "op is one of"),
    ({"file_path": 7}, "file_path: must be a text"),
    ({"file_path": "x.parquet"}, "source: must be one of csv, json, jsonl"),
    ({"file_path": "x", "source": "xml"}, "source: must be one of csv, json, jsonl"),
    ({"file_path": "x.csv", "delimiter": ";;"}, "delimiter"),
    ({"file_path": "x.csv", "encoding": "rot13"}, "encoding"),
    ({"file_path": "x.csv", "skip_rows": -1}, "skip_rows"),
    ({"file_path": "none.csv"}, "^Input file not found$"),
]


@pytest.mark.parametrize(("payload", "said"), BAD)
def test_what_will_never_work_is_told(payload: Any, said: str) -> None:
    with pytest.raises(ProcessingError, match=said):
        process(payload, folders.folders(os.curdir), "", lambda _: None)


def test_values_cannot_be_made_to_explode() -> None:
    square = {"derive": {"id": {"op": "*", "of": [{"field": "id"}, {"field": "id"}]}}}
    assert ran(*[square] * 50, records=[{"id": 7}]) == [{"id": None}]
    double = {"derive": {"id": {"op": "concat", "of": [{"field": "id"}, {"field": "id"}]}}}
    with pytest.raises(ProcessingError, match="longer than 65536"):
        ran(*[double] * 50, records=[{"id": "x"}])


def test_sorting_and_grouping_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.processing.steps.MOST_SORTED", 3)
    with pytest.raises(ProcessingError, match="more than 3 records to sort"):
        ran({"sort": ["id"]})
    monkeypatch.setattr("headrace.core.processing.aggregates.MOST_GROUPS", 3)
    with pytest.raises(ProcessingError, match="more than 3 groups"):
        ran({"aggregate": {"by": ["id"], "values": {"n": {"op": "count"}}}})
    monkeypatch.setattr("headrace.core.processing.aggregates.MOST_DISTINCT", 3)
    with pytest.raises(ProcessingError, match="more than 3 different values"):
        ran({"aggregate": {"by": ["country"], "values": {"n": {"op": "distinct", "field": "id"}}}})


WIDE = {"derive": {"a": {"value": "ä" * 3_000}}}
WIDER = {"derive": {"a": {"op": "concat", "of": [{"field": "a"}] * 20}}}
TOO_MUCH: list[tuple[list[dict[str, Any]], str]] = [
    ([{"sort": ["a"]}], "held take more than 4 MiB"),
    ([{"sort": ["b"]}, {"sort": ["a"]}], "held take more than 4 MiB"),
    ([{"aggregate": {"by": ["n", "a"], "values": {"x": {"op": "count"}}}}], "held take more than 4 MiB"),
    ([{"aggregate": {"by": ["n"], "values": {"x": {"op": "max", "field": "a"}}}}], "held take more than 4 MiB"),
    ([{"aggregate": {"by": ["n"], "values": {"x": {"op": "last", "field": "a"}}}}], "held take more than 4 MiB"),
    (
        [{"derive": {f"a{number}": {"op": "upper", "of": [{"field": "a"}]} for number in range(150)}}],
        "texts of one record take more than",
    ),
]


@pytest.mark.parametrize(("more", "said"), TOO_MUCH)
def test_bytes_are_counted_as_they_are_held(
    monkeypatch: pytest.MonkeyPatch, more: list[dict[str, Any]], said: str
) -> None:
    monkeypatch.setattr("headrace.core.processing.room.MOST_HELD_BYTES", 4 << 20)
    records = [{"n": number} for number in range(100)]
    with pytest.raises(ProcessingError, match=said):
        ran(WIDE, WIDER, *more, records=records)
    # A hundred records of 120 kB pass one by one, and a few of them may be held.
    assert len(ran(WIDE, WIDER, {"select": ["n"]}, {"sort": ["n"]}, records=records)) == 100
    assert ids(WIDE, WIDER, {"sort": ["-id"]}, {"select": ["id"]}) == [4, 3, 2, 1]


def test_values_that_were_replaced_are_no_longer_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.processing.room.MOST_HELD_BYTES", 1 << 20)
    texts = {"derive": {"a": {"op": "concat", "of": [{"value": "x" * 50_000}, {"field": "n"}]}}}
    last = {"aggregate": {"values": {"a": {"op": "last", "field": "a"}, "most": {"op": "max", "field": "a"}}}}
    (found,) = ran(
        texts,
        last,
        {"derive": {"n": {"op": "length", "of": [{"field": "a"}]}}},
        {"select": ["n"]},
        records=[{"n": number} for number in range(1_000)],
    )
    assert found == {"n": 50_003}


def test_what_names_one_long_value_often_is_not_written() -> None:
    fields = [{"derive": {f"{step}-{number}": {"field": "a"} for number in range(200)}} for step in range(40)]
    records = [{"n": 1}]
    found = process({"records": records, "steps": [WIDE, *fields]}, [], "", lambda _: None)
    assert (found["records_out"], found["records"], found["truncated"]) == (1, [], True)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_size_is_that_of_all_parts(value: Any) -> None:
    def whole(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        return sys.getsizeof(one) + sum(map(whole, inner))

    assert size(value, 1 << 40) == whole(value)
    assert size(value, whole(value) - 1) >= min(whole(value), 1)


def test_the_process_of_a_job_is_light() -> None:
    """It starts for every job: what it imports is time and memory of each of them."""
    names = "headrace.core.attempts.child, headrace.core.processing.job, headrace.core.functions"
    said = subprocess.check_output(
        [sys.executable, "-c", f"import sys, {names}; print(*sys.modules)"], text=True, timeout=60
    )
    heavy = {"sqlalchemy", "chdb", "pydantic", "litestar", "asyncio", "headrace.core.jobs", "headrace.core.house"}
    assert heavy.isdisjoint(said.split())


def test_output_is_cut_and_counted() -> None:
    many = [{"n": number} for number in range(2_500)]
    told: list[int] = []
    result = process({"records": many}, [], "", told.append)
    assert (result["records_processed"], result["records_out"], len(result["records"])) == (2_500, 2_500, 1_000)
    assert (result["truncated"], told) == (True, [1_000, 2_000, 2_500])
    wide = process({"records": [{"x": "y" * 10_000}] * 9}, [], "", told.append)
    assert (wide["records_out"], len(wide["records"]), wide["truncated"]) == (9, 4, True)


@given(st.one_of(st.integers(), st.floats(), st.text(max_size=30), st.booleans(), st.none()))
def test_a_number_is_what_python_reads(value: Any) -> None:
    found = number(value)
    if found is not None:
        assert found == (int(value) if isinstance(found, int) else float(value))
        assert abs(found) <= 1.8e308
    assert expression({"op": "number", "of": [{"field": "x"}]}, "")({"x": value}) == found


FILES: list[tuple[str, bytes, dict[str, Any], list[dict[str, Any]]]] = [
    ("a.csv", b'id,name\n1,Ada\n2,"Bob, Jr"\n', {}, [{"id": "1", "name": "Ada"}, {"id": "2", "name": "Bob, Jr"}]),
    (
        "b.csv",
        b"\xef\xbb\xbfid;name\r\n1;x\r\n\r\n2\r\n",
        {"delimiter": ";"},
        [{"id": "1", "name": "x"}, {"id": "2", "name": None}],
    ),
    ("c.txt", b"made today\nid\n1\n", {"source": "csv", "skip_rows": 1}, [{"id": "1"}]),
    ("d.csv", "n\né\n".encode("latin-1"), {"encoding": "latin-1"}, [{"n": "é"}]),
    ("e.csv", "n\né\n".encode("utf-16"), {"encoding": "utf-16"}, [{"n": "é"}]),
    ("f.json", b'[{"a":1},{"a":{"b":2}}]', {}, [{"a": 1}, {"a": {"b": 2}}]),
    ("g.jsonl", b'\xef\xbb\xbf{"a":1}\n\n{"a":2}', {}, [{"a": 1}, {"a": 2}]),
    ("h.csv", b"a\n", {}, []),
]


@pytest.mark.parametrize(("name", "content", "more", "records"), FILES)
def test_files(tmp_path: Path, name: str, content: bytes, more: dict[str, Any], records: list[Any]) -> None:
    (tmp_path / name).write_bytes(content)
    among = folders.folders(str(tmp_path))
    result = process({"file_path": name, "steps": [{"limit": 100}], **more}, among, "", lambda _: None)
    assert (result["records"], result["records_processed"]) == (records, len(records))
    # Without steps a file's records are counted, and not copied.
    counted = process({"file_path": str(tmp_path / name), **more}, among, "", lambda _: None)
    assert set(counted) == {"records_processed", "columns"}


WRONG_FILES: list[tuple[str, bytes, str]] = [
    ("a.csv", b"", "no header"),
    ("b.csv", b"a,a\n", "names 'a' twice"),
    ("c.csv", b"a\n1,2\n", "row 1 has 2 cells"),
    ("d.csv", b"a\nok\n\xff\xfe\n", "not utf-8"),
    ("e.csv", b"a\n" + b"x" * 200_000, "field larger than field limit"),
    ("f.json", b"{}", "must hold a JSON array"),
    ("g.json", b"[1]", "record 0 is no object"),
    ("h.json", b"[" * 100_000, "not JSON"),
    ("i.jsonl", b'{"a":1}\n{', "line 2 is not JSON"),
    ("j.jsonl", b"[]", "line 1 is no object"),
    ("k.jsonl", b'{"a":"' + b"x" * (1 << 20), "line 1 is longer"),
    ("l.csv", b"x" * (1 << 21), "a line is longer"),
]


@pytest.mark.parametrize(("name", "content", "said"), WRONG_FILES)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProcessingError, match=said):
        process({"file_path": name}, folders.folders(str(tmp_path)), "", lambda _: None)


def test_only_the_operators_folders_are_read(tmp_path: Path) -> None:
    for path in ("open/a.csv", "open/acme/b.csv", "open/in.csv", "secret/c.csv", "beta/d.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x\n1\n")
    (tmp_path / "open/link.csv").symlink_to(tmp_path / "secret/c.csv")
    (tmp_path / "open/inner.csv").symlink_to(tmp_path / "open/in.csv")
    os.mkfifo(tmp_path / "open/pipe.csv")
    among = folders.folders(f"{tmp_path}/open:{tmp_path}/open/acme=acme:{tmp_path}/beta=beta: :{tmp_path}/gone")
    cases = [
        ("a.csv", "acme", True),
        (f"{tmp_path}/open/a.csv", "acme", True),
        ("acme/b.csv", "acme", True),
        ("b.csv", "acme", True),
        ("acme/b.csv", "beta", False),
        ("b.csv", "beta", False),
        ("d.csv", "beta", True),
        ("d.csv", "acme", False),
        ("../beta/d.csv", "acme", False),
        ("../secret/c.csv", "acme", False),
        (f"{tmp_path}/secret/c.csv", "acme", False),
        ("link.csv", "acme", False),
        ("inner.csv", "acme", True),
        ("pipe.csv", "acme", False),
        ("", "acme", False),
        (".", "acme", False),
        ("a.csv\0", "acme", False),
        ("x" * 5_000, "acme", False),
        ("none.csv", "acme", False),
    ]
    for given_path, slug, readable in cases:
        assert (folders.find(given_path, among, slug) is not None) is readable, (given_path, slug)
    assert folders.find("a.csv", folders.folders(""), "acme") is None
    with pytest.raises(OSError, match="is no file"):
        folders.opened(tmp_path / "open/pipe.csv")
    with pytest.raises(OSError, match="Too many levels"):
        folders.opened(tmp_path / "open/link.csv")


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    lines = ["status,amount,quantity,country", "paid,10,2,NL", "paid,9,1,NL", "open,50,1,DE", "paid,30,1,DE"]
    (tmp_path / example["file_path"]).write_text("\n".join(lines))
    result = process(example, folders.folders(str(tmp_path)), "", lambda _: None)
    assert result["records"] == [
        {"country": "DE", "orders": 1, "revenue": 30},
        {"country": "NL", "orders": 1, "revenue": 20},
    ]


def test_the_page_names_every_step_and_operation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()
    for name in (*STEPS, *OPERATIONS, *CONDITION_OPERATORS, *TALLIES):
        assert f" {name} " in page.replace("`", " "), name
