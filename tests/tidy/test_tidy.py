"""The house rules that no linter knows. Each test names its rule; a failure prints the reason and every place."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
Node = TypeVar("Node", bound=ast.AST)
ENTRY_POINTS = {"headrace", "headrace.__main__", "headrace.cli", "headrace.worker"}

# Modules outside kit/clock.py that may read the wall clock, each with its reason.
CLOCK_READERS: dict[str, str] = {}


@cache
def files() -> tuple[str, ...]:
    """Paths of the checkout, relative to its root, without what .gitignore names. Works without git."""
    lines = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line and not line.startswith("#")]
    at_root = {line.strip("/") for line in lines if line.startswith("/")} | {".git"}
    anywhere = [line.rstrip("/") for line in lines if not line.startswith("/")]

    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if (folder == ROOT and path.name in at_root) or any(fnmatch(path.name, name) for name in anywhere):
                continue
            if path.is_dir():
                yield from walk(path)
            else:
                yield path

    return tuple(str(path.relative_to(ROOT)) for path in walk(ROOT))


@cache
def text(path: str) -> str:
    """The file's text; empty for a binary file."""
    content = (ROOT / path).read_bytes()
    return "" if b"\0" in content else content.decode()


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def python(*folders: str) -> list[str]:
    return [path for path in files() if path.endswith(".py") and path.startswith(tuple(f + "/" for f in folders))]


def nodes(path: str, kind: type[Node]) -> Iterator[Node]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, kind))


