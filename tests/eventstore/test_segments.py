import errno
import os
from functools import partial
from pathlib import Path

import pytest

from headrace.eventstore.files import BUFFERS_PER_WRITE, Files
from headrace.eventstore.segments import durable_size, lines_of, recover, whole
from tests.eventstore.faulty import NOON, FaultyFiles, open_log, put, stored

GROUP = (
    b'{"rows":1,"tenant":1,"project":12,"received_at":1,"retention_days":30,"first_id":5,'
    b'"events":[{"timestamp":"2026-11-21T08:00:00Z","level":"info"}]}'
)


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    """The bytes of three requests: one event, two events, one event."""
    log = open_log(tmp_path / "source")
    put(log, "one")
    put(log, "two", "drei ä \U0001f600", project=13)
    put(log, "four\nlines")
    log.close()
    (path,) = (tmp_path / "source").glob("*.sealed")
    return path.read_bytes()


def left(folder: Path, data: bytes, name: str = "0001795248000000000.open") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(GROUP, True, id="whole"),
        pytest.param(GROUP[:-1], False, id="torn"),
        pytest.param(GROUP.replace(b'"rows":1', b'"rows":2'), False, id="fewer events than it says"),
        pytest.param(GROUP + b"\0", False, id="NUL behind"),
        pytest.param(b"\0" * len(GROUP), False, id="only NULs"),
        pytest.param(b"", False, id="empty"),
        pytest.param(b"{}", False, id="another object"),
        pytest.param(GROUP.replace(b"info", b"\xff\xfe"), True, id="bad text is the engine's to judge"),
        pytest.param(GROUP.replace(b'"level":"info"', b'"level":info'), False, id="broken inside"),
    ],
)
def test_whole(line: bytes, expected: bool) -> None:
    assert whole(line) is expected


@pytest.mark.parametrize(
    ("data", "keep"),
    [
        pytest.param(b"", 0, id="empty"),
        pytest.param(GROUP, 0, id="no line end"),
        pytest.param(GROUP + b"\n", len(GROUP) + 1, id="one line"),
        pytest.param(GROUP + b"\n" + b"\0" * 4096, len(GROUP) + 1, id="NUL tail"),
        pytest.param(b"\n" * 3, 0, id="only line ends"),
        pytest.param(b"wrong\n" + GROUP + b"\n", len(GROUP) + 7, id="damage before a whole line stays"),
        pytest.param(GROUP + b"\nwrong\n", len(GROUP) + 1, id="a bad last line goes"),
    ],
)
def test_durable_size(data: bytes, keep: int) -> None:
    assert durable_size(data) == keep


def test_a_file_cut_at_every_byte_keeps_exactly_its_whole_lines(tmp_path: Path, written: bytes) -> None:
    ends = [offset + len(line) + 1 for offset, line in lines_of(written)]
    rows = [1, 3, 4]
    for cut in range(len(written) + 1):
        folder = left(tmp_path / f"{cut}", written[:cut])
        segments = recover(folder, Files())
        kept = max((end for end in ends if end <= cut), default=0)
        expected = rows[ends.index(kept)] if kept else 0
        assert [segment.rows for segment in segments] == ([expected] if kept else []), cut
        assert [path.read_bytes() for path in folder.iterdir()] == ([written[:kept]] if kept else []), cut


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 4096, b"\0" * 511 + b"\n", b'{"rows":1,', b"\xff\xff\n", b"\n"])
def test_a_tail_that_nobody_was_promised_is_cut(tmp_path: Path, written: bytes, tail: bytes) -> None:
    folder = left(tmp_path / "left", written + tail)
    (segment,) = recover(folder, Files())
    assert segment.path.read_bytes() == written
    assert (segment.rows, segment.size, segment.whole) == (4, len(written), True)


def test_recovery_counts_by_project_and_day(tmp_path: Path, written: bytes) -> None:
    (segment,) = recover(left(tmp_path / "left", written), Files())
    assert segment.projects == {(1, 12): 2, (1, 13): 2}
    assert segment.arrivals == {(1, 12, NOON // 86_400_000_000): 2, (1, 13, NOON // 86_400_000_000): 2}
    assert (segment.first_id, segment.last_id, segment.name) == (NOON, NOON + 4, "0001795248000000000")


def test_damage_in_the_middle_keeps_what_follows(tmp_path: Path, written: bytes) -> None:
    lines = written.splitlines(keepends=True)
    damaged = lines[0] + b"\0" * (len(lines[1]) - 1) + b"\n" + lines[2]
    (segment,) = recover(left(tmp_path / "left", damaged), Files())
    assert segment.path.read_bytes() == damaged
    assert (segment.rows, segment.last_id) == (2, NOON + 4)


def test_a_sealed_file_is_left_as_it_is(tmp_path: Path, written: bytes) -> None:
    folder = left(tmp_path / "left", written + b"torn", "0001795248000000000.sealed")
    (segment,) = recover(folder, Files())
    assert segment.path.read_bytes() == written + b"torn"
    assert segment.rows == 4


def test_segments_come_oldest_first_whatever_their_state(tmp_path: Path, written: bytes) -> None:
    folder = left(tmp_path / "left", written, f"{3:019d}.open")
    left(folder, written, f"{1:019d}.sealed")
    left(folder, written, f"{2:019d}.open")
    left(folder, b"", f"{4:019d}.open")
    (folder / "mark").write_text("7\n")
    (folder / "mark.new").write_text("")
    assert [segment.first_id for segment in recover(folder, Files())] == [1, 2, 3]
    assert sorted(path.name for path in folder.glob("*.*")) == [
        f"{1:019d}.sealed",
        f"{2:019d}.sealed",
        f"{3:019d}.sealed",
        "mark.new",
    ]


def failing(name: str, call: str, _number: int) -> int | None:
    return errno.EIO if call == name else None


def test_recovery_can_be_repeated_wherever_it_failed(tmp_path: Path, written: bytes) -> None:
    """Each of its calls fails once, as if the machine died there; the next start ends the same."""
    for name in ("truncate", "rename", "remove", "sync_folder"):
        folder = left(tmp_path / name, written + b"torn")
        left(folder, b"", f"{1:019d}.open")
        files = FaultyFiles(partial(failing, name))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            recover(folder, files)
        assert [segment.rows for segment in recover(folder, Files())] == [4]
        assert len(stored(folder)) == 4


@pytest.mark.parametrize("count", [1, 3, BUFFERS_PER_WRITE, 2 * BUFFERS_PER_WRITE + 1])
@pytest.mark.parametrize("part", [1, 7, 1 << 30])
def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, part: int) -> None:
    """The system may take only a part of what it is given."""
    real_write = os.write
    monkeypatch.setattr(os, "writev", lambda descriptor, chunks: real_write(descriptor, b"".join(chunks)[:part]))
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:part]))
    chunks = [b"%d;" % number for number in range(count)]
    descriptor = Files().create(tmp_path / "file")
    Files().write(descriptor, chunks)
    Files().close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"".join(chunks)


def test_a_name_is_never_taken_twice(tmp_path: Path) -> None:
    os.close(Files().create(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        Files().create(tmp_path / "file")
