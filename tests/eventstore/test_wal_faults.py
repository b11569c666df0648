"""The durable log on a disk that fails: nothing acknowledged is lost, nothing refused is stored."""

import contextlib
import errno
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.eventstore.files import Files
from headrace.eventstore.wal import Limits, Wal, WalError
from tests.eventstore.faulty import NOON, PATIENT, FaultyFiles, HeldFiles, drain, event, idle, open_log, put, stored

Until = Callable[..., None]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["create", "write", "sync"])
def test_one_failure_refuses_that_request_alone(tmp_path: Path, call: str, number: int) -> None:
    at = {"create": 1, "write": 2, "sync": 2}[call]
    files = FaultyFiles(lambda name, times: number if (name, times) == (call, at) else None)
    log = open_log(tmp_path, files=files)
    outcomes = {}
    for text in ("a", "b", "c"):
        try:
            put(log, text)
        except WalError as refusal:
            outcomes[text] = str(refusal)
    refused = "a" if call == "create" else "b"
    assert list(outcomes) == [refused]
    assert "the disk refused the write" in outcomes[refused]
    log.close()
    assert [text for _id, text in stored(tmp_path)] == [text for text in "abc" if text != refused]
    drain(log)
    assert idle(log)


@pytest.mark.parametrize("call", ["close", "rename", "remove", "replace_text"])
def test_failures_after_the_sync_refuse_nothing(tmp_path: Path, call: str) -> None:
    files = FaultyFiles(lambda name, _count: errno.EIO if name == call else None)
    log = open_log(tmp_path, files=files, limits=PATIENT._replace(segment_rows=1))
    for text in ("a", "b", "c"):
        put(log, text)
    log.close()
    assert log.waiting_rows == 3
    files.fate = None
    assert [text for _id, text in drain(log)] == ["a", "b", "c"]
    assert idle(log)


def test_a_disk_that_cannot_be_mended_stops_the_log_until_it_can(tmp_path: Path, until: Until) -> None:
    files = FaultyFiles(lambda name, _count: errno.EIO if name in {"sync", "truncate"} else None)
    log = open_log(tmp_path, files=files)
    with pytest.raises(WalError, match="the disk refused the write"):
        put(log, "refused")
    with pytest.raises(WalError, match="to be mended"):
        put(log, "refused too")
    assert log.next_sealed(0) is None
    files.fate = None
    until(lambda: log.broken is None)
    put(log, "kept")
    log.close()
    assert [text for _id, text in stored(tmp_path)] == ["kept"]
    assert list(tmp_path.glob("*.open")) == []


def test_lines_before_a_failure_that_cannot_be_mended_are_offered_once_it_is(tmp_path: Path, until: Until) -> None:
    files = FaultyFiles(
        lambda name, number: errno.EIO if (name == "sync" and number > 1) or name == "truncate" else None
    )
    log = open_log(tmp_path, files=files)
    put(log, "kept")
    with pytest.raises(WalError):
        put(log, "refused")
    assert log.next_sealed(0) is None
    assert log.depth(1, 12) == 1
    files.fate = None
    segment = log.next_sealed(60)
    assert segment is not None
    assert [text for _id, text in drain(log)] == ["kept"]
    until(lambda: idle(log))
    log.close()


def test_batches_behind_a_failed_one_are_refused_with_it(tmp_path: Path) -> None:
    """They are meant for the same file, whose end is in doubt."""
    held = HeldFiles()
    log = open_log(tmp_path, files=held)
    first = log.append(1, 12, NOON, 30, [event("first")]).commit
    assert held.syncing.acquire(timeout=60)
    second = log.append(1, 12, NOON, 30, [event("second")]).commit
    held.sync = FaultyFiles(lambda _name, _count: errno.EIO).sync  # type: ignore[method-assign]
    held.released.release()
    first.wait(60)
    with pytest.raises(WalError):
        second.wait(60)
    held.sync = Files().sync  # type: ignore[method-assign]
    put(log, "third")
    log.close()
    assert [text for _id, text in stored(tmp_path)] == ["first", "third"]


def test_a_bug_in_the_committer_leaves_nobody_waiting(tmp_path: Path) -> None:
    def wrong(name: str, _count: int) -> None:
        if name == "write":
            raise ZeroDivisionError

    complaints: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, complaints.append
    try:
        log = open_log(tmp_path, files=FaultyFiles(wrong))
        with pytest.raises(WalError, match="stopped working"):
            put(log, "one")
        log.committer.join(60)
        with pytest.raises(WalError, match="stopped working"):
            put(log, "two")
        log.close()
    finally:
        threading.excepthook = before
    assert [complaint.exc_type for complaint in complaints] == [ZeroDivisionError]