def functions(path: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from nodes(path, ast.FunctionDef)
    yield from nodes(path, ast.AsyncFunctionDef)


def imports(path: str) -> Iterator[tuple[str, int]]:
    """Each imported name in full (`a.b.c` for `from a.b import c`) with its line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def calls(path: str, pattern: str) -> Iterator[str]:
    """Places of calls whose written name, such as `time.sleep`, matches the pattern whole."""
    for call in nodes(path, ast.Call):
        if re.fullmatch(pattern, ast.unparse(call.func)):
            yield f"{path}:{call.lineno}"


def refuse(offences: list[str], reason: str) -> None:
    if offences:
        pytest.fail(f"{reason}\n  " + "\n  ".join(offences), pytrace=False)


def matching(pattern: str, *, but: Callable[[str], bool] = lambda path: path.startswith("docs/api/")) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in files()
        if not but(path)
        for number, line in enumerate(text(path).splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_every_module_says_what_lives_there() -> None:
    longest = 8
    wrong = [
        path for path in python("src") if not 1 <= len((ast.get_docstring(tree(path)) or "").splitlines()) <= longest
    ]
    refuse(wrong, f"A module opens with 1 to {longest} lines on what lives in it and what does not: it is its own map.")


def test_modules_are_short() -> None:
    longest = 500
    wrong = [
        f"{path}: {lines} lines"
        for path in python("src", "tests", "bench")
        if (lines := len(text(path).splitlines())) > longest
    ]
    refuse(wrong, f"Over {longest} lines a module holds several things: make it a package of the same name.")


def test_functions_are_short() -> None:
    longest = 70
    wrong = [
        f"{path}:{node.lineno}: {node.name}, {lines} lines"
        for path in python("src", "tests", "bench")
        for node in functions(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > longest
    ]
    refuse(wrong, f"Over {longest} lines a function does several things: give each its name.")


def test_files_are_named_for_things() -> None:
    roles = re.compile(r"(services?|managers?|utils?|helpers?|handlers?)\.py")
    wrong = [path for path in python("src", "tests", "bench") if roles.fullmatch(Path(path).name)]
    refuse(wrong, "A file named for a role attracts everything: name it for the thing it holds.")


def test_classes_are_named_for_things() -> None:
    wrong = [
        f"{path}:{node.lineno}: {node.name}"
        for path in python("src", "tests", "bench")
        for node in nodes(path, ast.ClassDef)
        if node.name.endswith(("Manager", "Helper", "Processor"))
    ]
    refuse(wrong, "Manager, Helper and Processor say nothing about what a class is: use the domain's noun.")


def test_catching_everything_has_a_reason() -> None:
    wrong = []
    for path in python("src", "tests", "bench"):
        lines = ["", *text(path).splitlines()]
        for node in nodes(path, ast.ExceptHandler):
            caught = "BaseException" if node.type is None else ast.unparse(node.type)
            if not re.search(r"\b(Base)?Exception\b", caught):
                continue
            comments = [line.partition("#")[2] for line in lines[node.lineno - 1 : node.lineno + 1]]
            if not any(re.sub(r"noqa(: ?[A-Z0-9, ]+)?|\W", "", comment) for comment in comments):
                wrong.append(f"{path}:{node.lineno}")
    refuse(
        wrong, "Catching everything hides bugs. It stands at the edges of the process, with its reason in a comment."
    )


def test_tests_do_not_sleep() -> None:
    wrong = [place for path in python("tests") for place in calls(path, r"(time\.)?sleep")]
    refuse(wrong, "A sleep is too long on one machine and too short on another: wait for a condition with a deadline.")


def test_only_the_command_line_prints() -> None:
    wrong = [
        place
        for path in python("src")
        if not path.startswith(("src/headrace/cli.py", "src/headrace/cli/"))
        for place in calls(path, "print")
    ]
    refuse(wrong, "A server speaks through its log, which has levels and times; only cli prints.")


def test_time_comes_from_the_clock() -> None:
    readings = r"time(\.time(_ns)?)?|(datetime\.)?(datetime|date)\.(now|utcnow|today)|time_ns|utcnow"
    wrong = [
        place
        for path in python("src")
        if path != "src/headrace/kit/clock.py" and path not in CLOCK_READERS
        for place in calls(path, readings)
    ]
    refuse(wrong, "Time comes from the house's clock (kit/clock.py), in UTC, so that a test can turn it.")


def test_tables_belong_to_core() -> None:
    rooms = ("src/headrace/doors", "src/headrace/web", "src/headrace/wire", "src/headrace/eventstore")
    wrong = [
        f"{path}:{line}: {name}"
        for path in python(*rooms)
        for name, line in imports(path)
        if name.split(".")[0] in {"sqlalchemy", "alembic", "psycopg", "sqlite3"}
    ]
    refuse(wrong, "Each table has one owner, a room of core: doors, web, wire and eventstore reach no metadata by SQL.")


def test_no_path_of_one_machine() -> None:
    wrong = matching(r"(?<![\w}])/(wor[k]\b|tm[p]/)", but=lambda path: path.startswith(("docs/api/", "requirements/")))
    refuse(wrong, "A path of one machine is wrong on the next: take folders from settings, and tmp_path in tests.")


def test_no_registry_address() -> None:
    hosts = [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("jsdelivr", "net")]
    hosts += [("unpkg", "com"), ("crates", "io"), ("debian", "org"), ("cloudflare", "com")]
    wrong = matching("|".join(re.escape(".".join(host)) for host in hosts))
    refuse(wrong, "Where packages come from is the reader's setting, and a page must not load code from elsewhere.")


def test_the_root_stays_a_table_of_contents() -> None:
    most = 15
    entries = sorted({path.split("/")[0] for path in files()})
    refuse(entries if len(entries) > most else [], f"The root is the first thing seen: at most {most} entries.")


def test_no_large_file() -> None:
    wrong = [path for path in files() if (ROOT / path).stat().st_size > 1 << 20]
    refuse(wrong, "A file over 1 MiB stays in every clone for ever: generate it, or install it from a package.")


def test_no_note_for_later() -> None:
    wrong = matching(r"\b(TOD[O]|FIXM[E])\b")
    refuse(wrong, "A note for later is a decision nobody took: do it, or leave it out.")


def test_every_module_is_used() -> None:
    modules = {path.removeprefix("src/").removesuffix(".py").replace("/", "."): path for path in python("src")}
    reached = {name for path in python("src") for name, _ in imports(path)}
    reached |= {name.rpartition(".")[0] for name in reached}
    wrong = [
        path
        for module, path in modules.items()
        if module not in reached | ENTRY_POINTS
        and not module.endswith(".__init__")
        and "/migrations/" not in path  # alembic loads these by path
    ]
    refuse(wrong, "A module that nothing in src imports is dead, or not yet wired in.")


def test_imports_point_down() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    refuse(
        [] if run.returncode == 0 else run.stdout.splitlines(), "Imports point down; pyproject.toml has the contracts."
    )
