"""`headrace import`: send files of logs in batches, each exactly once, and go on where an earlier run stopped.

After each acknowledged batch its end is written into a state file. A batch whose answer was lost is sent again under
the same Idempotency-Key, so that the server does not store it twice.
"""

import os
from argparse import Namespace
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from headrace.cli.bar import Bar
from headrace.cli.client import KEY_VARIABLE, Client, address, project_of
from headrace.cli.screen import Misuse, Trouble, as_json, complain, count, note, say
from headrace.cli.sending import Sender, Sent
from headrace.cli.sources import Entry, Source
from headrace.cli.state import Rejects, State
from headrace.eventstore.foreign import BadLineError, Rules, as_log
from headrace.kit import clock
from headrace.kit.times import show

# The server takes 32 MiB a request; the rest is room for what is written around the logs.
MOST_BYTES = 24 << 20
NAMED = 5


class Batch(NamedTuple):
    """Entries that go out together: those that can be sent, and those that are no logs with their rules."""

    logs: list[tuple[Entry, bytes]]
    bad: list[tuple[Entry, str]]
    start: int


def run(given: Namespace) -> int:
    results = []
    for name in given.files:
        try:
            results.append({"file": name, **_import(name, given)})
        except Trouble as problem:
            raise Trouble(f"{name}: {problem}") from problem
    if given.json:
        for result in results:
            as_json(result)
    return 1 if any(result["rejected"] for result in results) else 0


def _import(name: str, given: Namespace) -> dict[str, int]:
    source = Source(name)
    state = _state(source.path, given)
    progress = state.progress
    if progress.done and not _has_grown(source, state):
        if not given.json:
            say(f"{name}: imported already ({count(progress.sent, 'line')}); --again imports it once more")
        return {"sent": progress.sent, "rejected": progress.rejected}
    client, project_id = _client(given, state)
    state.save()
    if progress.offset and not given.json:
        note(f"{name}: going on after line {progress.line - 1:,}")
    rejects = Rejects(source.path, state)
    rejects.begin()
    rules = Rules(given.map, show(progress.started_at) if given.now else None, given.level)
    size = source.path.stat().st_size if source.path else 0
    with closing(client), Bar(name, size, quiet=given.json) as bar:
        sender = Sender(client, project_id, progress.run, patience=given.patience, wait=bar.wait)
        before = progress.sent
        with closing(_batches(source, state, rules, given.batch)) as batches:
            for batch in batches:
                _send(sender, batch, state, rejects)
                bar.show(progress.sent - before, source.position())
    _finish(state, given)
    if not given.json:
        _tell(name, state, rejects)
    return {"sent": progress.sent, "rejected": progress.rejected}


def _has_grown(source: Source, state: State) -> bool:
    """Tell whether lines came since the file was imported, as they do to a log that is written on."""
    if state.progress.form != "lines":
        return False
    with closing(source.entries(state.progress.place)) as rest:
        state.progress.done = next(rest, None) is None
    return not state.progress.done


def _state(path: Path | None, given: Namespace) -> State:
    """Open the state of this file for this project; `--again` forgets it, but not the key that it may still hold."""
    credential = _credential(given)
    project = str(project_of(credential, given.project)) if credential else f"slug {given.project}"
    if not credential and not given.project:
        raise Misuse(f"give --key KEY (or {KEY_VARIABLE}), or --project SLUG to have a key made for the import")
    target = f"{address(given)} {project}" + (f" of {given.organization}" if given.organization else "")
    if given.again and path is not None:
        State.path_of(path, target).unlink(missing_ok=True)
    return State.open(path, target, clock.now())


def _credential(given: Namespace) -> str:
    # A key of the environment would silently win over a slug; a slug is the more explicit wish.
    by_slug = given.project is not None and not given.project.isdigit()
    return given.key or ("" if by_slug else os.environ.get(KEY_VARIABLE, ""))


