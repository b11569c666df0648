"""The seam to the engine: what it stores, decodes, refuses and cancels."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.eventstore.clients import Client, ClientError, Parameters
from headrace.eventstore.engine import (
    CACHE_BYTES,
    Engine,
    EngineError,
    EngineOptions,
    QueryRefused,
    open_embedded,
    quoted,
)
from headrace.eventstore.parallel import at_once

SLOW = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_parameters_arrive_as_they_were_given(engine: Engine, text: str) -> None:
    params = {"one": text, "many": [text, "'", "b\\"]}
    row = engine.one("SELECT {one:String}, {many:Array(String)}", params, row=tuple[str, list[str]])
    assert row == (text, [text, "'", "b\\"])
    assert engine.one(f"SELECT {quoted(text)}", row=tuple[str]) == (text,)


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 62_135_596_800_000_000])
def test_whole_numbers_keep_all_digits(engine: Engine, value: int) -> None:
    assert engine.one("SELECT {n:Int64}", {"n": value}, row=tuple[int]) == (value,)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        (SLOW, "time"),
        ("SELECT uniqExact(number) FROM numbers(100000000)", "memory"),
        ("SELECT match('a', materialize('('))", "pattern"),
    ],
)
def test_a_question_too_large_is_refused(engine: Engine, sql: str, kind: str) -> None:
    small = {"max_memory_usage": 20_000_000} if kind == "memory" else {}
    with pytest.raises(QueryRefused) as refused:
        engine.query(sql, row=tuple[int], seconds=0.3 if kind == "time" else 20, settings=small)
    assert refused.value.kind == kind
    assert refused.value.text.endswith(".")


def test_a_question_runs_on_two_threads(engine: Engine) -> None:
    pipeline = engine.query("EXPLAIN PIPELINE SELECT sum(number) FROM numbers_mt(100000000)", row=tuple[str])
    assert ("        NumbersRange × 2 0 → 1",) in pipeline  # noqa: RUF001  The engine's own sign.


class Tight:
    """A client of an engine that has too little memory for more than one thread."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str) -> bytes:
        if "max_threads = '1'" not in query:
            raise ClientError("Code: 241. DB::Exception: memory limit exceeded", 241)
        return self.client.raw_query(query, parameters, fmt=fmt)

    def command(self, cmd: str, parameters: Parameters | None = None) -> None:
        self.client.command(cmd, parameters)

    def close(self) -> None:
        self.client.close()


def test_what_two_threads_have_no_memory_for_is_asked_with_one(engine: Engine) -> None:
    whole = engine.free
    engine.free = queue.LifoQueue()
    engine.free.put(Tight(engine.control))
    try:
        assert engine.query("SELECT 1", row=tuple[int]) == [(1,)]
        with pytest.raises(QueryRefused, match="too much memory"):
            engine.query("SELECT 1", row=tuple[int], settings={"max_threads": 2})
    finally:
        engine.free = whole


def test_what_there_is_no_memory_for_at_once_is_asked_one_after_the_other() -> None:
    here, all_ask = threading.get_ident(), threading.Barrier(3, timeout=60)

    def ask(number: int) -> int:
        if threading.get_ident() != here:
            all_ask.wait()
            raise QueryRefused("memory", "The search needs too much memory.")
        return number * 2

    assert at_once(ask, (1, 2, 3)) == [2, 4, 6]
    with pytest.raises(ZeroDivisionError):
        at_once(lambda number: 1 // number, (1, 0))


def test_too_many_rows_are_refused(engine: Engine) -> None:
    with pytest.raises(QueryRefused, match="too many rows"):
        engine.query("SELECT sum(number) FROM numbers(1000)", row=tuple[int], settings={"max_rows_to_read": 10})


def test_a_bad_statement_is_our_bug_and_no_refusal(engine: Engine) -> None:
    with pytest.raises(EngineError) as problem:
        engine.query("SELECT nothing FROM nowhere", row=tuple[int])
    assert not isinstance(problem.value, QueryRefused)
    assert problem.value.code == 60


def test_a_query_is_cancelled_by_its_comment(engine: Engine, until: Callable[..., None]) -> None:
    caught: list[QueryRefused] = []

    def ask() -> None:
        try:
            engine.query(SLOW, row=tuple[int], comment="view 'one'", seconds=30)
        except QueryRefused as refused:
            caught.append(refused)

    asker = threading.Thread(target=ask)
    asker.start()

    def running() -> bool:
        sql = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = {c:String}"
        return engine.one(sql, {"c": "view 'one'"}, row=tuple[int])[0] > 0

    until(running)
    engine.cancel("view 'one'")
    asker.join(60)
    assert [refused.kind for refused in caught] == ["cancelled"]


def test_the_engine_keeps_within_its_memory(engine: Engine) -> None:
    sql = "SELECT name, toUInt64(value) FROM system.server_settings WHERE name LIKE '%_cache_size'"
    assert CACHE_BYTES.items() <= dict(engine.query(sql, row=tuple[str, int])).items()
    (allocator,) = engine.one("SELECT stats FROM system.jemalloc_stats", row=tuple[str])
    assert "opt.dirty_decay_ms: 1000" in allocator
    assert 'opt.percpu_arena: "disabled"' in allocator


def test_queries_beyond_the_pool_are_refused_as_busy(engine: Engine) -> None:
    options, engine.options = engine.options, EngineOptions(wait_seconds=0.01)
    try:
        with engine.client(), engine.client(), pytest.raises(QueryRefused) as refused:
            engine.query("SELECT 1", row=tuple[int])
        assert refused.value.kind == "busy"
    finally:
        engine.options = options
    assert engine.one("SELECT 1", row=tuple[int]) == (1,)


def test_a_second_folder_is_refused_in_words(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"cannot open .* too"):
        open_embedded(tmp_path)


def test_opening_again_changes_nothing(engine: Engine) -> None:
    tables: list[Any] = engine.query("SELECT name, create_table_query FROM system.tables ORDER BY name", row=list)
    again = open_embedded(engine.folder or Path(), EngineOptions(query_threads=1))
    assert again.query("SELECT name, create_table_query FROM system.tables ORDER BY name", row=list) == tables
    again.close()
    assert engine.one("SELECT count() FROM schema_versions", row=tuple[int]) == (1,)


def test_a_store_of_a_later_release_is_refused(engine: Engine) -> None:
    engine.command("INSERT INTO schema_versions VALUES (99)")
    try:
        with pytest.raises(EngineError, match="later release"):
            open_embedded(engine.folder or Path(), EngineOptions(query_threads=1))
    finally:
        engine.command("ALTER TABLE schema_versions DELETE WHERE version = 99 SETTINGS mutations_sync = 2")
