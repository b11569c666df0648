"""Reading files to import: every form gives the same entries, and reading can begin again behind any of them."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cli import sources
from headrace.cli.screen import Trouble
from headrace.cli.sources import Place, Source

ENTRIES = [{"message": 'brackets ]}[{ and "quotes" \\'}, {"n": [1, {"a": "]"}]}, 17, "text, with comma]", [], {}]


def write(path: Path, content: bytes) -> Source:
    path.write_bytes(content)
    return Source(str(path))


def values(source: Source, place: Place | None = None) -> list:
    return [json.loads(entry.text or b"null") for entry in source.entries(place or Place())]


LINES = "\n".join(json.dumps(entry) for entry in ENTRIES)
FORMS = {
    "lines": LINES,
    "lines with empty ones, CRLF and a mark": "\ufeff" + LINES.replace("\n", "\r\n\n") + "\n",
    "array": json.dumps(ENTRIES),
    "array, indented": "\n " + json.dumps(ENTRIES, indent=2),
    "wrapped": json.dumps({"logs": ENTRIES}),
    "wrapped, indented": json.dumps({"logs": ENTRIES}, indent=1),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "zstd in frames"])
def test_every_form_gives_the_same_entries(tmp_path: Path, form: str, packed: str) -> None:
    text = FORMS[form].encode()
    match packed:
        case "gzip":
            text = gzip.compress(text)
        case "zstd":
            text = zstandard.compress(text)
        case "zstd in frames":
            text = zstandard.compress(text[:20]) + zstandard.compress(text[20:])
    assert values(write(tmp_path / "file", text)) == ENTRIES


@pytest.mark.parametrize("form", FORMS)
def test_reading_begins_again_behind_any_entry(tmp_path: Path, form: str) -> None:
    source = write(tmp_path / "file", FORMS[form].encode())
    entries = list(source.entries(Place()))
    for at, entry in enumerate(entries, 1):
        line = entry.line + (1 if source.form == "lines" else (entry.text or b"").count(b"\n"))
        rest = list(Source(source.name).entries(Place(entry.end, line, source.form)))
        assert [again.text for again in rest] == [after.text for after in entries[at:]]
        if source.form == "array":
            assert [again.line for again in rest] == [after.line for after in entries[at:]]


@given(
    st.lists(
        st.recursive(
            st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        ),
        max_size=8,
    )
)
@settings(max_examples=60)
def test_an_array_is_cut_as_the_json_library_cuts_it(tmp_path_factory: pytest.TempPathFactory, entries: list) -> None:
    source = write(tmp_path_factory.getbasetemp() / "array", json.dumps(entries, indent=1).encode())
    assert values(source) == entries


def test_entries_longer_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK", 7)
    monkeypatch.setattr(sources, "LONGEST", 64)
    assert values(write(tmp_path / "array", json.dumps(ENTRIES).encode())) == ENTRIES
    long = write(tmp_path / "lines", b'{"a":1}\n{"m":"' + b"x" * 300 + b'"}\n{"b":2}')
    assert [(entry.line, entry.text) for entry in long.entries(Place())] == [
        (1, b'{"a":1}'),
        (2, None),
        (3, b'{"b":2}'),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"a":1},{"b"', "ends in the middle of its array, at line 1"),
        (b'{"logs":[\n{"a":1}', "ends in the middle of its array, at line 2"),
        (gzip.compress(LINES.encode(), mtime=0)[:-12], "cannot read"),
        (zstandard.compress(LINES.encode())[:8] + b"broken broken broken", "cannot read"),
        (zstandard.compress(LINES.encode())[:-4], "ends in the middle of a zstd frame"),
        (zstandard.compress(LINES.encode()) + zstandard.compress(LINES.encode())[:9], "middle of a zstd frame"),
        (b'[{"a":1}]\n\n [{"b":2}]', "goes on behind its array, at line 3"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Trouble, match=said):
        values(write(tmp_path / "file", content))


def test_lines_before_a_broken_place_are_entries(tmp_path: Path) -> None:
    lines = [b'{"n":%d}' % number for number in range(30_000)]
    entries = write(tmp_path / "file", zstandard.compress(b"\n".join(lines))[:-40]).entries(Place())
    found: list[bytes | None] = []
    with pytest.raises(Trouble, match="middle of a zstd frame"):
        found.extend(entry.text for entry in entries)
    assert 0 < len(found) < len(lines)
    assert found == lines[: len(found)]


def test_what_an_object_holds_behind_its_logs_is_passed_over(tmp_path: Path) -> None:
    assert values(write(tmp_path / "file", b'{"logs": [{"a": 1}]\n , "more": [2]}')) == [{"a": 1}]


def test_a_zstd_file_of_great_density_is_read(tmp_path: Path) -> None:
    text = b'{"m":"' + b"x" * 3_000_000 + b'"}\n{"b":2}'
    assert [len(entry.text or b"") for entry in write(tmp_path / "f", zstandard.compress(text)).entries(Place())] == [
        3_000_008,
        7,
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="No such file"):
        values(Source(str(tmp_path / "none")))