def _client(given: Namespace, state: State) -> tuple[Client, int]:
    credential = _credential(given)
    if not credential:
        from headrace.cli.key import import_key

        if not state.progress.key:
            made = import_key(given)
            state.progress.key, state.progress.key_id = made.full_key, made.key_id
        credential = state.progress.key
    return Client(address(given), credential), project_of(credential, given.project if given.key else None)


def _batches(source: Source, state: State, rules: Rules, most: int) -> Generator[Batch]:
    """Cut the rest of the file into batches. From the same place the same batches come, run after run."""
    batch, size, broken = Batch([], [], state.progress.offset), 0, None
    entries = source.entries(state.progress.place)
    while True:
        try:
            entry = next(entries, None)
        except Trouble as problem:
            # What came before the broken place is sent first.
            entry, broken = None, problem
        if entry is None:
            break
        state.progress.form = source.form
        try:
            log = as_log(entry.text, rules)
        except BadLineError as problem:
            batch.bad.append((entry, str(problem)))
        else:
            batch.logs.append((entry, log))
            size += len(log)
        if len(batch.logs) + len(batch.bad) >= most or size >= MOST_BYTES:
            yield batch
            batch, size = Batch([], [], entry.end), 0
    if batch.logs or batch.bad:
        yield batch
    if broken is not None:
        raise broken


def _send(sender: Sender, batch: Batch, state: State, rejects: Rejects) -> None:
    """Send one batch and write down what became of it. Trouble when the first lines of all are all refused."""
    sent = sender.send([log for _, log in batch.logs], str(batch.start)) if batch.logs else Sent(0, [])
    bad = batch.bad + [(batch.logs[at][0], rule) for at, rule in sent.bad]
    spent = batch.logs[sent.spent_at][0] if sent.spent_at is not None else None
    if spent is not None:
        bad = [(entry, rule) for entry, rule in bad if entry.end < spent.end]
    bad.sort(key=lambda item: item[0].end)
    progress = state.progress
    if not (sent.accepted or progress.sent or progress.rejected or spent):
        raise _nothing_fits(bad)
    rejects.add([(entry.line, entry.text or b"", rule) for entry, rule in bad])
    progress.sent += sent.accepted
    entries = [entry for entry, _ in batch.logs] + [entry for entry, _ in batch.bad]
    last = max(
        (entry for entry in entries if spent is None or entry.end < spent.end), key=lambda e: e.end, default=None
    )
    if last is not None:
        progress.offset, progress.line = last.end, _next_line(last, progress.form)
    state.save()
    if spent is not None:
        raise Trouble(
            f"the project's quota of the day is spent, {count(progress.sent, 'line')} are imported; the same command "
            "goes on after 00:00 UTC, or at once when `headrace admin quota` has raised it"
        )


def _next_line(last: Entry, form: str) -> int:
    return last.line + (1 if form == "lines" else (last.text or b"").count(b"\n"))


def _nothing_fits(bad: list[tuple[Entry, str]]) -> Trouble:
    lines = "".join(f"\n  line {entry.line}: {rule}" for entry, rule in bad[:NAMED])
    more = f"\n  and {count(len(bad) - NAMED, 'line')} more" if len(bad) > NAMED else ""
    return Trouble(
        f"none of the first {count(len(bad), 'line')} is a log that the server takes; nothing is imported:"
        f"{lines}{more}\n"
        "--map names fields that are called otherwise (--map timestamp=time,message=msg), --now gives lines without "
        "a timestamp the time of the import, --level a level"
    )


def _finish(state: State, given: Namespace) -> None:
    key_id = state.progress.key_id
    state.progress.done, state.progress.key, state.progress.key_id = True, "", 0
    if key_id:
        from headrace.cli.key import end_key

        end_key(given, key_id)
    state.save()


def _tell(name: str, state: State, rejects: Rejects) -> None:
    progress = state.progress
    say(f"{name}: imported {count(progress.sent, 'line')}")
    if progress.rejected:
        complain(
            f"{name}: {count(progress.rejected, 'line')} refused; they are in {rejects.path}, the reasons in "
            f"{rejects.why}. Mend the first and import it"
        )