START_TIMES = count(NOON + 10**6, 10**6)
FAULTS = st.dictionaries(
    st.tuples(
        st.sampled_from(["create", "write", "sync", "truncate", "close", "rename", "remove", "replace_text"]),
        st.integers(1, 12),
    ),
    st.sampled_from([errno.ENOSPC, errno.EIO]),
    max_size=8,
)
STEPS = st.lists(st.sampled_from(["one", "many", "drain", "restart", "crash"]), min_size=1, max_size=25)


@settings(max_examples=100)
@given(faults=FAULTS, steps=STEPS, rows=st.integers(1, 4), tail=st.sampled_from([b"", b'{"rows":1,"ten', b"\0" * 99]))
def test_whatever_fails_nothing_is_lost_and_nothing_doubled(
    tmp_path_factory: pytest.TempPathFactory,
    faults: dict[tuple[str, int], int],
    steps: list[str],
    rows: int,
    tail: bytes,
) -> None:
    """The oracle is a plain list of what was acknowledged."""
    folder = tmp_path_factory.mktemp("log")
    files = FaultyFiles(lambda name, number: faults.get((name, number)))
    limits = PATIENT._replace(segment_rows=rows, mend_pause=0.0005)
    log = open_log(folder, files=files, limits=limits)
    kept: list[tuple[int, str]] = []
    refused: set[str] = set()
    excused: set[str] = set()  # Refused, but the disk let nobody cut them before the machine died.
    drained: dict[str, list[tuple[int, str]]] = {}
    for number, step in enumerate(steps):
        if step in {"one", "many"}:
            texts = [f"{number}-{n}" for n in range(1 if step == "one" else 3)]
            try:
                first = put(log, *texts)
                kept += [(first + n, text) for n, text in enumerate(texts)]
            except WalError:
                refused.update(texts)
        elif step == "drain":
            drain_once(log, drained)
        elif step == "restart":
            close_mended(log, files)
            log = opened_mended(folder, files, limits)
        else:
            excused |= refused if log.torn else set()
            folder = crashed(folder, tmp_path_factory.mktemp("log") / "copy", tail)
            close_mended(log, files)
            log = opened_mended(folder, files, limits)
    close_mended(log, files)
    log = opened_mended(folder, files, limits)
    files.fate = None
    kept.append((put(log, "works on"), "works on"))
    log.close()
    while log.sealed:
        drain_once(log, drained)
    assert idle(log)
    found = sorted(item for part in drained.values() for item in part)
    assert [item for item in found if item[1] not in excused] == sorted(kept)
    assert len({text for _id, text in found}) == len(found)


def close_mended(log: Wal, files: FaultyFiles) -> None:
    """Stop on a disk that works again, so that what could not be cut is cut."""
    fate, files.fate = files.fate, None
    log.close()
    files.fate = fate


def opened_mended(folder: Path, files: FaultyFiles, limits: Limits) -> Wal:
    """Start on a disk that works: a start that fails is repeated until it does not (test_segments has the cases).

    The clock has moved on: it keeps ids apart where a full disk did not take the mark.
    """
    fate, files.fate = files.fate, None
    log = open_log(folder, files=files, limits=limits, now=next(START_TIMES))
    files.fate = fate
    return log


def crashed(folder: Path, copy: Path, tail: bytes) -> Path:
    """Copy what the disk holds at this moment, the write that was under way torn."""
    copy.mkdir()
    for path in folder.iterdir():
        with contextlib.suppress(
            FileNotFoundError
        ):  # The committer may be renaming it: the loop meets one of its names,
            (copy / path.name).write_bytes(path.read_bytes())
    for path in folder.glob("*.sealed"):  # or none.
        (copy / path.name).write_bytes(path.read_bytes())
        (copy / path.name).with_suffix(".open").unlink(missing_ok=True)
    for path in sorted(copy.glob("*.open"))[-1:]:
        path.write_bytes(path.read_bytes() + tail)
    return copy


def drain_once(log: Wal, drained: dict[str, list[tuple[int, str]]]) -> None:
    """Store the oldest segment by its name, as the engine does: the same name again stores nothing new."""
    segment = log.next_sealed(0)
    if segment is None:
        return
    found = []
    for line in segment.path.read_bytes().splitlines():
        group = msgspec.json.decode(line)
        found += [(group["first_id"] + n, item["message"]) for n, item in enumerate(group["events"])]
    assert len(found) == segment.rows
    assert drained.setdefault(segment.name, found) == found
    try:
        log.done(segment)
    except OSError:
        return
