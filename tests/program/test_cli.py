"""The verbs against a real server: import, search, tail, and the operator's verbs beside it."""

import gzip
import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.program.conftest import SECONDS, Demo, Served, command, environment

Until = Callable[..., None]


def lines_of(count: int, mark: str) -> str:
    return "".join(
        json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": f"{mark} {number}"}) + "\n"
        for number in range(count)
    )


def new_key(demo: Demo, slug: str) -> str:
    """Make a project for one test, so that counts are its own, and return its key."""
    project = demo.post("/api/v1/projects", {"name": slug, "slug": slug})
    key: str = demo.post(f"/api/v1/projects/{project['project_id']}/api-keys", {"name": slug})["full_key"]
    return key


def stored(demo: Demo, key: str, until: Until, count: int) -> Counter[str]:
    """Every message of the project, once `count` of them are searchable."""
    found: list[str] = []

    def enough() -> bool:
        done = command("search", "--json", "--limit", "1000000", "--url", demo.url, "--key", key)
        assert done.returncode == 0, done.stderr
        found[:] = [json.loads(line)["message"] for line in done.stdout.splitlines()]
        return len(found) >= count

    until(enough, seconds=30)
    return Counter(found)


@pytest.mark.parametrize("form", ["lines", "array", "gzip", "stdin"])
def test_every_form_is_imported(demo: Demo, tmp_path: Path, until: Until, form: str) -> None:
    key, text = new_key(demo, f"form-{form}"), lines_of(2300, form)
    file = tmp_path / "logs"
    match form:
        case "array":
            file.write_text(f"[{','.join(text.splitlines())}]")
        case "gzip":
            file.write_bytes(gzip.compress(text.encode()))
        case _:
            file.write_text(text)
    stdin = text if form == "stdin" else None
    done = command(
        "import", "-" if stdin else str(file), "--url", demo.url, stdin=stdin, HEADRACE_KEY=key, HEADRACE_URL=demo.url
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "imported 2,300 lines" in done.stdout
    assert stored(demo, key, until, 2300) == Counter(f"{form} {number}" for number in range(2300))
    if not stdin:
        again = command("import", str(file), "--url", demo.url, "--key", key)
        assert "imported already" in again.stdout


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_came_to_a_file_since_is_imported(
    demo: Demo, tmp_path: Path, until: Until, compress: Callable[[bytes], bytes]
) -> None:
    key, file = new_key(demo, f"grown-{compress.__name__}"), tmp_path / "logs"
    first, second = lines_of(3, "first").encode(), lines_of(2, "second").encode()
    given = ["import", str(file), "--url", demo.url, "--key", key]
    file.write_bytes(compress(first))
    assert "imported 3 lines" in command(*given).stdout
    file.write_bytes(file.read_bytes() + compress(second + b"\n"))
    grown = command(*given)
    assert (grown.returncode, grown.stdout) == (0, f"{file}: imported 5 lines\n")
    assert "imported already (5 lines)" in command(*given).stdout
    assert stored(demo, key, until, 5) == Counter(["first 0", "first 1", "first 2", "second 0", "second 1"])


@contextmanager
def way(demo: Demo, arrives: Callable[[int], bool]) -> Iterator[str]:
    """A way to the server. An answer, by its number from 0, arrives or is lost after the server has done its work."""
    upstream = urlsplit(demo.url).netloc
    turns = count()

    class Way(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            connection = http.client.HTTPConnection(upstream)
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if not arrives(next(turns)):
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_killed_import_goes_on_and_stores_every_line_once(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "killed"), tmp_path / "logs"
    file.write_text(lines_of(20_000, "line"))
    held, killed = threading.Semaphore(0), threading.Semaphore(0)

    def arrives(number: int) -> bool:
        if number not in {20, 90}:
            return True
        held.release()
        killed.acquire(timeout=SECONDS)
        return False

    with way(demo, arrives) as url:
        arguments = ["import", str(file), "--batch", "100", "--url", url, "--key", key]
        for _ in range(2):
            running = subprocess.Popen(
                [sys.executable, "-m", "headrace", *arguments],
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            reached = held.acquire(timeout=SECONDS)  # The server has stored a batch, and the import does not know.
            running.kill()
            running.wait()
            killed.release()
            assert reached
        done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "going on after line 8,900\n" in done.stderr
    assert stored(demo, key, until, 20_000) == Counter(f"line {number}" for number in range(20_000))


def test_a_lost_answer_doubles_nothing(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "lossy"), tmp_path / "logs"
    file.write_text(lines_of(1000, "once"))
    with way(demo, lambda number: number % 3 != 1) as url:
        done = command("import", str(file), "--batch", "100", "--url", url, "--key", key)
    assert done.returncode == 0, done.stderr
    assert stored(demo, key, until, 1000) == Counter(f"once {number}" for number in range(1000))


def test_an_import_waits_for_a_server_that_was_killed(
    serve: Callable[..., Served], port: str, tmp_path: Path, until: Until
) -> None:
    first = serve("--port", port, verb="demo")
    made, file = Demo(first), tmp_path / "logs"
    file.write_text(lines_of(8000, "line"))
    running = subprocess.Popen(
        [sys.executable, "-m", "headrace", "import", str(file), "--batch", "50", "--url", made.url, "--key", made.key],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: any(json.loads(state.read_bytes())["sent"] for state in tmp_path.glob("logs.import-*.json")))
    first.kill()
    second = serve("--port", port)
    assert running.wait(120) == 0
    made.served = second
    assert stored(made, made.key, until, 8000).keys() == {f"line {number}" for number in range(8000)}


def test_what_comes_before_a_broken_place_is_imported(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "broken"), tmp_path / "logs"
    file.write_text(f"[{','.join(lines_of(130, 'whole').splitlines())},")
    done = command("import", str(file), "--batch", "100", "--url", demo.url, "--key", key)
    assert done.returncode == 1
    assert "ends in the middle of its array" in done.stderr
    assert stored(demo, key, until, 130) == Counter(f"whole {number}" for number in range(130))


def test_refused_lines_are_named_and_kept(demo: Demo, tmp_path: Path) -> None:
    key, file = new_key(demo, "refused"), tmp_path / "logs"
    good = lines_of(15, "good").splitlines()
    bad = ["oops", '{"timestamp":"2026-01-01","level":"loud","message":"m"}', '{"level":"info","message":"m"}']
    file.write_text("\n".join(good[:5] + bad + good[5:]) + "\n")
    done = command("import", str(file), "--url", demo.url, "--key", key)
    assert done.returncode == 1
    assert "imported 15 lines" in done.stdout
    assert "3 lines refused" in done.stderr
    assert (tmp_path / "logs.rejected").read_text().splitlines() == bad
    why = (tmp_path / "logs.rejected.why").read_text().splitlines()
    assert [line.partition(":")[0] for line in why] == ["line 6", "line 7", "line 8"]
    assert "not JSON" in why[0]
    assert "Invalid level" in why[1]
    assert "timestamp" in why[2]


def test_a_file_that_is_no_log_is_not_imported_line_by_line(demo: Demo, tmp_path: Path) -> None:
    key, file = new_key(demo, "foreign"), tmp_path / "logs"
    file.write_text('{"when":"2026-01-01","what":"x"}\n' * 30)
    refused = command("import", str(file), "--url", demo.url, "--key", key)
    assert refused.returncode == 1
    assert "--map" in refused.stderr
    assert not (tmp_path / "logs.rejected").exists()
    mapped = command(
        "import", str(file), "--map", "timestamp=when,message=what", "--level", "info", "--url", demo.url, "--key", key
    )
    assert (mapped.returncode, mapped.stdout) == (0, f"{file}: imported 30 lines\n")


def test_an_import_by_slug_makes_its_key_and_ends_it(demo: Demo, tmp_path: Path) -> None:
    new_key(demo, "by-slug")
    file = tmp_path / "logs"
    file.write_text(lines_of(3, "slug"))
    done = command("import", str(file), "--project", "by-slug", "--data", str(demo.folder), "--url", demo.url)
    assert done.returncode == 0, done.stderr
    listed = json.loads(command("key", "list", "by-slug", "--json", "--data", str(demo.folder)).stdout)
    assert (listed[0]["name"], listed[0]["status"]) == ("headrace import", "revoked")
    assert "ldg_proj" not in next(tmp_path.glob("logs.import-*.json")).read_text()


def test_a_spent_quota_stops_the_import_where_it_is(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "spent"), tmp_path / "logs"
    command("admin", "quota", "spent", "150", "--data", str(demo.folder))
    file.write_text(lines_of(400, "q"))
    arguments = ("import", str(file), "--batch", "100", "--patience", "1", "--url", demo.url, "--key", key)
    first = command(*arguments)
    assert first.returncode == 1
    assert "quota" in first.stderr
    command("admin", "quota", "spent", "100000", "--data", str(demo.folder))
    second = command(*arguments)
    assert second.returncode == 0, second.stderr
    assert stored(demo, key, until, 400) == Counter(f"q {number}" for number in range(400))


def test_search_prints_lines_that_cannot_fool_a_terminal(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "lines"), tmp_path / "logs"
    file.write_text(
        '{"timestamp":"2026-01-01T00:00:00Z","level":"error","message":"red \\u001b[31m\\nline two","user":7}\n'
        '{"timestamp":"2026-01-02T00:00:00Z","level":"info","message":"quiet"}\n'
    )
    command("import", str(file), "--url", demo.url, "--key", key)
    stored(demo, key, until, 2)
    found = command("search", "level:error", "--url", demo.url, "--key", key)
    assert found.stdout == "2026-01-01T00:00:00Z error    red \\x1b[31m\\nline two  user=7\n"
    for flags, messages in (
        (("--from", "2026-01-02"), ["quiet"]),
        (("--to", "2026-01-01T12:00:00Z"), ["red \x1b[31m\nline two"]),
        (("--from", "10m"), []),
        (("--limit", "1"), ["quiet"]),
    ):
        done = command("search", "--json", *flags, "--url", demo.url, "--key", key)
        assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == messages, flags


def test_tail_prints_what_arrives_once(demo: Demo, tmp_path: Path, until: Until) -> None:
    key, file = new_key(demo, "tailed"), tmp_path / "logs"
    file.write_text(lines_of(3, "before"))
    command("import", str(file), "--url", demo.url, "--key", key)
    stored(demo, key, until, 3)
    output = tmp_path / "tail.out"
    with output.open("wb") as stream:
        tail = subprocess.Popen(
            [sys.executable, "-m", "headrace", "tail", "--lines", "2", "--json", "--url", demo.url, "--key", key],
            stdout=stream,
            env=environment(),
        )
    until(lambda: len(output.read_text().splitlines()) == 2, seconds=30)
    for turn in range(2):
        more = tmp_path / f"more{turn}"
        more.write_text(lines_of(3, f"after {turn}"))
        command("import", str(more), "--url", demo.url, "--key", key)
        until(lambda turn=turn: len(output.read_text().splitlines()) == 5 + 3 * turn, seconds=30)
    tail.send_signal(signal.SIGINT)
    assert tail.wait(SECONDS) == 130
    seen = Counter(json.loads(line)["message"] for line in output.read_text().splitlines())
    expected = Counter(f"after {turn} {number}" for turn in range(2) for number in range(3))
    assert seen - expected <= Counter(f"before {number}" for number in range(3))
    assert expected <= seen


def test_a_running_server_notices_what_the_operator_does(demo: Demo) -> None:
    key = new_key(demo, "watched")
    path = f"/api/v1/logs?project_id={key.split('_')[2]}"
    assert demo.served.get(path, key)[0] == 200
    listed = json.loads(command("key", "list", "watched", "--json", "--data", str(demo.folder)).stdout)
    key_id = str(listed[0]["key_id"])
    for verb, status in (("pause", 401), ("resume", 200), ("revoke", 401)):
        assert command("key", verb, key_id, "--data", str(demo.folder)).returncode == 0
        connection = http.client.HTTPConnection(urlsplit(demo.url).netloc)
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        assert connection.getresponse().status == status, verb
        connection.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "--key", "ldg_proj_1_nokey"), "401"),
        (("search", "level:(", "--key", "KEY"), "400"),
        (("search", "--key", "KEY", "--url", "http://127.0.0.1:1"), "nothing listens there; start it with"),
        (("import", "no-such-file", "--key", "KEY"), "cannot read no-such-file: No such file or directory"),
        (("key", "create", "nope", "--data", "DATA"), "there is no project nope; there are:"),
        (("key", "revoke", "9999", "--data", "DATA"), "API key not found"),
        (("admin", "password", "nobody@example.com", "--data", "DATA"), "There is no account nobody@example.com"),
        (("admin", "account", "not-an-address", "--data", "DATA"), "invalid email format"),
        (("key", "list", "--data", "no-such-folder"), "there is no data folder"),
    ],
)
def test_an_error_is_a_sentence(demo: Demo, arguments: tuple[str, ...], said: str) -> None:
    places = {"KEY": demo.key, "DATA": str(demo.folder)}
    done = command(*(places.get(word, word) for word in arguments), HEADRACE_URL=demo.url)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_nothing_wrong_beside_a_running_server(demo: Demo) -> None:
    port = str(urlsplit(demo.url).port)
    done = command("doctor", "--json", "--data", str(demo.folder), HEADRACE_PORT=port)
    findings = {finding["what"]: finding for line in done.stdout.splitlines() for finding in [json.loads(line)]}
    assert done.returncode == 0, done.stdout
    assert str(demo.served.pid) in findings["server"]["words"]
    assert findings["port"]["state"] == "ok"
    assert findings["metadata"]["state"] == "ok"


