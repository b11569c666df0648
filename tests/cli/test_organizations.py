"""The operator's commands where there are several organizations: what tells its own is found, the rest is asked for."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli import demo, main
from headrace.cli.configuration import office
from headrace.cli.key import end_key, import_key
from headrace.core import keys, projects
from headrace.core.identity import operators, overview

PASSWORD = "Correct-Horse-7"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two organizations: `sample` and `other` both have a project `web`, `sample` alone one named `sample`."""
    data = tmp_path / "data"
    with office(Namespace(data=str(data), config=None), make=True) as house:
        email = "me@example.com"
        operators.make_account(house, email=email, password=PASSWORD, name="Me", organization="sample")
        overview.make_organization(house, name="other")
        for slug, names in (("sample", ("sample", "web")), ("other", ("web",))):
            who = operators.principal(house, organization=slug)
            for name in names:
                project = projects.create(house, who, name=name, slug=name)
            keys.create_project_key(house, who, project_id=project.project_id, name=f"of {slug}")
    return data


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, "--data", str(folder)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_what_tells_its_organization_is_found_without_it(run: Run) -> None:
    for project in ("sample", "SAMPLE", "3"):
        status, key, _ = run("key", "create", project)
        assert (status, key.startswith("ldg_proj_3_" if project == "3" else "ldg_proj_1_")) == (0, True), project
    assert run("key", "revoke", "2")[1].endswith("is revoked\n")
    assert run("key", "limit", "1", "--per-minute", "5")[0] == 0
    assert run("admin", "quota", "sample", "5000")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("key", "create", "web"), "several organizations have a project web (sample, other); name one with"),
        (("key", "create", "nothing"), "there is no project nothing; `headrace project list` shows"),
        (("key", "create"), "there are several organizations (sample, other); name one with --organization"),
        (("key", "revoke", "99"), "there is no key 99"),
    ],
)
def test_what_does_not_is_asked_for(run: Run, arguments: tuple[str, ...], said: str) -> None:
    status, _, error = run(*arguments)
    assert (status, said in error, len(error.splitlines())) == (1, True, 1), error


def test_lists_are_of_all_organizations(run: Run) -> None:
    head, *lines = run("key", "list")[1].splitlines()
    assert head.split()[:2] == ["organization", "key_id"]
    assert [line.split()[:2] for line in lines] == [["sample", "1"], ["other", "2"]]
    listed: list[dict[str, Any]] = json.loads(run("project", "list", "--json")[1])
    assert [(one["organization"], one["slug"]) for one in listed] == [
        ("sample", "sample"),
        ("sample", "web"),
        ("other", "web"),
    ]
    head, line = run("key", "list", "--organization", "other")[1].splitlines()
    assert (head.split()[0], line.split()[0]) == ("key_id", "2")


def test_the_audit_log_is_read(run: Run) -> None:
    run("key", "revoke", "2")
    status, said, _ = run("audit", "--action", "apikey:key", "--limit", "2")
    head, first, second = said.splitlines()
    assert (status, head.split()[:4]) == (0, ["id", "at", "organization", "actor"])
    assert first.split()[2:6] == ["other", "operator", "apikey:key:revoked", "key:2"]
    assert second.split()[2] == "other"
    page = json.loads(run("audit", "--organization", "sample", "--account", "me@example.com", "--json")[1])
    assert page == {"events": [], "before": None}
    assert "--before" in run("audit", "--limit", "1")[2]


def test_an_import_finds_its_project(folder: Path, run: Run) -> None:
    given = Namespace(data=str(folder), config=None, project="sample", organization=None)
    made = import_key(given)
    assert made.full_key.startswith("ldg_proj_1_")
    end_key(given, made.key_id)
    assert "revoked" in run("key", "list", "sample")[1]


def test_the_hint_of_the_demo_works(folder: Path, run: Run) -> None:
    with office(Namespace(data=str(folder), config=None)) as house:
        assert hint(house) == ["key", "create", "sample"]
        who = operators.principal(house, organization="other")
        projects.create(house, who, name="Mine", slug="sample")
        words = hint(house)
    assert words == ["key", "create", "sample", "--organization", "sample"]
    assert run(*words)[0] == 0


def hint(house: Any) -> list[str]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "say", lambda text="": said.append(text))
        demo.again(house, "http://127.0.0.1:1")
    (line,) = (line for line in said if " key create " in line)
    return line.partition(f"{demo.COMMAND} ")[2].partition(" --data")[0].split()