def test_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "headrace.db").write_bytes(b"this is no database, but it is long enough to be read as one" * 20)
    # The least that the setting takes: on a larger disk with less on it, that one is well.
    usage = shutil.disk_usage(data)
    full = {"disk"} if usage.used >= 0.06 * (usage.used + usage.free) else set()
    done = command("doctor", "--json", "--data", str(data), HEADRACE_DISK_REFUSE_PERCENT="6", HEADRACE_PORT="0")
    failed = {json.loads(line)["what"] for line in done.stdout.splitlines() if json.loads(line)["state"] == "fail"}
    assert done.returncode == 1
    assert failed == full | {"metadata"}


def test_the_operator_begins_with_an_empty_folder(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    made = command("admin", "account", "me@example.com", "--super", "--json", "--data", data)
    facts = json.loads(made.stdout)
    assert (facts["organization"], facts["super_admin"], len(facts["password"]) >= 16) == ("main", True, True)
    assert command("project", "create", "web", "--data", data).returncode == 0
    key = command("key", "create", "web", "--scopes", "ingest", "--json", "--data", data)
    assert json.loads(key.stdout)["scopes"] == ["ingest"]
    imported = command("key", "import", "--data", data, "--json", stdin="an-old-key-of-another-system\n")
    assert (json.loads(imported.stdout)["kind"], json.loads(imported.stdout)["full_key"]) == ("imported", None)
    limited = command("key", "limit", "1", "--per-minute", "5", "--data", data)
    assert limited.stdout == "key 1: 5 a minute, default an hour\n"
    assert command("admin", "organization", "Second", "--admin", "me@example.com", "--data", data).returncode == 0
    unclear = command("project", "create", "x", "--data", data)
    assert (unclear.returncode, "several organizations (main, second)" in unclear.stderr) == (1, True)
    listed = command("project", "list", "--organization", "main", "--data", data)
    assert listed.stdout.splitlines()[1].split()[:2] == ["1", "web"]
